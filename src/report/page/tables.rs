//! The table of latencies: what the JSON reports have, number by number.

use std::io::{self, Write};

use super::super::plot::Escaped;
use super::Named;
use crate::latency::{Kind, Summary};
use crate::units::format_ns;

/// What is measured of a kind, as a heading.
pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "Read, service time",
        Kind::Write => "Write, service time",
        Kind::Sync => "Sync, service time",
        Kind::ResponseRead => "Read, response time",
        Kind::ResponseWrite => "Write, response time",
        Kind::ResponseSync => "Sync, response time",
        Kind::Admission => "Waiting for admission",
    }
}

/// The columns of times: name in the JSON report, heading, and where it stands.
type Column = (&'static str, &'static str, fn(&Summary) -> Option<f64>);

const COLUMNS: [Column; 10] = [
    ("mean_ns", "mean", |s| s.mean_ns),
    ("min_ns", "least", |s| s.min_ns.map(|ns| ns as f64)),
    ("p50_ns", "p50", |s| s.p50_ns.map(|ns| ns as f64)),
    ("p90_ns", "p90", |s| s.p90_ns.map(|ns| ns as f64)),
    ("p99_ns", "p99", |s| s.p99_ns.map(|ns| ns as f64)),
    ("p99_9_ns", "p99.9", |s| s.p99_9_ns.map(|ns| ns as f64)),
    ("p99_99_ns", "p99.99", |s| s.p99_99_ns.map(|ns| ns as f64)),
    ("p99_999_ns", "p99.999", |s| s.p99_999_ns.map(|ns| ns as f64)),
    ("p99_9999_ns", "p99.9999", |s| s.p99_9999_ns.map(|ns| ns as f64)),
    ("max_ns", "max", |s| s.max_ns.map(|ns| ns as f64)),
];

/// Writes a row for each kind that has samples, and of each run.
pub fn write_latencies(out: &mut impl Write, runs: &[Named]) -> io::Result<()> {
    let rows: Vec<(usize, &Named, Kind, &Summary)> = Kind::ALL
        .into_iter()
        .flat_map(|kind| {
            let summaries = runs.iter().enumerate().filter_map(move |(nth, named)| {
                named.run.summary(kind).map(|summary| (nth, named, kind, summary))
            });
            summaries.filter(|(.., summary)| summary.count > 0)
        })
        .collect();
    writeln!(out, "<h2>Latency</h2>")?;
    if rows.is_empty() {
        return writeln!(out, "<p class=\"quiet\">No operation was measured.</p>");
    }
    let known = |column: &&Column| rows.iter().any(|(.., summary)| (column.2)(summary).is_some());
    let (columns, unknown): (Vec<&Column>, Vec<&Column>) = COLUMNS.iter().partition(known);
    writeln!(out, "<p class=\"quiet\">{}</p>", Escaped(&explained(runs)))?;
    write!(out, "<div class=\"scroll\"><table class=\"latency\"><thead><tr><th></th>")?;
    if runs.len() > 1 {
        write!(out, "<th>run</th>")?;
    }
    write!(out, "<th>count</th>")?;
    for (_, heading, _) in &columns {
        write!(out, "<th>{heading}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for (nth, named, kind, summary) in &rows {
        write!(out, "<tr data-run=\"{nth}\" data-kind=\"{}\"><th>{}</th>", kind.name(), title(*kind))?;
        if runs.len() > 1 {
            write!(out, "<td>{}</td>", Escaped(&named.name))?;
        }
        write!(out, "<td data-field=\"count\" data-value=\"{0}\">{0}</td>", summary.count)?;
        for (field, _, value) in &columns {
            match value(summary) {
                Some(ns) => {
                    let shown = format_ns(ns);
                    write!(
                        out,
                        "<td data-field=\"{field}\" data-value=\"{ns}\" title=\"{ns} ns\">{shown}</td>"
                    )?;
                }
                None => write!(
                    out,
                    "<td data-field=\"{field}\" class=\"quiet\" title=\"too few samples\">–</td>"
                )?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    let unknown: Vec<&str> = unknown.iter().map(|column| column.1).collect();
    if !unknown.is_empty() {
        let few = "too few samples to tell: a percentile needs one sample above it";
        writeln!(out, "<p class=\"quiet\">{}: {few}.</p>", unknown.join(", "))?;
    }
    Ok(())
}

fn explained(runs: &[Named]) -> String {
    let service = "Service time is from submission to completion.";
    let open = runs.iter().filter(|named| named.run.is_open()).count();
    match open {
        0 => format!(
            "{service} These are closed loops, in which an operation waits for one before it: there is no \
             intended start, and so no response time."
        ),
        _ if open == runs.len() => format!(
            "{service} Response time is from the intended start, so it has the waiting in it that a slow \
             target causes; without it, that would be left out (coordinated omission)."
        ),
        _ => format!("{service} Response time is from the intended start, which only an open loop knows."),
    }
}
