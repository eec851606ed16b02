//! The driver without io_uring: one thread reads and one writes, over the same pump and arena.

use std::os::fd::AsFd;
use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::flow::Transfer;
use crate::latency::Kind;
use crate::sys;

use super::edge::{Edge, End, Maker};
use super::flow::{Flow, State};
use super::settle::{self, Read, Settled, Way, Write};

/// How long a thread may sleep before it looks whether the copy is cancelled.
const NAP: Duration = Duration::from_millis(50);

/// Runs until the flow's pump is finished.
pub(super) fn drive(flow: &Flow<'_>, source: &End, target: &End) {
    let driver = Driver { flow, source, target };
    thread::scope(|scope| {
        scope.spawn(|| match source {
            End::Made(make) => driver.make(make),
            End::Edge(_) | End::Caller | End::Nowhere => driver.carry(Way::Read),
        });
        driver.carry(Way::Write);
    });
}

struct Driver<'a, 'd> {
    flow: &'a Flow<'d>,
    source: &'a End,
    target: &'a End,
}

impl Driver<'_, '_> {
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
            self.flow.cancel_if_asked(&mut state);
            let openings = self.flow.ledger().openings();
            let (transfer, nap) = match way {
                Way::Read => self.next_read(&mut state, edge),
                Way::Write => match settle::next_write(self.flow, &mut state, edge, self.flow.now()) {
                    Write::Transfer(transfer) => (Some(transfer), NAP),
                    Write::Wait(until) => (None, self.nap(until)),
                    Write::Idle => (None, NAP),
                },
            };
            let Some(transfer) = transfer else {
                self.flow.publish(&mut state);
                self.flow.changed.notify_all();
                if state.pump.is_finished() {
                    return;
                }
                state = match way == Way::Read && state.pump.is_starved() {
                    // Only other flows can let it in.
                    true => {
                        drop(state);
                        self.flow.ledger().wait_opened(openings, nap);
                        self.flow.lock()
                    }
                    false => self.sleep(state, nap),
                };
                continue;
            };
            self.flow.changed.notify_all();
            drop(state);
            let started = self.flow.now();
            self.flow.show(way, edge, Some(transfer.offset), true);
            let result = self.transfer(way, edge, transfer);
            self.flow.show(way, edge, None, true);
            let now = self.flow.now();
            if let Ok(n @ 1..) = result {
                self.flow.ledger().record_at(kind, started, now, n.into());
            }
            state = self.flow.lock();
            self.flow.cancel_if_asked(&mut state);
            if settle::settle(self.flow, &mut state, edge, way, transfer, result, now) == Settled::NotReady {
                drop(state);
                // Ready, cancelled or failed: the next try tells.
                let stream = edge.fd(transfer).as_fd();
                let _ = sys::stream::wait(stream, way.events(), self.flow.cancel());
                state = self.flow.lock();
                state.pump.retry(transfer);
            }
            self.flow.publish(&mut state);
            self.flow.changed.notify_all();
        }
    }

    /// The reading thread's life where bytes are made.
    fn make(&self, make: &Maker) {
        let mut state = self.flow.lock();
        loop {
            self.flow.cancel_if_asked(&mut state);
            let openings = self.flow.ledger().openings();
            let nap = match settle::next_made(self.flow, &mut state, make) {
                Read::Made => {
                    self.flow.changed.notify_all();
                    // The writing thread gets its turn.
                    drop(state);
                    state = self.flow.lock();
                    continue;
                }
                Read::Wait(until) => self.nap(until),
                Read::Idle => NAP,
                Read::Transfer(_) => unreachable!("only a descriptor is read"),
            };
            self.flow.publish(&mut state);
            self.flow.changed.notify_all();
            if state.pump.is_finished() {
                return;
            }
            state = match state.pump.is_starved() {
                true => {
                    drop(state);
                    self.flow.ledger().wait_opened(openings, nap);
                    self.flow.lock()
                }
                false => self.sleep(state, nap),
            };
        }
    }

    fn nap(&self, until: Duration) -> Duration {
        until.saturating_sub(self.flow.now()).min(NAP)
    }

    fn sleep<'f>(&self, state: MutexGuard<'f, State>, nap: Duration) -> MutexGuard<'f, State> {
        let woken = self.flow.changed.wait_timeout(state, nap);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn next_read(&self, state: &mut State, source: &Edge) -> (Option<Transfer>, Duration) {
        loop {
            match settle::next_read(self.flow, state, source, self.target, self.flow.now()) {
                Read::Transfer(transfer) => return (Some(transfer), NAP),
                Read::Made => self.flow.changed.notify_all(),
                Read::Wait(until) => return (None, self.nap(until)),
                Read::Idle => return (None, NAP),
            }
        }
    }

    fn transfer(&self, way: Way, edge: &Edge, transfer: Transfer) -> Result<u32, i32> {
        let (arena, cancel, stream) = (self.flow.arena(), self.flow.cancel(), edge.fd(transfer).as_fd());
        if !edge.may_block {
            return edge.call(arena, way, transfer);
        }
        edge.serve(way, transfer, |len| {
            let part = transfer.at as usize..(transfer.at + len) as usize;
            match way {
                Way::Read => sys::stream::read(stream, &mut arena.buffer(transfer.slot)[part], cancel),
                Way::Write => sys::stream::write(stream, &arena.view(transfer.slot)[part], cancel),
            }
        })
    }
}
