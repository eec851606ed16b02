//! The pump's reading side: which block to admit or continue, and what came of it.

use std::time::Duration;

use super::extents::{Extent, Next};
use super::pump::Pump;
use super::shape::{Digesting, Length, Shape};
use super::slot::{Look, Slot, State};
use super::steps::{Failure, Intake, Reason, Transfer};

impl Pump {
    /// What the reading side is to do at `now`.
    pub fn next_read(&mut self, now: Duration) -> Intake {
        if self.shape.filled_by_caller || self.source_is_busy() {
            return Intake::Idle;
        }
        let ready = self.incomplete().find(|id| self.slots[usize::from(*id)].trials.is_due(now));
        if let Some(slot) = ready {
            return self.submit_read(slot);
        }
        let Some(due) = self.incomplete().map(|id| self.slots[usize::from(id)].trials.due()).min() else {
            return self.admit_next(now);
        };
        // Others go on meanwhile, where there may be others.
        match if self.is_read_in_order() { Intake::Idle } else { self.admit_next(now) } {
            Intake::Idle => Intake::Wait(due),
            Intake::Wait(at) => Intake::Wait(at.min(due)),
            next => next,
        }
    }

    /// The next block of the source, where one may be admitted.
    fn admit_next(&mut self, now: Duration) -> Intake {
        if self.closed {
            return Intake::Idle;
        }
        let block = match self.extents.next() {
            Next::Map { from } => return Intake::Map { from },
            Next::Block(block) => block,
            Next::Done
                if matches!(self.shape.length, Length::Expected(_)) && !self.extents.is_open_ended() =>
            {
                self.extents.open_end();
                // From here on one read is made after the other.
                let waits = self.reads_in_flight > 0 || self.incomplete().next().is_some();
                return if waits { Intake::Idle } else { self.admit_next(now) };
            }
            Next::Done => {
                self.closed = true;
                return Intake::Idle;
            }
        };
        if let Some(Err(at)) = self.pace.as_mut().map(|pace| pace.ready(now)) {
            return Intake::Wait(at);
        }
        let Some(&slot) = self.free.last() else {
            self.level.hold(u64::from(block.len), now);
            return Intake::Idle;
        };
        let Some(admitted) = self.level.admit(u64::from(block.len), now) else {
            return Intake::Idle;
        };
        if let Some(pace) = &mut self.pace {
            pace.spend(u64::from(block.len));
        }
        self.extents.take(block.len);
        self.free.pop();
        self.order.push_back(slot);
        self.slots[usize::from(slot)] = Slot::admitted(block.offset, block.len, block.zeros, admitted);
        self.submit_read(slot)
    }

    /// An ordered source takes one operation at a time, and so does one whose end is not known.
    fn source_is_busy(&self) -> bool {
        let depth = if self.is_read_in_order() { 1 } else { self.shape.source.depth };
        self.reads_in_flight >= depth
    }

    fn is_read_in_order(&self) -> bool {
        self.shape.source.ordered || self.extents.is_open_ended()
    }

    /// The blocks whose reading is to be continued, once that is due.
    fn incomplete(&self) -> impl Iterator<Item = u16> {
        let goes_on = self.writes_go_on();
        self.order.iter().copied().filter(move |id| {
            let slot = &self.slots[usize::from(*id)];
            let waits = slot.state == State::Reading { submitted: false };
            goes_on && waits && slot.offset < self.source_limit
        })
    }

    /// Whether the source is expected to end with this slot's block.
    fn is_last(&self, id: u16) -> bool {
        let slot = &self.slots[usize::from(id)];
        !slot.zeros && self.shape.length == Length::Expected(slot.offset + u64::from(slot.want))
    }

    fn submit_read(&mut self, id: u16) -> Intake {
        self.reads_in_flight += 1;
        let Shape { source, block_bytes, patience, .. } = &self.shape;
        let looks_on = self.is_last(id);
        let slot = &mut self.slots[usize::from(id)];
        let lost = slot.trials.lost();
        let part = match lost {
            Some(lost) => slot.begin_lost(lost),
            None => {
                let most = slot.read_to(patience.zero_fill);
                // A byte more where there is room, to see whether the source ends there; not where
                // units are looked at one by one.
                let looks_on = looks_on && most < *block_bytes && patience.zero_fill.is_none();
                slot.begin_read(source.align, *block_bytes, most + u32::from(looks_on))
            }
        };
        let offset = slot.offset + u64::from(part.at);
        let transfer = Transfer { slot: id, offset, at: part.at, len: part.len, direct: part.direct };
        match slot.zeros || lost.is_some() {
            true => Intake::Zero(transfer),
            false => Intake::Read(transfer),
        }
    }

    /// The answer to [`Intake::Map`].
    pub fn mapped(&mut self, extent: Extent) {
        let before = self.extents.position();
        self.extents.mapped(extent);
        self.hole_bytes += self.extents.position() - before;
    }

    /// A read completed with `n` bytes; 0 is the end of file.
    pub fn read(&mut self, transfer: Transfer, n: u32, now: Duration) {
        let is_last = self.is_last(transfer.slot);
        let slot = &mut self.slots[usize::from(transfer.slot)];
        assert_eq!(slot.state, State::Reading { submitted: true }, "a read completes once");
        assert!(n <= transfer.len, "a read brings at most what was asked for");
        self.reads_in_flight -= 1;
        let more = slot.read(n, transfer.direct);
        slot.moved_on();
        let (filled, want, end) = (slot.filled, slot.want, slot.end());
        // More was asked for and is not there: no read of nothing is needed to know it.
        let ends_here = is_last && n < transfer.len && transfer.at + n == want;
        if !more || ends_here {
            return self.source_ended(transfer.slot, end, now);
        }
        self.known_end = self.known_end.max(end);
        let pass_on = self.shape.source.ordered && !self.shape.fill_blocks;
        if filled == want {
            self.filled(transfer.slot);
        } else if pass_on && filled > 0 {
            self.end_block(transfer.slot, now);
        }
    }

    /// The source ended at `end`, inside or at the start of this slot's block.
    fn source_ended(&mut self, id: u16, end: u64, now: Duration) {
        self.end_block(id, now);
        match self.shape.length {
            Length::Exact(expected) | Length::Expected(expected) if end < expected => {
                self.fail(Failure { offset: end, reason: Reason::Shrank });
            }
            _ => self.extents.end(),
        }
        self.closed = true;
    }

    /// No more comes for this block: what was admitted for it is given back, what came is written.
    pub(super) fn end_block(&mut self, id: u16, now: Duration) {
        let slot = &mut self.slots[usize::from(id)];
        let missing = slot.want - slot.filled;
        slot.want = slot.filled;
        self.level.give_back(u64::from(missing), now);
        if let Some(pace) = &mut self.pace {
            pace.give_back(u64::from(missing));
        }
        // What an ordered source brings next belongs behind what came, whatever its length.
        if self.extents.is_open_ended() || self.shape.source.ordered {
            self.extents.go_back(missing);
        }
        match self.slots[usize::from(id)].filled {
            0 => self.release(id),
            _ => self.filled(id),
        }
    }

    /// All its bytes are there.
    pub(super) fn filled(&mut self, id: u16) {
        let Shape { digesting, find_zeros, .. } = self.shape;
        let slot = &mut self.slots[usize::from(id)];
        if digesting != Digesting::Off {
            slot.look = Look::Due;
        }
        if digesting == Digesting::InsteadOfWrite {
            slot.state = State::Written;
            return;
        }
        slot.state = State::Read { searched: !find_zeros };
        slot.window = if find_zeros { 0..0 } else { 0..slot.filled };
    }
}
