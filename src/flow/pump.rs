//! The pump: which block to read or write next, and what became of the last one.
//!
//! A driver asks [`Pump::next_read`] and [`Pump::next_write`] what to submit, carries it out in any
//! order and with any delay, and tells the result. Short transfers are continued here; the first
//! error, the end of the source and a cancellation are decided here. One driver or two threads may
//! ask: reads and writes are separate questions.
//!
//! The state, its ends and its mishaps are here; the reading side is in `intake`, the writing side
//! in `outlet`, what goes on beside both in `digest`, a caller's hand at one end in `caller`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::extents::{Extents, Holes};
use super::marks::{Level, LevelStats};
use super::pace::Pace;
use super::shape::{Length, Shape};
use super::shared::{PumpLevel, SharedLevel};
use super::slot::{Slot, State};
use super::steps::{Failure, Progress, Reason, Transfer};

/// The copy's state; see the module's text.
#[derive(Clone, Debug)]
pub struct Pump {
    pub(super) shape: Shape,
    pub(super) slots: Vec<Slot>,
    pub(super) free: Vec<u16>,
    /// the slots that are not free, by offset
    pub(super) order: VecDeque<u16>,
    pub(super) level: PumpLevel,
    pub(super) extents: Extents,
    pub(super) pace: Option<Pace>,
    pub(super) reads_in_flight: u16,
    pub(super) writes_in_flight: u16,
    /// one at most
    pub(super) digests_in_flight: u16,
    /// no more blocks are admitted
    pub(super) closed: bool,
    pub(super) cancelled: bool,
    pub(super) failure: Option<Failure>,
    /// the source can't be read from here on; data behind the gap helps nobody
    pub(super) source_limit: u64,
    /// a write failed: no other is begun
    pub(super) target_failed: bool,
    /// the size that the target shows
    pub(super) visible: u64,
    /// bytes up to here are known to exist in the source
    pub(super) known_end: u64,
    pub(super) completed_bytes: u64,
    pub(super) hole_bytes: u64,
}

impl Pump {
    /// A pump at the start of the stream, with a level of its own.
    pub fn new(shape: Shape) -> Pump {
        let ring = u64::from(shape.slots) * u64::from(shape.block_bytes);
        assert!(shape.marks.high_bytes() <= ring, "high-water mark <= ring bytes");
        let level = PumpLevel::Own(Level::new(shape.marks));
        Pump::with(shape, level)
    }

    /// A pump at the start of the stream that shares a level with others. The level's marks hold,
    /// the shape's are not looked at. Once it is finished, [`Pump::leave`] lets others have what
    /// it still holds.
    pub fn under(mut shape: Shape, level: Arc<SharedLevel>) -> Pump {
        shape.marks = level.marks();
        assert!(u64::from(shape.block_bytes) <= shape.marks.high_bytes(), "block <= high-water mark");
        Pump::with(shape, PumpLevel::shared(level))
    }

    fn with(shape: Shape, level: PumpLevel) -> Pump {
        assert!(shape.slots > 0 && shape.block_bytes > 0, "a ring has at least one block");
        let Shape { source, target, .. } = shape;
        let direct_in_order = [source, target].iter().any(|side| side.ordered && side.align > 1);
        assert!(!direct_in_order, "what is in order can't begin a sector again");
        let leaves_holes = shape.find_zeros || (shape.sparse && shape.holes == Holes::Skip);
        assert!(!(target.ordered && leaves_holes), "what is in order has no place for holes");
        let block = shape.block_bytes;
        let (extents, known_end) = match shape.length {
            Length::Unknown => (Extents::open_ended(block), 0),
            Length::Exact(n) | Length::Expected(n) if shape.sparse => {
                (Extents::sparse(block, n, shape.holes), n)
            }
            Length::Exact(n) | Length::Expected(n) => (Extents::whole(block, n), n),
        };
        Pump {
            slots: vec![Slot::free(); usize::from(shape.slots)],
            free: (0..shape.slots).rev().collect(),
            order: VecDeque::with_capacity(usize::from(shape.slots)),
            level,
            extents,
            pace: shape.limit_bytes_per_s.map(Pace::new),
            reads_in_flight: 0,
            writes_in_flight: 0,
            digests_in_flight: 0,
            closed: false,
            cancelled: false,
            failure: None,
            source_limit: u64::MAX,
            target_failed: false,
            visible: 0,
            known_end,
            completed_bytes: 0,
            hole_bytes: 0,
            shape,
        }
    }

    pub(super) fn release(&mut self, id: u16) {
        let nth = self.order.iter().position(|busy| *busy == id).expect("a busy slot is in the order");
        self.order.remove(nth);
        self.slots[usize::from(id)] = Slot::free();
        self.free.push(id);
        assert_eq!(self.free.len() + self.order.len(), self.slots.len(), "slots free + busy = slots");
    }

    // ---- what goes wrong ----

    /// The operation was interrupted before it moved anything: it is handed out again.
    pub fn retry(&mut self, transfer: Transfer) {
        let slot = &mut self.slots[usize::from(transfer.slot)];
        match slot.state {
            State::Reading { submitted: true } => {
                self.reads_in_flight -= 1;
                slot.state = State::Reading { submitted: false };
            }
            State::Writing => {
                self.writes_in_flight -= 1;
                slot.state = State::Read { searched: true };
            }
            _ => panic!("only an operation in flight completes"),
        }
    }

    /// Direct I/O was refused for this operation: it is handed out again, through the page cache.
    /// False where it did not go around it; then it is a failure like any other.
    pub fn retry_buffered(&mut self, transfer: Transfer) -> bool {
        let slot = &mut self.slots[usize::from(transfer.slot)];
        let possible = transfer.direct && slot.fall_back_to_buffered();
        if possible {
            self.retry(transfer);
        }
        possible
    }

    /// The operation failed for good. Admission stops; what was read before a read that failed is
    /// still written.
    pub fn failed(&mut self, transfer: Transfer, reason: Reason, now: Duration) {
        self.retry(transfer);
        let slot = &mut self.slots[usize::from(transfer.slot)];
        let reading = matches!(slot.state, State::Reading { .. });
        if reading {
            slot.read_failed();
        }
        let offset = if reading { slot.end() } else { transfer.offset };
        if reading {
            self.end_block(transfer.slot, now);
        }
        self.fail(Failure { offset, reason });
    }

    /// Stops admission for a failure outside any slot. The first one is told; each counts.
    pub fn fail(&mut self, failure: Failure) {
        self.closed = true;
        self.failure.get_or_insert(failure);
        match failure.reason {
            Reason::Read(_) | Reason::Map(_) | Reason::Shrank => {
                self.source_limit = self.source_limit.min(failure.offset)
            }
            Reason::Write(_)
            | Reason::WriteZero
            | Reason::Extend(_)
            | Reason::Allocate(_)
            | Reason::Digest(_) => self.target_failed = true,
        }
    }

    /// Stops admission and begins no more operations; those in flight complete.
    pub fn cancel(&mut self) {
        self.closed = true;
        self.cancelled = true;
    }

    /// Gives back what it still has of the level, where it ended early: nothing more is written.
    /// It must be finished. Again, it does nothing.
    pub fn leave(&mut self, now: Duration) {
        assert!(self.is_finished(), "what is on its way to the target is in flight");
        self.level.leave(now);
    }

    // ---- what is to be seen ----

    /// Operations handed out and not completed.
    pub fn in_flight(&self) -> u16 {
        self.reads_in_flight + self.writes_in_flight + self.digests_in_flight
    }

    /// Nothing is in flight and nothing will be.
    pub fn is_finished(&self) -> bool {
        let incomplete = |id: &u16| self.slots[usize::from(*id)].offset < self.source_limit;
        let goes_on = self.writes_go_on() && self.order.iter().any(incomplete);
        self.closed && self.in_flight() == 0 && !goes_on && !self.has_digest()
    }

    pub(super) fn writes_go_on(&self) -> bool {
        !self.cancelled && !self.target_failed
    }

    /// Every byte before it is with the target. Once finished without failure: the stream's length.
    pub fn completed_to(&self) -> u64 {
        let reached = match self.order.front() {
            Some(id) => self.slots[usize::from(*id)].done_to(),
            None => self.extents.position(),
        };
        reached.min(self.source_limit)
    }

    /// The end of the extent that was mapped last.
    pub fn mapped_to(&self) -> u64 {
        self.extents.mapped_to()
    }

    /// The first failure.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether it was told to stop before the end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Whether the level refused it when it asked last, so that it is to ask again once
    /// [`SharedLevel::take_opened`] says so. Never under a level of its own, where it is to ask
    /// again after each completion.
    pub fn is_refused(&self) -> bool {
        self.level.is_refused()
    }

    /// Whether it was refused and held nothing then: no completion of its own lets it in.
    pub fn is_starved(&self) -> bool {
        self.level.is_starved()
    }

    /// What it was made with.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Counters for a progress line.
    pub fn progress(&self) -> Progress {
        Progress {
            completed_bytes: self.completed_bytes,
            hole_bytes: self.hole_bytes,
            level_bytes: self.level.in_flight_bytes(),
            held: self.level.holds(),
        }
    }

    /// What the level has seen until `now`, from all that share it.
    pub fn level_stats(&self, now: Duration) -> LevelStats {
        self.level.stats(now)
    }
}
