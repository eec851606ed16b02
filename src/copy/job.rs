//! What a copy is told, and what it came to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{self, IntervalSink, Meter, Size};
use crate::error::Error;
use crate::flow::simulate::{Device, Spec};
use crate::flow::{LevelStats, Marks, Tuned};
use crate::latency::Totals;
use crate::sys::cancel::Cancel;

use crate::copy::events::{Warning, Witness};
use crate::copy::options::Options;
use crate::copy::paths::Name;
use crate::copy::trust::resume::SpentJournal;

/// What to copy, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// from
    pub sources: Vec<Name>,
    /// to
    pub target: Name,
    /// how each file is treated
    pub options: Options,
    /// of the ring and its marks
    pub size: Size,
    /// which driver
    pub engine: engine::Choice,
    /// bytes a second, at most
    pub limit_bytes_per_s: Option<u64>,
    /// `--jobs`: how many workers share a tree
    pub jobs: usize,
    /// `--simulate`: stands before the target, one for all that goes there
    pub simulated: Option<Device>,
}

/// How a copy is watched and stopped from outside.
pub struct Watch<'a> {
    /// raised to stop it: operations in flight complete, nothing new begins
    pub cancel: Cancel,
    /// shows how far it is
    pub meter: Arc<Meter>,
    /// takes latencies, interval by interval
    pub intervals: Option<(Duration, IntervalSink)>,
    /// hears what happens
    pub witness: &'a dyn Witness,
    /// every failure is kept for [`Report::errors`], not only counted
    pub keep_errors: bool,
}

/// What a journal did for a copy.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// that were there by the journal, read back and not copied again
    pub believed_bytes: u64,
    /// likewise, whole files
    pub believed_files: u64,
    /// where it is, or was
    pub journal: PathBuf,
}

/// How the bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// through registered buffers and io_uring
    Ring,
    /// by pread and pwrite
    Plain,
    /// none did: the target shares the source's blocks
    Clone,
    /// the file system copied by itself
    Offload,
}

/// What reading back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// files that were read back and compared
    pub files: u64,
    /// what they should hold, holes included
    pub bytes: u64,
    /// files that hold something else
    pub wrong: u64,
}

/// What a copy came to.
pub struct Report {
    /// bytes moved, holes not counted; of clones and offloads, the bytes shared or copied there
    pub bytes: u64,
    /// files that are complete, directories not counted
    pub files: u64,
    /// directories that are complete
    pub directories: u64,
    /// files that were left alone, as they were there already
    pub skipped: u64,
    /// what `--delete` removed
    pub deleted: u64,
    /// from the first look at the source to the end
    pub elapsed: Duration,
    /// how most of the bytes went
    pub method: Method,
    /// some source was read around the page cache
    pub source_direct: bool,
    /// some target was written around the page cache
    pub target_direct: bool,
    /// size of a buffer and how many there were; None where it didn't come to that
    pub ring: Option<(u32, u32)>,
    /// they were registered
    pub registered: bool,
    /// that held
    pub marks: Option<Marks>,
    /// of the bytes in flight
    pub level: LevelStats,
    /// what became of a mark that finds itself
    pub tuned: Option<Tuned>,
    /// of every operation
    pub latency: Totals,
    /// of a copy that has a journal
    pub resumed: Option<Resumed>,
    /// of one that is complete: to be removed when all that is left to do is done
    pub spent: Option<SpentJournal>,
    /// stopped from outside
    pub interrupted: bool,
    /// how many failures there were
    pub failures: u64,
    /// how many times a transfer was tried again
    pub retries: u64,
    /// which, sorted by path, where that was asked for
    pub errors: Vec<Error>,
    /// what was read back, where that was asked for
    pub verified: Option<Verified>,
    /// in the order in which they were met
    pub warnings: Vec<Warning>,
    /// what stood before the target
    pub simulated: Option<Spec>,
}

impl Report {
    /// Every file that was asked for is complete, and durable as asked.
    pub fn complete(&self) -> bool {
        self.failures == 0 && !self.interrupted
    }
}
