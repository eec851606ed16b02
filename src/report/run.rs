//! The JSON report's object. The names of its fields are a promise; where the meaning of one
//! changes, [`SCHEMA`] does.

use super::intervals::Interval;
use super::load::{Load, Sweep};
use crate::engine;
use crate::error::Error;
use crate::flow::{Bound, LevelStats, Marks, Tuned};
use crate::latency::{Histograms, Kind, Summary};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
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

/// How a high-water mark found itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tuner {
    /// what held the rate back at the end: `devices`, `ring`, `source`, or `unknown`, where the run was
    /// too short
    pub bound_by: &'static str,
    /// the mark at the end, in bytes
    pub high_water_bytes: u64,
    /// bytes a second under it, 0 where it was not measured
    pub rate_bytes_per_s: f64,
    /// the least that a block took of late, from its admission to the target
    pub unloaded_latency_ns: Option<u64>,
    /// `--buffers` that would not hold the rate back any more, or less, where the ring did
    pub buffers_wanted: Option<u64>,
    /// how often the mark was changed, probes included
    pub changes: u64,
    /// when it became what: all changes, or some of them where there were many
    pub marks: Vec<MarkAt>,
}

/// A high-water mark, from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MarkAt {
    /// since the run began, in seconds
    pub at_s: f64,
    /// in bytes
    pub high_water_bytes: u64,
}

impl Tuner {
    /// Of a ring of so many buffers.
    pub fn new(tuned: &Tuned, buffers: u64) -> Tuner {
        let point = |(at, high_water_bytes): &(Duration, u64)| MarkAt {
            at_s: at.as_secs_f64(),
            high_water_bytes: *high_water_bytes,
        };
        Tuner {
            bound_by: match tuned.bound_by {
                Bound::Devices => "devices",
                Bound::Ring => "ring",
                Bound::Source => "source",
                Bound::Unknown => "unknown",
            },
            high_water_bytes: tuned.marks.last().map_or(0, |(_, bytes)| *bytes),
            rate_bytes_per_s: tuned.rate_bytes_per_s,
            unloaded_latency_ns: tuned.unloaded_latency.map(|least| least.as_nanos() as u64),
            // How far the knee is behind the end of the ring is only seen from there.
            buffers_wanted: (tuned.bound_by == Bound::Ring).then_some(2 * buffers),
            changes: tuned.changes,
            marks: tuned.marks.iter().map(point).collect(),
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

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// the path, lossily where it is not UTF-8
    pub path: String,
    /// the path's bytes in hex, only where it is not UTF-8
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// the other end of the copy, or the attribute's name, only where it takes both to understand
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// its bytes in hex, only where it is not UTF-8
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_bytes: Option<String>,
    /// the name of the operation, see [`crate::error::Op::name`]
    pub op: &'static str,
    /// where, in bytes from the start of the file
    pub offset: Option<u64>,
    /// over how many bytes from there, only where it is known of each of them
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// the symbol, `EIO`, or the number where the C library has no symbol for it
    pub errno: Option<String>,
    /// the cause in words
    pub message: String,
}

/// An operation that did not complete for longer than a limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stall {
    /// the name of the operation, see [`crate::error::Op::name`]
    pub op: &'static str,
    /// on what, lossily where it is not UTF-8
    pub path: String,
    /// the path's bytes in hex, only where it is not UTF-8
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// where, in bytes from the start of the file, of reads and writes
    pub offset: Option<u64>,
    /// since the run began, in seconds, to a tenth
    pub start_s: f64,
    /// how long it took, in seconds, to a tenth
    pub length_s: f64,
}

/// A lasting fall of throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cliff {
    /// when it came, in seconds from the start of the run
    pub at_s: f64,
    /// after so many bytes
    pub after_bytes: u64,
    /// median before it
    pub before_bytes_per_s: f64,
    /// median from then on
    pub after_bytes_per_s: f64,
}

/// What became of the blocks that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// how many were checked
    pub blocks: u64,
    /// hold what was written last
    pub good: u64,
    /// don't, and nothing newer was promised: a later check of a run that was cut off
    pub unsynced: u64,
    /// hold what was there before anything was written
    pub lost: u64,
    /// hold what an earlier write wrote
    pub stale: u64,
    /// hold parts of two writes
    pub torn: u64,
    /// hold what was written to another place
    pub misdirected: u64,
    /// hold anything else
    pub corrupt: u64,
    /// could not be read
    pub unreadable: u64,
    /// where those that are not good are, in order; blocks side by side with the same fault are one
    pub ranges: Vec<BadRange>,
    /// so many more ranges there are
    pub unlisted_ranges: u64,
}

/// Blocks side by side with the same fault.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BadRange {
    /// lost, stale, torn, misdirected, corrupt or unreadable
    pub fault: String,
    /// from this byte on
    pub offset: u64,
    /// so many bytes
    pub length: u64,
}

/// What only a stress run has.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stress {
    /// the file or device, lossily where it is not UTF-8
    pub target: String,
    /// whose blocks, in hex; null where it did not come to that
    pub run: Option<String>,
    /// what they were made from
    pub seed: Option<u64>,
    /// bytes of the target that were used
    pub size_bytes: u64,
    /// rounds that were begun
    pub rounds: u64,
    /// how long it wrote, syncs included, in seconds
    pub writing_s: f64,
    /// bytes that were to be checked
    pub to_check_bytes: u64,
    /// what probing a device found, where that was asked for
    pub probe: Option<Probe>,
    /// of this process, while it wrote
    pub memory: Option<Memory>,
    /// of the device, before it was written to; null where it can't be known
    pub health_before: Option<Health>,
    /// and after
    pub health_after: Option<Health>,
}

/// How much a device keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// what it says it has
    pub announced_bytes: u64,
    /// what it keeps
    pub real_bytes: u64,
    /// after so many it begins anew
    pub wraps_after_bytes: Option<u64>,
}

/// Resident bytes of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// a second after the first write
    pub first_bytes: u64,
    /// at the last one
    pub last_bytes: u64,
    /// the most between them, of a look each second
    pub most_bytes: u64,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// in degrees Celsius
    pub temperature_celsius: Option<i64>,
    /// its own verdict
    pub passed: Option<bool>,
    /// counters of what went wrong that are not 0, by smartctl's names
    pub troubles: std::collections::BTreeMap<String, u64>,
}

impl From<&engine::Stall> for Stall {
    fn from(stall: &engine::Stall) -> Stall {
        Stall {
            op: stall.op.name(),
            path: stall.path.to_string_lossy().into_owned(),
            path_bytes: hex_unless_text(&stall.path),
            offset: stall.offset,
            start_s: stall.start.as_secs_f64(),
            length_s: stall.length.as_secs_f64(),
        }
    }
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

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        Failure {
            path: error.path.to_string_lossy().into_owned(),
            path_bytes: hex_unless_text(&error.path),
            other: error.other.as_ref().map(|other| other.to_string_lossy().into_owned()),
            other_bytes: error.other.as_deref().and_then(hex_unless_text),
            op: error.op.name(),
            offset: error.offset,
            length: error.length,
            errno: error.errno().map(symbol),
            message: error.cause.to_string(),
        }
    }
}

/// Bytes a second over the whole run; 0 where no time has passed.
pub fn throughput_bytes_per_s(bytes: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { bytes as f64 / elapsed.as_secs_f64() }
}

fn hex_unless_text(path: &std::path::Path) -> Option<String> {
    let bytes = path.as_os_str().as_bytes();
    path.to_str().is_none().then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn symbol(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => errno.to_string(),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Op};
    use std::ffi::OsStr;

    #[test]
    fn a_failure_names_operation_place_and_errno() {
        let error = Error::new(Op::Write, "/mnt/a", Cause::Errno(libc::EIO)).at(4096);
        let failure = Failure {
            path: "/mnt/a".into(),
            path_bytes: None,
            other: None,
            other_bytes: None,
            op: "write",
            offset: Some(4096),
            length: None,
            errno: Some("EIO".into()),
            message: "Input/output error".into(),
        };
        assert_eq!(Failure::from(&error), failure);
    }

    #[test]
    fn what_differs_has_a_length() {
        let error = Error::new(Op::Verify, "b", Cause::Differs).with("a").at(1 << 20).over(65536);
        let failure = Failure::from(&error);
        assert_eq!((failure.op, failure.offset, failure.length), ("verify", Some(1 << 20), Some(65536)));
        assert_eq!(failure.message, "not what was written");
    }

    #[test]
    fn a_failure_of_ours_has_no_errno() {
        let failure = Failure::from(&Error::new(Op::Open, "a", Cause::SameFile));
        assert_eq!((failure.errno, failure.message.as_str()), (None, "source and target are the same file"));
    }

    #[test]
    fn an_errno_without_a_symbol_keeps_its_number() {
        let failure = Failure::from(&Error::new(Op::Write, "a", Cause::Errno(524)));
        assert_eq!(failure.errno.as_deref(), Some("524"));
    }

    #[test]
    fn a_path_that_is_not_utf8_keeps_its_bytes() {
        let path = OsStr::from_bytes(b"caf\xe9");
        let failure = Failure::from(&Error::new(Op::Stat, path, Cause::Errno(libc::ENOENT)));
        assert_eq!(failure.path, "caf\u{fffd}");
        assert_eq!(failure.path_bytes.as_deref(), Some("636166e9"));
    }

    #[test]
    fn a_failure_of_two_names_has_both() {
        let error = Error::new(Op::MakeLink, "b", Cause::Errno(libc::EMLINK)).with("a");
        let failure = Failure::from(&error);
        assert_eq!((failure.path.as_str(), failure.other.as_deref()), ("b", Some("a")));
    }

    #[test]
    fn no_time_gives_no_throughput() {
        assert_eq!(throughput_bytes_per_s(10, Duration::ZERO), 0.0);
        assert_eq!(throughput_bytes_per_s(10, Duration::from_millis(500)), 20.0);
    }
}
