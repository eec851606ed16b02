//! The histograms of a stretch of time, one a kind, and what they come to.
//!
//! An HdrHistogram of this range is an array of 304 KiB which hdrhistogram writes in full when it
//! makes, clears or copies one. So a kind without samples has none, and they are moved, not copied.

use super::Kind;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest service time that is told apart from longer ones: 24 h, in nanoseconds.
const MAX_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// Significant decimal digits of a recorded value.
const DIGITS: u8 = 3;

/// An empty histogram of nanoseconds, 1 ns to 24 h.
pub(super) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, DIGITS).expect("the bounds are constants that fit")
}

/// Adds one sample. None is lost: 0 ns counts as 1 ns, more than 24 h as 24 h.
pub(super) fn record(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.saturating_record(ns.clamp(1, MAX_NS));
}

/// Adds the same sample `times` over.
pub(super) fn record_times(histogram: &mut Histogram<u64>, ns: u64, times: u64) {
    histogram.saturating_record_n(ns.clamp(1, MAX_NS), times);
}

/// A histogram for each kind that is recorded.
pub(super) type PerKind = [Option<Histogram<u64>>; Kind::ALL.len()];

/// The histograms of the kinds that have samples, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Histograms(PerKind);

impl Histograms {
    /// Those of `histograms` that have samples.
    pub(super) fn of(histograms: PerKind) -> Histograms {
        Histograms(histograms.map(|histogram| histogram.filter(|histogram| !histogram.is_empty())))
    }

    /// Takes those that have samples out of `histograms`, leaving empty ones.
    pub(super) fn take(histograms: &mut PerKind) -> Histograms {
        Histograms(histograms.each_mut().map(|histogram| match histogram {
            Some(full) if !full.is_empty() => histogram.replace(new_histogram()),
            _ => None,
        }))
    }

    /// Adds its samples to those of `histograms`.
    pub(super) fn add_to(&self, histograms: &mut PerKind) {
        for (mine, sum) in self.0.iter().zip(histograms) {
            if let Some(mine) = mine {
                let sum = sum.get_or_insert_with(new_histogram);
                sum.add(mine).expect("every histogram has the same bounds");
            }
        }
    }

    /// The histogram of `kind` in nanoseconds, or `None` where it has no samples.
    pub fn get(&self, kind: Kind) -> Option<&Histogram<u64>> {
        self.0[kind as usize].as_ref()
    }

    /// What the samples of `kind` come to.
    pub fn summary(&self, kind: Kind) -> Summary {
        self.get(kind).map(Summary::of).unwrap_or_default()
    }

    /// Whether no kind has a sample.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Adds the samples of another worker.
    pub fn merge(&mut self, other: &Histograms) {
        other.add_to(&mut self.0);
    }
}

/// Count, mean, extremes and percentiles of one kind, in nanoseconds to three significant digits.
///
/// What the samples cannot tell is `None`: everything where there are none, and a percentile of
/// which less than one sample would lie above (p99 needs 100 samples, p99.9 needs 1,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// how many samples
    pub count: u64,
    /// arithmetic mean
    pub mean_ns: Option<f64>,
    /// the least
    pub min_ns: Option<u64>,
    /// median, of 2 samples or more
    pub p50_ns: Option<u64>,
    /// 90th percentile, of 10 samples or more
    pub p90_ns: Option<u64>,
    /// 99th percentile, of 100 samples or more
    pub p99_ns: Option<u64>,
    /// 99.9th percentile, of 1,000 samples or more
    pub p99_9_ns: Option<u64>,
    /// 99.99th percentile, of 10,000 samples or more
    pub p99_99_ns: Option<u64>,
    /// 99.999th percentile, of 100,000 samples or more
    pub p99_999_ns: Option<u64>,
    /// 99.9999th percentile, of 1,000,000 samples or more
    pub p99_9999_ns: Option<u64>,
    /// the most
    pub max_ns: Option<u64>,
}

impl Summary {
    /// The percentiles from the median on, each with the quantile it stands for.
    pub fn percentiles(&self) -> [(f64, Option<u64>); 7] {
        [
            (0.5, self.p50_ns),
            (0.9, self.p90_ns),
            (0.99, self.p99_ns),
            (0.999, self.p99_9_ns),
            (0.9999, self.p99_99_ns),
            (0.99999, self.p99_999_ns),
            (0.999999, self.p99_9999_ns),
        ]
    }

    /// The longest of what `pick` finds in `summaries`, of which those without samples are left out: a
    /// percentile that one of them can't tell, nobody can. None also where none has samples.
    pub fn worst<'a>(
        summaries: impl IntoIterator<Item = &'a Summary>,
        pick: impl Fn(&Summary) -> Option<u64>,
    ) -> Option<u64> {
        let mut known = summaries.into_iter().filter(|summary| summary.count > 0).map(pick);
        let first = known.next()??;
        known.try_fold(first, |worst, ns| ns.map(|ns| worst.max(ns)))
    }

    /// What `histogram`, in nanoseconds, comes to.
    pub fn of(histogram: &Histogram<u64>) -> Summary {
        let count = histogram.len();
        if count == 0 {
            return Summary::default();
        }
        let percentile = |quantile, needed| (count >= needed).then(|| histogram.value_at_quantile(quantile));
        Summary {
            count,
            mean_ns: Some(histogram.mean()),
            min_ns: Some(histogram.min()),
            p50_ns: percentile(0.5, 2),
            p90_ns: percentile(0.9, 10),
            p99_ns: percentile(0.99, 100),
            p99_9_ns: percentile(0.999, 1_000),
            p99_99_ns: percentile(0.9999, 10_000),
            p99_999_ns: percentile(0.99999, 100_000),
            p99_9999_ns: percentile(0.999999, 1_000_000),
            max_ns: Some(histogram.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histograms {
        let mut reads = new_histogram();
        values.into_iter().for_each(|ns| record(&mut reads, ns));
        let mut histograms = PerKind::default();
        histograms[Kind::Read as usize] = Some(reads);
        Histograms::of(histograms)
    }

    #[test]
    fn no_samples_tell_nothing() {
        assert_eq!(of([]).summary(Kind::Read), Summary::default());
        assert!(of([]).is_empty());
    }

    #[test]
    fn one_sample_has_a_mean_and_extremes_but_no_median() {
        let one = Summary {
            count: 1,
            mean_ns: Some(700.0),
            min_ns: Some(700),
            max_ns: Some(700),
            ..Summary::default()
        };
        assert_eq!(of([700]).summary(Kind::Read), one);
    }

    #[test]
    fn a_percentile_appears_with_the_sample_it_needs() {
        let known = |count| {
            let summary = of(1..=count).summary(Kind::Read);
            let Summary { p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, p99_999_ns, p99_9999_ns, .. } =
                summary;
            [p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, p99_999_ns, p99_9999_ns].iter().flatten().count()
        };
        let counts = [1, 2, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, 100_000, 999_999, 1_000_000];
        assert_eq!(counts.map(known), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7]);
    }

    #[test]
    fn percentiles_are_the_values_below_which_they_lie() {
        let summary = of(1..=1_000).summary(Kind::Read);
        assert_eq!(
            summary,
            Summary {
                count: 1_000,
                mean_ns: Some(500.5),
                min_ns: Some(1),
                p50_ns: Some(500),
                p90_ns: Some(900),
                p99_ns: Some(990),
                p99_9_ns: Some(999),
                max_ns: Some(1_000),
                ..Summary::default()
            }
        );
    }

    #[test]
    fn what_is_out_of_range_is_clamped_and_counted() {
        let summary = of([0, u64::MAX, MAX_NS + 1]).summary(Kind::Read);
        assert_eq!((summary.count, summary.min_ns), (3, Some(1)));
        let max_ns = summary.max_ns.unwrap();
        assert!(max_ns.abs_diff(MAX_NS) < MAX_NS / 1_000, "{max_ns}");
    }

    #[test]
    fn merging_adds_every_sample_once() {
        let mut merged = of(1..=500);
        merged.merge(&of([]));
        merged.merge(&of(501..=1_000));
        let mut from_nothing = Histograms::default();
        from_nothing.merge(&merged);
        assert_eq!(from_nothing.summary(Kind::Read), of(1..=1_000).summary(Kind::Read));
        assert_eq!(from_nothing.summary(Kind::Write), Summary::default());
    }
}
