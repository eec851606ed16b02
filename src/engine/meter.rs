//! What a progress line may look at while a copy runs, from another thread, at any time.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::flow::{Bound, Progress};

use super::post::{self, Post};

/// Counters that the engine adds to and anybody reads. They may be some microseconds apart.
#[derive(Default)]
pub struct Meter {
    posts: Mutex<Vec<Arc<Post>>>,
    total_bytes: AtomicU64,
    total_files: AtomicU64,
    total: AtomicU8,
    wants_total: AtomicBool,
    files: AtomicU64,
    completed_bytes: AtomicU64,
    hole_bytes: AtomicU64,
    level_bytes: AtomicU64,
    high_water_bytes: AtomicU64,
    bound: Mutex<Option<Bound>>,
    held: AtomicU64,
    syncing: AtomicBool,
    verifying: AtomicBool,
}

/// How well the total is known: not at all, at least, finally.
const UNKNOWN: u8 = 0;
const AT_LEAST: u8 = 1;
const FINAL: u8 = 2;

/// One look at a [`Meter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// bytes of the source, holes included; None where nothing is known of it
    pub total: Option<u64>,
    /// files of the source, likewise; None where there is only one
    pub total_files: Option<u64>,
    /// no more will be found; else the totals are the least there can be
    pub total_is_final: bool,
    /// files that are complete
    pub files: u64,
    /// bytes written to the target
    pub completed: u64,
    /// bytes of holes passed over
    pub holes: u64,
    /// bytes in flight
    pub level: u64,
    /// the mark on them, in bytes
    pub high_water: u64,
    /// the mark finds itself, and so far this holds the rate back
    pub bound: Option<Bound>,
    /// backpressure holds a reader
    pub held: bool,
    /// all is written and is being made durable
    pub syncing: bool,
    /// all is durable and is being read back: the other counts are of that
    pub verifying: bool,
}

impl Meter {
    /// This thread's work can be watched from now on.
    pub fn open_post(&self) {
        let post = Arc::new(Post::default());
        self.posts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&post));
        post::stand_at(post);
    }

    /// Everybody's posts so far, in the order in which they were opened.
    pub fn posts(&self) -> Vec<Arc<Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The high-water mark over all flows, in bytes.
    pub fn set_mark(&self, high_water_bytes: u64) {
        self.high_water_bytes.store(high_water_bytes, Ordering::Relaxed);
    }

    /// The mark finds itself, and this holds the rate back.
    pub fn set_bound(&self, bound: Bound) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(bound);
    }

    /// All that is to be copied, in bytes, where it is one file.
    pub fn set_total(&self, bytes: u64) {
        self.total_bytes.store(bytes, Ordering::Relaxed);
        self.set_total_known();
    }

    /// Somebody will look at the totals: whoever can find them out is to do so.
    pub fn want_total(&self) {
        self.wants_total.store(true, Ordering::Relaxed);
    }

    /// Whether anybody will look at the totals.
    pub fn wants_total(&self) -> bool {
        self.wants_total.load(Ordering::Relaxed)
    }

    /// So many more files and bytes have been found.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.total_files.fetch_add(files, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_max(AT_LEAST, Ordering::Relaxed);
    }

    /// All have been found.
    pub fn set_total_known(&self) {
        self.total.store(FINAL, Ordering::Relaxed);
    }

    /// One more file is complete.
    pub fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes are with the target and went through no flow.
    pub fn add_bytes(&self, bytes: u64) {
        self.completed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes of holes were passed over by no flow.
    pub fn add_holes(&self, bytes: u64) {
        self.hole_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many that were added are to be copied anew.
    pub fn take_back(&self, bytes: u64, hole_bytes: u64) {
        self.completed_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.hole_bytes.fetch_sub(hole_bytes, Ordering::Relaxed);
    }

    /// Tells that everything is written and sync has begun.
    pub fn begin_sync(&self) {
        self.syncing.store(true, Ordering::Relaxed);
    }

    /// Tells that so many files and bytes are now read back, and counts them from 0 on. No flow may
    /// be on its way.
    pub fn begin_verify(&self, files: u64, bytes: u64) {
        for (counter, count) in [
            (&self.files, 0),
            (&self.completed_bytes, 0),
            (&self.hole_bytes, 0),
            (&self.total_files, if files > 1 { files } else { 0 }),
            (&self.total_bytes, bytes),
        ] {
            counter.store(count, Ordering::Relaxed);
        }
        self.set_total_known();
        self.verifying.store(true, Ordering::Relaxed);
    }

    /// One flow has come from `before` to `now`.
    pub(super) fn add(&self, before: Progress, now: Progress) {
        let add = |counter: &AtomicU64, before: u64, now: u64| {
            if before != now {
                counter.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
            }
        };
        add(&self.completed_bytes, before.completed_bytes, now.completed_bytes);
        add(&self.hole_bytes, before.hole_bytes, now.hole_bytes);
        add(&self.level_bytes, before.level_bytes, now.level_bytes);
        add(&self.held, before.held.into(), now.held.into());
    }

    /// What it shows now.
    pub fn look(&self) -> Seen {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let known = self.total.load(Ordering::Relaxed);
        let files = load(&self.total_files);
        Seen {
            total: (known != UNKNOWN).then(|| load(&self.total_bytes)),
            total_files: (known != UNKNOWN && files > 0).then_some(files),
            total_is_final: known == FINAL,
            files: load(&self.files),
            completed: load(&self.completed_bytes),
            holes: load(&self.hole_bytes),
            level: load(&self.level_bytes),
            high_water: load(&self.high_water_bytes),
            bound: *self.bound.lock().unwrap_or_else(PoisonError::into_inner),
            held: load(&self.held) > 0,
            syncing: self.syncing.load(Ordering::Relaxed),
            verifying: self.verifying.load(Ordering::Relaxed),
        }
    }
}
