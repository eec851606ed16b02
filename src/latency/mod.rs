//! Latency as histograms: how long the operations of a run took, as a whole and interval by
//! interval.
//!
//! Knows kinds of operations and HdrHistogram. Must not know a clock (time is an argument, counted
//! from the start of the run), a file, or a format.

mod histograms;
mod packed;
mod recorder;
mod timeline;

pub use histograms::{Histograms, Summary};
pub use packed::Packed;
pub use recorder::{Interval, Recorder};
pub use timeline::{Row, Timeline};

/// The histograms of a whole run.
pub type Totals = Histograms;

/// What was measured: how long an operation took, and of what.
///
/// Service time is from submission to completion; response time from when it was meant to start, which
/// only an open loop knows; admission from when it was meant to start to its submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// service time of a read of data
    Read,
    /// service time of a write of data
    Write,
    /// service time of an operation that makes data durable
    Sync,
    /// response time of a read
    ResponseRead,
    /// response time of a write
    ResponseWrite,
    /// response time of a sync
    ResponseSync,
    /// how long an operation waited to be submitted
    Admission,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Kind; 7] = [
        Kind::Read,
        Kind::Write,
        Kind::Sync,
        Kind::ResponseRead,
        Kind::ResponseWrite,
        Kind::ResponseSync,
        Kind::Admission,
    ];
    /// The service times, all there is in a closed loop.
    pub const SERVICE: [Kind; 3] = [Kind::Read, Kind::Write, Kind::Sync];
    /// The response times, in the same order.
    pub const RESPONSE: [Kind; 3] = [Kind::ResponseRead, Kind::ResponseWrite, Kind::ResponseSync];

    /// The stable name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Sync => "sync",
            Kind::ResponseRead => "response-read",
            Kind::ResponseWrite => "response-write",
            Kind::ResponseSync => "response-sync",
            Kind::Admission => "admission",
        }
    }

    /// The response time that belongs to a service time, where there is one.
    pub fn response(self) -> Option<Kind> {
        match self {
            Kind::Read => Some(Kind::ResponseRead),
            Kind::Write => Some(Kind::ResponseWrite),
            Kind::Sync => Some(Kind::ResponseSync),
            _ => None,
        }
    }
}
