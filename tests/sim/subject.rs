//! The pump as the driver sees it, or a pump with one planted bug.

use std::sync::Arc;
use std::time::Duration;

use highwater::flow::{
    Digesting, Holes, Intake, Length, Marks, Outlet, Pump, Reason, Shape, SharedLevel, Transfer, Trouble,
    Verdict, Visibility,
};

/// What the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    ShortWriteBelieved,
    ShortReadBelieved,
    InterruptionIsCompletion,
    WriteErrorSwallowed,
    EndOfFileIsData,
    AdmittedPastTheMark,
    LastBlockEarly,
    SizeShownAtOnce,
    RealignmentForgotten,
    TailPadded,
    ContinuationDropped,
    HandedOutTwice,
    FreedBeforeWritten,
    OrderedTargetOvertaken,
    OldDataShinesThrough,
    DataTakenForZeros,
    CancelIgnored,
    FinishedWhileInFlight,
    NeverDrains,
    RateIgnored,
    /// a block that is written is complete, whether or not somebody has looked at it
    DigestNotAwaited,
    /// a block that somebody has looked at is complete, whether or not it is written
    DigestedIsComplete,
    DigestedTwice,
    DigestForgotten,
    /// the last byte of a read is not put into its buffer
    ByteLeftOver,
    /// a target that is cut to its final length one byte short
    CutShort,
    /// what failed is tried again at once
    PauseIgnored,
    GivenUpEarly,
    /// what is lost is more than a unit
    LostTooMuch,
    /// what is lost keeps what was in the buffer
    LostNotZeroed,
}

impl Bug {
    pub const ALL: [Bug; 30] = [
        Bug::ShortWriteBelieved,
        Bug::ShortReadBelieved,
        Bug::InterruptionIsCompletion,
        Bug::WriteErrorSwallowed,
        Bug::EndOfFileIsData,
        Bug::AdmittedPastTheMark,
        Bug::LastBlockEarly,
        Bug::SizeShownAtOnce,
        Bug::RealignmentForgotten,
        Bug::TailPadded,
        Bug::ContinuationDropped,
        Bug::HandedOutTwice,
        Bug::FreedBeforeWritten,
        Bug::OrderedTargetOvertaken,
        Bug::OldDataShinesThrough,
        Bug::DataTakenForZeros,
        Bug::CancelIgnored,
        Bug::FinishedWhileInFlight,
        Bug::NeverDrains,
        Bug::RateIgnored,
        Bug::DigestNotAwaited,
        Bug::DigestedIsComplete,
        Bug::DigestedTwice,
        Bug::DigestForgotten,
        Bug::ByteLeftOver,
        Bug::CutShort,
        Bug::PauseIgnored,
        Bug::GivenUpEarly,
        Bug::LostTooMuch,
        Bug::LostNotZeroed,
    ];
}

#[derive(Clone)]
pub struct Subject {
    pub pump: Pump,
    bug: Option<Bug>,
    /// for the bugs that remember
    last: Option<Transfer>,
    digested: Option<Transfer>,
    /// a write in flight that the pump was told of
    told: Option<Transfer>,
    held: bool,
}

impl Subject {
    pub fn new(mut shape: Shape, bug: Option<Bug>) -> Subject {
        let ring = u64::from(shape.slots) * u64::from(shape.block_bytes);
        match bug {
            Some(Bug::AdmittedPastTheMark) => {
                shape.marks = Marks::new(ring, None, u64::from(shape.block_bytes), ring).expect("the ring");
            }
            Some(Bug::LastBlockEarly) => shape.visibility = Visibility::Fixed,
            Some(Bug::OrderedTargetOvertaken) => shape.target.ordered = false,
            Some(Bug::OldDataShinesThrough) if !shape.target.ordered => shape.holes = Holes::Skip,
            Some(Bug::DigestForgotten) => shape.digesting = Digesting::Off,
            Some(Bug::GivenUpEarly) => shape.patience.retries = shape.patience.retries.saturating_sub(1),
            Some(Bug::LostTooMuch) => {
                shape.patience.zero_fill = shape.patience.zero_fill.map(|unit| 4 * unit);
            }
            Some(Bug::RateIgnored) => shape.limit_bytes_per_s = None,
            _ => {}
        }
        Subject { pump: Pump::new(shape), bug, last: None, digested: None, told: None, held: false }
    }

    /// A pump that shares `level` with others.
    pub fn under(shape: Shape, level: &Arc<SharedLevel>) -> Subject {
        Subject {
            pump: Pump::under(shape, Arc::clone(level)),
            bug: None,
            last: None,
            digested: None,
            told: None,
            held: false,
        }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub fn next_read(&mut self, now: Duration) -> Intake {
        if self.held {
            return Intake::Idle;
        }
        let intake = self.pump.next_read(now);
        self.held = self.has(Bug::NeverDrains) && self.pump.progress().held;
        match intake {
            Intake::Read(t) if self.has(Bug::RealignmentForgotten) && t.direct && t.at > 0 && t.len > 1 => {
                Intake::Read(Transfer { offset: t.offset + 1, at: t.at + 1, len: t.len - 1, ..t })
            }
            intake => intake,
        }
    }

    pub fn next_write(&mut self, now: Duration) -> Outlet {
        if let (true, Some(t)) = (self.has(Bug::HandedOutTwice), self.last.take()) {
            return Outlet::Write(t);
        }
        let align = self.pump.shape().target.align;
        let later = if self.has(Bug::PauseIgnored) { Duration::from_secs(3600) } else { Duration::ZERO };
        match self.pump.next_write(now + later) {
            Outlet::Write(t) if self.has(Bug::ContinuationDropped) && t.at > 0 => Outlet::Idle,
            Outlet::Write(t) if self.has(Bug::TailPadded) && align > 1 && !t.direct => {
                Outlet::Write(Transfer { len: t.len.next_multiple_of(align), direct: true, ..t })
            }
            Outlet::Write(t) => {
                self.last = Some(t);
                if self.has(Bug::FreedBeforeWritten) {
                    self.pump.wrote(t, t.len, now);
                }
                Outlet::Write(t)
            }
            Outlet::Extend { size } if self.has(Bug::SizeShownAtOnce) => match self.pump.shape().length {
                Length::Exact(n) | Length::Expected(n) => Outlet::Extend { size: n },
                Length::Unknown => Outlet::Extend { size },
            },
            outlet => outlet,
        }
    }

    pub fn next_digest(&mut self) -> Option<Transfer> {
        if let (true, Some(t)) = (self.has(Bug::DigestedTwice), self.digested.take()) {
            return Some(t);
        }
        self.digested = self.pump.next_digest();
        self.digested
    }

    pub fn digested(&mut self, t: Transfer, now: Duration) {
        self.pump.digested(t, now);
        let is_its = |write: &mut Transfer| write.slot == t.slot;
        if let (true, Some(write)) = (self.has(Bug::DigestedIsComplete), self.last.take_if(is_its)) {
            self.pump.wrote(write, write.len, now);
            self.told = Some(write);
        }
    }

    pub fn take(&mut self) -> Outlet {
        self.pump.take().map_or(Outlet::Idle, Outlet::Write)
    }

    pub fn read(&mut self, t: Transfer, n: u32, now: Duration) {
        let believed = match self.bug {
            Some(Bug::ShortReadBelieved) if n > 0 => t.len,
            Some(Bug::EndOfFileIsData) => n.max(1),
            _ => n,
        };
        self.pump.read(t, believed, now);
    }

    pub fn wrote(&mut self, t: Transfer, n: u32, now: Duration) {
        match self.bug {
            Some(Bug::ShortWriteBelieved) if n > 0 => self.pump.wrote(t, t.len, now),
            Some(Bug::FreedBeforeWritten) => {}
            Some(Bug::DigestedIsComplete) if self.told.take_if(|told| *told == t).is_some() => {}
            Some(Bug::DigestedIsComplete) => {
                self.last.take_if(|last| *last == t);
                self.pump.wrote(t, n, now);
            }
            Some(Bug::DigestNotAwaited) => {
                self.pump.wrote(t, n, now);
                while let Some(unseen) = self.pump.next_digest() {
                    self.pump.digested(unseen, now);
                }
            }
            _ => self.pump.wrote(t, n, now),
        }
    }

    pub fn retry(&mut self, t: Transfer, writing: bool, now: Duration) {
        match self.bug {
            Some(Bug::InterruptionIsCompletion) if writing => self.pump.wrote(t, t.len, now),
            _ => self.pump.retry(t),
        }
    }

    pub fn troubled(&mut self, t: Transfer, reason: Reason, trouble: Trouble, now: Duration) -> Verdict {
        match (self.bug, reason) {
            (Some(Bug::WriteErrorSwallowed), Reason::Write(_)) => {
                self.pump.wrote(t, t.len, now);
                Verdict::Failed
            }
            _ => self.pump.troubled(t, reason, trouble, now),
        }
    }

    pub fn searched(&mut self, slot: u16, run: Option<std::ops::Range<u32>>, now: Duration) {
        let run = run.filter(|run| !self.has(Bug::DataTakenForZeros) || run.start > 0);
        self.pump.searched(slot, run, now);
    }

    pub fn cancel(&mut self) {
        if !self.has(Bug::CancelIgnored) {
            self.pump.cancel();
        }
    }

    pub fn is_finished(&self) -> bool {
        match self.has(Bug::FinishedWhileInFlight) {
            true => self.pump.failure().is_some() || self.pump.is_cancelled() || self.pump.is_finished(),
            false => self.pump.is_finished(),
        }
    }
}
