//! One load after the other, each heavier than the one before: where the knee is, and which load keeps a
//! goal.

use std::time::Duration;

use crate::engine::News;
use crate::engine::load::{self, Outcome};
use crate::error::Error;
use crate::flow::load::{Arrival, Plan};
use crate::latency::{Interval, Kind, Summary};
use crate::sys::cancel::Cancel;

use super::run::Bench;

/// A percentile that a step has to keep below a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// which
    pub percentile: Percentile,
    /// at most so long
    pub limit: Duration,
}

/// The percentiles that reports have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Percentile {
    P50,
    P90,
    P99,
    P99_9,
    P99_99,
    P99_999,
    P99_9999,
    Max,
}

impl Percentile {
    /// All of them.
    pub const ALL: [Percentile; 8] = [
        Percentile::P50,
        Percentile::P90,
        Percentile::P99,
        Percentile::P99_9,
        Percentile::P99_99,
        Percentile::P99_999,
        Percentile::P99_9999,
        Percentile::Max,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        ["p50", "p90", "p99", "p99.9", "p99.99", "p99.999", "p99.9999", "max"][self as usize]
    }

    /// Of these times, where there are enough of them.
    pub fn of(self, summary: &Summary) -> Option<u64> {
        match self {
            Percentile::P50 => summary.p50_ns,
            Percentile::P90 => summary.p90_ns,
            Percentile::P99 => summary.p99_ns,
            Percentile::P99_9 => summary.p99_9_ns,
            Percentile::P99_99 => summary.p99_99_ns,
            Percentile::P99_999 => summary.p99_999_ns,
            Percentile::P99_9999 => summary.p99_9999_ns,
            Percentile::Max => summary.max_ns,
        }
    }
}

/// One load of a sweep.
pub struct Step {
    /// operations in flight at most
    pub depth: u16,
    /// operations a second that were meant to start; None in a closed loop
    pub rate_per_s: Option<f64>,
    /// that were completed
    pub operations_per_s: f64,
    /// the first half of it was as fast as the second
    pub steady: bool,
    /// what it came to
    pub outcome: Outcome,
}

/// What a sweep came to.
pub struct Sweep {
    /// in the order of their load
    pub steps: Vec<Step>,
    /// the step with the highest throughput for its latency
    pub knee: Option<usize>,
    /// the step with the highest throughput that keeps the goal
    pub best: Option<usize>,
}

/// Hears of a sweep while it lasts.
pub trait Witness: load::Witness {
    /// A step has ended.
    fn step(&mut self, step: &Step);
}

/// Of a step's time, so much is spent before it is measured.
const WARM_UP_PART: u32 = 4;
/// A step's halves may differ by so much of its throughput.
const STEADY_WITHIN: f64 = 0.1;
/// So often a step that isn't steady is measured, all in all.
const ATTEMPTS: u32 = 2;
/// A rate's next one.
const FASTER: f64 = 1.5;
/// A rate is not kept where less than so much of it is completed.
const KEPT: f64 = 0.95;
/// More depth is of no use where throughput has not risen by so much, twice.
const RISES: f64 = 1.05;
/// No sweep has more.
const MOST_STEPS: usize = 40;

impl Step {
    /// The times that count: response times where there are some, of the kind that has the worse ones.
    pub fn worst(&self, percentile: Percentile) -> Option<u64> {
        let kinds = match self.rate_per_s {
            Some(_) => [Kind::ResponseRead, Kind::ResponseWrite],
            None => [Kind::Read, Kind::Write],
        };
        let summaries = kinds.map(|kind| self.outcome.latency.summary(kind));
        Summary::worst(&summaries, |summary| percentile.of(summary))
    }

    /// The mean of all of them, in nanoseconds.
    fn mean_ns(&self) -> f64 {
        let kinds = match self.rate_per_s {
            Some(_) => [Kind::ResponseRead, Kind::ResponseWrite],
            None => [Kind::Read, Kind::Write],
        };
        let summaries = kinds.map(|kind| self.outcome.latency.summary(kind));
        let count: u64 = summaries.iter().map(|summary| summary.count).sum();
        let sum: f64 =
            summaries.iter().map(|summary| summary.mean_ns.unwrap_or(0.0) * summary.count as f64).sum();
        if count == 0 { 0.0 } else { sum / count as f64 }
    }
}

/// Raises the rate of the bench's options, or in a closed loop the depth up to theirs, until more is of
/// no use.
///
/// # Errors
/// Those of [`load::run`]. A step that fails is the last one.
pub fn sweep(
    bench: &Bench,
    goal: Option<Goal>,
    witness: &mut dyn Witness,
    cancel: &Cancel,
) -> Result<Sweep, Error> {
    let whole = bench.plan();
    let mut steps: Vec<Step> = Vec::new();
    let mut next = Some(first(&whole));
    while let Some(plan) = next.take().filter(|_| steps.len() < MOST_STEPS) {
        let step = measure(bench, plan, witness, cancel)?;
        witness.step(&step);
        let ended =
            step.outcome.interrupted || step.outcome.failures > 0 || step.outcome.outstanding.count > 0;
        steps.push(step);
        if !ended {
            let rates: Vec<f64> = steps.iter().map(|step| step.operations_per_s).collect();
            next = heavier(&plan, &whole, &rates);
        }
    }
    let powers = steps.iter().map(|step| power(step.operations_per_s, step.mean_ns()));
    let knee = highest(powers.map(|power| (power > 0.0).then_some(power)));
    let best = goal.and_then(|goal| {
        let keeps = |step: &Step| {
            step.worst(goal.percentile).is_some_and(|ns| u128::from(ns) <= goal.limit.as_nanos())
        };
        highest(steps.iter().map(|step| keeps(step).then_some(step.operations_per_s)))
    });
    Ok(Sweep { steps, knee, best })
}

fn first(whole: &Plan) -> Plan {
    match whole.arrival {
        Arrival::Closed => Plan { depth: 1, ..*whole },
        _ => *whole,
    }
}

/// The next load, where there is a use in it; `rates` are those that were reached so far.
fn heavier(plan: &Plan, whole: &Plan, rates: &[f64]) -> Option<Plan> {
    let reached = *rates.last()?;
    let arrival = match plan.arrival {
        Arrival::Closed => {
            let flat = |pair: &[f64]| pair[1] < pair[0] * RISES;
            let is_flat = rates.len() > 2 && rates[rates.len() - 3..].windows(2).all(flat);
            let depth = plan.depth.saturating_mul(2).min(whole.depth);
            return (depth > plan.depth && !is_flat).then_some(Plan { depth, ..*plan });
        }
        Arrival::Fixed { per_s } if reached >= per_s * KEPT => Arrival::Fixed { per_s: per_s * FASTER },
        Arrival::Poisson { per_s } if reached >= per_s * KEPT => Arrival::Poisson { per_s: per_s * FASTER },
        _ => return None,
    };
    Some(Plan { arrival, ..*plan })
}

/// Throughput for latency, of which the knee has the most (Kleinrock: Power and deterministic rules of
/// thumb for probabilistic problems in computer communications, 1979).
fn power(operations_per_s: f64, mean_ns: f64) -> f64 {
    if mean_ns > 0.0 { operations_per_s / mean_ns } else { 0.0 }
}

fn highest(values: impl Iterator<Item = Option<f64>>) -> Option<usize> {
    let known = values.enumerate().filter_map(|(nth, value)| Some((nth, value?)));
    known.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(nth, _)| nth)
}

fn measure(
    bench: &Bench,
    plan: Plan,
    witness: &mut dyn load::Witness,
    cancel: &Cancel,
) -> Result<Step, Error> {
    let warm_up = Plan { length: plan.length / WARM_UP_PART, ..plan };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let warmed = bench.measure_as(warm_up, None, &mut Halves::new(witness), cancel)?;
        let is_cut = warmed.interrupted || warmed.failures > 0;
        let mut halves = Halves::new(witness);
        let outcome = match is_cut {
            true => warmed,
            false => bench.measure_as(plan, Some(plan.length / 2), &mut halves, cancel)?,
        };
        let steady = halves.are_alike();
        if steady || attempt == ATTEMPTS || outcome.interrupted || outcome.failures > 0 {
            let seconds = outcome.elapsed.as_secs_f64();
            let operations_per_s = if seconds > 0.0 { outcome.operations as f64 / seconds } else { 0.0 };
            let rate_per_s = plan.arrival.per_s();
            return Ok(Step { depth: plan.depth, rate_per_s, operations_per_s, steady, outcome });
        }
    }
}

/// How fast both halves of a step were.
struct Halves<'a> {
    witness: &'a mut dyn load::Witness,
    rates: Vec<f64>,
}

impl Halves<'_> {
    fn new(witness: &mut dyn load::Witness) -> Halves<'_> {
        Halves { witness, rates: Vec::new() }
    }

    fn are_alike(&self) -> bool {
        match self.rates[..] {
            [first, second, ..] => (first - second).abs() <= STEADY_WITHIN * first.max(second),
            _ => false,
        }
    }
}

impl load::Witness for Halves<'_> {
    fn interval(&mut self, interval: &Interval) {
        let of = |kind| interval.histograms.summary(kind).count as f64;
        let seconds = interval.length.as_secs_f64();
        if seconds > 0.0 {
            self.rates.push((of(Kind::Read) + of(Kind::Write)) / seconds);
        }
    }

    fn news(&mut self, news: &News) {
        self.witness.news(news);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_where_throughput_for_latency_is_highest() {
        // A device that serves 4 at a time in 100 us each.
        let steps: Vec<(f64, f64)> = [1.0_f64, 2.0, 4.0, 8.0, 16.0]
            .map(|depth| (depth.min(4.0) * 1e4, 1e5 * (depth / 4.0).max(1.0)))
            .to_vec();
        let powers = steps.iter().map(|(rate, mean_ns)| Some(power(*rate, *mean_ns)));
        assert_eq!(highest(powers), Some(2));
        assert_eq!(highest([None, None].into_iter()), None);
    }

    #[test]
    fn a_sweep_ends_where_more_is_of_no_use() {
        let plan = |arrival, depth| Plan {
            read_percent: 100,
            random: true,
            block_bytes: 4096,
            blocks: 1,
            depth,
            high_water_bytes: u64::MAX,
            low_water_bytes: None,
            limit_bytes_per_s: None,
            arrival,
            length: Duration::from_secs(1),
            operations: u64::MAX,
            sync_every: None,
            seed: 0,
        };
        let whole = plan(Arrival::Closed, 100);
        let depth = |depth, rates: &[f64]| {
            heavier(&plan(Arrival::Closed, depth), &whole, rates).map(|next| next.depth)
        };
        assert_eq!(first(&whole).depth, 1);
        assert_eq!(depth(1, &[10.0]), Some(2));
        assert_eq!(depth(64, &[10.0, 20.0]), Some(100));
        assert_eq!(depth(100, &[10.0, 20.0]), None);
        assert_eq!(depth(4, &[10.0, 20.0, 20.5]), Some(8));
        assert_eq!(depth(8, &[10.0, 20.0, 20.5, 20.0]), None);
        let fixed = plan(Arrival::Fixed { per_s: 100.0 }, 8);
        assert_eq!(heavier(&fixed, &fixed, &[99.0]).unwrap().arrival, Arrival::Fixed { per_s: 150.0 });
        assert_eq!(heavier(&fixed, &fixed, &[90.0]), None);
    }
}
