//! The latency table for people: a row for each kind of operation.

use super::Latency;
use crate::latency::{Kind, Summary};
use crate::units::format_ns;
use std::io::{self, Write};

/// The columns of times, and the least number of columns that is shown: those of far percentiles only
/// where some row has them.
const COLUMNS: [&str; 9] = ["mean", "p50", "p90", "p99", "p99.9", "p99.99", "p99.999", "p99.9999", "max"];
const ALWAYS: usize = 6;

/// Writes `latency` as a table, with `-` where there are too few samples to tell.
///
/// # Errors
/// Those of `out`.
pub fn write_table(out: &mut impl Write, latency: &Latency) -> io::Result<()> {
    let names = Kind::SERVICE.map(Kind::name);
    let rows: Vec<(&str, &Summary)> = names.into_iter().zip(latency.each()).collect();
    write_rows(out, "latency", &rows)
}

/// Writes a table with a title and rows of names and times, with `-` where there are too few samples to
/// tell.
///
/// # Errors
/// Those of `out`.
pub fn write_rows(out: &mut impl Write, title: &str, rows: &[(&str, &Summary)]) -> io::Result<()> {
    let names = rows.iter().map(|(name, _)| *name);
    let width = names.chain([title]).map(str::len).max().unwrap_or(0).max(7);
    let times: Vec<[Option<f64>; COLUMNS.len()]> = rows.iter().map(|(_, summary)| times(summary)).collect();
    let is_shown = |column: &usize| {
        *column < ALWAYS || *column == COLUMNS.len() - 1 || times.iter().any(|row| row[*column].is_some())
    };
    let shown: Vec<usize> = (0..COLUMNS.len()).filter(is_shown).collect();
    write!(out, "{title:<width$} {:>10}", "count")?;
    for &column in &shown {
        write!(out, " {:>8}", COLUMNS[column])?;
    }
    writeln!(out)?;
    for ((name, summary), times) in rows.iter().zip(&times) {
        write!(out, "{name:<width$} {:>10}", summary.count)?;
        for &column in &shown {
            let cell = times[column].map_or_else(|| "-".to_owned(), format_ns);
            write!(out, " {cell:>8}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn times(summary: &Summary) -> [Option<f64>; COLUMNS.len()] {
    let Summary { p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, p99_999_ns, p99_9999_ns, max_ns, .. } =
        *summary;
    let percentiles = [p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, p99_999_ns, p99_9999_ns, max_ns];
    let mut times = [summary.mean_ns; COLUMNS.len()];
    for (time, ns) in times[1..].iter_mut().zip(percentiles) {
        *time = ns.map(|ns| ns as f64);
    }
    times
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
