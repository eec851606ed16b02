//! The driver without io_uring: one thread reads and one writes, over the same pump and arena.

use std::os::fd::AsFd;
use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::poll::PollFlags;

use crate::flow::{Intake, Outlet, Transfer};
use crate::latency::Kind;
use crate::sys;

use super::edge::{Edge, End};
use super::flow::{Flow, State};
use super::settle::{self, Settled, Way};

/// How long a thread may sleep before it looks whether the copy is cancelled.
const NAP: Duration = Duration::from_millis(50);

/// Runs until the flow's pump is finished.
pub(super) fn drive(flow: &Flow, source: &End, target: &End) {
    let driver = Driver { flow, source, target };
    thread::scope(|scope| {
        scope.spawn(|| driver.carry(Way::Read));
        driver.carry(Way::Write);
    });
}

struct Driver<'a> {
    flow: &'a Flow,
    source: &'a End,
    target: &'a End,
}

impl Driver<'_> {
    fn edge(&self, way: Way) -> Option<&Edge> {
        match (way, self.source, self.target) {
            (Way::Read, End::Edge(edge), _) | (Way::Write, _, End::Edge(edge)) => Some(edge),
            _ => None,
        }
    }

    /// One thread's life: take a transfer, carry it out, tell the pump.
    fn carry(&self, way: Way) {
        let Some(edge) = self.edge(way) else { return };
        let kind = match way {
            Way::Read => Kind::Read,
            Way::Write => Kind::Write,
        };
        let mut state = self.flow.lock();
        loop {
            self.cancel_if_asked(&mut state);
            let (transfer, nap) = match way {
                Way::Read => self.next_read(&mut state, edge),
                Way::Write => (self.next_write(&mut state, edge), NAP),
            };
            let Some(transfer) = transfer else {
                self.flow.publish(&state);
                self.flow.changed.notify_all();
                if state.pump.is_finished() {
                    return;
                }
                state = self.sleep(state, nap);
                continue;
            };
            self.flow.changed.notify_all();
            drop(state);
            let started = self.flow.now();
            let result = self.transfer(way, edge, transfer);
            let now = self.flow.now();
            state = self.flow.lock();
            if matches!(result, Ok(n) if n > 0) {
                state.record(kind, started, now);
            }
            self.cancel_if_asked(&mut state);
            if settle::settle(&mut state.pump, edge, way, transfer, result, now) == Settled::NotReady {
                drop(state);
                self.wait_until_ready(way, edge, transfer);
                state = self.flow.lock();
                state.pump.retry(transfer);
            }
            self.flow.publish(&state);
            self.flow.changed.notify_all();
        }
    }

    fn sleep<'f>(&self, state: MutexGuard<'f, State>, nap: Duration) -> MutexGuard<'f, State> {
        let woken = self.flow.changed.wait_timeout(state, nap);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn cancel_if_asked(&self, state: &mut State) {
        if self.flow.cancel().is_raised() && !state.pump.is_cancelled() {
            state.pump.cancel();
        }
    }

    fn next_read(&self, state: &mut State, source: &Edge) -> (Option<Transfer>, Duration) {
        loop {
            let now = self.flow.now();
            match state.pump.next_read(now) {
                Intake::Read(transfer) => return (Some(transfer), NAP),
                Intake::Zero(transfer) => {
                    let (at, len) = (transfer.at as usize, transfer.len as usize);
                    self.flow.arena().buffer(transfer.slot)[at..at + len].fill(0);
                    state.pump.read(transfer, transfer.len, now);
                    self.flow.changed.notify_all();
                }
                Intake::Map { from } => settle::map(&mut state.pump, source, self.target, from),
                Intake::Wait(until) => return (None, until.saturating_sub(now).min(NAP)),
                Intake::Idle => return (None, NAP),
            }
        }
    }

    fn next_write(&self, state: &mut State, target: &Edge) -> Option<Transfer> {
        loop {
            match state.pump.next_write() {
                Outlet::Write(transfer) => return Some(transfer),
                Outlet::Extend { size } => settle::extend(&mut state.pump, target, size),
                Outlet::Search { slot, at, len } => {
                    let run = settle::first_data(&self.flow.arena().buffer(slot), at, len);
                    state.pump.searched(slot, run, self.flow.now());
                }
                Outlet::Idle => return None,
            }
        }
    }

    fn transfer(&self, way: Way, edge: &Edge, transfer: Transfer) -> Result<u32, i32> {
        let mut buffer = self.flow.arena().buffer(transfer.slot);
        let bytes = &mut buffer[transfer.at as usize..][..transfer.len as usize];
        let stream = edge.fd(transfer).as_fd();
        let moved = match way {
            Way::Read if edge.may_block => sys::stream::read(stream, bytes, self.flow.cancel()),
            Way::Write if edge.may_block => sys::stream::write(stream, bytes, self.flow.cancel()),
            Way::Read => edge.read(transfer, bytes),
            Way::Write => edge.write(transfer, bytes),
        };
        moved.map(|n| n as u32).map_err(|errno| errno as i32)
    }

    fn wait_until_ready(&self, way: Way, edge: &Edge, transfer: Transfer) {
        let events = match way {
            Way::Read => PollFlags::POLLIN,
            Way::Write => PollFlags::POLLOUT,
        };
        // Ready, cancelled or failed: the next try tells.
        let _ = sys::stream::wait(edge.fd(transfer).as_fd(), events, self.flow.cancel());
    }
}
