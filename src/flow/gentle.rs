//! The mark of a good neighbour: `--gentle`.
//!
//! Knows how long blocks took, and answers with a mark. Must not know clocks, files or what the bytes are for.
//!
//! It is LEDBAT's ([RFC 6817](https://www.rfc-editor.org/rfc/rfc6817)): what blocks take beyond the least that
//! they took of late is somebody's queue, ours or another's. The mark rises while that is less than a target and
//! falls while it is more, in proportion, so that the device is used where it is free and given up where others
//! wait for it. Their names for what is called here mark, block and in-flight bytes are cwnd, MSS and flightsize.
//! What differs, and why:
//!
//! - A network's delay is told in one direction and its target is 100 ms at most; a device's queue is ours to
//!   within microseconds, and what one block takes says how long others wait. The target is half of that.
//! - The least is that of one minute, not of ten: a device whose cache is full is another one, and a copy
//!   that believes otherwise stays at a block for as long.
//! - There is no loss. A block is the least mark: a copy goes on, if slowly, beside any neighbour.

use std::time::Duration;

use super::tune::{Bound, Completion, Series, Tuned};

/// A delay counts as soon as so many blocks in a row have met it (RFC 6817's CURRENT_FILTER).
const CURRENT_FILTER: usize = 4;
/// The least is that of so many stretches (BASE_HISTORY), each so long.
const BASE_HISTORY: usize = 10;
const STRETCH: Duration = Duration::from_secs(6);
/// The queue that is wanted, over what a block takes without one; and the least, as clocks and threads are no
/// better than that.
const TARGET: f64 = 0.5;
const LEAST_TARGET: Duration = Duration::from_micros(100);
/// How fast the mark follows: a block more for each mark of bytes where there is no queue (GAIN).
const GAIN: f64 = 1.0;
/// How far the mark may be above what is in flight, in blocks (ALLOWED_INCREASE).
const ALLOWED_INCREASE: f64 = 1.0;

/// See the module.
#[derive(Clone, Debug)]
pub struct Gentle {
    block_bytes: u64,
    least: f64,
    most: f64,
    /// in bytes
    mark: f64,
    shown: u64,
    /// the least of each stretch, the last one first
    base: [Option<Duration>; BASE_HISTORY],
    stretch_since: Duration,
    current: [Option<Duration>; CURRENT_FILTER],
    nth: usize,
    series: Series,
}

impl Gentle {
    /// Of marks in blocks: from `least`, which is above the low-water mark, to the whole ring. It begins with
    /// the least: nobody is disturbed before anything is known.
    pub fn new(block_bytes: u64, least: u32, ring: u32) -> Gentle {
        assert!(0 < least && least <= ring, "one block <= mark <= ring");
        let bytes = |blocks: u32| f64::from(blocks) * block_bytes as f64;
        let mut series = Series::default();
        series.add(Duration::ZERO, u64::from(least) * block_bytes);
        Gentle {
            block_bytes,
            least: bytes(least),
            most: bytes(ring),
            mark: bytes(least),
            shown: u64::from(least) * block_bytes,
            base: [None; BASE_HISTORY],
            stretch_since: Duration::ZERO,
            current: [None; CURRENT_FILTER],
            nth: 0,
            series,
        }
    }

    /// The mark now, in bytes: whole blocks.
    pub fn mark_bytes(&self) -> u64 {
        self.shown
    }

    /// A block has reached the target; the new mark, where it changes.
    pub fn completed(&mut self, done: &Completion) -> Option<u64> {
        // What is shorter takes less time, and tells nothing of the others.
        if done.bytes < self.block_bytes {
            return None;
        }
        let took = done.completed_at.saturating_sub(done.admitted.at);
        self.remember(done.completed_at, took);
        let base = self.base.iter().flatten().min()?.as_secs_f64();
        let current = self.current.iter().flatten().min()?.as_secs_f64();
        let target = (TARGET * base).max(LEAST_TARGET.as_secs_f64());
        let off_target = (target - (current - base)) / target;
        let (bytes, block) = (done.bytes as f64, self.block_bytes as f64);
        let wanted = self.mark + GAIN * off_target * bytes * block / self.mark;
        // What came while this block was on its way is what was in flight.
        let in_flight = done.delivered.saturating_sub(done.admitted.delivered) as f64;
        let allowed = self.mark.max(in_flight + ALLOWED_INCREASE * block);
        self.mark = wanted.min(allowed).clamp(self.least, self.most);
        let shown = (self.mark / block) as u64 * self.block_bytes;
        if shown == self.shown {
            return None;
        }
        self.shown = shown;
        self.series.add(done.completed_at, shown);
        Some(shown)
    }

    fn remember(&mut self, at: Duration, took: Duration) {
        if at.saturating_sub(self.stretch_since) >= STRETCH {
            self.stretch_since = at;
            self.base.rotate_right(1);
            self.base[0] = None;
        }
        self.base[0] = Some(self.base[0].map_or(took, |least| least.min(took)));
        self.current[self.nth % CURRENT_FILTER] = Some(took);
        self.nth += 1;
    }

    /// What it has come to so far. More buffers would not help: it is the wait that holds it back.
    pub fn tuned(&self) -> Tuned {
        Tuned {
            bound_by: self.bound(),
            rate_bytes_per_s: 0.0,
            unloaded_latency: self.base.iter().flatten().min().copied(),
            changes: self.series.changes() - 1,
            marks: self.series.points(),
        }
    }

    /// What holds the rate back by now.
    pub fn bound(&self) -> Bound {
        if self.nth < CURRENT_FILTER { Bound::Unknown } else { Bound::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tune::Admitted;
    use super::*;
    use proptest::prelude::*;

    const BLOCK: u64 = 100;
    const RING: u32 = 16;
    const MS: Duration = Duration::from_millis(1);

    /// A device that serves one block after the other, 1 ms each, and the neighbour's `others` before each.
    struct Device {
        gentle: Gentle,
        now: Duration,
        delivered: u64,
        in_flight: std::collections::VecDeque<Admitted>,
    }

    impl Device {
        fn new() -> Device {
            let gentle = Gentle::new(BLOCK, 1, RING);
            Device { gentle, now: Duration::ZERO, delivered: 0, in_flight: Default::default() }
        }

        /// The mark in blocks after so many.
        fn serve(&mut self, blocks: u32, latency: Duration, others: u32) -> u64 {
            for _ in 0..blocks {
                while (self.in_flight.len() as u64) < self.gentle.mark_bytes() / BLOCK {
                    self.in_flight.push_back(Admitted { at: self.now, delivered: self.delivered });
                }
                let admitted = self.in_flight.pop_front().expect("one block may always be in flight");
                // The latency overlaps with what is before it in the queue, the service does not.
                let done = (self.now + MS * (1 + others)).max(admitted.at + latency + MS * (1 + others));
                (self.now, self.delivered) = (done, self.delivered + BLOCK);
                let (bytes, delivered, held) = (BLOCK, self.delivered, Duration::ZERO);
                self.gentle.completed(&Completion { bytes, admitted, completed_at: done, delivered, held });
            }
            self.gentle.mark_bytes() / BLOCK
        }
    }

    #[test]
    fn it_uses_a_device_that_is_free_and_keeps_its_own_queue_short() {
        // 8 ms of latency and 1 ms of service: 9 blocks are the knee, and half as much again is the target.
        let mark = Device::new().serve(2_000, 8 * MS, 0);
        assert!((9..=14).contains(&mark), "{mark}");
        let mark = Device::new().serve(2_000, Duration::ZERO, 0);
        assert!(mark <= 2, "a device that does one after the other needs no more: {mark}");
    }

    #[test]
    fn it_gives_way_to_others_and_takes_the_device_back() {
        let mut device = Device::new();
        let alone = device.serve(2_000, 8 * MS, 0);
        let beside = device.serve(300, 8 * MS, 9);
        assert_eq!(beside, 1, "a neighbour takes most of it");
        let again = device.serve(2_000, 8 * MS, 0);
        assert!(again + 2 >= alone, "{again} of {alone}");
    }

    #[test]
    fn a_device_that_has_become_slower_for_good_is_believed_after_a_minute() {
        let mut device = Device::new();
        device.serve(2_000, 8 * MS, 0);
        let before = device.now;
        while device.now < before + Duration::from_secs(90) {
            device.serve(1, 50 * MS, 0);
        }
        let mark = device.serve(200, 50 * MS, 0);
        assert!(mark > 8, "{mark}");
    }

    proptest! {
        /// Whatever is told, the mark is whole blocks within its bounds, and told when it changes.
        #[test]
        fn the_mark_stays_within_its_bounds(
            least in 1u32..4, more in 0u32..20,
            told in proptest::collection::vec((0u64..1 << 40, 0u64..1 << 36, 1u64..200, 0u64..5000), 0..300),
        ) {
            let mut gentle = Gentle::new(BLOCK, least, least + more);
            let (mut now, mut delivered) = (Duration::ZERO, 0);
            for (took, passed, bytes, in_flight) in told {
                now += Duration::from_nanos(passed);
                delivered += bytes;
                let at = now.saturating_sub(Duration::from_nanos(took));
                let admitted = Admitted { at, delivered: delivered.saturating_sub(in_flight) };
                let before = gentle.mark_bytes();
                let held = Duration::ZERO;
                let told = gentle.completed(&Completion { bytes, admitted, completed_at: now, delivered, held });
                prop_assert_eq!(told.unwrap_or(before), gentle.mark_bytes());
                let blocks = gentle.mark_bytes() / BLOCK;
                prop_assert_eq!(gentle.mark_bytes() % BLOCK, 0);
                prop_assert!((u64::from(least)..=u64::from(least + more)).contains(&blocks));
            }
        }
    }
}
