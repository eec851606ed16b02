//! What a copy tells while it goes on, and asks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::Digest;
use crate::engine;
use crate::error::{Cause, Error, Op};
use crate::flow::Losses;

/// Who listens. Called from any worker's thread, one at a time.
pub trait Witness: Send + std::marker::Sync {
    /// Something happened.
    fn tell(&self, event: &Event<'_>);
    /// Whether to go on; only with `-i`.
    fn ask(&self, question: &Question<'_>) -> bool;
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// a file is about to be copied, or a directory was made (`-v`; with `--dry-run`: would be)
    Copied {
        /// from
        source: &'a Path,
        /// to
        target: &'a Path,
        /// what was there before is now called so
        backup: Option<&'a Path>,
    },
    /// a directory that leads to a target was made (`--parents` and `-v`)
    MadeParent {
        /// the directory it is a copy of
        source: &'a Path,
        /// the new one
        target: &'a Path,
    },
    /// what was there before is gone (`-v`)
    Removed(&'a Path),
    /// a backup has got its name back, as the copy failed (`-v`)
    Unbackup {
        /// the backup's name
        backup: &'a Path,
        /// the target's
        target: &'a Path,
    },
    /// a file that is there already was left alone (`--debug`)
    Skipped(&'a Path),
    /// a file is complete, and its content hashes to this ([`Options::manifest`](crate::copy::Options::manifest))
    Hashed {
        /// the copy
        target: &'a Path,
        /// BLAKE3 of what was read from the source
        hash: &'a Digest,
    },
    /// how the content of the file just told was copied (`--debug`)
    Explained(Explanation),
    /// what the source lacks is gone (`--delete`; with `--dry-run`: would be)
    Deleted(&'a Path),
    /// a failure
    Failed(&'a Failed),
    /// a file's copy was stopped from outside, which is no failure of the file
    Stopped(&'a Remains),
    /// parts of a file could not be read, and are zeros in its copy, which is a failure
    Lost(&'a Lost),
    /// something failed and is tried again: told once for each file and attempt
    Retried(&'a Retried),
    /// no failure, but worth a word
    Warned(&'a Warning),
}

/// What of a source could not be read.
#[derive(Clone, Debug)]
pub struct Lost {
    /// from
    pub source: PathBuf,
    /// where zeros stand for it
    pub target: PathBuf,
    /// which bytes, and why the first of them
    pub losses: Losses,
    /// of so many bytes
    pub total: Option<u64>,
    /// there is a map of them
    pub map: Option<PathBuf>,
}

impl Lost {
    /// A failure for each range.
    pub fn errors(&self) -> impl Iterator<Item = Error> {
        let cause = Cause::Errno(self.losses.errno().unwrap_or(libc::EIO));
        self.losses.ranges().map(move |range| {
            let error = Error::new(Op::Read, &self.source, cause).with(&self.target).at(range.start);
            error.over(range.end - range.start)
        })
    }
}

/// An operation that failed and is tried again.
#[derive(Clone, Debug)]
pub struct Retried {
    /// what failed
    pub error: Error,
    /// how many times it has been tried again, this one included
    pub attempt: u32,
    /// of at most so many; None: until there is room
    pub most: Option<u32>,
    /// in how long
    pub pause: Duration,
}

/// A failure, and what it left.
#[derive(Clone, Debug)]
pub struct Failed {
    /// what failed
    pub error: Error,
    /// what the file's content came to, where copying it had begun
    pub remains: Option<Remains>,
}

impl From<Error> for Failed {
    /// A failure that left nothing to tell of.
    fn from(error: Error) -> Failed {
        Failed { error, remains: None }
    }
}

/// What became of a file whose copy did not complete.
#[derive(Clone, Debug)]
pub struct Remains {
    /// the file
    pub target: PathBuf,
    /// what is there now
    pub left: Left,
    /// bytes that were written
    pub written: u64,
    /// of so many, where known
    pub total: Option<u64>,
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
    /// what the map of the rescue says
    Mapped,
    /// the first bytes of the copy, so many, under another name: the same command goes on with it
    Part(u64),
}

/// What is worth saying and is no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// of the engine's set-up
    Engine(engine::Note),
    /// a source grew while it was copied; all that it had at the end was copied
    Grew {
        /// which
        source: PathBuf,
        /// bytes at the start
        from: u64,
        /// bytes that were copied
        to: u64,
    },
    /// a copy, and what else is on its file system, is verified, but not from a device
    NotFromDevice {
        /// the first that was met
        target: PathBuf,
        /// there is no device; else its pages stay in the page cache
        in_memory: bool,
    },
    /// the name of a copy is no UTF-8, so its checksum's line does not lead to it
    Unlistable {
        /// the copy
        target: PathBuf,
    },
    /// what was copied by an earlier run is not there any more, or not as it was: it is copied anew
    Altered {
        /// which
        target: PathBuf,
    },
    /// the journal can't be written to, or read: if the copy is killed it can't go on from here
    JournalLost {
        /// which
        journal: PathBuf,
        /// why
        errno: i32,
    },
    /// an operand that was copied already is skipped
    SourceTwice {
        /// which
        source: PathBuf,
        /// it is a directory
        is_directory: bool,
    },
}

/// A question about a target that is there.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// which
    pub target: &'a Path,
    /// its mode, type bits included
    pub mode: u32,
    /// it may not be written to: the question says so
    pub unwritable: bool,
    /// it would be replaced rather than written to (`-f`, `--remove-destination`)
    pub replaces: bool,
}

/// How a file's content was copied, in the words of `cp --debug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// copy_file_range: yes, no, avoided, unsupported, unknown
    pub offload: &'static str,
    /// FICLONE: likewise
    pub reflink: &'static str,
    /// no, zeros, SEEK_HOLE, SEEK_HOLE + zeros, unknown
    pub sparse_detection: &'static str,
    /// ring, plain or calls; None where no data moved
    pub engine: Option<&'static str>,
    /// source and target go around the page cache
    pub direct: (bool, bool),
}
