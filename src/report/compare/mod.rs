//! Runs side by side: is the second slower than the first, or is that what intervals of one run differ by
//! anyway?

mod bootstrap;
mod table;

pub use table::write_comparison;

use std::collections::BTreeMap;

use super::page::Named;
use super::{Interval, Recorded};
use crate::latency::{Kind, Summary};
use bootstrap::{Ratio as Range, Series, Statistic};

/// A run of fewer intervals tells nothing about how they differ.
pub const FEWEST_INTERVALS: usize = 10;
/// All verdicts together hold in 95 of 100.
const ERROR: f64 = 0.05;
const SEED: u64 = 0x6869_6768;

/// A run beside the first one.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// the run that all are compared with
    pub first: &'a Named,
    /// the run that is judged
    pub second: &'a Named,
    /// what is compared, in the order of reports
    pub rows: Vec<Row>,
    /// why there are no verdicts, where there are none
    pub reason: Option<String>,
}

/// One number of both runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// of which operations; None for throughput
    pub kind: Option<Kind>,
    /// which number: `p99`
    pub name: &'static str,
    /// of the first run and the second, in nanoseconds or bytes a second
    pub values: [Option<f64>; 2],
    /// of the second to the first
    pub ratio: Option<f64>,
    /// where that ratio lies, at 95 % over all rows
    pub interval: Option<(f64, f64)>,
    /// what comes of it
    pub verdict: Verdict,
}

/// What can be said of the second run beside the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// better at 95 %
    Better,
    /// worse at 95 %
    Worse,
    /// no difference is shown
    NoDifference,
    /// one of the runs has too few samples
    TooFew,
    /// a number that is shown and not judged
    None,
}

/// What is judged of times.
type Time = (&'static str, Statistic, fn(&Summary) -> Option<f64>);

const TIMES: [Time; 5] = [
    ("mean", Statistic::Mean, |s| s.mean_ns),
    ("p50", Statistic::Quantile(0.5), |s| s.p50_ns.map(|ns| ns as f64)),
    ("p90", Statistic::Quantile(0.9), |s| s.p90_ns.map(|ns| ns as f64)),
    ("p99", Statistic::Quantile(0.99), |s| s.p99_ns.map(|ns| ns as f64)),
    ("p99.9", Statistic::Quantile(0.999), |s| s.p99_9_ns.map(|ns| ns as f64)),
];

/// Each run but the first beside the first, which there must be.
///
/// Verdicts hold together: the more rows, the wider their intervals.
pub fn compare(runs: &[Named]) -> Vec<Comparison<'_>> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let family: usize = others.iter().map(|second| judged(&first.run, &second.run)).sum();
    others.iter().map(|second| Comparison::of(first, second, family)).collect()
}

/// How many rows will have a verdict.
fn judged(first: &Recorded, second: &Recorded) -> usize {
    let times = kinds(first, second).into_iter().flat_map(|kind| {
        TIMES
            .iter()
            .filter(move |(.., value)| summaries(first, second, kind).iter().all(|s| value(s).is_some()))
    });
    times.count() + 1
}

/// The kinds of which both runs have samples. Waiting for admission is part of the response time.
fn kinds(first: &Recorded, second: &Recorded) -> Vec<Kind> {
    let has = |run: &Recorded, kind: Kind| run.summary(kind).is_some_and(|summary| summary.count > 0);
    let all = Kind::ALL.into_iter().filter(|&kind| kind != Kind::Admission);
    all.filter(|&kind| has(first, kind) && has(second, kind)).collect()
}

fn summaries(first: &Recorded, second: &Recorded, kind: Kind) -> [Summary; 2] {
    [first, second].map(|run| run.summary(kind).copied().unwrap_or_default())
}

impl<'a> Comparison<'a> {
    fn of(first: &'a Named, second: &'a Named, family: usize) -> Comparison<'a> {
        let runs = [&first.run, &second.run];
        let reason = [first, second].into_iter().find_map(|named| {
            let intervals = named.run.intervals.len();
            (intervals < FEWEST_INTERVALS).then(|| {
                format!(
                    "{} has {intervals} intervals, and it takes {FEWEST_INTERVALS} to know how much they differ: \
                     measure for longer, or with a shorter --interval",
                    named.name
                )
            })
        });
        let can_judge = reason.is_none();
        let mut rows = vec![throughput(runs, family, can_judge)];
        for kind in kinds(runs[0], runs[1]) {
            rows.extend(times(runs, kind, family, can_judge));
        }
        Comparison { first, second, rows, reason }
    }

    /// Whether anything is worse.
    pub fn is_worse(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Worse)
    }

    /// How many intervals each run has, and how many of them are drawn together.
    pub fn blocks(&self) -> [(usize, usize); 2] {
        [self.first, self.second].map(|named| {
            let intervals = named.run.intervals.len();
            (intervals, bootstrap::block_length(intervals))
        })
    }
}

fn throughput(runs: [&Recorded; 2], family: usize, can_judge: bool) -> Row {
    let values = runs.map(|run| Some(run.throughput_bytes_per_s));
    let series = can_judge.then(|| runs.map(|run| series(run, |_| Vec::new())));
    let range = series.and_then(|[first, second]| {
        bootstrap::ratios(&[], [&first, &second], &[Statistic::Throughput], family, ERROR, SEED)[0]
    });
    let verdict = if can_judge { verdict(range, Better::Higher) } else { Verdict::NoDifference };
    row(None, "throughput", values, range, verdict)
}

fn times(runs: [&Recorded; 2], kind: Kind, family: usize, can_judge: bool) -> Vec<Row> {
    let summaries = summaries(runs[0], runs[1], kind);
    let with_samples = |run: &Recorded| {
        run.intervals.iter().filter(|interval| interval.histograms.contains_key(kind.name())).count()
    };
    let can_judge = can_judge && runs.iter().all(|run| with_samples(run) >= FEWEST_INTERVALS);
    let ranges = if can_judge { time_ranges(runs, kind, family) } else { vec![None; TIMES.len()] };
    let judged = TIMES.iter().zip(ranges).map(|((name, _, value), range)| {
        let values = summaries.each_ref().map(value);
        let known = values.iter().all(Option::is_some);
        let range = range.filter(|_| known);
        let verdict = if known && can_judge { verdict(range, Better::Lower) } else { Verdict::TooFew };
        row(Some(kind), name, values, range, verdict)
    });
    let max = row(Some(kind), "max", summaries.map(|s| s.max_ns.map(|ns| ns as f64)), None, Verdict::None);
    judged.chain([max]).collect()
}

fn time_ranges(runs: [&Recorded; 2], kind: Kind, family: usize) -> Vec<Option<Range>> {
    let recorded = runs.map(|run| {
        let histograms = run.intervals.iter().map(|interval| interval.histogram(kind.name()));
        histograms
            .map(|histogram| {
                let steps =
                    histogram.iter().flat_map(|histogram| histogram.iter_recorded().collect::<Vec<_>>());
                steps.map(|step| (step.value_iterated_to(), step.count_at_value())).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    });
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    places.extend(recorded.iter().flatten().flatten().map(|&(value, _)| (value, 0)));
    places.values_mut().enumerate().for_each(|(nth, place)| *place = nth);
    let values: Vec<f64> = places.keys().map(|&value| value as f64).collect();
    let mut nth_run = runs.into_iter().zip(recorded);
    let [first, second] = [(); 2].map(|()| {
        let (run, recorded) = nth_run.next().expect("there are two runs");
        let mut recorded = recorded.into_iter();
        series(run, |_| {
            let mut counts = vec![0; values.len()];
            for (value, count) in recorded.next().unwrap_or_default() {
                counts[places[&value]] = count;
            }
            counts
        })
    });
    let statistics = TIMES.map(|(_, statistic, _)| statistic);
    bootstrap::ratios(&values, [&first, &second], &statistics, family, ERROR, SEED)
}

fn series(run: &Recorded, mut counts: impl FnMut(&Interval) -> Vec<u64>) -> Series {
    Series {
        counts: run.intervals.iter().map(&mut counts).collect(),
        bytes: run.intervals.iter().map(|interval| interval.bytes).collect(),
        seconds: run.intervals.iter().map(|interval| interval.length_s).collect(),
    }
}

fn row(
    kind: Option<Kind>,
    name: &'static str,
    values: [Option<f64>; 2],
    range: Option<Range>,
    verdict: Verdict,
) -> Row {
    let ratio = match values {
        [Some(first), Some(second)] if first > 0.0 => Some(second / first),
        _ => None,
    };
    Row { kind, name, values, ratio, interval: range.map(|range| (range.low, range.high)), verdict }
}

/// Which way is better.
enum Better {
    Lower,
    Higher,
}

fn verdict(range: Option<Range>, better: Better) -> Verdict {
    let Some(range) = range else { return Verdict::TooFew };
    match (range.low > 1.0, range.high < 1.0, better) {
        (true, _, Better::Lower) | (_, true, Better::Higher) => Verdict::Worse,
        (true, _, Better::Higher) | (_, true, Better::Lower) => Verdict::Better,
        (false, false, _) => Verdict::NoDifference,
    }
}
