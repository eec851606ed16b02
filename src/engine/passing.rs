//! Bytes that nobody has to see: the kernel passes them from the source's page cache to the target's,
//! by sendfile(2), which copies them once where a read and a write copy them twice.
//!
//! The pump is told of a block that was passed as of one that was read, and of its write as of one
//! that was made; until then the block is in flight, as any other. Whatever sendfile has to say but
//! a number of bytes, reads and writes find out for themselves: they go on where it stopped.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use nix::unistd::{Whence, lseek};

use crate::flow::{Digesting, Length, Transfer};
use crate::latency::Kind;

use super::edge::Edge;
use super::flow::{Flow, State};
use super::settle::{self, Way};

/// What was passed of one flow that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// bytes that nobody saw; the others were read and written
    pub bytes: u64,
    /// the target may be a byte longer than what has completed: the source had grown, and was cut before
    /// that could be read
    pub may_be_longer: bool,
}

/// What was passed of one flow so far.
pub(super) struct Passing<'a> {
    source: &'a Edge,
    target: &'a Edge,
    /// it was not refused so far
    goes_on: bool,
    /// the target's own position, at which sendfile writes; None: anywhere
    position: Option<u64>,
    /// where in the stream it has ended
    to: u64,
    bytes: u64,
    /// a byte behind the known end was passed, too
    went_on: bool,
}

impl<'a> Passing<'a> {
    /// Nothing of it yet; the target's own position is at `position`, where that is known.
    pub fn new(source: &'a Edge, target: &'a Edge, position: Option<u64>) -> Passing<'a> {
        let simulated = source.simulated.is_some() || target.simulated.is_some();
        assert!(!simulated, "a simulated device is asked about each operation");
        Passing { source, target, goes_on: true, position, to: 0, bytes: 0, went_on: false }
    }

    /// How many bytes went so.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the target may be longer than what the pump was told of: the source had grown by then, and
    /// may have been cut since.
    pub fn went_on(&self) -> bool {
        self.went_on
    }

    /// How many bytes of a write the target has already, from its beginning on.
    pub fn made(&self, transfer: Transfer) -> u32 {
        self.to.saturating_sub(transfer.offset).min(transfer.len.into()) as u32
    }

    /// Passes what is to be read, tells the pump, and says when that was done; None where it is to be read.
    pub fn pass(&mut self, flow: &Flow<'_>, state: &mut State, transfer: Transfer) -> Option<Duration> {
        let shape = state.pump.shape();
        assert!(!shape.find_zeros && shape.digesting == Digesting::Off, "nobody looks at what is passed");
        assert_eq!(shape.slots, 1, "what was passed is told before anything else is read");
        // Behind the length that is known everything is read.
        let known = match shape.length {
            Length::Exact(end) | Length::Expected(end) => end.saturating_sub(transfer.offset),
            Length::Unknown => 0,
        };
        let known = known.min(transfer.len.into());
        if !self.goes_on || known == 0 {
            return None;
        }
        let started = flow.now();
        for (way, edge) in [(Way::Read, self.source), (Way::Write, self.target)] {
            flow.show(way, edge, Some(transfer.offset), true);
        }
        let passed = self.send(transfer);
        for (way, edge) in [(Way::Read, self.source), (Way::Write, self.target)] {
            flow.show(way, edge, None, true);
        }
        let Ok(passed @ 1..) = passed else {
            self.goes_on = false;
            return None;
        };
        let now = flow.now();
        // A byte more was asked for where that tells whether the source goes on. If it does, that byte is
        // read and written again with what follows it.
        let of_block = (passed as u64).min(known);
        self.went_on |= passed as u64 > known;
        flow.ledger().record_at(Kind::Write, started, now, of_block);
        self.to = transfer.offset + of_block;
        self.bytes += of_block;
        settle::settle(flow, state, self.source, Way::Read, transfer, Ok(passed as u32), now);
        Some(now)
    }

    /// sendfile(2) of a transfer, or of its beginning.
    fn send(&mut self, transfer: Transfer) -> Result<usize, Errno> {
        let (from, to) = (self.source.fd(transfer), self.target.fd(transfer));
        let offsets = self.source.offset(transfer).zip(self.target.offset(transfer));
        let (source_at, target_at) = offsets.ok_or(Errno::ESPIPE)?;
        if self.position != Some(target_at) {
            lseek(to, target_at as i64, Whence::SeekSet)?;
        }
        self.position = None;
        let mut at = source_at as i64;
        let sent = sendfile64(to.as_fd(), from.as_fd(), Some(&mut at), transfer.len as usize)?;
        self.position = Some(target_at + sent as u64);
        Ok(sent)
    }
}
