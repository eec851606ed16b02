//! What a progress line may look at while a copy runs, from another thread, at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::flow::Progress;

/// Counters that the engine sets and anybody reads. They may be some microseconds apart.
#[derive(Debug, Default)]
pub struct Meter {
    total_bytes: AtomicU64,
    completed_bytes: AtomicU64,
    hole_bytes: AtomicU64,
    level_bytes: AtomicU64,
    high_water_bytes: AtomicU64,
    held: AtomicBool,
    syncing: AtomicBool,
}

/// One look at a [`Meter`]. All numbers are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// of the source, holes included; None where it isn't known
    pub total: Option<u64>,
    /// written to the target
    pub completed: u64,
    /// of holes passed over
    pub holes: u64,
    /// in flight
    pub level: u64,
    /// the mark on it
    pub high_water: u64,
    /// backpressure holds the reader
    pub held: bool,
    /// all is written and is being made durable
    pub syncing: bool,
}

impl Meter {
    /// Tells the source's length and the mark, where known.
    pub fn begin(&self, total: Option<u64>, high_water_bytes: u64) {
        self.total_bytes.store(total.map_or(u64::MAX, |total| total), Ordering::Relaxed);
        self.high_water_bytes.store(high_water_bytes, Ordering::Relaxed);
    }

    /// Tells that everything is written and sync has begun.
    pub fn begin_sync(&self) {
        self.syncing.store(true, Ordering::Relaxed);
    }

    pub(super) fn set(&self, progress: Progress) {
        self.completed_bytes.store(progress.completed_bytes, Ordering::Relaxed);
        self.hole_bytes.store(progress.hole_bytes, Ordering::Relaxed);
        self.level_bytes.store(progress.level_bytes, Ordering::Relaxed);
        self.held.store(progress.held, Ordering::Relaxed);
    }

    /// What it shows now.
    pub fn look(&self) -> Seen {
        let total = self.total_bytes.load(Ordering::Relaxed);
        Seen {
            total: (total != u64::MAX).then_some(total),
            completed: self.completed_bytes.load(Ordering::Relaxed),
            holes: self.hole_bytes.load(Ordering::Relaxed),
            level: self.level_bytes.load(Ordering::Relaxed),
            high_water: self.high_water_bytes.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
            syncing: self.syncing.load(Ordering::Relaxed),
        }
    }
}
