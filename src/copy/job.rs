//! What a copy is told, and what it tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{self, Engine, Finished, IntervalSink, Meter, Size};
use crate::error::Error;
use crate::flow::Marks;
use crate::sys::cancel::Cancel;

use super::direct::Direct;
use super::paths::Name;

/// `--sparse`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sparse {
    /// the source's holes become holes
    #[default]
    Auto,
    /// and so does every run of zeros
    Always,
    /// the target has no holes
    Never,
}

/// `--reflink`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflink {
    /// where the file system can
    #[default]
    Auto,
    /// or fail
    Always,
    /// bytes are copied
    Never,
}

/// `--sync`: what exit status 0 promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// all is on stable storage, made so once at the end
    #[default]
    End,
    /// all is on stable storage, made so file by file
    File,
    /// the kernel has it
    None,
}

/// What to copy, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// from
    pub source: Name,
    /// to
    pub target: Name,
    /// of the ring and its marks
    pub size: Size,
    /// which driver
    pub engine: engine::Choice,
    /// around the page cache
    pub direct: Direct,
    /// holes
    pub sparse: Sparse,
    /// sharing blocks
    pub reflink: Reflink,
    /// durability
    pub sync: Sync,
    /// bytes a second, at most
    pub limit_bytes_per_s: Option<u64>,
}

/// How a copy is watched and stopped from outside.
pub struct Watch {
    /// raised to stop it: operations in flight complete, nothing new begins
    pub cancel: Cancel,
    /// shows how far it is
    pub meter: Arc<Meter>,
    /// takes latencies, interval by interval
    pub intervals: Option<(Duration, IntervalSink)>,
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
}

/// What is worth saying and is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// of the engine's set-up
    Engine(engine::Note),
    /// the source grew while it was copied; all that it had at the end was copied
    Grew {
        /// bytes at the start
        from: u64,
        /// bytes that were copied
        to: u64,
    },
}

/// What a copy that did not complete left at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// what was there before, if anything
    Untouched,
    /// no file: a new one has no name until it is complete
    Nothing,
    /// the first bytes of the copy, so many, and nothing else where it is a file
    Prefix(u64),
}

/// What a copy came to.
pub struct Report {
    /// bytes moved, holes not counted; of a clone, the bytes shared
    pub bytes: u64,
    /// from the first look at the source to the end
    pub elapsed: Duration,
    /// how the bytes went
    pub method: Method,
    /// the source was read around the page cache
    pub source_direct: bool,
    /// the target was written around the page cache
    pub target_direct: bool,
    /// size of a buffer and how many there were; None where it didn't come to that
    pub ring: Option<(u32, u16)>,
    /// they were registered
    pub registered: bool,
    /// that held
    pub marks: Option<Marks>,
    /// of level and latency; None where it didn't come to that
    pub finished: Option<Finished>,
    /// stopped from outside
    pub interrupted: bool,
    /// in the order in which they were met
    pub errors: Vec<Error>,
    /// likewise
    pub notes: Vec<Note>,
    /// where the target is, once TARGET was understood
    pub target: PathBuf,
    /// what a copy that is not complete left there
    pub left: Left,
    /// the copy is complete, durable as asked, and has its name
    pub complete: bool,
}

impl Report {
    /// Nothing was done yet.
    pub(super) fn empty(job: &Job) -> Report {
        Report {
            bytes: 0,
            elapsed: Duration::ZERO,
            method: Method::Ring,
            source_direct: false,
            target_direct: false,
            ring: None,
            registered: false,
            marks: None,
            finished: None,
            interrupted: false,
            errors: Vec::new(),
            notes: Vec::new(),
            target: job.target.shown().to_owned(),
            left: Left::Untouched,
            complete: false,
        }
    }

    pub(super) fn set_engine(&mut self, engine: &Engine) {
        self.method = if engine.is_ring() { Method::Ring } else { Method::Plain };
        self.ring = Some((engine.arena().block_bytes(), engine.arena().buffers()));
        self.registered = engine.is_registered();
        self.notes.extend(engine.notes().iter().copied().map(Note::Engine));
    }

    pub(super) fn set_finished(&mut self, finished: Finished) {
        if self.method != Method::Clone {
            self.bytes = finished.progress.completed_bytes;
        }
        self.finished = Some(finished);
    }
}
