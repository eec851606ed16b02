//! The pump of production between two models of devices, in virtual time, under a mark that is fixed or
//! that finds itself: what came when, and how long it took. It asks and tells as the ring's driver does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use highwater::flow::{
    Digesting, Holes, Intake, Length, Marks, Outlet, Patience, Pump, Shape, SharedLevel, Side, Transfer,
    Tuner, Visibility,
};

use super::devices::{Device, Op, Time, Way};

pub const BLOCK: u64 = 512 << 10;
pub const RING: u32 = 128;

/// What source and target are for a while. Without a target both are on one device.
#[derive(Clone, Debug)]
pub struct Phase {
    pub source: Device,
    pub target: Option<Device>,
    pub lasts: Time,
}

#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// in blocks
    Fixed(u32),
    /// where it starts
    Auto(u32),
}

/// How the source is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub side: Side,
    pub limit_bytes_per_s: Option<u64>,
}

impl Reading {
    pub const FREELY: Reading = Reading { side: Side::SEEKABLE, limit_bytes_per_s: None };
}

/// A block that came through.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub at: Time,
    /// from its admission on
    pub latency: Time,
    /// when it came, in blocks
    pub mark: u32,
}

struct Bench<'a> {
    pump: Pump,
    level: Arc<SharedLevel>,
    phases: &'a [Phase],
    phase_ends: Time,
    devices: [Option<Device>; 2],
    rng: Rng,
    now: Time,
    transfers: Vec<(Way, Transfer)>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(Time, usize)>>,
    admitted: Vec<Time>,
}

/// All blocks that came through, in order, and what the tuner told at the end.
pub fn run(phases: &[Phase], reading: Reading, mark: Mark, seed: u64) -> (Vec<Done>, Arc<SharedLevel>) {
    let ring = u64::from(RING) * BLOCK;
    let marks = |blocks| Marks::new(u64::from(blocks) * BLOCK, None, BLOCK, ring).unwrap();
    let level = match mark {
        Mark::Fixed(blocks) => SharedLevel::new(marks(blocks)),
        Mark::Auto(start) => SharedLevel::tuned(marks(RING), Tuner::new(BLOCK, 1, RING, start)),
    };
    let shape = Shape {
        block_bytes: BLOCK as u32,
        slots: RING as u16,
        marks: level.marks(),
        source: reading.side,
        target: Side::SEEKABLE,
        length: Length::Exact(u64::MAX / 4),
        sparse: false,
        holes: Holes::Zeros,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::Fixed,
        digesting: Digesting::Off,
        limit_bytes_per_s: reading.limit_bytes_per_s,
        patience: Patience::default(),
    };
    let mut bench = Bench {
        pump: Pump::under(shape, Arc::clone(&level)),
        level: Arc::clone(&level),
        phases,
        phase_ends: 0,
        devices: [None, None],
        rng: Rng::with_seed(seed),
        now: 0,
        transfers: Vec::new(),
        free: Vec::new(),
        due: BinaryHeap::new(),
        admitted: vec![0; RING as usize],
    };
    let mut done = Vec::new();
    while let Some(block) = bench.next() {
        done.extend(block);
    }
    (done, level)
}

impl Bench<'_> {
    /// The next completion, a block where it is a write's; None once the last phase is over.
    fn next(&mut self) -> Option<Option<Done>> {
        if self.now >= self.phase_ends {
            let (phase, rest) = self.phases.split_first()?;
            self.phases = rest;
            self.phase_ends += phase.lasts;
            self.devices = [Some(phase.source.clone()), phase.target.clone()];
        }
        let wake = self.submit();
        let chosen = |nth: usize| {
            self.devices[nth].as_ref().and_then(Device::busy).map(|(at, op)| (at, op.id, Some(nth)))
        };
        let known = self.due.peek().map(|Reverse((at, id))| (*at, *id, None));
        let first = known.into_iter().chain(chosen(0)).chain(chosen(1)).min_by_key(|(at, ..)| *at);
        let wake = wake.filter(|wake| first.is_none_or(|(at, ..)| *wake < at));
        if let Some(wake) = wake {
            self.now = wake;
            return Some(None);
        }
        let (at, id, device) = first.expect("the pump has something in flight, or waits for a time");
        self.now = self.now.max(at);
        match device {
            Some(nth) => self.devices[nth].as_mut().expect("it was busy").complete(self.now, &mut self.rng),
            None => drop(self.due.pop()),
        }
        Some(self.tell(id))
    }

    /// Writes, then reads, until there is nothing to submit; until when a read is to wait.
    fn submit(&mut self) -> Option<Time> {
        loop {
            let now = Duration::from_nanos(self.now);
            let (way, transfer) = match self.pump.next_write(now) {
                Outlet::Write(transfer) => (Way::Write, transfer),
                _ => match self.pump.next_read(now) {
                    Intake::Read(transfer) => (Way::Read, transfer),
                    Intake::Wait(until) => return Some(until.as_nanos() as Time),
                    _ => return None,
                },
            };
            let id = self.free.pop().unwrap_or(self.transfers.len());
            self.transfers.resize(self.transfers.len().max(id + 1), (way, transfer));
            self.transfers[id] = (way, transfer);
            if way == Way::Read {
                self.admitted[usize::from(transfer.slot)] = self.now;
            }
            let op = Op { id, way, offset: transfer.offset, bytes: transfer.len.into() };
            let [source, target] = &mut self.devices;
            let device =
                if way == Way::Write { target.as_mut().or(source.as_mut()) } else { source.as_mut() };
            let device = device.expect("each phase has devices");
            if let Some(at) = device.submit(op, self.now, &mut self.rng) {
                self.due.push(Reverse((at, id)));
            }
        }
    }

    fn tell(&mut self, id: usize) -> Option<Done> {
        self.free.push(id);
        let (way, transfer) = self.transfers[id];
        let now = Duration::from_nanos(self.now);
        if way == Way::Read {
            self.pump.read(transfer, transfer.len, now);
            return None;
        }
        let mark = (self.level.marks().high_bytes() / BLOCK) as u32;
        self.pump.wrote(transfer, transfer.len, now);
        let in_flight = self.level.in_flight_bytes();
        assert!(in_flight <= u64::from(RING) * BLOCK, "in-flight bytes <= ring");
        let latency = self.now - self.admitted[usize::from(transfer.slot)];
        Some(Done { at: self.now, latency, mark })
    }
}
