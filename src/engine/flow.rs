//! A pump that is being driven: shared by the driver, by callers, and by whoever watches.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::flow::{Failure, LevelStats, Progress, Pump};
use crate::latency::{Interval, Kind, Recorder, Totals};
use crate::ring::Arena;
use crate::sys::cancel::Cancel;

use super::meter::Meter;

/// Takes each interval of latencies as it ends.
pub type IntervalSink = Box<dyn FnMut(&Interval) + Send>;

/// A pump with its arena, its latencies and the means to wake whoever waits for it.
pub struct Flow {
    state: Mutex<State>,
    arena: Arc<Arena>,
    /// wakes the threads of the plain driver
    pub(super) changed: Condvar,
    /// wakes the ring driver
    pub(super) wake: Notify,
    /// wakes callers
    moved: Notify,
    cancel: Cancel,
    meter: Arc<Meter>,
    started: Instant,
}

/// What only one may touch at a time.
pub struct State {
    /// decides
    pub pump: Pump,
    recorder: Recorder,
    sink: Option<IntervalSink>,
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
    /// of the level
    pub level: LevelStats,
    /// of every operation
    pub latency: Totals,
}

impl Flow {
    /// A flow at its start; its clock runs from now on.
    pub fn new(
        pump: Pump,
        arena: &Arc<Arena>,
        cancel: &Cancel,
        meter: &Arc<Meter>,
        interval: Option<(Duration, IntervalSink)>,
    ) -> Flow {
        let (every, sink) = interval.unzip();
        Flow {
            state: Mutex::new(State { pump, recorder: Recorder::new(every), sink }),
            arena: Arc::clone(arena),
            changed: Condvar::new(),
            wake: Notify::new(),
            moved: Notify::new(),
            cancel: cancel.clone(),
            meter: Arc::clone(meter),
            started: Instant::now(),
        }
    }

    /// Since the start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
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

    /// What watchers see is brought up to date.
    pub(super) fn publish(&self, state: &State) {
        self.meter.set(state.pump.progress());
        self.notify();
    }

    /// Records an operation that began at `started` and has just ended.
    pub(super) fn record(&self, kind: Kind, started: Duration) {
        let now = self.now();
        self.lock().record(kind, started, now);
    }

    /// Closes the books. Nothing may be in flight.
    pub fn finish(self) -> Finished {
        let now = self.now();
        let State { pump, recorder, mut sink } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(pump.in_flight(), 0, "a flow ends with nothing in flight");
        let (latency, last) = recorder.finish(now);
        if let (Some(sink), Some(last)) = (&mut sink, &last) {
            sink(last);
        }
        Finished {
            progress: pump.progress(),
            completed_to: pump.completed_to(),
            failure: pump.failure(),
            cancelled: pump.is_cancelled(),
            level: pump.level_stats(now),
            latency,
        }
    }
}

impl State {
    pub(super) fn record(&mut self, kind: Kind, started: Duration, now: Duration) {
        let service_ns = (now.saturating_sub(started)).as_nanos() as u64;
        self.close_intervals(now);
        self.recorder.record(kind, now, service_ns);
    }

    fn close_intervals(&mut self, now: Duration) {
        let Some(sink) = &mut self.sink else { return };
        while let Some(interval) = self.recorder.take_interval(now) {
            sink(&interval);
        }
    }
}
