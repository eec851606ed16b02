//! What all flows of a run share: the level that they stand under together, the clock, the
//! latencies, the meter, and the means to wake those that the level held back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::flow::{LevelStats, Marks, SharedLevel, Tuned};
use crate::latency::{Interval, Kind, Recorder, Totals};

use super::meter::Meter;

/// Takes each interval of latencies as it ends.
pub type IntervalSink = Box<dyn FnMut(&Interval) + Send>;

/// See the module. Any number of threads may use it.
pub struct Ledger {
    started: Instant,
    level: Arc<SharedLevel>,
    meter: Arc<Meter>,
    latencies: Mutex<Latencies>,
    /// wakes rings whose pump was refused
    opened: Notify,
    /// likewise threads: how often admission has opened
    openings: AtomicU64,
    gate: Mutex<()>,
    gate_opened: Condvar,
}

struct Latencies {
    /// None once the books are closed
    recorder: Option<Recorder>,
    sink: Option<IntervalSink>,
}

/// What a run came to.
pub struct Books {
    /// of the bytes in flight, over all flows
    pub level: LevelStats,
    /// what became of a mark that finds itself
    pub tuned: Option<Tuned>,
    /// of every operation
    pub latency: Totals,
}

impl Ledger {
    /// At the start of a run; its clock runs from now on. Each interval goes to the sink as it ends.
    pub fn new(marks: Marks, meter: &Arc<Meter>, intervals: Option<(Duration, IntervalSink)>) -> Arc<Ledger> {
        Ledger::under(SharedLevel::new(marks), meter, intervals)
    }

    /// The same, under a level of which nobody else has taken anything.
    pub fn under(
        level: Arc<SharedLevel>,
        meter: &Arc<Meter>,
        intervals: Option<(Duration, IntervalSink)>,
    ) -> Arc<Ledger> {
        let (every, sink) = intervals.unzip();
        Arc::new(Ledger {
            started: Instant::now(),
            level,
            meter: Arc::clone(meter),
            latencies: Mutex::new(Latencies { recorder: Some(Recorder::new(&Kind::SERVICE, every)), sink }),
            opened: Notify::new(),
            openings: AtomicU64::new(0),
            gate: Mutex::new(()),
            gate_opened: Condvar::new(),
        })
    }

    /// Since the start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The level that pumps are to stand under ([`Pump::under`](crate::flow::Pump::under)).
    pub fn level(&self) -> Arc<SharedLevel> {
        Arc::clone(&self.level)
    }

    /// What a progress line looks at.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Records an operation that began at `started` and has just ended.
    pub fn record(&self, kind: Kind, started: Duration) {
        self.record_at(kind, started, self.now(), 0);
    }

    /// The same of a read or write that has moved so many bytes.
    pub fn record_moved(&self, kind: Kind, started: Duration, bytes: u64) {
        self.record_at(kind, started, self.now(), bytes);
    }

    pub(super) fn record_at(&self, kind: Kind, started: Duration, now: Duration, bytes: u64) {
        let service_ns = now.saturating_sub(started).as_nanos() as u64;
        let mut latencies = self.latencies();
        latencies.close_intervals(now);
        let recorder = latencies.recorder.as_mut().expect("nothing is recorded once the books are closed");
        recorder.record(kind, now, service_ns);
        recorder.moved(kind, now, bytes);
    }

    fn latencies(&self) -> MutexGuard<'_, Latencies> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the books: the last interval goes to the sink. Nothing may be in flight, and nothing
    /// be recorded afterwards.
    pub fn finish(&self) -> Books {
        let now = self.now();
        assert_eq!(self.level.in_flight_bytes(), 0, "a run ends with nothing in flight");
        let mut latencies = self.latencies();
        let recorder = latencies.recorder.take().expect("books are closed once");
        let (latency, last) = recorder.finish(now);
        if let (Some(sink), Some(last)) = (&mut latencies.sink, &last) {
            sink(last);
        }
        Books { level: self.level.stats(now), tuned: self.level.what_was_tuned(), latency }
    }

    // ---- waiting for admission ----

    /// To be called after anything was told to a pump of this ledger.
    pub(super) fn wake_if_opened(&self) {
        self.meter.set_mark(self.level.high_bytes());
        if let Some(bound) = self.level.bound() {
            self.meter.set_bound(bound);
        }
        if self.level.take_opened() {
            self.opened.notify_waiters();
            self.openings.fetch_add(1, Ordering::SeqCst);
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
            self.gate_opened.notify_all();
        }
    }

    /// Completes when admission has opened; enabled before a pump asks, it misses nothing.
    pub(super) fn opened(&self) -> tokio::sync::futures::Notified<'_> {
        self.opened.notified()
    }

    /// How often admission has opened; to be read before a pump asks.
    pub(super) fn openings(&self) -> u64 {
        self.openings.load(Ordering::SeqCst)
    }

    /// Waits until admission has opened since `openings`, for at most `nap`.
    pub(super) fn wait_opened(&self, openings: u64, nap: Duration) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = |_: &mut ()| self.openings() == openings;
        drop(self.gate_opened.wait_timeout_while(gate, nap, closed));
    }
}

impl Latencies {
    fn close_intervals(&mut self, now: Duration) {
        let (Some(sink), Some(recorder)) = (&mut self.sink, &mut self.recorder) else { return };
        while let Some(interval) = recorder.take_interval(now) {
            sink(&interval);
        }
    }
}
