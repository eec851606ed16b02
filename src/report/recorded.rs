//! A run as its JSON report tells of it: of this version or an earlier one, of any job, of any machine.
//! What a report does not have is absent, never made up.

use super::run::{About, Command, Flow, Latency, Outcome, Process, Ring, SCHEMA};
use super::stress::{Check, Cliff, Stress};
use super::{Interval, Run, Sweep, Tuner};
use crate::latency::{Kind, Summary};
use hdrhistogram::Histogram;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Why a report can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is no JSON, or it ends too early.
    #[error("not a JSON report: {0}")]
    NotJson(serde_json::Error),
    /// It has none of highwater's reports in it.
    #[error("there is no report in it")]
    Empty,
    /// It is JSON of something else.
    #[error("not a report of highwater: it has no schema number")]
    NoSchema,
    /// It is of another version, which means other things by the same names.
    #[error("a report of schema {0}, and this version reads schema {SCHEMA}")]
    OtherSchema(serde_json::Number),
    /// It is of a job that is not known.
    #[error("a report of another command, {0}")]
    OtherCommand(serde_json::Value),
    /// Something in it is not what its name promises.
    #[error("not a whole report: {0}")]
    Wrong(serde_json::Error),
    /// A histogram in it can't be read.
    #[error("the histogram of {tag} in interval {nth} can't be read")]
    Histogram {
        /// its name
        tag: String,
        /// which interval, from 1
        nth: usize,
    },
}

/// A run that was recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// which job it was
    pub command: Command,
    /// where and when
    #[serde(default)]
    pub about: About,
    /// how it ended
    pub outcome: Outcome,
    /// bytes that reached the target
    pub bytes: u64,
    /// files finished
    #[serde(default)]
    pub files: Option<u64>,
    /// how many failures there were
    #[serde(default)]
    pub failures: Option<u64>,
    /// how often something was tried again
    #[serde(default)]
    pub retries: Option<u64>,
    /// wall-clock time, in seconds
    pub elapsed_s: f64,
    /// bytes a second over the whole run
    pub throughput_bytes_per_s: f64,
    /// the ring of buffers
    #[serde(default)]
    pub ring: Option<Ring>,
    /// the marks and what happened at them
    #[serde(default)]
    pub flow: Option<Flow>,
    /// how the mark found itself
    #[serde(default)]
    pub tuner: Option<Tuner>,
    /// the way the bytes took
    #[serde(default)]
    pub path: Option<RecordedPath>,
    /// the steps of a sweep, of which all else is the sum
    #[serde(default)]
    pub sweep: Option<Sweep>,
    /// service times
    pub latency: Latency,
    /// response times, of an open loop
    #[serde(default)]
    pub response: Option<Latency>,
    /// how long operations waited to be submitted, in an open loop
    #[serde(default)]
    pub admission: Option<Summary>,
    /// the run interval by interval
    #[serde(default)]
    pub intervals: Vec<Interval>,
    /// what the process used
    #[serde(default)]
    pub process: Option<Process>,
    /// what failed
    #[serde(default)]
    pub errors: Vec<RecordedFailure>,
    /// what hung
    #[serde(default)]
    pub stalls: Vec<RecordedStall>,
    /// a lasting fall of throughput
    #[serde(default)]
    pub cliff: Option<Cliff>,
    /// what a checker found
    #[serde(default)]
    pub check: Option<Check>,
    /// what only a stress run has
    #[serde(default)]
    pub stress: Option<Stress>,
    /// what the user should know
    #[serde(default)]
    pub notes: Vec<String>,
    /// of the whole run, made of those of its intervals
    #[serde(skip)]
    histograms: BTreeMap<&'static str, Histogram<u64>>,
}

/// The way the bytes took.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedPath {
    /// by what means
    pub method: Option<String>,
    /// whether the source was read past the page cache
    pub source_direct: Option<bool>,
    /// whether the target was written past the page cache
    pub target_direct: Option<bool>,
}

/// What failed, in words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedFailure {
    /// on what
    pub path: String,
    /// at what
    pub op: String,
    /// where, in bytes from the start of the file
    pub offset: Option<u64>,
    /// why
    pub message: String,
}

/// What hung.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedStall {
    /// at what
    pub op: String,
    /// on what
    pub path: String,
    /// since the run began, in seconds
    pub start_s: f64,
    /// how long it took, in seconds
    pub length_s: f64,
}

/// What is looked at before anything else is believed.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Number>,
    command: Option<serde_json::Value>,
}

impl Recorded {
    /// The runs in `text`, one JSON object after another.
    ///
    /// # Errors
    /// Why one of them can't be used.
    pub fn read(text: &[u8]) -> Result<Vec<Recorded>, Unusable> {
        let objects = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>();
        let runs: Vec<Recorded> = objects
            .map(|object| Recorded::of(object.map_err(Unusable::NotJson)?))
            .collect::<Result<_, _>>()?;
        if runs.is_empty() { Err(Unusable::Empty) } else { Ok(runs) }
    }

    fn of(object: serde_json::Value) -> Result<Recorded, Unusable> {
        // A list would do for a structure.
        if !object.is_object() {
            return Err(Unusable::NoSchema);
        }
        let head = Head::deserialize(&object).map_err(|_| Unusable::NoSchema)?;
        let schema = head.schema.ok_or(Unusable::NoSchema)?;
        if schema.as_u64() != Some(SCHEMA.into()) {
            return Err(Unusable::OtherSchema(schema));
        }
        let command = head.command.unwrap_or_default();
        Command::deserialize(&command).map_err(|_| Unusable::OtherCommand(command))?;
        let mut run = Recorded::deserialize(&object).map_err(Unusable::Wrong)?;
        for kind in Kind::ALL {
            let tag = kind.name();
            for (nth, interval) in run.intervals.iter().enumerate() {
                if !interval.histograms.contains_key(tag) {
                    continue;
                }
                let unreadable = || Unusable::Histogram { tag: tag.to_owned(), nth: nth + 1 };
                let histogram = interval.histogram(tag).ok_or_else(unreadable)?;
                match run.histograms.get_mut(tag) {
                    Some(whole) => whole.add(histogram).map_err(|_| unreadable())?,
                    None => drop(run.histograms.insert(tag, histogram)),
                }
            }
        }
        Ok(run)
    }

    /// The run that has just been made, as its report tells of it.
    ///
    /// # Panics
    /// Where a report of ours can't be read by ourselves.
    pub fn fresh(run: &Run) -> Recorded {
        let object = serde_json::to_value(run).expect("a report is data");
        Recorded::of(object).expect("a report that is written can be read")
    }

    /// All samples of `kind`; None where there are none, or where they were not recorded by interval.
    pub fn histogram(&self, kind: Kind) -> Option<&Histogram<u64>> {
        self.histograms.get(kind.name())
    }

    /// What `kind` came to; None where it was not measured.
    pub fn summary(&self, kind: Kind) -> Option<&Summary> {
        match kind {
            Kind::Read => Some(&self.latency.read),
            Kind::Write => Some(&self.latency.write),
            Kind::Sync => Some(&self.latency.sync),
            Kind::ResponseRead => self.response.as_ref().map(|response| &response.read),
            Kind::ResponseWrite => self.response.as_ref().map(|response| &response.write),
            Kind::ResponseSync => self.response.as_ref().map(|response| &response.sync),
            Kind::Admission => self.admission.as_ref(),
        }
    }

    /// Whether it was an open loop, which alone knows response times.
    pub fn is_open(&self) -> bool {
        self.response.is_some()
    }
}
