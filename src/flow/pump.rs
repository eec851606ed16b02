//! The pump: which block to read or write next, and what became of the last one.
//!
//! A driver asks [`Pump::next_read`] and [`Pump::next_write`] what to submit, carries it out in any
//! order and with any delay, and tells the result. Short transfers are continued here; the first
//! error, the end of the source and a cancellation are decided here. One driver or two threads may
//! ask: reads and writes are separate questions.

use std::collections::VecDeque;
use std::time::Duration;

use super::extents::{Extent, Extents, Holes, Next};
use super::marks::{Level, LevelStats, Marks};
use super::pace::Pace;
use super::slot::{Slot, State};

/// One end of the pump.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// in order and one operation at a time (pipes, sockets, O_APPEND), not at offsets
    pub ordered: bool,
    /// what direct I/O wants offset, length and buffer position to be a multiple of, in bytes;
    /// 1 where this side goes through the page cache
    pub align: u32,
    /// the cap on operations in flight on this side, at least 1
    pub depth: u16,
}

impl Side {
    /// A file or device through the page cache.
    pub const SEEKABLE: Side = Side { ordered: false, align: 1, depth: u16::MAX };
    /// A pipe, a socket, a character device.
    pub const ORDERED: Side = Side { ordered: true, align: 1, depth: 1 };
}

/// How long the source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// in bytes, for good: a device. Nothing is read past it
    Exact(u64),
    /// in bytes, as stat told: less is an error, more is copied to its end
    Expected(u64),
    /// read to the end of file, one block at a time
    Unknown,
}

/// How the size that the target shows moves ahead of what is complete. It never reaches the
/// length that is known before everything else is written, so a copy that is killed leaves no
/// file of the right length with wrong content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// The target has no size of its own to move: a device, a pipe.
    Fixed,
    /// Writes move it.
    ByWrites,
    /// It is set ahead of the writes by at most so many bytes ([`Outlet::Extend`]): space is
    /// allocated already, and a write that needn't extend the file need not wait for others.
    Ahead {
        /// in bytes
        step: u64,
    },
}

/// What the pump must know before it starts; it never changes.
#[derive(Clone, Debug)]
pub struct Shape {
    /// the unit of transfer and the size of each buffer, in bytes
    pub block_bytes: u32,
    /// how many buffers there are
    pub slots: u16,
    /// on the in-flight bytes
    pub marks: Marks,
    /// where bytes come from
    pub source: Side,
    /// where bytes go to
    pub target: Side,
    /// of the source
    pub length: Length,
    /// ask where the source has holes
    pub sparse: bool,
    /// what becomes of those holes
    pub holes: Holes,
    /// search what was read for runs of zeros and leave them as holes
    pub find_zeros: bool,
    /// a short read from an ordered source is continued until the block is full; else it is passed
    /// on at once, as a pipe to a pipe should be
    pub fill_blocks: bool,
    /// bytes come by [`Pump::room`] and [`Pump::fill`], never by [`Pump::next_read`]
    pub filled_by_caller: bool,
    /// how the target's size is kept from lying
    pub visibility: Visibility,
    /// bytes a second, at most
    pub limit_bytes_per_s: Option<u64>,
}

/// What the reading side is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// find the extent at `from`, tell [`Pump::mapped`]; a hole ends no later than the source does
    /// now, or nobody would see that it was cut short
    Map {
        /// in bytes
        from: u64,
    },
    /// read, tell [`Pump::read`], [`Pump::retry`] or [`Pump::failed`]
    Read(Transfer),
    /// fill the slot's buffer with zeros up to `len`, tell [`Pump::read`]
    Zero(Transfer),
    /// ask again at this time, or after a completion
    Wait(Duration),
    /// ask again after a completion
    Idle,
}

/// What the writing side is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// set the target's size, then ask again; on failure tell [`Pump::fail`]
    Extend {
        /// in bytes
        size: u64,
    },
    /// find the first run of data in `at..at + len` of the buffer, tell [`Pump::searched`]
    Search {
        /// whose buffer
        slot: u16,
        /// in bytes from the buffer's start
        at: u32,
        /// in bytes
        len: u32,
    },
    /// write, tell [`Pump::wrote`], [`Pump::retry`] or [`Pump::failed`]
    Write(Transfer),
    /// ask again after a completion
    Idle,
}

/// An operation on part of a slot's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// whose buffer
    pub slot: u16,
    /// where it lies in the stream, in bytes
    pub offset: u64,
    /// where it begins in the buffer, in bytes
    pub at: u32,
    /// in bytes, never 0
    pub len: u32,
    /// around the page cache: offset, `at` and length are aligned as the side asked
    pub direct: bool,
}

/// What stopped the pump before the end of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// in the stream, in bytes
    pub offset: u64,
    /// why
    pub reason: Reason,
}

/// Why the pump stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// a read failed with this errno
    Read(i32),
    /// a write failed with this errno
    Write(i32),
    /// a write took no byte
    WriteZero,
    /// setting the target's size failed with this errno
    Extend(i32),
    /// space for the target could not be allocated, with this errno
    Allocate(i32),
    /// the source could not be asked where its data lies, with this errno
    Map(i32),
    /// the source was shorter than expected
    Shrank,
}

/// What is to be seen from outside at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// bytes written to the target, or found to be zeros and left as holes there
    pub completed_bytes: u64,
    /// bytes of holes that were neither read nor written
    pub hole_bytes: u64,
    /// in-flight bytes
    pub level_bytes: u64,
    /// whether backpressure holds the reader
    pub held: bool,
}

/// The copy's state; see the module's text.
#[derive(Clone, Debug)]
pub struct Pump {
    pub(super) shape: Shape,
    pub(super) slots: Vec<Slot>,
    pub(super) free: Vec<u16>,
    /// the slots that are not free, by offset
    pub(super) order: VecDeque<u16>,
    pub(super) level: Level,
    pub(super) extents: Extents,
    pace: Option<Pace>,
    pub(super) reads_in_flight: u16,
    writes_in_flight: u16,
    /// no more blocks are admitted
    pub(super) closed: bool,
    cancelled: bool,
    failure: Option<Failure>,
    /// the source can't be read from here on; data behind the gap helps nobody
    pub(super) source_limit: u64,
    /// a write failed: no other is begun
    target_failed: bool,
    /// the size that the target shows
    visible: u64,
    /// bytes up to here are known to exist in the source
    pub(super) known_end: u64,
    completed_bytes: u64,
    hole_bytes: u64,
}

impl Pump {
    /// A pump at the start of the stream.
    pub fn new(shape: Shape) -> Pump {
        assert!(shape.slots > 0 && shape.block_bytes > 0, "a ring has at least one block");
        let ring = u64::from(shape.slots) * u64::from(shape.block_bytes);
        assert!(shape.marks.high_bytes() <= ring, "high-water mark <= ring bytes");
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
            level: Level::new(shape.marks),
            extents,
            pace: shape.limit_bytes_per_s.map(Pace::new),
            reads_in_flight: 0,
            writes_in_flight: 0,
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

    // ---- reading ----

    /// What the reading side is to do at `now`.
    pub fn next_read(&mut self, now: Duration) -> Intake {
        if self.shape.filled_by_caller || self.source_is_busy() {
            return Intake::Idle;
        }
        if let Some(slot) = self.read_to_continue() {
            return self.submit_read(slot);
        }
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
                return self.next_read(now);
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
            self.level.hold(now);
            return Intake::Idle;
        };
        if !self.level.admit(u64::from(block.len), now) {
            return Intake::Idle;
        }
        if let Some(pace) = &mut self.pace {
            pace.spend(u64::from(block.len));
        }
        self.extents.take(block.len);
        self.free.pop();
        self.order.push_back(slot);
        self.slots[usize::from(slot)] = Slot::admitted(block.offset, block.len, block.zeros);
        self.submit_read(slot)
    }

    /// An ordered source takes one operation at a time, and so does one whose end is not known.
    fn source_is_busy(&self) -> bool {
        let one_at_a_time = self.shape.source.ordered || self.extents.is_open_ended();
        let depth = if one_at_a_time { 1 } else { self.shape.source.depth };
        self.reads_in_flight >= depth
    }

    fn read_to_continue(&self) -> Option<u16> {
        let waits = |slot: &u16| {
            let slot = &self.slots[usize::from(*slot)];
            slot.state == State::Reading { submitted: false } && slot.offset < self.source_limit
        };
        match self.writes_go_on() {
            true => self.order.iter().copied().find(waits),
            false => None,
        }
    }

    fn submit_read(&mut self, id: u16) -> Intake {
        self.reads_in_flight += 1;
        let align = self.shape.source.align;
        let slot = &mut self.slots[usize::from(id)];
        let part = slot.begin_read(align, self.shape.block_bytes);
        let offset = slot.offset + u64::from(part.at);
        let transfer = Transfer { slot: id, offset, at: part.at, len: part.len, direct: part.direct };
        match slot.zeros {
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
        let slot = &mut self.slots[usize::from(transfer.slot)];
        assert_eq!(slot.state, State::Reading { submitted: true }, "a read completes once");
        assert!(n <= transfer.len, "a read brings at most what was asked for");
        self.reads_in_flight -= 1;
        let more = slot.read(n, transfer.direct);
        let (filled, want, end) = (slot.filled, slot.want, slot.end());
        if !more {
            return self.source_ended(transfer.slot, end, now);
        }
        self.known_end = self.known_end.max(end);
        let pass_on = self.shape.source.ordered && !self.shape.fill_blocks;
        if filled == want {
            self.ready_to_write(transfer.slot);
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
    fn end_block(&mut self, id: u16, now: Duration) {
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
            _ => self.ready_to_write(id),
        }
    }

    pub(super) fn ready_to_write(&mut self, id: u16) {
        let find_zeros = self.shape.find_zeros;
        let slot = &mut self.slots[usize::from(id)];
        slot.state = State::Read { searched: !find_zeros };
        slot.window = if find_zeros { 0..0 } else { 0..slot.filled };
    }

    // ---- writing ----

    /// What the writing side is to do now.
    pub fn next_write(&mut self) -> Outlet {
        let depth = if self.shape.target.ordered { 1 } else { self.shape.target.depth };
        if !self.writes_go_on() || self.writes_in_flight >= depth {
            return Outlet::Idle;
        }
        self.seal_if_waited_for();
        let candidates = if self.shape.target.ordered { 1 } else { self.order.len() };
        let ready = (0..candidates.min(self.order.len())).find(|&nth| self.may_write(nth));
        let Some(nth) = ready else { return Outlet::Idle };
        let id = self.order[nth];
        let slot = &self.slots[usize::from(id)];
        if slot.state == (State::Read { searched: false }) {
            let at = slot.window.end;
            return Outlet::Search { slot: id, at, len: slot.filled - at };
        }
        let end = slot.offset + u64::from(slot.window.end);
        if let Some(size) = self.size_to_show(end) {
            self.visible = size;
            return Outlet::Extend { size };
        }
        self.visible = self.visible.max(end);
        Outlet::Write(self.submit_write(id))
    }

    pub(super) fn submit_write(&mut self, id: u16) -> Transfer {
        self.writes_in_flight += 1;
        let align = self.shape.target.align;
        let slot = &mut self.slots[usize::from(id)];
        let part = slot.begin_write(align);
        let offset = slot.offset + u64::from(part.at);
        Transfer { slot: id, offset, at: part.at, len: part.len, direct: part.direct }
    }

    /// A block may overtake others only while the source is known to go on behind it: the last one
    /// waits until it is the first, so that no full length ever covers a gap.
    fn may_write(&self, nth: usize) -> bool {
        let slot = &self.slots[usize::from(self.order[nth])];
        let read = matches!(slot.state, State::Read { .. });
        let last = slot.end() >= self.guarded_end() && self.shape.visibility != Visibility::Fixed;
        read && slot.offset < self.source_limit && (nth == 0 || !last)
    }

    /// The length that must not show before everything below it is written: the expected one, even
    /// where the source turns out to have grown past it, then as far as the source is known to go.
    fn guarded_end(&self) -> u64 {
        match self.shape.length {
            Length::Expected(n) if self.completed_to() < n => n,
            _ => self.known_end,
        }
    }

    /// The size to set before a write that ends at `end`, where one is to be set. With a length of
    /// 100 MiB, blocks of 1 MiB, a step of 16 MiB and 30 MiB complete: 46 MiB; near the end 99 MiB,
    /// and the last block's write itself moves the size to its final value.
    fn size_to_show(&self, end: u64) -> Option<u64> {
        let Visibility::Ahead { step } = self.shape.visibility else { return None };
        let block = u64::from(self.shape.block_bytes);
        let last_block = self.guarded_end().saturating_sub(1) / block * block;
        let ahead = (self.completed_to() + step).min(last_block);
        (end > self.visible && ahead >= end).then_some(ahead)
    }

    /// The answer to [`Outlet::Search`]: the first run of data, in bytes from the buffer's start,
    /// or nothing but zeros.
    pub fn searched(&mut self, id: u16, run: Option<std::ops::Range<u32>>, now: Duration) {
        let slot = &mut self.slots[usize::from(id)];
        assert_eq!(slot.state, State::Read { searched: false }, "what is searched has been read");
        slot.state = State::Read { searched: true };
        match run {
            Some(run) => slot.window = run,
            None => self.block_done(id, now),
        }
    }

    /// A write completed with `n` bytes.
    pub fn wrote(&mut self, transfer: Transfer, n: u32, now: Duration) {
        if n == 0 {
            return self.failed(transfer, Reason::WriteZero, now);
        }
        let align = self.shape.target.align;
        let find_zeros = self.shape.find_zeros;
        let slot = &mut self.slots[usize::from(transfer.slot)];
        assert_eq!(slot.state, State::Writing, "a write completes once");
        assert!(n <= transfer.len, "a write takes at most what it was given");
        self.writes_in_flight -= 1;
        slot.wrote(n, transfer.direct, align);
        if slot.window.is_empty() {
            match find_zeros && slot.window.end < slot.filled {
                true => slot.state = State::Read { searched: false },
                false => self.block_done(transfer.slot, now),
            }
        }
    }

    /// A drain event: the block is with the target and its bytes are in flight no more.
    fn block_done(&mut self, id: u16, now: Duration) {
        let bytes = u64::from(self.slots[usize::from(id)].filled);
        self.level.written(bytes, now);
        self.completed_bytes += bytes;
        self.release(id);
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
            Reason::Write(_) | Reason::WriteZero | Reason::Extend(_) | Reason::Allocate(_) => {
                self.target_failed = true
            }
        }
    }

    /// Stops admission and begins no more operations; those in flight complete.
    pub fn cancel(&mut self) {
        self.closed = true;
        self.cancelled = true;
    }

    // ---- what is to be seen ----

    /// Operations handed out and not completed.
    pub fn in_flight(&self) -> u16 {
        self.reads_in_flight + self.writes_in_flight
    }

    /// Nothing is in flight and nothing will be.
    pub fn is_finished(&self) -> bool {
        let unwritten = |id: &u16| self.slots[usize::from(*id)].offset < self.source_limit;
        let to_write = self.writes_go_on() && self.order.iter().any(unwritten);
        self.closed && self.in_flight() == 0 && !to_write
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
            held: self.level.is_held(),
        }
    }

    /// What the level has seen until `now`.
    pub fn level_stats(&self, now: Duration) -> LevelStats {
        self.level.stats(now)
    }
}
