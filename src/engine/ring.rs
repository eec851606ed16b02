//! The driver over io_uring: one thread, three phases a turn: submit what the pump wants, wait for
//! completions, tell the pump. An operation in flight is never dropped.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::futures::Notified;

use crate::flow::Transfer;
use crate::latency::Kind;
use crate::ring::{Done, InFlight, Ring, Watch};
use crate::sys::cancel::Cancel;

use super::edge::{Edge, End};
use super::flow::{Flow, State};
use super::settle::{self, Read, Settled, Way, Write};

/// Runs until the flow's pump is finished; inside [`Ring::block_on`].
pub(super) async fn drive(ring: &Ring, flow: &Flow<'_>, source: &End, target: &End) {
    let mut driver = Driver {
        ring,
        flow,
        source,
        target,
        running: Vec::new(),
        withdrawals: Vec::new(),
        completed: Vec::new(),
        has_moved: [false; 2],
    };
    let cancel = Watch::new(flow.cancel().clone());
    loop {
        let mut opened = pin!(flow.ledger().opened());
        opened.as_mut().enable();
        let wait_until = {
            let mut state = flow.lock();
            driver.settle(&mut state);
            driver.cancel_if_asked(&mut state);
            let wait_until = driver.submit(&mut state);
            driver.show();
            flow.publish(&mut state);
            if state.pump.is_finished() && driver.is_idle() {
                return;
            }
            wait_until
        };
        driver.wait(&cancel, opened, wait_until).await;
    }
}

/// What an operation in flight is for.
enum What {
    Transfer(Way),
    /// until the descriptor is ready, then the transfer is tried again
    Readiness,
}

struct Running {
    what: What,
    transfer: Transfer,
    started: Duration,
    operation: InFlight,
    /// a simulated device does not let it complete before
    due: Option<Instant>,
    /// it has completed in truth, and `operation` is until then
    held: Option<Done>,
}

struct Driver<'a, 'd> {
    ring: &'a Ring,
    flow: &'a Flow<'d>,
    source: &'a End,
    target: &'a End,
    running: Vec<Running>,
    /// cancellations of operations that might never complete
    withdrawals: Vec<InFlight>,
    completed: Vec<(What, Transfer, Duration, Done)>,
    /// reads and writes, since this was last shown
    has_moved: [bool; 2],
}

impl Driver<'_, '_> {
    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.withdrawals.is_empty() && self.completed.is_empty()
    }

    // ---- submit ----

    /// Submits all there is; when there may be more, where nothing else happens before.
    fn submit(&mut self, state: &mut State) -> Option<Duration> {
        let mut writable = self.submit_writes(state);
        let readable = loop {
            let next = match self.source {
                End::Edge(source) => {
                    settle::next_read(self.flow, state, source, self.target, self.flow.now())
                }
                End::Made(make) => settle::next_made(self.flow, state, make),
                End::Caller | End::Nowhere => return writable,
            };
            match (next, self.source) {
                (Read::Transfer(transfer), End::Edge(source)) => self.start(Way::Read, source, transfer),
                (Read::Transfer(_), _) => unreachable!("only a descriptor is read"),
                (Read::Made, _) => writable = self.submit_writes(state),
                (Read::Wait(until), _) => break Some(until),
                (Read::Idle, _) => break None,
            }
        };
        readable.into_iter().chain(writable).min()
    }

    fn submit_writes(&mut self, state: &mut State) -> Option<Duration> {
        let End::Edge(target) = self.target else { return None };
        loop {
            match settle::next_write(self.flow, state, target, self.flow.now()) {
                Write::Transfer(transfer) => self.start(Way::Write, target, transfer),
                Write::Wait(until) => return Some(until),
                Write::Idle => return None,
            }
        }
    }

    fn start(&mut self, way: Way, edge: &Edge, transfer: Transfer) {
        let started = self.flow.now();
        if edge.by_call {
            self.flow.show(way, edge, Some(transfer.offset), true);
            let result = edge.call(self.flow.arena(), way, transfer);
            let done = Done { result, buffer: None };
            return self.completed.push((What::Transfer(way), transfer, started, done));
        }
        let service = edge
            .simulated
            .as_ref()
            .map(|simulated| simulated.begin_transfer(way, transfer, edge.base.unwrap_or(0)));
        let due = service.map(|service| service.due);
        let len = match service.map_or(Ok(transfer.len), |service| service.outcome) {
            Ok(len) => len,
            Err(errno) => {
                let done = Done { result: Err(errno), buffer: None };
                let Some(due) = due.filter(|due| *due > Instant::now()) else {
                    return self.completed.push((What::Transfer(way), transfer, started, done));
                };
                let (what, operation, held) = (What::Transfer(way), self.ring.at(due), Some(done));
                return self.running.push(Running { what, transfer, started, operation, due: None, held });
            }
        };
        let part = (transfer.at, len);
        let (fd, offset, flags) = (edge.fd(transfer), edge.offset(transfer), edge.flags(transfer));
        let (arena, slot) = (self.flow.arena(), transfer.slot);
        let operation = match way {
            Way::Read => self.ring.read(fd, arena.buffer(slot), part, offset, flags),
            Way::Write => self.ring.write(fd, arena.view(slot), part, offset, flags),
        };
        self.running.push(Running {
            what: What::Transfer(way),
            transfer,
            started,
            operation,
            due,
            held: None,
        });
    }

    /// Shows whoever watches what is in flight, and that something has moved.
    fn show(&mut self) {
        for (way, end) in [(Way::Read, self.source), (Way::Write, self.target)] {
            let End::Edge(edge) = end else { continue };
            let is_this_way =
                |running: &&Running| matches!(running.what, What::Transfer(other) if other == way);
            let oldest = self.running.iter().find(is_this_way).map(|running| running.transfer.offset);
            self.flow.show(way, edge, oldest, std::mem::take(&mut self.has_moved[way as usize]));
        }
    }

    /// Tells the pump to stop, and withdraws what might wait for ever.
    fn cancel_if_asked(&mut self, state: &mut State) {
        if !self.flow.cancel_if_asked(state) {
            return;
        }
        for end in [self.source, self.target] {
            if let End::Edge(Edge { file, may_block: true, .. }) = end {
                self.withdrawals.push(self.ring.withdraw(file));
            }
        }
    }

    // ---- wait ----

    /// Until something completed, the time has come, a caller moved, the level opened or the copy is
    /// cancelled.
    async fn wait(
        &mut self,
        cancel: &Watch<Cancel>,
        mut opened: Pin<&mut Notified<'_>>,
        until: Option<Duration>,
    ) {
        if !self.completed.is_empty() {
            return submit_now().await;
        }
        let mut woken = pin!(self.flow.wake.notified());
        let pause = until.map(|at| at.saturating_sub(self.flow.now()));
        let mut alarm = pin!(async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|context| {
            let completed = self.poll_operations(context);
            let woken = woken.as_mut().poll(context).is_ready();
            let alarm = alarm.as_mut().poll(context).is_ready();
            let opened = opened.as_mut().poll(context).is_ready();
            let cancelled = cancel.poll_news(context);
            match completed || woken || alarm || opened || cancelled {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn poll_operations(&mut self, context: &mut Context<'_>) -> bool {
        let before = self.withdrawals.len();
        self.withdrawals.retain_mut(|operation| Pin::new(operation).poll(context).is_pending());
        let mut nth = 0;
        while nth < self.running.len() {
            match Pin::new(&mut self.running[nth].operation).poll(context) {
                Poll::Pending => nth += 1,
                Poll::Ready(done) => {
                    let running = &mut self.running[nth];
                    if let Some(due) = running.due.take().filter(|due| *due > Instant::now()) {
                        running.held = Some(done);
                        running.operation = self.ring.at(due);
                        continue;
                    }
                    let Running { what, transfer, started, held, .. } = self.running.remove(nth);
                    self.completed.push((what, transfer, started, held.unwrap_or(done)));
                }
            }
        }
        self.withdrawals.len() < before || !self.completed.is_empty()
    }

    // ---- tell ----

    fn settle(&mut self, state: &mut State) {
        let now = self.flow.now();
        let mut completed = std::mem::take(&mut self.completed);
        for (what, transfer, started, done) in completed.drain(..) {
            // The buffer is free for the slot's next operation before the pump hands one out.
            drop(done.buffer);
            match what {
                What::Readiness => state.pump.retry(transfer),
                What::Transfer(way) => self.settle_transfer(state, way, transfer, started, done.result, now),
            }
        }
        self.completed = completed;
    }

    fn settle_transfer(
        &mut self,
        state: &mut State,
        way: Way,
        transfer: Transfer,
        started: Duration,
        result: Result<u32, i32>,
        now: Duration,
    ) {
        let (end, kind) = match way {
            Way::Read => (self.source, Kind::Read),
            Way::Write => (self.target, Kind::Write),
        };
        self.has_moved[way as usize] = true;
        let End::Edge(edge) = end else { unreachable!("only a descriptor has operations in flight") };
        if let Ok(n @ 1..) = result {
            self.flow.ledger().record_at(kind, started, now, n.into());
        }
        if settle::settle(self.flow, state, edge, way, transfer, result, now) == Settled::NotReady {
            let operation = self.ring.ready(edge.fd(transfer), way.events().bits());
            let (what, due, held) = (What::Readiness, None, None);
            self.running.push(Running { what, transfer, started, operation, due, held });
        }
    }
}

/// Has what is queued submitted, without waiting for anything: the runtime submits when its
/// thread would sleep, from which this wakes it at once.
async fn submit_now() {
    let mut woken = false;
    poll_fn(|context| match std::mem::replace(&mut woken, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
