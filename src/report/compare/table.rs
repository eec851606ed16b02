//! A comparison for people: a table, and under it what its verdicts mean.

use std::io::{self, Write};

use super::{Comparison, Row, Verdict};
use crate::latency::Kind;
use crate::units::{format_ns, format_rate};

/// Writes `comparison`.
///
/// # Errors
/// Those of `out`.
pub fn write_comparison(out: &mut impl Write, comparison: &Comparison<'_>) -> io::Result<()> {
    let names = [&comparison.first.name, &comparison.second.name].map(|name| shortened(name));
    let widths = names.each_ref().map(|name| name.chars().count().max(10));
    let [first, second] = &names;
    let (w1, w2) = (widths[0], widths[1]);
    let intervals = comparison.rows.iter().map(|row| {
        row.interval.map(|(low, high)| format!("{} to {}", number(low), number(high))).unwrap_or_default()
    });
    let intervals: Vec<String> = intervals.collect();
    let w3 = intervals.iter().map(String::len).max().unwrap_or(0).max(13);
    let head = format!("{:<16} {first:>w1$} {second:>w2$}  {:>6}  {:<w3$}", "", "ratio", "95 % interval");
    writeln!(out, "{}", head.trim_end())?;
    let mut kind = None;
    for (row, interval) in comparison.rows.iter().zip(&intervals) {
        if row.kind != kind {
            kind = row.kind;
            if let Some(kind) = kind {
                writeln!(out, "{}", heading(kind))?;
            }
        }
        let [first, second] = row.values.map(|value| shown(row, value));
        let indent = if row.kind.is_some() { "  " } else { "" };
        let name = format!("{indent}{}", row.name);
        let ratio = row.ratio.map_or_else(|| "-".to_owned(), number);
        let line = format!(
            "{name:<16} {first:>w1$} {second:>w2$}  {ratio:>6}  {interval:<w3$}  {}",
            words(row.verdict)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    match &comparison.reason {
        Some(reason) => writeln!(out, "no difference shown: {reason}"),
        None => {
            let [(n1, b1), (n2, b2)] = comparison.blocks();
            writeln!(
                out,
                "All intervals hold together at 95 %, by {} bootstraps of {n1} and {n2} intervals in blocks of \
                 {b1} and {b2}.",
                super::bootstrap::DRAWS
            )
        }
    }
}

fn heading(kind: Kind) -> String {
    match kind {
        Kind::Read | Kind::Write | Kind::Sync => format!("{}, service time", kind.name()),
        Kind::ResponseRead => "read, response time".to_owned(),
        Kind::ResponseWrite => "write, response time".to_owned(),
        Kind::ResponseSync => "sync, response time".to_owned(),
        Kind::Admission => "admission".to_owned(),
    }
}

fn shown(row: &Row, value: Option<f64>) -> String {
    match (value, row.kind) {
        (None, _) => "-".to_owned(),
        (Some(value), None) => format_rate(value),
        (Some(value), Some(_)) => format_ns(value),
    }
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifference => "no difference shown",
        Verdict::TooFew => "too few samples",
        Verdict::None => "",
    }
}

/// A ratio to three or four digits.
fn number(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.3}"),
        10.0..100.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

/// The end of a name that would tear the table apart: it tells more than the beginning.
fn shortened(name: &str) -> String {
    const MOST: usize = 24;
    let length = name.chars().count();
    match length > MOST {
        true => format!("..{}", name.chars().skip(length + 2 - MOST).collect::<String>()),
        false => name.to_owned(),
    }
}
