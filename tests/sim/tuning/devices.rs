//! Models of devices: when an operation completes that is submitted now.
//!
//! Each keeps the clock of what is inside: channels, tokens, a line, a head. Service times vary by
//! [`JITTER`], by the seed. All times are virtual ns.

use fastrand::Rng;

pub type Time = u64;

pub const US: Time = 1_000;
pub const MS: Time = 1_000_000;
pub const S: Time = 1_000_000_000;
pub const MIB: u64 = 1 << 20;

/// Service times are so much shorter or longer.
const JITTER: f64 = 0.05;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub id: usize,
    pub way: Way,
    pub offset: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub enum Device {
    /// channels that work at the same time, each on one operation
    Channels { free_at: Vec<Time>, bytes_per_s: u64, latency: Time },
    /// a volume that may do so many bytes a second, `most` of them at once after a pause
    Tokens { latency: Time, bytes_per_s: u64, most: f64, tokens: f64, at: Time },
    /// a server at the end of a line: bytes take their turn on it, then a round trip
    Server { round_trip: Time, bytes_per_s: u64, free_at: Time },
    /// one operation at a time, and after each `every_bytes` nothing for a while
    Stalls { bytes_per_s: u64, every_bytes: u64, stall: Time, done: u64, free_at: Time },
    /// one head for reads and writes, which does what needs no seek before it goes to where the other
    /// side is: the more wait, the fewer seeks
    Head { bytes_per_s: u64, seek: Time, queue: Vec<Op>, at: (Way, u64), busy: Option<(Time, Op)> },
}

fn transfer(bytes: u64, bytes_per_s: u64) -> Time {
    (u128::from(bytes) * u128::from(S) / u128::from(bytes_per_s)) as Time
}

fn about(time: Time, rng: &mut Rng) -> Time {
    (time as f64 * (1.0 - JITTER + 2.0 * JITTER * rng.f64())) as Time
}

impl Device {
    pub fn disk(bytes_per_s: u64) -> Device {
        Device::ssd(1, bytes_per_s, 0)
    }

    /// So many bytes a second over all of its channels, where operations took no other time.
    pub fn ssd(channels: usize, bytes_per_s: u64, latency: Time) -> Device {
        Device::Channels { free_at: vec![0; channels], bytes_per_s: bytes_per_s / channels as u64, latency }
    }

    pub fn tokens(bytes_per_s: u64, most: u64, latency: Time) -> Device {
        Device::Tokens { latency, bytes_per_s, most: most as f64, tokens: 0.0, at: 0 }
    }

    pub fn server(round_trip: Time, bytes_per_s: u64) -> Device {
        Device::Server { round_trip, bytes_per_s, free_at: 0 }
    }

    pub fn stick() -> Device {
        let (bytes_per_s, every_bytes, stall) = (20 * MIB, 40 * MIB, 2 * S);
        Device::Stalls { bytes_per_s, every_bytes, stall, done: 0, free_at: 0 }
    }

    pub fn head(bytes_per_s: u64, seek: Time) -> Device {
        Device::Head { bytes_per_s, seek, queue: Vec::new(), at: (Way::Read, 0), busy: None }
    }

    /// When it completes; None where that depends on what comes yet.
    pub fn submit(&mut self, op: Op, now: Time, rng: &mut Rng) -> Option<Time> {
        match self {
            Device::Channels { free_at, bytes_per_s, latency } => {
                let first = free_at.iter_mut().min().expect("there are channels");
                *first = (*first).max(now) + about(transfer(op.bytes, *bytes_per_s) + *latency, rng);
                Some(*first)
            }
            Device::Tokens { latency, bytes_per_s, most, tokens, at } => {
                let new = now.saturating_sub(*at) as f64 * *bytes_per_s as f64 / S as f64;
                *tokens = (*tokens + new).min(*most) - op.bytes as f64;
                *at = now;
                let debt = (-*tokens).max(0.0) * S as f64 / *bytes_per_s as f64;
                Some(now + debt as Time + about(*latency, rng))
            }
            Device::Server { round_trip, bytes_per_s, free_at } => {
                *free_at = now.max(*free_at) + about(transfer(op.bytes, *bytes_per_s), rng);
                Some(*free_at + *round_trip)
            }
            Device::Stalls { bytes_per_s, every_bytes, stall, done, free_at } => {
                let before = *done / *every_bytes;
                *done += op.bytes;
                let pause = if *done / *every_bytes > before { *stall } else { 0 };
                *free_at = now.max(*free_at) + about(transfer(op.bytes, *bytes_per_s), rng) + pause;
                Some(*free_at)
            }
            Device::Head { queue, .. } => {
                queue.push(op);
                self.take_up(now, rng);
                None
            }
        }
    }

    /// The operation that it has chosen, and when that completes.
    pub fn busy(&self) -> Option<(Time, Op)> {
        match self {
            Device::Head { busy, .. } => *busy,
            _ => None,
        }
    }

    /// That has completed.
    pub fn complete(&mut self, now: Time, rng: &mut Rng) {
        if let Device::Head { busy, .. } = self {
            *busy = None;
            self.take_up(now, rng);
        }
    }

    fn take_up(&mut self, now: Time, rng: &mut Rng) {
        let Device::Head { bytes_per_s, seek, queue, at, busy } = self else { return };
        if busy.is_some() || queue.is_empty() {
            return;
        }
        let is_near = |op: &Op| (op.way, op.offset) == *at;
        let op = queue.remove(queue.iter().position(is_near).unwrap_or(0));
        let way_there = if is_near(&op) { 0 } else { about(*seek, rng) };
        *at = (op.way, op.offset + op.bytes);
        *busy = Some((now + way_there + about(transfer(op.bytes, *bytes_per_s), rng), op));
    }
}
