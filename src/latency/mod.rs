//! Latency as histograms: how long the operations of a run took, as a whole and interval by
//! interval.
//!
//! Knows kinds of operations and HdrHistogram. Must not know a clock (time is an argument, counted
//! from the start of the run), a file, or a format.

mod histograms;
mod recorder;

pub use histograms::{Histograms, Summary};
pub use recorder::{Interval, Recorder};

/// The histograms of a whole run.
pub type Totals = Histograms;

/// What an operation did, as far as its latency goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// a read of data
    Read,
    /// a write of data
    Write,
    /// an operation that makes data durable
    Sync,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Kind; 3] = [Kind::Read, Kind::Write, Kind::Sync];

    /// The stable name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Sync => "sync",
        }
    }
}
