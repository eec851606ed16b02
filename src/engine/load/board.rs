//! What a load's drivers and the thread that asked for it share: what is in flight since when, what was
//! recorded, and how it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::post::{Lane, Wait};
use crate::error::{Cause, Error, Op};
use crate::flow::load::{Action, Load, Next, Operation, Plan};
use crate::latency::{Interval, Kind, Recorder};
use crate::ring::errno::{Class, classify};
use crate::sys::cancel::Cancel;

use super::{Message, Outcome, Outstanding};

/// So many failures are kept; more are counted.
const MOST_ERRORS: usize = 100;

/// See the module.
pub(super) struct Board {
    began: Instant,
    pub plan: Plan,
    path: PathBuf,
    cancel: Cancel,
    state: Mutex<State>,
    /// for threads that the marks hold back
    opened: Condvar,
    ended: AtomicBool,
    /// how many operations of each lane have completed
    turns: [AtomicU64; 3],
}

/// What only one thread at a time may look at.
pub(super) struct State {
    pub load: Load,
    /// by place
    out: Box<[Option<Out>]>,
    /// None once the outcome is told
    recorder: Option<Recorder>,
    tell: Sender<Message>,
    operations: u64,
    read_bytes: u64,
    write_bytes: u64,
    short: u64,
    failures: u64,
    errors: Vec<Error>,
    interrupted: bool,
    /// when the last one completed, or none was begun any more
    last: Duration,
    waiting: u64,
    /// threads that wait for room under the marks
    held_back: u16,
}

/// An operation in flight.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub operation: Operation,
    started: Duration,
}

/// What is to be done about a completion.
pub(super) enum Settled {
    Done,
    /// submit it once more, in the same place
    Again(Operation),
}

impl Board {
    pub fn new(
        plan: Plan,
        kinds: &[Kind],
        interval: Option<Duration>,
        path: PathBuf,
        cancel: Cancel,
        tell: Sender<Message>,
    ) -> Board {
        let state = State {
            load: Load::new(plan),
            out: (0..plan.depth).map(|_| None).collect(),
            // What it records is not to wait for what records it.
            recorder: Some(Recorder::new(kinds, interval).at_hand()),
            tell,
            operations: 0,
            read_bytes: 0,
            write_bytes: 0,
            short: 0,
            failures: 0,
            errors: Vec::new(),
            interrupted: false,
            last: Duration::ZERO,
            waiting: 0,
            held_back: 0,
        };
        let (ended, turns) = (AtomicBool::new(false), Default::default());
        Board {
            began: Instant::now(),
            plan,
            path,
            cancel,
            state: Mutex::new(state),
            opened: Condvar::new(),
            ended,
            turns,
        }
    }

    pub fn now(&self) -> Duration {
        self.time_at(Instant::now())
    }

    /// What [`Board::now`] said then.
    pub fn time_at(&self, clock: Instant) -> Duration {
        clock - self.began
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an operation has completed, or for so long.
    pub fn wait_for_room(&self, mut state: MutexGuard<'_, State>, at_most: Duration) {
        state.held_back += 1;
        let waited = self.opened.wait_timeout(state, at_most);
        waited.unwrap_or_else(PoisonError::into_inner).0.held_back -= 1;
    }

    /// An operation has completed: whoever waits for that looks again.
    pub fn tell_room(&self, state: &State) {
        if state.held_back > 0 {
            self.opened.notify_all();
        }
    }

    /// Whether nothing more is begun.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The next operation, which then is out at `place`; or what to wait for.
    pub fn next(&self, state: &mut State, now: Duration, place: impl FnOnce() -> u16) -> Next {
        if self.cancel.is_raised() {
            state.interrupted |= !self.has_ended();
            state.load.stop(now);
        }
        let next = state.load.next(now);
        match next {
            Next::Start(operation) => {
                state.out[usize::from(place())] = Some(Out { operation, started: now });
            }
            Next::Done if !self.ended.swap(true, Ordering::Relaxed) => {
                state.last = now;
                state.abandon(now);
            }
            _ => {}
        }
        next
    }

    /// The operation at `place` has completed.
    pub fn settle(&self, state: &mut State, place: u16, result: Result<u32, i32>, now: Duration) -> Settled {
        let out = state.out[usize::from(place)].expect("only what is out completes");
        let operation = out.operation;
        let (op, lane) = names(operation.action);
        if let Err(errno) = result
            && matches!(classify(errno), Class::Again | Class::NotReady)
        {
            return Settled::Again(operation);
        }
        state.out[usize::from(place)] = None;
        state.load.completed(operation.action, now);
        self.turns[lane as usize].fetch_add(1, Ordering::Relaxed);
        let moved = match (result, operation.action) {
            (Ok(_), Action::Sync) => Ok(0),
            (Ok(0), Action::Write) => Err(Cause::WriteZero),
            (Ok(0), Action::Read) => {
                Err(Cause::TargetShrank { expected: self.plan.blocks * u64::from(self.plan.block_bytes) })
            }
            (Ok(moved), _) => Ok(moved),
            (Err(errno), _) => Err(Cause::Errno(errno)),
        };
        match moved {
            Ok(moved) => {
                state.short += u64::from(moved < self.plan.block_bytes && operation.action != Action::Sync);
                state.record(&out, u64::from(moved), now);
            }
            Err(cause) => {
                state.failures += 1;
                if state.errors.len() < MOST_ERRORS {
                    let error = Error::new(op, &self.path, cause);
                    let has_place = operation.action != Action::Sync;
                    state.errors.push(if has_place { error.at(operation.offset) } else { error });
                }
                state.load.stop(now);
            }
        }
        state.last = now;
        Settled::Done
    }

    /// What is waited for, as stalls are told from it.
    pub fn waits(&self) -> impl Iterator<Item = (usize, Wait)> {
        let state = self.lock();
        let mut oldest: [Option<Out>; 3] = [None; 3];
        for out in state.out.iter().flatten() {
            let kept = &mut oldest[names(out.operation.action).1 as usize];
            if kept.is_none_or(|kept| out.started < kept.started) {
                *kept = Some(*out);
            }
        }
        Lane::ALL
            .map(|lane| {
                let turn = self.turns[lane as usize].load(Ordering::Relaxed);
                oldest[lane as usize].map(|out| (0, Wait { lane, turn, offset: out.operation.offset }))
            })
            .into_iter()
            .flatten()
    }

    /// Which operation a lane is at, and on what.
    pub fn what(&self, lane: Lane) -> (Op, PathBuf) {
        let op = match lane {
            Lane::Read => Op::Read,
            Lane::Write => Op::Write,
            Lane::Call => Op::Sync,
        };
        (op, self.path.clone())
    }

    /// Tells what it came to. What is still out is recorded with its age, and whatever becomes of it later
    /// is heard by nobody.
    pub fn finish(&self) -> (Outcome, Option<Interval>) {
        let mut state = self.lock();
        let now = self.now();
        if !self.ended.swap(true, Ordering::Relaxed) {
            // The driver itself hangs.
            state.interrupted |= self.cancel.is_raised();
            state.load.stop(now);
            state.last = now;
            state.abandon(now);
        }
        let mut outstanding = Outstanding::default();
        for nth in 0..state.out.len() {
            let Some(out) = state.out[nth] else { continue };
            outstanding.count += 1;
            outstanding.oldest = outstanding.oldest.max(now - out.started);
            state.record_times(&out, now);
        }
        let recorder = state.recorder.take().expect("an outcome is told once");
        // What was waited for in vain is not part of the run's time.
        let end = if outstanding.count > 0 { now } else { state.last };
        let (latency, last) = recorder.finish(end);
        let outcome = Outcome {
            latency,
            elapsed: state.last,
            operations: state.operations,
            read_bytes: state.read_bytes,
            write_bytes: state.write_bytes,
            short: state.short,
            outstanding,
            waiting: state.waiting,
            most_waiting: state.load.most_waiting(),
            marks: state.load.marks(),
            level: state.load.level_stats(now),
            overrun: state.load.is_overrun(),
            interrupted: state.interrupted,
            failures: state.failures,
            errors: std::mem::take(&mut state.errors),
            stalls: Vec::new(),
            is_ring: false,
            registered: false,
            buffers: 0,
            notes: Vec::new(),
        };
        (outcome, last)
    }
}

impl State {
    /// Whether the outcome has been told: nobody asks any more.
    pub fn is_told(&self) -> bool {
        self.recorder.is_none()
    }

    /// Hands over the intervals that have ended.
    pub fn close_intervals(&mut self, now: Duration) {
        let Some(recorder) = &mut self.recorder else { return };
        while let Some(interval) = recorder.take_interval(now) {
            // Who asked listens until the outcome is told.
            let _ = self.tell.send(Message::Interval(Box::new(interval)));
        }
    }

    /// All is done.
    pub fn tell_finished(&self) {
        let _ = self.tell.send(Message::Finished);
    }

    /// Those that arrived and will not be submitted: they have waited for so long.
    fn abandon(&mut self, now: Duration) {
        let Some(recorder) = &mut self.recorder else { return };
        while let Some(operation) = self.load.abandon() {
            let Some(intended) = operation.intended else { continue };
            let age_ns = now.saturating_sub(intended).as_nanos() as u64;
            let response = kind(operation.action).response().expect("a service time has a response time");
            recorder.record(response, now, age_ns);
            recorder.record(Kind::Admission, now, age_ns);
            self.waiting += u64::from(operation.action != Action::Sync);
        }
    }

    fn record(&mut self, out: &Out, moved: u64, now: Duration) {
        self.record_times(out, now);
        let kind = kind(out.operation.action);
        if let Some(recorder) = &mut self.recorder {
            recorder.moved(kind, now, moved);
        }
        match out.operation.action {
            Action::Read => self.read_bytes += moved,
            Action::Write => self.write_bytes += moved,
            Action::Sync => return,
        }
        self.operations += 1;
    }

    fn record_times(&mut self, out: &Out, now: Duration) {
        let Some(recorder) = &mut self.recorder else { return };
        let ns = |from: Duration, to: Duration| to.saturating_sub(from).as_nanos() as u64;
        let kind = kind(out.operation.action);
        recorder.record(kind, now, ns(out.started, now));
        if let Some(intended) = out.operation.intended {
            let response = kind.response().expect("a service time has a response time");
            recorder.record(response, now, ns(intended, now));
            recorder.record(Kind::Admission, now, ns(intended, out.started));
        }
    }
}

fn kind(action: Action) -> Kind {
    match action {
        Action::Read => Kind::Read,
        Action::Write => Kind::Write,
        Action::Sync => Kind::Sync,
    }
}

fn names(action: Action) -> (Op, Lane) {
    match action {
        Action::Read => (Op::Read, Lane::Read),
        Action::Write => (Op::Write, Lane::Write),
        Action::Sync => (Op::Sync, Lane::Call),
    }
}

#[cfg(test)]
mod tests;
