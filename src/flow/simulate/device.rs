//! The model: what becomes of an operation, and when.
//!
//! A device does one thing after the other: an operation takes its bytes at the bandwidth, or the time
//! that the operations per second leave for it, and comes after all before it. Its latency is added to
//! that, and of any number of operations at the same time:
//!
//! ```text
//! bandwidth=100KB/s,latency=5ms, three writes of 1 KB at 0 ms:
//! queue   |--10--|--10--|--10--|
//! done           15     25     35
//! ```

use std::collections::HashMap;
use std::time::Duration;

use crate::latency::Kind as Latency;

use super::draw::Draw;
use super::duration::{Replay, Source};
use super::halts::Halts;
use super::spec::{self, Bad, Spec, Way};

/// A simulated device. Time is a `Duration` since it was made.
#[derive(Clone, Debug)]
pub struct Device {
    spec: Spec,
    draw: Draw,
    /// of reads, writes, syncs
    latencies: [Source; 3],
    halts: Halts,
    /// the last moment it was asked at
    now: Duration,
    /// when all that was begun is through, but for latencies
    free_at: Duration,
    written_bytes: u64,
    taken_bytes: u64,
    /// syncs of no file
    syncs: u32,
}

/// What a device knows of a file on it. It grows with what is in flight and has failed, and with
/// nothing else.
#[derive(Clone, Debug)]
pub struct File {
    draw: Draw,
    /// so much of it is on the device
    taken_to: u64,
    attempts: HashMap<(Kind, u64), u32>,
    syncs: u32,
    failed_at: Duration,
}

/// In which direction bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// from the device
    Read,
    /// to it
    Write,
}

/// What it is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// in which direction
    pub kind: Kind,
    /// where in the file, in bytes
    pub offset: u64,
    /// in bytes, not 0
    pub len: u32,
    /// only whole sectors may be moved: around the page cache
    pub whole_sectors: bool,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// so many bytes are to be moved, by the real target; or it fails with this errno, and the real
    /// one is not asked
    pub outcome: Result<u32, i32>,
    /// it does not complete before
    pub due: Duration,
}

/// What is short or bad is so in units of this, in bytes: a page, a multiple of any sector.
const UNIT: u64 = 4096;
/// Whoever asks again so soon after the last operation was through has kept the device busy: threads
/// wake a little late, and its throughput shall not depend on that.
const SLACK: Duration = Duration::from_millis(1);

/// What chance decides about an operation.
const ERROR: u64 = 1;
const SHORT: u64 = 2;
const LENGTH: u64 = 3;
const LATENCY: u64 = 4;
/// And about the device.
const FILES: u64 = 5;
const SYNCS: u64 = 6;
const HALTS: u64 = 7;

impl Device {
    /// A device at its beginning. `replay` gives what the log of a name has of a kind.
    pub fn new(spec: Spec, mut replay: impl FnMut(&str, Latency) -> Replay) -> Device {
        let draw = Draw::new(spec.seed.unwrap_or(0));
        let mut source =
            |latency: &Option<spec::Latency>, kind| Source::new(latency.as_ref(), |name| replay(name, kind));
        let latencies = [
            source(&spec.read.latency, Latency::Read),
            source(&spec.write.latency, Latency::Write),
            source(&spec.sync.latency, Latency::Sync),
        ];
        Device {
            halts: Halts::new(spec.stall, draw.with(HALTS)),
            draw,
            latencies,
            spec,
            now: Duration::ZERO,
            free_at: Duration::ZERO,
            written_bytes: 0,
            taken_bytes: 0,
            syncs: 0,
        }
    }

    /// What it is like.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// A file on it. What fails of it depends on `key`, which is to be another one for each, and the
    /// same one in each run.
    pub fn file(&self, key: &[u8]) -> File {
        let draw = key.iter().fold(self.draw.with(FILES), |draw, byte| draw.with((*byte).into()));
        File { draw, taken_to: 0, attempts: HashMap::new(), syncs: 0, failed_at: Duration::ZERO }
    }

    fn way(&self, kind: Kind) -> &Way {
        match kind {
            Kind::Read => &self.spec.read,
            Kind::Write => &self.spec.write,
        }
    }

    /// It is `now`, or as late as it was before.
    fn pass(&mut self, now: Duration) -> Duration {
        self.now = self.now.max(now);
        self.halts.pass(self.now.saturating_sub(SLACK));
        self.now
    }

    /// Begins an operation at `now`.
    pub fn begin(&mut self, file: &mut File, operation: Operation, now: Duration) -> Service {
        let now = self.pass(now);
        let Operation { kind, offset, .. } = operation;
        let attempt = file.attempts.get(&(kind, offset)).copied().unwrap_or(0);
        let draw = file.draw.with(kind as u64).with(offset).with(attempt.into());
        let outcome = self.outcome(file, operation, draw);
        let through = match outcome {
            Ok(len) => self.queue(kind, len, now),
            Err(_) => now,
        };
        let latency = self.latencies[kind as usize].draw(draw.with(LATENCY), now);
        let mut due = self.halts.after(through, latency);
        match outcome {
            Ok(len) => {
                file.attempts.remove(&(kind, offset));
                if kind == Kind::Write {
                    self.written_bytes += u64::from(len);
                }
            }
            Err(_) => {
                *file.attempts.entry((kind, offset)).or_default() += 1;
                // Of several that fail the first one is told first.
                due = due.max(file.failed_at);
                file.failed_at = due;
            }
        }
        Service { outcome, due }
    }

    /// Begins to make durable what is on it, of one file or of all of them.
    pub fn sync(&mut self, file: Option<&mut File>, now: Duration) -> Service {
        let now = self.pass(now);
        let (draw, syncs) = match file {
            Some(file) => (file.draw, &mut file.syncs),
            None => (self.draw, &mut self.syncs),
        };
        let draw = draw.with(SYNCS).with((*syncs).into());
        *syncs = syncs.wrapping_add(1);
        let failed = self.spec.sync.error.filter(|error| draw.with(ERROR).hits(error.share));
        let outcome = failed.map_or(Ok(0), |error| Err(error.errno));
        let latency = self.latencies[2].draw(draw.with(LATENCY), now);
        Service { outcome, due: self.halts.after(self.free_at.max(now), latency) }
    }

    fn outcome(&mut self, file: &mut File, operation: Operation, draw: Draw) -> Result<u32, i32> {
        let Operation { kind, offset, len, whole_sectors } = operation;
        let way = self.way(kind);
        let (bad, error, short) = (way.bad, way.error, way.short);
        let mut len = u64::from(len);
        if let Some(Bad { errno, offset: bad }) = bad {
            let unit = bad - bad % UNIT;
            if offset < unit {
                len = len.min(unit - offset);
            } else if offset < unit.saturating_add(UNIT) {
                return Err(errno);
            }
        }
        if let Some(error) = error.filter(|error| draw.with(ERROR).hits(error.share)) {
            return Err(error.errno);
        }
        if short.is_some_and(|share| draw.with(SHORT).hits(share)) {
            let draw = draw.with(LENGTH);
            if len > UNIT {
                len = UNIT * (1 + draw.below((len - 1) / UNIT));
            } else if len > 1 && !whole_sectors {
                len = 1 + draw.below(len - 1);
            }
        }
        if let (Kind::Write, Some(full)) = (kind, self.spec.full) {
            let mut end = file.taken_to.saturating_add(full - self.taken_bytes);
            if whole_sectors {
                end -= end % UNIT;
            }
            if offset >= end {
                return Err(libc::ENOSPC);
            }
            len = len.min(end - offset);
            let taken_to = file.taken_to.max(offset + len);
            self.taken_bytes += taken_to - file.taken_to;
            file.taken_to = taken_to;
        }
        Ok(len as u32)
    }

    /// When `len` bytes that come now are through.
    fn queue(&mut self, kind: Kind, len: u32, now: Duration) -> Duration {
        let cost = self.cost(kind, len);
        if cost.is_zero() {
            return now;
        }
        let is_busy = now <= self.free_at.saturating_add(SLACK);
        let begin = if is_busy { self.free_at } else { now };
        self.free_at = self.halts.after(begin, cost);
        self.free_at.max(now)
    }

    fn cost(&self, kind: Kind, len: u32) -> Duration {
        let way = self.way(kind);
        let cliff = self.spec.cliff.filter(|cliff| kind == Kind::Write && self.written_bytes >= cliff.after);
        let bandwidth = match (way.bandwidth, cliff) {
            (Some(bandwidth), Some(cliff)) => Some(bandwidth.min(cliff.bandwidth)),
            (bandwidth, cliff) => bandwidth.or(cliff.map(|cliff| cliff.bandwidth)),
        };
        let of_bytes = bandwidth.map_or(Duration::ZERO, |rate| share_of_second(len.into(), rate));
        of_bytes.max(way.iops.map_or(Duration::ZERO, |iops| share_of_second(1, iops)))
    }
}

fn share_of_second(part: u64, whole: u64) -> Duration {
    let ns = u128::from(part) * 1_000_000_000 / u128::from(whole);
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
