//! The percentile distribution of HdrHistogram (`.hgrm`), which its plotter reads: Java's
//! `outputPercentileDistribution`, with five steps to each halving of the distance to 100 %.

use crate::latency::{Histograms, Kind};
use hdrhistogram::Histogram;
use std::io::{self, Write};

/// Rows to each halving of the distance to 100 %, as many as Java writes.
const STEPS_PER_HALVING: u32 = 5;

/// Values are written in microseconds, whose three decimals are the nanoseconds recorded.
const NS_PER_US: f64 = 1e3;

/// Writes the distribution of each kind that has samples, each under a `# read` of its own.
///
/// # Errors
/// Those of `out`.
pub fn write_hgrm(out: &mut impl Write, histograms: &Histograms) -> io::Result<()> {
    for kind in Kind::ALL {
        if let Some(histogram) = histograms.get(kind) {
            writeln!(out, "# {} (microseconds)", kind.name())?;
            write_distribution(out, histogram)?;
        }
    }
    Ok(())
}

fn write_distribution(out: &mut impl Write, histogram: &Histogram<u64>) -> io::Result<()> {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count = 0;
    for step in histogram.iter_quantiles(STEPS_PER_HALVING) {
        count += step.count_since_last_iteration();
        let value_us = step.value_iterated_to() as f64 / NS_PER_US;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value_us:>12.3} {quantile:>2.12} {count:>10}")?;
        if quantile < 1.0 {
            write!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    let (mean_us, deviation_us) = (histogram.mean() / NS_PER_US, histogram.stdev() / NS_PER_US);
    writeln!(out, "#[Mean    = {mean_us:>12.3}, StdDeviation   = {deviation_us:>12.3}]")?;
    let (max_us, total) = (histogram.max() as f64 / NS_PER_US, histogram.len());
    writeln!(out, "#[Max     = {max_us:>12.3}, Total count    = {total:>12}]")?;
    let (buckets, sub_buckets) = (histogram.buckets(), sub_buckets(histogram));
    writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]")
}

/// How many values a bucket tells apart: the power of two that holds twice the significant digits.
fn sub_buckets(histogram: &Histogram<u64>) -> u64 {
    (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Recorder;
    use proptest::prelude::*;
    use std::time::Duration;

    fn text_of(samples: impl IntoIterator<Item = (Kind, u64)>) -> String {
        let mut recorder = Recorder::new(&Kind::SERVICE, None);
        samples.into_iter().for_each(|(kind, ns)| recorder.record(kind, Duration::ZERO, ns));
        let mut text = Vec::new();
        write_hgrm(&mut text, &recorder.finish(Duration::ZERO).0).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_distribution_is_laid_out_as_java_does() {
        let text = text_of([(Kind::Read, 850), (Kind::Read, 1_500), (Kind::Sync, 2_000)]);
        let expected = "\
# read (microseconds)
       Value     Percentile TotalCount 1/(1-Percentile)

       0.850 0.000000000000          1           1.00
       0.850 0.100000000000          1           1.11
       0.850 0.200000000000          1           1.25
       0.850 0.300000000000          1           1.43
       0.850 0.400000000000          1           1.67
       0.850 0.500000000000          1           2.00
       1.500 0.550000000000          2           2.22
       1.500 1.000000000000          2
#[Mean    =        1.175, StdDeviation   =        0.325]
#[Max     =        1.500, Total count    =            2]
#[Buckets =           37, SubBuckets     =         2048]
# sync (microseconds)
       Value     Percentile TotalCount 1/(1-Percentile)

       2.000 0.000000000000          1           1.00
       2.000 1.000000000000          1
#[Mean    =        2.000, StdDeviation   =        0.000]
#[Max     =        2.000, Total count    =            1]
#[Buckets =           37, SubBuckets     =         2048]
";
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn rows_rise_to_one_row_of_all_samples(
            samples in prop::collection::vec(prop_oneof![1..2_000_u64, 1..10_000_000_000_u64], 1..300),
        ) {
            let text = text_of(samples.iter().map(|&ns| (Kind::Write, ns)));
            let rows: Vec<Vec<f64>> = text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.contains("Value"))
                .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
                .filter(|row: &Vec<f64>| !row.is_empty())
                .collect();
            for pair in rows.windows(2) {
                prop_assert!(pair[0][0] <= pair[1][0] && pair[0][1] < pair[1][1] && pair[0][2] <= pair[1][2]);
                prop_assert_eq!(pair[0].len(), 4);
            }
            prop_assert_eq!(&rows.last().unwrap()[1..], &[1.0, samples.len() as f64]);
        }
    }
}
