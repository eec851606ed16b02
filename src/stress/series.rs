//! What was written interval by interval, as long as the run lasts, in bounded memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::IntervalSink;
use crate::latency::Interval;

use super::cliff::Step;

/// Once there are more, pairs of them become one.
const MOST_STEPS: usize = 8192;
/// How long an interval is where nobody says.
const INTERVAL: Duration = Duration::from_secs(1);

/// Intervals of a run.
#[derive(Clone, Default)]
pub(super) struct Series(Arc<Mutex<Vec<Step>>>);

impl Series {
    /// Takes each interval as it ends, and hands it on.
    pub fn tee(&self, to: Option<(Duration, IntervalSink)>) -> (Duration, IntervalSink) {
        let (every, mut sink) = to.map_or((INTERVAL, None), |(every, sink)| (every, Some(sink)));
        let series = self.clone();
        let tee = move |interval: &Interval| {
            series.push(interval);
            if let Some(sink) = &mut sink {
                sink(interval);
            }
        };
        (every, Box::new(tee))
    }

    fn push(&self, interval: &Interval) {
        let mut steps = self.steps();
        if steps.len() >= MOST_STEPS {
            *steps = steps.chunks(2).map(sum).collect();
        }
        let Interval { start, length, write_bytes, .. } = *interval;
        steps.push(Step { start, length, bytes: write_bytes });
    }

    /// Those until `end`, of which the last one is cut there.
    pub fn until(&self, end: Duration) -> Vec<Step> {
        let cut = |step: &Step| Step { length: step.length.min(end.saturating_sub(step.start)), ..*step };
        self.steps().iter().filter(|step| step.start < end).map(cut).collect()
    }

    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sum(pair: &[Step]) -> Step {
    Step {
        start: pair[0].start,
        length: pair.iter().map(|step| step.length).sum(),
        bytes: pair.iter().map(|step| step.bytes).sum(),
    }
}
