//! What all drivers do alike: steps that need no waiting, and what a result means for the pump.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::poll::PollFlags;

use crate::error::{Cause, Error, Op};
use crate::flow::{Extent, Failure, Intake, Outlet, Pump, Reason, Transfer, Trouble};
use crate::ring::errno::{Class, classify};
use crate::sys;

use super::edge::{Edge, End, Maker};
use super::flow::{Flow, State};
use super::post;

/// Which side of the pump an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

/// What is left to do after a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// nothing: the pump knows
    Told,
    /// wait until the descriptor is ready, then `retry`
    NotReady,
}

impl Way {
    /// What to wait for until a transfer can be tried again.
    pub fn events(self) -> PollFlags {
        match self {
            Way::Read => PollFlags::POLLIN,
            Way::Write => PollFlags::POLLOUT,
        }
    }
}

/// What reading comes to next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// this is to be carried out
    Transfer(Transfer),
    /// zeros, or other bytes, were made, which took no time: they are written before more are made
    Made,
    /// nothing before then
    Wait(Duration),
    /// nothing before something else has happened
    Idle,
}

/// The next read at `now`, after the steps before it that need no waiting.
pub(super) fn next_read(
    flow: &Flow<'_>,
    state: &mut State,
    source: &Edge,
    target: &End,
    mut now: Duration,
) -> Read {
    loop {
        match state.pump.next_read(now) {
            Intake::Read(transfer) => return Read::Transfer(transfer),
            Intake::Zero(transfer) => {
                let (at, len) = (transfer.at as usize, transfer.len as usize);
                flow.arena().buffer(transfer.slot)[at..at + len].fill(0);
                state.pump.read(transfer, transfer.len, now);
                return Read::Made;
            }
            Intake::Map { from } => {
                map(&mut state.pump, source, target, from);
                now = flow.now();
            }
            Intake::Wait(until) => return Read::Wait(until),
            Intake::Idle => return Read::Idle,
        }
    }
}

/// The same where bytes are made, not read.
pub(super) fn next_made(flow: &Flow<'_>, state: &mut State, make: &Maker) -> Read {
    let now = flow.now();
    match state.pump.next_read(now) {
        Intake::Read(transfer) => {
            let (at, len) = (transfer.at as usize, transfer.len as usize);
            let made = make(transfer.offset, &mut flow.arena().buffer(transfer.slot)[at..at + len]);
            state.pump.read(transfer, made as u32, now);
            Read::Made
        }
        Intake::Wait(until) => Read::Wait(until),
        Intake::Idle => Read::Idle,
        Intake::Zero(_) | Intake::Map { .. } => {
            unreachable!("what is made has no holes, and none of it is lost")
        }
    }
}

/// What writing comes to next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Write {
    /// this is to be carried out
    Transfer(Transfer),
    /// nothing before then
    Wait(Duration),
    /// nothing before something else has happened
    Idle,
}

/// The next write, likewise.
pub(super) fn next_write(flow: &Flow<'_>, state: &mut State, target: &Edge, mut now: Duration) -> Write {
    loop {
        match state.pump.next_write(now) {
            Outlet::Write(transfer) => return Write::Transfer(transfer),
            Outlet::Wait(until) => return Write::Wait(until),
            Outlet::Extend { size } => extend(&mut state.pump, target, size),
            Outlet::Search { slot, at, len } => {
                let run = first_data(&flow.arena().view(slot), at, len);
                state.pump.searched(slot, run, flow.now());
            }
            Outlet::Idle => return Write::Idle,
        }
        now = flow.now();
    }
}

/// Tells the pump what became of a transfer.
pub(super) fn settle(
    flow: &Flow<'_>,
    state: &mut State,
    edge: &Edge,
    way: Way,
    transfer: Transfer,
    result: Result<u32, i32>,
    now: Duration,
) -> Settled {
    let pump = &mut state.pump;
    let errno = match (result, way) {
        (Ok(n), Way::Read) => {
            pump.read(transfer, n, now);
            return Settled::Told;
        }
        (Ok(n), Way::Write) => {
            pump.wrote(transfer, n, now);
            return Settled::Told;
        }
        (Err(errno), _) => errno,
    };
    match classify(errno) {
        Class::NotReady if !pump.is_cancelled() => return Settled::NotReady,
        Class::Again | Class::NotReady => pump.retry(transfer),
        Class::Cancelled if pump.is_cancelled() => pump.retry(transfer),
        Class::Refused if pump.retry_buffered(transfer) => {}
        Class::Refused if !transfer.direct && edge.clear_flags() => pump.retry(transfer),
        Class::Ours => panic!("operations use open descriptors and live buffers (errno {errno})"),
        class => {
            let reason = reason(way, errno);
            let verdict = pump.troubled(transfer, reason, trouble(class), now);
            flow.heed(state, transfer, reason, verdict);
        }
    }
    Settled::Told
}

fn trouble(class: Class) -> Trouble {
    match class {
        Class::Fault => Trouble::Fault,
        Class::Full => Trouble::Full,
        _ => Trouble::Final,
    }
}

fn reason(way: Way, errno: i32) -> Reason {
    match way {
        Way::Read => Reason::Read(errno),
        Way::Write => Reason::Write(errno),
    }
}

/// A failure with the path where it happened. `expected` is the length that the source had.
pub fn error_of(failure: Failure, expected: Option<u64>, source: &Path, target: &Path) -> Error {
    let (op, path, cause) = match failure.reason {
        Reason::Read(errno) => (Op::Read, source, Cause::Errno(errno)),
        Reason::Map(errno) => (Op::Seek, source, Cause::Errno(errno)),
        Reason::Shrank => (Op::Read, source, Cause::SourceShrank { expected: expected.unwrap_or(0) }),
        Reason::Write(errno) => (Op::Write, target, Cause::Errno(errno)),
        Reason::WriteZero => (Op::Write, target, Cause::WriteZero),
        Reason::Extend(errno) => (Op::Truncate, target, Cause::Errno(errno)),
        Reason::Allocate(errno) => (Op::Allocate, target, Cause::Errno(errno)),
        Reason::Digest(errno) => (Op::Setup, Path::new("a thread"), Cause::Errno(errno)),
    };
    Error::new(op, path, cause).at(failure.offset)
}

/// Answers where the source's data lies from `from` on, and allocates space for it.
fn map(pump: &mut Pump, source: &Edge, target: &End, from: u64) {
    let base = source.base.unwrap_or(0);
    let extent = match source.has_holes {
        true => sys::holes::extent_at(source.file.as_fd(), base + from),
        false => Ok((true, base + from..u64::MAX)),
    };
    let extent = match extent {
        Ok((true, range)) => Extent::Data(from..range.end.saturating_sub(base)),
        Ok((false, range)) => Extent::Hole(from..range.end.saturating_sub(base)),
        Err(errno) => return pump.fail(Failure { offset: from, reason: Reason::Map(errno as i32) }),
    };
    let is_data = matches!(extent, Extent::Data(_));
    pump.mapped(extent);
    if let (true, End::Edge(target)) = (is_data, target) {
        allocate(pump, target, from);
    }
}

/// Space for the extent that begins at `from`. A full disk is told before anything is written;
/// where space can't be allocated ahead, writes allocate it.
fn allocate(pump: &mut Pump, target: &Edge, from: u64) {
    let len = pump.mapped_to().saturating_sub(from);
    if !target.preallocate || len < u64::from(pump.shape().block_bytes) {
        return;
    }
    let base = target.base.unwrap_or(0);
    let waits = pump.shape().patience.waits_for_room;
    match post::during(Op::Allocate, || sys::space::preallocate(target.file.as_fd(), base + from, len)) {
        // The writes will be told so as well, and wait.
        Err(errno) if waits && classify(errno as i32) == Class::Full => {}
        Err(errno) if matches!(classify(errno as i32), Class::Full | Class::TooLarge) => {
            pump.fail(Failure { offset: from, reason: Reason::Allocate(errno as i32) });
        }
        _ => {}
    }
}

/// Sets the size that the target shows.
fn extend(pump: &mut Pump, target: &Edge, size: u64) {
    let base = target.base.unwrap_or(0);
    if let Err(errno) = sys::space::set_size(target.file.as_fd(), base + size) {
        pump.fail(Failure { offset: size, reason: Reason::Extend(errno as i32) });
    }
}

/// The unit in which runs of zeros become holes, in bytes: a page, the usual block of a file
/// system.
const HOLE_UNIT: usize = 4096;

/// The first run of data in `bytes[at..at + len]`: whole units from the first that isn't zero to
/// the next that is.
fn first_data(bytes: &[u8], at: u32, len: u32) -> Option<std::ops::Range<u32>> {
    let end = (at + len) as usize;
    let units = || (at as usize..end).step_by(HOLE_UNIT).map(|from| from..(from + HOLE_UNIT).min(end));
    let is_zero = |unit: &std::ops::Range<usize>| {
        // Eight bytes at a time: compilers make vector instructions of it.
        let (words, rest) = bytes[unit.clone()].as_chunks::<8>();
        words.iter().all(|word| u64::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
    };
    let start = units().find(|unit| !is_zero(unit))?.start;
    let stop = units().filter(|unit| unit.start > start).find(is_zero).map_or(end, |unit| unit.start);
    Some(start as u32..stop as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_zeros_are_found_in_whole_units() {
        let mut bytes = vec![0u8; 5 * HOLE_UNIT + 100];
        assert_eq!(first_data(&bytes, 0, bytes.len() as u32), None);
        bytes[HOLE_UNIT + 7] = 1;
        bytes[2 * HOLE_UNIT] = 1;
        bytes[5 * HOLE_UNIT + 99] = 1;
        let unit = HOLE_UNIT as u32;
        let end = bytes.len() as u32;
        assert_eq!(first_data(&bytes, 0, end), Some(unit..3 * unit));
        assert_eq!(first_data(&bytes, 3 * unit, end - 3 * unit), Some(5 * unit..end));
    }
}
