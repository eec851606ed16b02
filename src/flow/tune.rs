//! The mark that finds itself: `--high-water auto`.
//!
//! Knows what was completed and when, and answers with a mark. Must not know clocks, files or what
//! the bytes are for.
//!
//! The idea is BBR's (Cardwell, Cheng, Gunn, Yeganeh, Jacobson: BBR: Congestion-Based Congestion
//! Control, ACM Queue 14 (5), 2016): the level wants to be at the knee, where the device is busy and
//! has no queue, which by Little's law is its rate times its latency without one. Their names for what
//! is called here level, mark and block are inflight, cwnd and packet. What differs, and why:
//!
//! - A network's least round trip is a constant; that of a device is its luckiest block. The least
//!   latency (over a window of 10 s) is told, and is made use of where the level is far too high at
//!   the start ([`first`]), but what is believed is rates: [`search`] looks for the smallest mark above
//!   which they don't rise.
//! - The rate is taken over whole marks of bytes under one mark ([`trial`]), and its mean is used, not
//!   its maximum, which grows with the noise. As there, what was measured while the source held the rate
//!   back is told apart: it never lowers the mark, and raises it only where a larger one brought more.
//! - A stall, no completion for much longer than blocks take, ends a trial without a result.
//!
//! # Where it settles
//!
//! - A disk that does one thing after the other has its rate from one or two blocks on: there.
//! - A device of `k` channels has a rate that rises with each block up to `k`: there.
//! - Behind a round trip, or a latency and a limit on the rate, each block brings its share until rate
//!   times latency are in flight: there, or at the end of the ring.
//! - Where the knee is soft, as for a disk that sorts what waits, where 1 % more of mark brings 0.03 %.

mod first;
mod mean;
mod search;
mod series;
mod trial;

use std::time::Duration;

use first::First;
use search::{Phase, Search};
pub(super) use series::Series;
use trial::Trial;

/// The least latency is that of so long.
const WINDOW: Duration = Duration::from_secs(10);
/// No completion for so many times the usual latency is a stall.
const STALL: u32 = 4;
const SHORTEST_STALL: Duration = Duration::from_millis(20);

/// When a block was admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// since the run began
    pub at: Duration,
    /// what had been written by then, in bytes
    pub delivered: u64,
}

/// A block that has reached the target.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// how large it was
    pub bytes: u64,
    /// when it was admitted
    pub admitted: Admitted,
    /// when it was written
    pub completed_at: Duration,
    /// all that is written, with it, in bytes
    pub delivered: u64,
    /// for how long the mark has held admission back since the run began
    pub held: Duration,
}

/// What holds the rate back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// nobody knows yet
    Unknown,
    /// more in flight would bring no more
    Devices,
    /// the mark, as the ring ends there: more buffers would bring more
    Ring,
    /// the source comes in order, or is slow: the mark is seldom reached
    Source,
    /// with more in flight others would wait longer ([`Gentle`](super::Gentle))
    Wait,
}

/// What a [`Tuner`] or a [`Gentle`](super::Gentle) came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// what holds the rate back
    pub bound_by: Bound,
    /// bytes a second under the mark, 0 before anything was measured
    pub rate_bytes_per_s: f64,
    /// the least that a block took from admission to the target, of the last 5 to 10 s
    pub unloaded_latency: Option<Duration>,
    /// how often the mark was changed, to probe or for longer
    pub changes: u64,
    /// when it became what, in bytes: all changes, or so many of them that they show what there was
    pub marks: Vec<(Duration, u64)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Tuner {
    block_bytes: u64,
    search: Search,
    trial: Trial,
    first: First,
    looking_for: Looking,
    last_completion: Duration,
    /// of late
    latency: Duration,
    least: Least,
    /// trials in a row that the source held back
    unbound: u32,
    series: Series,
}

/// The least of a window, or a little longer.
#[derive(Clone, Copy, Debug, Default)]
struct Least {
    since: Duration,
    before: Option<Duration>,
    now: Option<Duration>,
}

impl Least {
    fn add(&mut self, at: Duration, value: Duration) {
        if at.saturating_sub(self.since) > WINDOW / 2 {
            (self.since, self.before, self.now) = (at, self.now, None);
        }
        self.now = Some(self.now.map_or(value, |now| now.min(value)));
    }

    fn get(&self) -> Option<Duration> {
        self.before.into_iter().chain(self.now).min()
    }
}

/// Since when the knee is looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Looking {
    since: Duration,
    blocks: u32,
}

impl Looking {
    fn count(&mut self, phase: Phase, now: Duration) {
        match phase {
            Phase::Cruise => *self = Looking { since: now, blocks: 0 },
            _ => self.blocks = self.blocks.saturating_add(1),
        }
    }

    fn is_long(&self, now: Duration) -> bool {
        self.blocks > LONG_BLOCKS && now.saturating_sub(self.since) > LONG
    }
}

/// The knee has been looked for long enough once so many blocks and so much time have gone by.
const LONG_BLOCKS: u32 = 100;
const LONG: Duration = Duration::from_secs(1);

impl Tuner {
    /// Of marks in blocks: from `least`, which is above the low-water mark, to the whole ring. It
    /// begins at `start`, or as near as it can.
    pub fn new(block_bytes: u64, least: u32, ring: u32, start: u32) -> Tuner {
        assert!(0 < least && least <= ring, "one block <= mark <= ring");
        let search = Search::new(least, ring, start.clamp(least, ring));
        let mark = u64::from(search.mark()) * block_bytes;
        let mut series = Series::default();
        series.add(Duration::ZERO, mark);
        Tuner {
            block_bytes,
            search,
            trial: Trial::new(mark, block_bytes, Duration::ZERO),
            first: First::Nothing,
            looking_for: Looking::default(),
            last_completion: Duration::ZERO,
            latency: Duration::ZERO,
            least: Least::default(),
            unbound: 0,
            series,
        }
    }

    /// The mark now, in bytes.
    pub fn mark_bytes(&self) -> u64 {
        u64::from(self.search.mark()) * self.block_bytes
    }

    /// A block has reached the target; the new mark, where it changes.
    pub fn completed(&mut self, done: &Completion) -> Option<u64> {
        let latency = done.completed_at.saturating_sub(done.admitted.at);
        self.least.add(done.completed_at, latency);
        if let First::Nothing = self.first {
            (self.latency, self.last_completion) = (latency, done.completed_at);
        }
        if let Some(enough) = self.first.told(done, latency) {
            let enough = enough.div_ceil(self.block_bytes).try_into().unwrap_or(u32::MAX);
            if self.search.begin_below(enough) {
                return Some(self.try_mark(done));
            }
        }
        let gap = done.completed_at.saturating_sub(self.last_completion);
        self.last_completion = done.completed_at.max(self.last_completion);
        let is_stall = gap > SHORTEST_STALL.max(STALL * self.latency);
        let usual = latency.min(STALL * self.latency.max(Duration::from_micros(1)));
        self.latency = (3 * self.latency + usual) / 4;
        if is_stall {
            self.trial = Trial::new(self.mark_bytes(), self.block_bytes, done.completed_at);
            return None;
        }
        self.looking_for.count(self.search.phase(), done.completed_at);
        let delivered = self.trial.told(done)?;
        let before = self.search.mark();
        self.search.set_late(self.looking_for.is_long(done.completed_at));
        let mark = match delivered.is_bound {
            true => self.search.found(delivered.rate, delivered.bytes),
            false => self.search.unbound(delivered.rate, delivered.bytes),
        };
        self.unbound = if delivered.is_bound { 0 } else { self.unbound.saturating_add(1) };
        if mark == before {
            self.trial = Trial::new(self.mark_bytes(), self.block_bytes, done.completed_at).begun(done);
            return None;
        }
        Some(self.try_mark(done))
    }

    fn try_mark(&mut self, done: &Completion) -> u64 {
        let mark = self.mark_bytes();
        self.trial = Trial::new(mark, self.block_bytes, done.completed_at);
        self.series.add(done.completed_at, mark);
        mark
    }

    /// What it has come to so far.
    pub fn tuned(&self) -> Tuned {
        Tuned {
            bound_by: self.bound(),
            rate_bytes_per_s: self.search.rate(),
            unloaded_latency: self.least.get(),
            changes: self.series.changes() - 1,
            marks: self.series.points(),
        }
    }

    /// What holds the rate back by now.
    pub fn bound(&self) -> Bound {
        match self.search.phase() {
            _ if self.unbound > 2 => Bound::Source,
            _ if self.search.rate() == 0.0 => Bound::Unknown,
            Phase::Cruise if self.search.is_at_most() => Bound::Ring,
            Phase::Cruise => Bound::Devices,
            _ => Bound::Unknown,
        }
    }
}
