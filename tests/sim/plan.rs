//! A seed becomes a plan: the shape of the pump, the source and the target, and what goes wrong.

use std::ops::Range;

use fastrand::Rng;
use highwater::flow::{Digesting, Holes, Length, Marks, Patience, Shape, Side, Visibility};

/// Everything about one run but the order of events, which the same seed draws as it goes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    /// of the source as it is found, in bytes
    pub source_bytes: u64,
    /// never allocated: the source tells them when it is asked for its extents
    pub holes: Vec<Range<u64>>,
    /// allocated, and zeros all the same
    pub zero_runs: Vec<Range<u64>>,
    /// the source has another length from this step on
    pub change: Option<Change>,
    pub cancel_at_step: Option<u64>,
    pub interleaving: Interleaving,
    pub faults: Faults,
    /// what can't be read, however often it is tried
    pub bad: Vec<Range<u64>>,
    /// the target takes no byte from here on, and says so with this errno
    pub target_room: Option<(u64, i32)>,
    /// until then, where it is room that is missing
    pub room_comes_ns: u64,
    /// a search for zeros sees units of so many bytes
    pub grain_bytes: u32,
    /// where the caller fills the blocks: chunks of up to so many bytes
    pub chunk_bytes: u32,
    /// the target is a caller's hand, which takes blocks in order and keeps them as long as it likes
    pub taken_by_caller: bool,
    /// the caller listens to the mark
    pub polite: bool,
    /// the longest service time of reads and writes, in ns
    pub read_ns: u64,
    pub write_ns: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub at_step: u64,
    pub to_bytes: u64,
}

/// In what order a driver asks and tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interleaving {
    /// as one ring does: every question until nothing is left to do, then one completion
    Ring,
    /// as two threads might: one question or one completion, whichever comes
    Threads,
}

/// Chances in 1024, for each operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub short: u32,
    pub interrupted: u32,
    pub direct_refused: u32,
    pub read_fails: u32,
    pub write_fails: u32,
    pub write_of_nothing: u32,
    pub extend_fails: u32,
}

impl Plan {
    pub fn of_seed(seed: u64) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let sectors = rng.u32(0..4) == 0;
        let (block, align) = match sectors {
            true => (512 * rng.u32(1..=8), 512),
            false => {
                let align = 1 << rng.u32(0..5);
                (if rng.bool() { align * rng.u32(1..=8) } else { rng.u32(1..=64) }, align)
            }
        };
        let blocks = rng.u64(0..=12);
        let tail = if rng.bool() { rng.u64(0..u64::from(block)) } else { 0 };
        let source_bytes = blocks * u64::from(block) + tail;
        let faults = some_faults(&mut rng);
        let mut shape = some_shape(&mut rng, block, align, source_bytes);
        let (holes, zero_runs) = (runs(&mut rng, source_bytes, block), runs(&mut rng, source_bytes, block));
        if shape.filled_by_caller {
            (shape.length, shape.sparse, shape.limit_bytes_per_s) = (Length::Unknown, false, None);
        }
        shape.digesting = some_digesting(&mut rng, &mut shape);
        Plan {
            seed,
            source_bytes,
            holes: if shape.sparse { holes } else { Vec::new() },
            zero_runs: if shape.find_zeros || rng.u32(0..4) == 0 { zero_runs } else { Vec::new() },
            change: (rng.u32(0..5) == 0 && !shape.filled_by_caller).then(|| Change {
                at_step: rng.u64(0..120),
                to_bytes: rng.u64(0..=source_bytes + 3 * u64::from(block)),
            }),
            cancel_at_step: (rng.u32(0..8) == 0).then(|| rng.u64(0..150)),
            interleaving: if rng.bool() { Interleaving::Ring } else { Interleaving::Threads },
            faults,
            bad: if rng.u32(0..4) == 0 { runs(&mut rng, source_bytes, align.max(4)) } else { Vec::new() },
            room_comes_ns: rng.u64(0..5_000_000_000),
            target_room: (rng.u32(0..12) == 0)
                .then(|| (rng.u64(0..=source_bytes), if rng.bool() { libc::ENOSPC } else { libc::EFBIG })),
            grain_bytes: if rng.bool() { align } else { rng.u32(1..=16) },
            chunk_bytes: rng.u32(1..=3 * block),
            taken_by_caller: !shape.filled_by_caller
                && shape.target.ordered
                && shape.visibility == Visibility::Fixed
                && rng.bool(),
            polite: rng.bool(),
            read_ns: if rng.bool() { 1_000 } else { 1_000_000 },
            write_ns: if rng.bool() { 1_000 } else { 1_000_000 },
            shape,
        }
    }

    /// The most bytes that the source ever has.
    pub fn most_bytes(&self) -> u64 {
        self.source_bytes.max(self.change.map_or(0, |change| change.to_bytes))
    }

    /// Whether the target holds something before the copy begins: not where it is to read as zeros
    /// without being written, nor where opening has cut it to nothing.
    pub fn target_is_old(&self) -> bool {
        let reads_as_zeros = self.shape.find_zeros || (self.shape.sparse && self.shape.holes == Holes::Skip);
        self.shape.visibility == Visibility::Fixed && !self.shape.target.ordered && !reads_as_zeros
    }
}

fn some_faults(rng: &mut Rng) -> Faults {
    let mut chance = |most: u32, one_in: u32| if rng.u32(0..one_in) == 0 { rng.u32(0..=most) } else { 0 };
    Faults {
        short: chance(700, 2),
        interrupted: chance(400, 3),
        direct_refused: chance(1024, 6),
        read_fails: chance(100, 6),
        write_fails: chance(100, 6),
        write_of_nothing: chance(60, 20),
        extend_fails: chance(100, 12),
    }
}

fn some_shape(rng: &mut Rng, block: u32, align: u32, source_bytes: u64) -> Shape {
    let slots = rng.u16(1..=8);
    let ring = u64::from(block) * u64::from(slots);
    let high = if rng.bool() { ring } else { rng.u64(u64::from(block)..=ring) };
    let low = match rng.u32(0..4) {
        0 => Some(0),
        1 => Some(rng.u64(0..high)),
        _ => None,
    };
    let mut side = |one_in| match rng.u32(0..one_in) {
        0 => Side::ORDERED,
        _ => Side {
            ordered: false,
            align: if rng.bool() { align } else { 1 },
            depth: if rng.bool() { rng.u16(1..=4) } else { u16::MAX },
        },
    };
    let (source, target) = (side(4), side(5));
    let told = match rng.u32(0..16) {
        0 => 0,
        1 => rng.u64(0..=source_bytes + u64::from(block)),
        _ => source_bytes,
    };
    let length = match rng.u32(0..4) {
        0 => Length::Exact(told),
        1 => Length::Unknown,
        _ => Length::Expected(told),
    };
    let visibility = match rng.u32(0..3) {
        0 => Visibility::Fixed,
        1 if !target.ordered => Visibility::Ahead { step: rng.u64(0..=4 * u64::from(block)) },
        _ => Visibility::ByWrites,
    };
    let sparse = !source.ordered && length != Length::Unknown && rng.u32(0..3) == 0;
    let skip = sparse && !target.ordered && rng.bool();
    Shape {
        block_bytes: block,
        slots,
        marks: Marks::new(high, low, u64::from(block), ring).expect("the plan's marks agree"),
        source,
        target,
        length,
        sparse,
        holes: if skip { Holes::Skip } else { Holes::Zeros },
        find_zeros: !target.ordered && rng.u32(0..5) == 0,
        fill_blocks: rng.bool(),
        filled_by_caller: rng.u32(0..8) == 0,
        visibility,
        digesting: Digesting::Off,
        limit_bytes_per_s: (rng.u32(0..6) == 0).then(|| {
            let most = 1 << rng.u32(4..30);
            rng.u64(1..=most)
        }),
        patience: Patience {
            retries: if rng.bool() { rng.u32(0..5) } else { 0 },
            waits_for_room: rng.bool(),
            zero_fill: rng
                .bool()
                .then(|| (block / 32).max(1).next_multiple_of(source.align) << rng.u32(0..3)),
        },
    }
}

/// What is digested and goes nowhere has no target with wishes of its own.
fn some_digesting(rng: &mut Rng, shape: &mut Shape) -> Digesting {
    match rng.u32(0..6) {
        0 if !shape.filled_by_caller => {
            (shape.target, shape.visibility) = (Side::SEEKABLE, Visibility::Fixed);
            shape.find_zeros = false;
            Digesting::InsteadOfWrite
        }
        1 | 2 => Digesting::BesideWrite,
        _ => Digesting::Off,
    }
}

/// Ordered, disjoint, not empty, some at the very start or end, often at the edges of blocks.
fn runs(rng: &mut Rng, bytes: u64, block: u32) -> Vec<Range<u64>> {
    let mut runs = Vec::new();
    let unit = if rng.bool() { u64::from(block) } else { 1 };
    let mut at = if rng.bool() { 0 } else { rng.u64(0..=3 * u64::from(block)) };
    while at < bytes && runs.len() < 6 {
        let to_the_end = rng.u32(0..6) == 0;
        let end =
            if to_the_end { bytes } else { at + rng.u64(1..=4 * u64::from(block)).next_multiple_of(unit) };
        runs.push(at..end.min(bytes));
        at = end + rng.u64(1..=3 * u64::from(block)).next_multiple_of(unit);
    }
    runs
}
