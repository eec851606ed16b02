//! A pump that is being driven: shared by the driver, by callers, and by whoever watches.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::flow::{Failure, Losses, Progress, Pump, Reason, Transfer, Verdict};
use crate::latency::Kind;
use crate::ring::Arena;
use crate::ring::errno::{Class, classify};
use crate::sys::cancel::Cancel;

use super::digest::Digester;
use super::edge::Edge;
use super::ledger::Ledger;
use super::post::{self, Lane, Post};
use super::settle::Way;

/// Is told how far a flow is, each time that it has come farther: everything before it, in bytes, is
/// with the target. While it takes its time the flow stands still.
pub type Follower<'d> = Box<dyn Fn(u64) + Send + Sync + 'd>;

/// A pump with its arena and the means to wake whoever waits for it. There may be many of them, one
/// after the other and at once, under one ledger.
pub struct Flow<'d> {
    state: Mutex<State>,
    arena: Arc<Arena>,
    /// wakes the threads of the plain driver, and the one that digests
    pub(super) changed: Condvar,
    /// wakes the ring driver
    pub(super) wake: Notify,
    /// wakes callers
    moved: Notify,
    cancel: Cancel,
    ledger: Arc<Ledger>,
    digester: Option<Mutex<Digester<'d>>>,
    post: Option<Arc<Post>>,
    hears: Option<&'d (dyn Fn(Hitch) + Sync)>,
    follower: Option<Follower<'d>>,
}

/// A transfer that failed and is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Hitch {
    /// why, and which way it went
    pub reason: Reason,
    /// in the stream, in bytes
    pub offset: u64,
    /// how many times it has been tried again, this one included
    pub attempt: u32,
    /// in how long
    pub pause: Duration,
}

/// What only one may touch at a time.
pub struct State {
    /// decides
    pub pump: Pump,
    /// what the meter was told
    shown: Progress,
    losses: Losses,
    retries: u64,
    /// the highest attempt that was told of: reads, writes, writes without room
    told: [u32; 3],
    /// what the follower was told
    followed_to: u64,
}

/// What a flow came to.
pub struct Finished {
    /// bytes moved, and holes passed over
    pub progress: Progress,
    /// everything before it, in bytes, is with the target
    pub completed_to: u64,
    /// what stopped it early
    pub failure: Option<Failure>,
    /// somebody stopped it early
    pub cancelled: bool,
    /// what could not be read and became zeros
    pub losses: Losses,
    /// how many times a transfer was tried again
    pub retries: u64,
}

impl<'d> Flow<'d> {
    /// A flow at its start.
    pub fn new(pump: Pump, arena: &Arc<Arena>, cancel: &Cancel, ledger: &Arc<Ledger>) -> Flow<'d> {
        Flow {
            state: Mutex::new(State {
                pump,
                shown: Progress::default(),
                losses: Losses::default(),
                retries: 0,
                told: [0; 3],
                followed_to: 0,
            }),
            arena: Arc::clone(arena),
            changed: Condvar::new(),
            wake: Notify::new(),
            moved: Notify::new(),
            cancel: cancel.clone(),
            ledger: Arc::clone(ledger),
            digester: None,
            post: post::here(),
            hears: None,
            follower: None,
        }
    }

    /// The same, and `hears` is told when a transfer is tried again: once for each attempt on each
    /// side, however many blocks are in flight, and once where a target is full. It is not to wait for
    /// anything.
    pub fn hearing(self, hears: &'d (dyn Fn(Hitch) + Sync)) -> Flow<'d> {
        Flow { hears: Some(hears), ..self }
    }

    /// The same, and this sees its bytes, where the pump's shape has them digested.
    pub fn digested_by(self, digester: Digester<'d>) -> Flow<'d> {
        Flow { digester: Some(Mutex::new(digester)), ..self }
    }

    /// The same, and this hears how far it is.
    pub fn followed_by(self, follower: Follower<'d>) -> Flow<'d> {
        Flow { follower: Some(follower), ..self }
    }

    /// Since the start of the run.
    pub fn now(&self) -> Duration {
        self.ledger.now()
    }

    /// The pump and what belongs to it, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The buffers that the pump's slots name.
    pub fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// What stops it early.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// What it shares with other flows.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Tells the driver that a caller has changed the pump.
    pub fn notify_driver(&self) {
        self.changed.notify_all();
        self.wake.notify_one();
    }

    /// Tells callers that the pump has changed.
    pub fn notify(&self) {
        self.moved.notify_waiters();
    }

    /// Completes after the next change that the driver makes.
    pub fn moved(&self) -> tokio::sync::futures::Notified<'_> {
        self.moved.notified()
    }

    /// Tells the pump to stop, where that was asked for; true where this has told it.
    pub(super) fn cancel_if_asked(&self, state: &mut State) -> bool {
        let told = self.cancel.is_raised() && !state.pump.is_cancelled();
        if told {
            state.pump.cancel();
        }
        told
    }

    /// What watchers see is brought up to date, and other flows hear of it.
    pub(super) fn publish(&self, state: &mut State) {
        let progress = state.pump.progress();
        self.ledger.meter().add(state.shown, progress);
        state.shown = progress;
        if let Some(follower) = &self.follower {
            let to = state.pump.completed_to();
            if to > state.followed_to {
                state.followed_to = to;
                follower(to);
            }
        }
        self.ledger.wake_if_opened();
        self.notify();
        if self.digester.is_some() && (state.pump.has_digest() || state.pump.is_finished()) {
            self.changed.notify_all();
        }
    }

    /// Shows bytes of the stream to whoever digests it.
    pub(super) fn look_at(&self, offset: u64, bytes: &[u8]) {
        if let Some(digester) = &self.digester {
            (digester.lock().unwrap_or_else(PoisonError::into_inner))(offset, bytes);
        }
    }

    /// What is in flight that way: where the oldest operation is, and whether anything has moved. What
    /// may wait for ever is nobody's fault.
    pub(super) fn show(&self, way: Way, edge: &Edge, oldest: Option<u64>, has_moved: bool) {
        if let Some(post) = &self.post
            && !edge.may_block
        {
            let lane = if way == Way::Read { Lane::Read } else { Lane::Write };
            post.show(lane, oldest.map(|oldest| edge.base.unwrap_or(0) + oldest), has_moved);
        }
    }

    /// What became of a transfer that failed.
    pub(super) fn heed(&self, state: &mut State, transfer: Transfer, reason: Reason, verdict: Verdict) {
        match verdict {
            Verdict::Again { attempt, pause } => {
                state.retries += 1;
                let (nth, most) = match reason {
                    Reason::Read(_) => (0, u32::MAX),
                    Reason::Write(errno) if classify(errno) == Class::Full => (2, 1),
                    _ => (1, u32::MAX),
                };
                let is_news = attempt > state.told[nth] && attempt <= most;
                state.told[nth] = state.told[nth].max(attempt);
                if let (true, Some(hears)) = (is_news, self.hears) {
                    hears(Hitch { reason, offset: transfer.offset, attempt, pause });
                }
            }
            Verdict::Lost(range) => {
                let Reason::Read(errno) = reason else { unreachable!("only what is read can be lost") };
                state.losses.add(range, errno);
            }
            Verdict::Narrowed | Verdict::Failed => {}
        }
    }

    /// Records an operation that began at `started` and has just ended.
    pub(super) fn record(&self, kind: Kind, started: Duration) {
        self.ledger.record(kind, started);
    }

    /// Closes it. Nothing may be in flight.
    pub fn finish(self) -> Finished {
        let now = self.now();
        let mut state = self.lock();
        assert_eq!(state.pump.in_flight(), 0, "a flow ends with nothing in flight");
        state.pump.leave(now);
        self.publish(&mut state);
        let losses = std::mem::take(&mut state.losses);
        let pump = &state.pump;
        Finished {
            progress: pump.progress(),
            completed_to: pump.completed_to(),
            failure: pump.failure(),
            cancelled: pump.is_cancelled(),
            losses,
            retries: state.retries,
        }
    }
}
