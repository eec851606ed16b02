//! A sweep: a row for each step as it ends, and what they come to.

use highwater::bench::sweep::{Goal, Percentile, Step, Sweep};
use highwater::engine::load::Outcome;
use highwater::report::{self, SweepGoal};
use highwater::units::{format_duration, format_ns};

/// The columns of times.
const SHOWN: [Percentile; 3] = [Percentile::P50, Percentile::P99, Percentile::P99_9];
/// Of the bar that throughput is drawn as.
const BAR: usize = 24;

/// What they came to, as the JSON report has it.
pub fn report(sweep: &Sweep, goal: Option<Goal>) -> report::Sweep {
    let step = |step: &Step| {
        let bytes = step.outcome.read_bytes + step.outcome.write_bytes;
        report::SweepStep {
            depth: step.depth.into(),
            rate_per_s: step.rate_per_s,
            operations: step.outcome.operations,
            operations_per_s: step.operations_per_s,
            throughput_bytes_per_s: report::throughput_bytes_per_s(bytes, step.outcome.elapsed),
            steady: step.steady,
            waiting_operations: step.outcome.waiting,
            latency: report::Latency::service(&step.outcome.latency),
            response: step.rate_per_s.map(|_| report::Latency::response(&step.outcome.latency)),
        }
    };
    report::Sweep {
        steps: sweep.steps.iter().map(step).collect(),
        knee: sweep.knee,
        goal: goal.map(|goal| SweepGoal {
            percentile: goal.percentile.name().to_owned(),
            limit_ns: goal.limit.as_nanos() as u64,
        }),
        best: sweep.best,
    }
}

/// All steps as one outcome.
pub fn merged(steps: Vec<Step>) -> Option<Outcome> {
    steps.into_iter().map(|step| step.outcome).reduce(|mut whole, step| {
        whole.latency.merge(&step.latency);
        whole.elapsed += step.elapsed;
        whole.operations += step.operations;
        whole.read_bytes += step.read_bytes;
        whole.write_bytes += step.write_bytes;
        whole.short += step.short;
        whole.failures += step.failures;
        whole.waiting += step.waiting;
        whole.most_waiting = whole.most_waiting.max(step.most_waiting);
        whole.outstanding = step.outstanding;
        whole.marks = step.marks;
        whole.level.peak_bytes = whole.level.peak_bytes.max(step.level.peak_bytes);
        whole.level.backpressure_events += step.level.backpressure_events;
        whole.level.drain_events += step.level.drain_events;
        whole.level.paused += step.level.paused;
        whole.overrun |= step.overrun;
        whole.interrupted |= step.interrupted;
        whole.errors.extend(step.errors);
        whole.stalls.extend(step.stalls);
        whole
    })
}

/// The steps as a table with bars, the knee and what keeps the goal.
pub fn text(sweep: &Sweep, goal: Option<Goal>) -> String {
    let is_open = sweep.steps.iter().any(|step| step.rate_per_s.is_some());
    let times = if is_open { "response time" } else { "service time" };
    let mut text = format!(
        "{:>9} {:>11} {:>9} {:>9} {:>9}  throughput, and {times} to the left\n",
        if is_open { "rate, /s" } else { "depth" },
        "reached, /s",
        "p50",
        "p99",
        "p99.9"
    );
    let most = sweep.steps.iter().map(|step| step.operations_per_s).fold(0.0, f64::max);
    for (nth, step) in sweep.steps.iter().enumerate() {
        let load = step.rate_per_s.map_or(step.depth.to_string(), |rate| format!("{rate:.0}"));
        let cells =
            SHOWN.map(|percentile| step.worst(percentile).map_or("-".to_owned(), |ns| format_ns(ns as f64)));
        let share = if most > 0.0 { step.operations_per_s / most } else { 0.0 };
        let bar = "█".repeat((share * BAR as f64).round() as usize);
        let marks = [
            (sweep.knee == Some(nth)).then_some("knee"),
            (sweep.best == Some(nth)).then_some("best that keeps the goal"),
            (!step.steady).then_some("not steady"),
        ];
        let marks: Vec<&str> = marks.into_iter().flatten().collect();
        let [p50, p99, p99_9] = cells;
        let line = format!(
            "{load:>9} {:>11.0} {p50:>9} {p99:>9} {p99_9:>9}  {bar:<BAR$} {}",
            step.operations_per_s,
            marks.join(", ")
        );
        text += line.trim_end();
        text += "\n";
    }
    text += "\n";
    let load = |step: &Step| match step.rate_per_s {
        Some(rate) => format!("a rate of {rate:.0}/s"),
        None => format!("a depth of {}", step.depth),
    };
    if let Some(knee) = sweep.knee {
        let step = &sweep.steps[knee];
        text += &format!(
            "knee: {}, {:.0}/s: the most throughput for its latency\n",
            load(step),
            step.operations_per_s
        );
    }
    let Some(Goal { percentile, limit }) = goal else { return text };
    let wanted = format!("{} of at most {}", percentile.name(), format_duration(limit));
    text += &match sweep.best {
        Some(best) => {
            let step = &sweep.steps[best];
            format!("goal: {wanted} is kept up to {}, {:.0}/s\n", load(step), step.operations_per_s)
        }
        None if sweep.steps.iter().all(|step| step.worst(percentile).is_none()) => {
            format!(
                "goal: {} is not known of any step: too few operations, a longer --for has more\n",
                percentile.name()
            )
        }
        None => format!("goal: {wanted} is kept by no step\n"),
    };
    text
}
