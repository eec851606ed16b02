//! What a stress run is told, what it tells, and what it came to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{self, Direct, IntervalSink, Meter, Origin, Size};
use crate::error::Error;
use crate::flow::simulate::Device;
use crate::flow::{LevelStats, Marks, Tuned};
use crate::latency::Totals;
use crate::sys::cancel::Cancel;

use super::checker::Findings;
use super::cliff::Cliff;
use super::health::Health;
use super::memory::Memory;
use super::pattern::Pattern;
use super::probe::Probed;

/// What to lean on, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// a directory, a file or a device
    pub target: PathBuf,
    /// bytes of it that are used; None: all of what is there, most of what is free
    pub size_bytes: Option<u64>,
    /// goes round for so long; None: one round
    pub lasts: Option<Duration>,
    /// what the blocks are made from
    pub seed: u64,
    /// where the state is; None: beside the target
    pub state: Option<PathBuf>,
    /// nothing is written: what an earlier run wrote is checked
    pub only_check: bool,
    /// a device is probed for fake capacity before all else
    pub probe: bool,
    /// files that were made stay
    pub keep: bool,
    /// what an existing file or a device holds may go
    pub destroy_data: bool,
    /// what was written is synced, and the state says so, so often
    pub sync_every: Duration,
    /// around the page cache or through it
    pub direct: Direct,
    /// of the ring and its marks
    pub size: Size,
    /// which driver
    pub engine: engine::Choice,
    /// bytes a second, at most
    pub limit_bytes_per_s: Option<u64>,
    /// `--simulate`: stands before the target
    pub simulated: Option<Device>,
}

/// How a run is watched and stopped from outside.
pub struct Watch<'a> {
    /// raised to stop it: operations in flight complete, nothing new begins
    pub cancel: Cancel,
    /// shows how far it is
    pub meter: Arc<Meter>,
    /// takes latencies, interval by interval
    pub intervals: Option<(Duration, IntervalSink)>,
    /// hears what happens, from whichever thread
    pub hears: &'a (dyn Fn(&Event) + Sync),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// a failure
    Failed(Error),
    /// of the engine's set-up
    Noted(engine::Note),
    /// more is free than the file that is made can hold, which is so many bytes long
    Longest(u64),
    /// a round has begun: which
    Round(u64),
    /// all is written and synced, and is now read back
    ReadsBack(Origin),
}

/// What a run came to.
#[derive(Default)]
pub struct Report {
    /// whose blocks; None where it did not come to that
    pub pattern: Option<Pattern>,
    /// the file or device
    pub target: PathBuf,
    /// bytes of it that were used
    pub size_bytes: u64,
    /// more was free than the file could hold
    pub is_longest: bool,
    /// bytes that were written, over all rounds
    pub written_bytes: u64,
    /// rounds that were begun
    pub rounds: u64,
    /// from the first write to the end of the last sync before the check
    pub writing: Duration,
    /// from the start of the run to its end
    pub elapsed: Duration,
    /// what was found; None where nothing was checked
    pub findings: Option<Findings>,
    /// bytes that were to be checked
    pub to_check_bytes: u64,
    /// where what was checked came from
    pub origin: Option<Origin>,
    /// a lasting fall of throughput
    pub cliff: Option<Cliff>,
    /// what a probe found
    pub probed: Option<Probed>,
    /// of the device, before and after
    pub health: Option<Result<(Health, Health), &'static str>>,
    /// of this process, while it wrote
    pub memory: Option<Memory>,
    /// size of a buffer and how many there were
    pub ring: Option<(u32, u32)>,
    /// they were registered
    pub registered: bool,
    /// io_uring did the work
    pub is_ring: bool,
    /// writes went around the page cache, and reads
    pub direct: (bool, bool),
    /// that held
    pub marks: Option<Marks>,
    /// of the bytes in flight
    pub level: LevelStats,
    /// what became of a mark that finds itself
    pub tuned: Option<Tuned>,
    /// of every operation
    pub latency: Totals,
    /// what failed, in order
    pub errors: Vec<Error>,
    /// how many failures there were
    pub failures: u64,
    /// stopped from outside
    pub interrupted: bool,
    /// what is left: the file or device that holds the blocks, and the state that tells of them
    pub kept: Option<(PathBuf, PathBuf)>,
}

impl Report {
    /// Something else was found than was written.
    pub fn is_wrong(&self) -> bool {
        self.findings.as_ref().is_some_and(|findings| findings.bad() > 0)
            || self.probed.is_some_and(|probed| !probed.is_genuine())
    }
}
