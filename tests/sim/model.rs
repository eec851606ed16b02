//! An account of the slots that is kept apart from the pump's own: what was handed out, what was
//! told, and from that what the level must be. Every transfer is held against it.

use highwater::flow::{Digesting, Extent, Failure, Length, Place, Reason, Shape, Transfer};

use crate::account::{Account, FREE, Look, Phase, aligned, inside};
use crate::{Check, ensure};

#[derive(Clone)]
pub struct Model {
    pub shape: Shape,
    pub slots: Vec<Account>,
    /// where the next block begins
    position: u64,
    /// the extent that is being cut ends here
    extent_end: u64,
    extent_is_hole: bool,
    pub level: u64,
    pub reads: u16,
    pub writes: u16,
    pub digests: u16,
    /// everything before it that was not a hole has been looked at
    pub digested_to: u64,
    pub digested_bytes: u64,
    /// the first one that was told or must have been seen
    pub failure: Option<Failure>,
    pub cancelled: bool,
    /// a read found the end of the source here
    pub end: Option<u64>,
    pub read_limit: u64,
    pub target_failed: bool,
    /// where the write that reaches furthest ends
    pub written_to: u64,
    /// bytes admitted to read, those that never came taken off again
    pub came: u64,
}

impl Model {
    pub fn of_shape(shape: &Shape) -> Model {
        let extent_end = match shape.length {
            Length::Exact(n) | Length::Expected(n) => {
                if shape.sparse {
                    0
                } else {
                    n
                }
            }
            Length::Unknown => u64::MAX,
        };
        Model {
            slots: vec![FREE; usize::from(shape.slots)],
            shape: shape.clone(),
            position: 0,
            extent_end,
            extent_is_hole: false,
            level: 0,
            reads: 0,
            writes: 0,
            digests: 0,
            digested_to: 0,
            digested_bytes: 0,
            failure: None,
            cancelled: false,
            end: None,
            read_limit: u64::MAX,
            target_failed: false,
            written_to: 0,
            came: 0,
        }
    }

    fn known_length(&self) -> u64 {
        match self.shape.length {
            Length::Exact(n) | Length::Expected(n) => n,
            Length::Unknown => 0,
        }
    }

    pub fn ring_bytes(&self) -> u64 {
        u64::from(self.shape.slots) * u64::from(self.shape.block_bytes)
    }

    /// What the source answered. An extent that doesn't move on means data to the end.
    pub fn mapped(&mut self, extent: &Extent) {
        let (range, hole) = match extent {
            Extent::Data(range) => (range, false),
            Extent::Hole(range) => (range, true),
        };
        let end = range.end.min(self.known_length());
        let moves_on = end > self.extent_end;
        self.extent_is_hole = hole && moves_on;
        self.extent_end = if moves_on { end } else { self.known_length() };
        if self.extent_is_hole && self.shape.holes == highwater::flow::Holes::Skip {
            self.position = self.extent_end;
        }
    }

    /// A read, or a filling with zeros, is handed out.
    pub fn read_begins(&mut self, t: Transfer, zeros: bool) -> Check {
        ensure!(!self.cancelled && !self.target_failed, "{t:?}: a read begins after the end was called");
        ensure!(!self.shape.source.ordered || self.reads == 0, "{t:?}: two reads of an ordered source");
        ensure!(self.reads < self.shape.source.depth, "{t:?}: {} reads are in flight", self.reads);
        if self.slots[usize::from(t.slot)].phase == Phase::Free {
            self.admit(t, zeros)?;
        }
        let align = self.shape.source.align;
        let is_last = self.is_last(t.slot);
        let slot = &mut self.slots[usize::from(t.slot)];
        ensure!(slot.phase == Phase::Wanting, "{t:?}: read into a slot that is {:?}", slot.phase);
        ensure!(slot.offset < self.read_limit, "{t:?}: read behind a failure");
        let lost = slot.lost.take();
        ensure!(lost.is_none_or(|len| zeros && t.len == len), "{t:?}: not what is lost, {lost:?} bytes");
        ensure!(slot.zeros == zeros || lost.is_some(), "{t:?}: data and hole mixed");
        inside(t, slot.offset, self.shape.block_bytes)?;
        let asked = t.at + t.len;
        // The last block may look a byte on, to see the end.
        let want = slot.want + u32::from(is_last);
        match t.direct {
            true => {
                aligned(t, align)?;
                ensure!(t.at <= slot.filled && slot.filled - t.at < align, "{t:?}: not where it stopped");
                ensure!(!slot.buffered, "{t:?}: direct again");
                ensure!(asked < want + align, "{t:?}: more than the last sector asked for");
            }
            false => {
                ensure!(t.at == slot.filled, "{t:?}: {} bytes are there", slot.filled);
                ensure!(asked <= want, "{t:?}: more than was admitted");
            }
        }
        slot.phase = Phase::Reading;
        self.reads += 1;
        Ok(())
    }

    /// Whether the source is expected to end with this slot's block.
    fn is_last(&self, slot: u16) -> bool {
        let slot = &self.slots[usize::from(slot)];
        !slot.zeros && self.shape.length == Length::Expected(slot.offset + u64::from(slot.want))
    }

    fn admit(&mut self, t: Transfer, zeros: bool) -> Check {
        ensure!(t.at == 0 && t.offset == self.position, "{t:?}: the next block begins at {}", self.position);
        ensure!(self.failure.is_none() && self.end.is_none(), "{t:?}: admitted after the end");
        ensure!(!self.shape.filled_by_caller, "{t:?}: the caller fills this one");
        if self.position >= self.known_length() {
            ensure!(!matches!(self.shape.length, Length::Exact(_)), "{t:?}: behind an exact length");
            ensure!(self.reads == 0, "{t:?}: read past the known length while other reads are in flight");
            (self.extent_end, self.extent_is_hole) = (u64::MAX, false);
        }
        ensure!(zeros == self.extent_is_hole, "{t:?}: data and hole mixed");
        let want = (self.extent_end - self.position).min(u64::from(self.shape.block_bytes)) as u32;
        ensure!(want > 0, "{t:?}: nothing is there to read");
        let phase = Phase::Wanting;
        self.slots[usize::from(t.slot)] = Account { phase, offset: t.offset, want, zeros, ..FREE };
        self.position += u64::from(want);
        self.level += u64::from(want);
        self.came += u64::from(want);
        let high = self.shape.marks.high_bytes();
        ensure!(self.level <= high, "{t:?}: {} bytes in flight, the mark is {high}", self.level);
        Ok(())
    }

    /// A read completed with `n` bytes.
    pub fn read_done(&mut self, t: Transfer, n: u32) {
        self.reads -= 1;
        let is_last = self.is_last(t.slot);
        let slot = &mut self.slots[usize::from(t.slot)];
        slot.phase = Phase::Wanting;
        let reached = (t.at + n).min(slot.want);
        let new = reached > slot.filled;
        slot.filled = reached;
        slot.attempts = 0;
        let ends_here = is_last && t.at + n == slot.want && n < t.len;
        if slot.filled == slot.want {
            if ends_here {
                self.end.get_or_insert(slot.offset + u64::from(slot.want));
            }
            self.full(t.slot);
        } else if !new && t.direct && n > 0 {
            slot.buffered = true;
        } else if !new {
            let end = slot.offset + u64::from(slot.filled);
            self.end_block(t.slot);
            self.end.get_or_insert(end);
            if end < self.known_length() {
                self.fails(Failure { offset: end, reason: Reason::Shrank });
            }
        } else if self.shape.source.ordered && !self.shape.fill_blocks {
            self.end_block(t.slot);
        }
    }

    pub fn full(&mut self, id: u16) {
        let Shape { digesting, find_zeros, .. } = self.shape;
        let slot = &mut self.slots[usize::from(id)];
        if digesting != Digesting::Off {
            slot.look = Look::Due;
        }
        if digesting == Digesting::InsteadOfWrite {
            slot.phase = Phase::Written;
            return;
        }
        slot.phase = Phase::Full { searched: !find_zeros };
        slot.window = if find_zeros { 0..0 } else { 0..slot.filled };
    }

    pub fn end_block(&mut self, id: u16) {
        let slot = &mut self.slots[usize::from(id)];
        let missing = u64::from(slot.want - slot.filled);
        slot.want = slot.filled;
        self.level -= missing;
        self.came -= missing;
        let end = slot.offset + u64::from(slot.filled);
        if end + missing == self.position {
            self.position = end;
        }
        match slot.filled {
            0 => *slot = FREE,
            _ => self.full(id),
        }
    }

    pub fn room(&self, place: Place) -> Check {
        let slot = &self.slots[usize::from(place.slot)];
        let fits = place.len > 0 && place.at + place.len == self.shape.block_bytes;
        ensure!(fits && place.at == slot.filled, "{place:?}: {} bytes are there", slot.filled);
        ensure!(matches!(slot.phase, Phase::Free | Phase::Gathering), "{place:?} is {:?}", slot.phase);
        Ok(())
    }

    pub fn fill(&mut self, place: Place, n: u32) -> Check {
        let slot = &mut self.slots[usize::from(place.slot)];
        if slot.phase == Phase::Free {
            *slot = Account { phase: Phase::Gathering, offset: self.position, ..FREE };
        }
        slot.filled += n;
        slot.want = slot.filled;
        let full = slot.filled == self.shape.block_bytes;
        self.position += u64::from(n);
        self.level += u64::from(n);
        if full {
            self.full(place.slot);
        }
        ensure!(self.level <= self.ring_bytes(), "{} bytes in flight, in a smaller ring", self.level);
        Ok(())
    }

    /// The operation is to be handed out again.
    pub fn again(&mut self, t: Transfer, buffered: bool) {
        let slot = &mut self.slots[usize::from(t.slot)];
        slot.buffered |= buffered;
        match slot.phase {
            Phase::Reading => (slot.phase, self.reads) = (Phase::Wanting, self.reads - 1),
            _ => (slot.phase, self.writes) = (Phase::Full { searched: true }, self.writes - 1),
        }
    }

    /// The operation failed for good.
    pub fn failed(&mut self, t: Transfer, reason: Reason) {
        self.again(t, false);
        let slot = &mut self.slots[usize::from(t.slot)];
        let reading = slot.phase == Phase::Wanting;
        if reading {
            slot.filled = slot.filled.min(t.at);
        }
        let offset = if reading { slot.offset + u64::from(slot.filled) } else { t.offset };
        if reading {
            self.end_block(t.slot);
        }
        self.fails(Failure { offset, reason });
    }

    pub fn fails(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        match failure.reason {
            Reason::Read(_) | Reason::Shrank => self.read_limit = self.read_limit.min(failure.offset),
            _ => self.target_failed = true,
        }
    }

    /// Where the next byte that is admitted lies.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn target_is_ordered(&self) -> bool {
        self.shape.target.ordered
    }

    pub fn busy_slots(&self) -> usize {
        self.slots.iter().filter(|slot| slot.phase != Phase::Free).count()
    }
}
