//! An account of the slots that is kept apart from the pump's own: what was handed out, what was
//! told, and from that what the level must be. Every transfer is held against it.

use std::ops::Range;

use highwater::flow::{Extent, Failure, Length, Place, Reason, Shape, Transfer};

use crate::{Check, ensure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    /// a caller puts bytes here
    Gathering,
    /// bytes are missing, nothing is in flight
    Wanting,
    Reading,
    /// all its bytes are here; `window` is what is to be written next
    Full {
        searched: bool,
    },
    Writing,
}

#[derive(Clone, Debug)]
struct Account {
    phase: Phase,
    offset: u64,
    want: u32,
    filled: u32,
    window: Range<u32>,
    /// the last write stopped inside a sector: it may begin again there
    realigns: bool,
    /// direct reading brought nothing new or was refused
    buffered: bool,
    zeros: bool,
}

const FREE: Account = Account {
    phase: Phase::Free,
    offset: 0,
    want: 0,
    filled: 0,
    window: 0..0,
    realigns: false,
    buffered: false,
    zeros: false,
};

#[derive(Clone)]
pub struct Model {
    shape: Shape,
    slots: Vec<Account>,
    /// where the next block begins
    position: u64,
    /// the extent that is being cut ends here
    extent_end: u64,
    extent_is_hole: bool,
    pub level: u64,
    pub reads: u16,
    pub writes: u16,
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
        let slot = &mut self.slots[usize::from(t.slot)];
        ensure!(slot.phase == Phase::Wanting, "{t:?}: read into a slot that is {:?}", slot.phase);
        ensure!(slot.offset < self.read_limit, "{t:?}: read behind a failure");
        ensure!(slot.zeros == zeros, "{t:?}: data and hole mixed");
        inside(t, slot.offset, self.shape.block_bytes)?;
        let asked = t.at + t.len;
        match t.direct {
            true => {
                aligned(t, align)?;
                ensure!(t.at <= slot.filled && slot.filled - t.at < align, "{t:?}: not where it stopped");
                ensure!(!slot.buffered, "{t:?}: direct again");
                ensure!(asked < slot.want + align, "{t:?}: more than the last sector asked for");
            }
            false => {
                ensure!(t.at == slot.filled, "{t:?}: {} bytes are there", slot.filled);
                ensure!(asked <= slot.want, "{t:?}: more than was admitted");
            }
        }
        slot.phase = Phase::Reading;
        self.reads += 1;
        Ok(())
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
        let slot = &mut self.slots[usize::from(t.slot)];
        slot.phase = Phase::Wanting;
        let reached = (t.at + n).min(slot.want);
        let new = reached > slot.filled;
        slot.filled = reached;
        if slot.filled == slot.want {
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

    fn full(&mut self, slot: u16) {
        let find_zeros = self.shape.find_zeros;
        let slot = &mut self.slots[usize::from(slot)];
        slot.phase = Phase::Full { searched: !find_zeros };
        slot.window = if find_zeros { 0..0 } else { 0..slot.filled };
    }

    fn end_block(&mut self, id: u16) {
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

    /// A block that is gathered goes out because the target waits for it.
    fn seal(&mut self, id: u16) {
        if self.slots[usize::from(id)].phase == Phase::Gathering {
            self.full(id);
        }
    }

    /// A search for data is handed out.
    pub fn search_begins(&mut self, id: u16, at: u32, len: u32) -> Check {
        self.seal(id);
        let slot = &self.slots[usize::from(id)];
        ensure!(slot.phase == Phase::Full { searched: false }, "slot {id} searched, and is {:?}", slot.phase);
        ensure!((at, len) == (slot.window.end, slot.filled - at) && len > 0, "slot {id}: searched at {at}");
        Ok(())
    }

    pub fn searched(&mut self, id: u16, run: Option<Range<u32>>) {
        let slot = &mut self.slots[usize::from(id)];
        slot.phase = Phase::Full { searched: true };
        match run {
            Some(run) => (slot.window, slot.realigns) = (run, false),
            None => self.block_done(id),
        }
    }

    fn block_done(&mut self, id: u16) {
        self.level -= u64::from(self.slots[usize::from(id)].filled);
        self.slots[usize::from(id)] = FREE;
    }

    /// A write is handed out, to a caller or to a target that is at `cursor` if it is ordered.
    pub fn write_begins(&mut self, t: Transfer, cursor: u64, caller: bool) -> Check {
        self.seal(t.slot);
        let Shape { target, block_bytes, .. } = self.shape;
        ensure!(!self.cancelled && !self.target_failed, "{t:?}: a write begins after the end was called");
        ensure!(caller || !target.ordered || self.writes == 0, "{t:?}: two writes to an ordered target");
        ensure!(caller || self.writes < target.depth, "{t:?}: {} writes are in flight", self.writes);
        ensure!(!target.ordered || t.offset == cursor, "{t:?}: the ordered target is at {cursor}");
        let slot = &mut self.slots[usize::from(t.slot)];
        let ready = Phase::Full { searched: true };
        ensure!(slot.phase == ready, "{t:?}: written from a slot that is {:?}", slot.phase);
        ensure!(slot.offset < self.read_limit, "{t:?}: written behind a gap");
        inside(t, slot.offset, block_bytes)?;
        let Range { start, end } = slot.window;
        let again = slot.realigns && t.at <= start && start - t.at < target.align;
        ensure!(t.at == start || again, "{t:?}: not where it stopped, at {start}");
        ensure!(t.at + t.len <= end, "{t:?}: bytes written that are not there, from {end} on");
        if t.direct {
            aligned(t, target.align)?;
        }
        (slot.phase, slot.window.start) = (Phase::Writing, t.at);
        self.writes += 1;
        self.written_to = self.written_to.max(t.offset + u64::from(t.len));
        Ok(())
    }

    /// A write completed with `n` bytes.
    pub fn wrote(&mut self, t: Transfer, n: u32) {
        self.writes -= 1;
        let slot = &mut self.slots[usize::from(t.slot)];
        slot.window.start = t.at + n;
        slot.realigns = t.direct && n < t.len;
        slot.phase = Phase::Full { searched: true };
        if slot.window.is_empty() {
            match self.shape.find_zeros && slot.window.end < slot.filled {
                true => slot.phase = Phase::Full { searched: false },
                false => self.block_done(t.slot),
            }
        }
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

fn inside(t: Transfer, offset: u64, block_bytes: u32) -> Check {
    ensure!(t.len > 0 && t.at + t.len <= block_bytes, "{t:?}: not inside its buffer");
    ensure!(t.offset == offset + u64::from(t.at), "{t:?}: the slot's block begins at {offset}");
    Ok(())
}

fn aligned(t: Transfer, align: u32) -> Check {
    let whole = t.at.is_multiple_of(align) && t.len.is_multiple_of(align);
    let aligned = align > 1 && whole && t.offset.is_multiple_of(u64::from(align));
    ensure!(aligned, "{t:?}: direct, and not aligned to {align}");
    Ok(())
}
