//! The latency table for people: a row for each kind of operation.

use super::Latency;
use crate::latency::Kind;
use crate::units::format_ns;
use std::io::{self, Write};

const HEADINGS: [&str; 8] = ["count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];

/// Writes `latency` as a table, with `-` where there are too few samples to tell.
///
/// # Errors
/// Those of `out`.
pub fn write_table(out: &mut impl Write, latency: &Latency) -> io::Result<()> {
    write_row(out, "latency", &HEADINGS)?;
    for (kind, summary) in Kind::SERVICE.into_iter().zip(latency.each()) {
        let percentile = |ns: Option<u64>| time(ns.map(|ns| ns as f64));
        let cells = [
            summary.count.to_string(),
            time(summary.mean_ns),
            percentile(summary.p50_ns),
            percentile(summary.p90_ns),
            percentile(summary.p99_ns),
            percentile(summary.p99_9_ns),
            percentile(summary.p99_99_ns),
            percentile(summary.max_ns),
        ];
        write_row(out, kind.name(), &cells)?;
    }
    Ok(())
}

fn time(ns: Option<f64>) -> String {
    ns.map_or_else(|| "-".to_owned(), format_ns)
}

fn write_row(out: &mut impl Write, name: &str, cells: &[impl AsRef<str>; 8]) -> io::Result<()> {
    let [count, times @ ..] = cells.each_ref().map(AsRef::as_ref);
    write!(out, "{name:<7} {count:>10}")?;
    for cell in times {
        write!(out, " {cell:>8}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Recorder;
    use std::time::Duration;

    #[test]
    fn the_table_shows_what_the_samples_can_tell() {
        let mut recorder = Recorder::new(&Kind::SERVICE, None);
        for us in 1..=1_000 {
            recorder.record(Kind::Read, Duration::ZERO, us * 1_000);
        }
        recorder.record(Kind::Write, Duration::ZERO, 850);
        let (totals, _) = recorder.finish(Duration::ZERO);
        let mut text = Vec::new();
        write_table(&mut text, &Latency::service(&totals)).unwrap();
        let expected = "\
latency      count     mean      p50      p90      p99    p99.9   p99.99      max
read          1000   501 us   500 us   900 us   990 us   999 us        -  1.00 ms
write            1   850 ns        -        -        -        -        -   850 ns
sync             0        -        -        -        -        -        -        -
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
