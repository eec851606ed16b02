//! The JSON report's object. The names of its fields are a promise; where the meaning of one
//! changes, [`SCHEMA`] does.

use super::failure::{Failure, Stall};
use super::intervals::Interval;
use super::load::{Load, Sweep};
use super::stress::{Check, Cliff, Stress};
use super::tuner::Tuner;
use crate::flow::{LevelStats, Marks};
use crate::latency::{Histograms, Kind, Summary};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `schema` of the reports written here.
pub const SCHEMA: u32 = 1;

/// A finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// [`SCHEMA`]
    pub schema: u32,
    /// which job it was
    pub command: Command,
    /// where and when it was, and what was typed
    pub about: About,
    /// how it ended
    pub outcome: Outcome,
    /// bytes that reached the target
    pub bytes: u64,
    /// files finished, directories not counted
    pub files: u64,
    /// directories finished
    pub directories: u64,
    /// files that were left alone, as they were there already
    pub skipped: u64,
    /// what was deleted from the target
    pub deleted: u64,
    /// how many failures there were
    pub failures: u64,
    /// how many times a read, a write or the making of a file was tried again
    pub retries: u64,
    /// wall-clock time, in seconds
    pub elapsed_s: f64,
    /// see [`throughput_bytes_per_s`]
    pub throughput_bytes_per_s: f64,
    /// the ring of buffers
    pub ring: Ring,
    /// the marks and what happened at them
    pub flow: Flow,
    /// how the mark found itself, only where it did (`--high-water auto`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuner: Option<Tuner>,
    /// what stood before the target, only where that was a simulated device
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
    /// the way the bytes took
    pub path: Path,
    /// what a journal saved, only where there is one (`--resume`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// the load, of a bench
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// the steps of a sweep, of which all else here is the sum
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// service times
    pub latency: Latency,
    /// response times, of an open loop
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Latency>,
    /// how long operations waited to be submitted, in an open loop
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<Summary>,
    /// the run interval by interval
    pub intervals: Vec<Interval>,
    /// what the process used
    pub process: Process,
    /// what was read back; only where that was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// every failure, sorted by path
    pub errors: Vec<Failure>,
    /// when nothing completed for longer than a limit, in order
    pub stalls: Vec<Stall>,
    /// a lasting fall of throughput, where one was found
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cliff: Option<Cliff>,
    /// what a checker found; only where there was one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// what only a stress run has
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stress: Option<Stress>,
    /// what the user should know and is no failure, a sentence each
    pub notes: Vec<String>,
}

/// What a report needs to be understood later, and elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// of highwater
    pub version: String,
    /// when the run began, in UTC as RFC 3339 has it, to the second
    pub started: String,
    /// the name of the machine
    pub host: String,
    /// the kernel and its release
    pub kernel: String,
    /// how many processors there were for it
    pub cpus: u64,
    /// the command line, without the program's name, lossily where it is not UTF-8
    pub arguments: Vec<String>,
}

/// The jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Command {
    Copy,
    Bench,
    Stress,
}

impl Command {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Command::Copy => "copy",
            Command::Bench => "bench",
            Command::Stress => "stress",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// everything that was asked is done
    Ok,
    /// something failed; [`Run::errors`] says what
    Failed,
    /// a signal ended it, after draining
    Interrupted,
}

/// A device that was simulated (`--simulate`).
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    /// all that it was, as it can be typed again
    pub spec: String,
}

/// The ring of buffers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ring {
    /// bytes of one buffer
    pub block_bytes: u64,
    /// how many buffers
    pub buffers: u64,
    /// whether the kernel has them pinned
    pub registered: bool,
}

/// The marks, and what happened at them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Flow {
    /// the high-water mark, in bytes
    pub high_water_bytes: u64,
    /// the low-water mark, in bytes
    pub low_water_bytes: u64,
    /// the most bytes in flight
    pub peak_in_flight_bytes: u64,
    /// admissions refused
    pub backpressure_events: u64,
    /// write completions that reopened admission
    pub drain_events: u64,
    /// how long admission was closed, in seconds
    pub paused_s: f64,
}

impl Flow {
    /// Of a run under `marks`, or of one that nothing went through.
    pub fn new(marks: Option<Marks>, level: &LevelStats) -> Flow {
        Flow {
            high_water_bytes: marks.map_or(0, |marks| marks.high_bytes()),
            low_water_bytes: marks.map_or(0, |marks| marks.low_bytes()),
            peak_in_flight_bytes: level.peak_bytes,
            backpressure_events: level.backpressure_events,
            drain_events: level.drain_events,
            paused_s: level.paused.as_secs_f64(),
        }
    }
}

/// The way the bytes took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Path {
    /// by what means
    pub method: Method,
    /// whether the source was read past the page cache
    pub source_direct: bool,
    /// whether the target was written past the page cache
    pub target_direct: bool,
}

/// By what means bytes were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// io_uring
    Ring,
    /// pread and pwrite
    Plain,
    /// a reflink: no bytes were moved
    Clone,
    /// the file system or the device copied by itself
    Offload,
}

/// What was there by the journal of an earlier run, was read back and was not copied again.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resumed {
    /// bytes, holes included
    pub believed_bytes: u64,
    /// whole files
    pub believed_files: u64,
}

/// Service times or response times, a summary for each kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Latency {
    pub read: Summary,
    pub write: Summary,
    pub sync: Summary,
}

/// What the process used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// the most resident memory, in bytes
    pub peak_rss_bytes: u64,
    /// CPU time in user mode, in seconds
    pub user_s: f64,
    /// CPU time in the kernel, in seconds
    pub system_s: f64,
}

/// What was read back from its device, and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// files
    pub files: u64,
    /// what they should hold, holes included
    pub bytes: u64,
    /// files that hold something else
    pub wrong_files: u64,
}

impl Latency {
    /// The service times.
    pub fn service(histograms: &Histograms) -> Latency {
        Latency::of(histograms, Kind::SERVICE)
    }

    /// The response times.
    pub fn response(histograms: &Histograms) -> Latency {
        Latency::of(histograms, Kind::RESPONSE)
    }

    fn of(histograms: &Histograms, kinds: [Kind; 3]) -> Latency {
        let [read, write, sync] = kinds.map(|kind| histograms.summary(kind));
        Latency { read, write, sync }
    }

    /// Read, write and sync.
    pub fn each(&self) -> [&Summary; 3] {
        [&self.read, &self.write, &self.sync]
    }
}

/// Bytes a second over the whole run; 0 where no time has passed.
pub fn throughput_bytes_per_s(bytes: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { bytes as f64 / elapsed.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_gives_no_throughput() {
        assert_eq!(throughput_bytes_per_s(10, Duration::ZERO), 0.0);
        assert_eq!(throughput_bytes_per_s(10, Duration::from_millis(500)), 20.0);
    }
}
