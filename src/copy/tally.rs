//! What workers count and remember together.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sys::space::{self, FileSystem};

/// What was done so far.
#[derive(Default)]
pub(super) struct Tally {
    pub bytes: AtomicU64,
    pub files: AtomicU64,
    pub directories: AtomicU64,
    pub skipped: AtomicU64,
    pub failures: AtomicU64,
    pub deleted: AtomicU64,
    pub retries: AtomicU64,
    pub verified_files: AtomicU64,
    pub verified_bytes: AtomicU64,
    pub wrong_files: AtomicU64,
}

impl Tally {
    pub fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub fn directory(&self) {
        self.directories.fetch_add(1, Ordering::Relaxed);
    }

    pub fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// A failure that was told, or needs no words.
    pub fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub fn retries(&self, retries: u64) {
        self.retries.fetch_add(retries, Ordering::Relaxed);
    }

    pub fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A copy was read back, and is wrong or not.
    pub fn verified(&self, bytes: u64, is_wrong: bool) {
        self.verified_files.fetch_add(1, Ordering::Relaxed);
        self.verified_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.wrong_files.fetch_add(is_wrong.into(), Ordering::Relaxed);
    }

    /// How many so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Of a file system. There are few in a run, so lists of them are searched from end to end.
type Device = (u32, u32);

/// Between which file systems something can't be done, so that it isn't tried for each file.
#[derive(Default)]
pub(super) struct Impossible {
    pairs: Mutex<Vec<(Device, Device)>>,
}

impl Impossible {
    pub fn are_impossible(&self, source: Device, target: Device) -> bool {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).contains(&(source, target))
    }

    pub fn remember_impossible(&self, source: Device, target: Device) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if !pairs.contains(&(source, target)) {
            pairs.push((source, target));
        }
    }
}

/// Of which kind file systems are, so that it isn't asked for each file.
#[derive(Default)]
pub(super) struct FileSystems {
    kinds: Mutex<Vec<(Device, FileSystem)>>,
}

impl FileSystems {
    /// That of `file`, which is on `device`; None where it can't be told.
    pub fn kind_of(&self, file: BorrowedFd<'_>, device: Device) -> Option<FileSystem> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kind)) = kinds.iter().find(|(known, _)| *known == device) {
            return Some(*kind);
        }
        let (kind, _) = space::file_system(file).ok()?;
        kinds.push((device, kind));
        Some(kind)
    }
}
