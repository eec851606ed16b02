//! What workers count and remember together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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

    /// How many so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Between which file systems something can't be done, so that it isn't tried for each file.
#[derive(Default)]
pub(super) struct Impossible {
    pairs: Mutex<HashSet<(Device, Device)>>,
}

type Device = (u32, u32);

impl Impossible {
    pub fn are_impossible(&self, source: Device, target: Device) -> bool {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).contains(&(source, target))
    }

    pub fn remember_impossible(&self, source: Device, target: Device) {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).insert((source, target));
    }
}
