//! Runs as one page that needs nothing else: no network, no other file, no library. It follows the
//! reader's light or dark, and its numbers are those of the JSON reports.

mod facts;
mod tables;

use std::io::{self, Write};

use super::Recorded;
use super::plot::{
    Climb, Curve, Escaped, Flow, Pick, Plot, STYLE as PLOT_STYLE, climbs, heat_map, level, percentiles,
    rates, surface,
};
use crate::latency::Kind;

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page has no more runs than there are colours that can be told apart.
pub const MOST_RUNS: usize = 8;

/// A run and what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    /// its name, for people
    pub name: String,
    /// what was recorded of it
    pub run: Recorded,
}

/// All plots of `runs`, of which there are at most [`MOST_RUNS`]; several are laid over each other.
pub fn plots(runs: &[Named]) -> Vec<Plot> {
    let mut plots = sweeps(runs);
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|&kind| has_samples(runs, kind)).collect();
    if let [one] = runs {
        let curves: Vec<Curve<'_>> = kinds.iter().filter_map(|&kind| curve_of_kind(one, kind)).collect();
        plots.extend(percentiles("percentiles", "Latency by percentile", &curves));
    } else {
        for &kind in &kinds {
            let curves: Vec<Curve<'_>> =
                runs.iter().enumerate().filter_map(|(nth, run)| curve_of_run(run, nth, kind)).collect();
            let title = format!("{} by percentile", tables::title(kind));
            plots.extend(percentiles(&format!("percentiles-{}", kind.name()), &title, &curves));
        }
    }
    plots.extend(rates("throughput", "Throughput over time", &flows(runs)));
    for (nth, named) in runs.iter().enumerate() {
        let [name, title] = of_run(runs, nth, "level", "In flight over time");
        plots.extend(level(&name, &title, &named.run));
    }
    for &kind in &kinds {
        let wholes = runs.iter().filter_map(|named| named.run.histogram(kind));
        let range = wholes
            .fold((u64::MAX, 0), |(least, most), whole| (least.min(whole.min()), most.max(whole.max())));
        for (nth, named) in runs.iter().enumerate() {
            let (name, title) =
                (format!("latency-{}", kind.name()), format!("{} over time", tables::title(kind)));
            let [name, title] = of_run(runs, nth, &name, &title);
            plots.extend(heat_map(&name, &title, &named.run, kind, range));
        }
    }
    for (nth, named) in runs.iter().enumerate() {
        let [name, title] = of_run(runs, nth, "surface", "What is not as it was written, and where");
        plots.extend(surface(&name, &title, &named.run));
    }
    plots
}

/// Name and title of a plot that is of one run: which, where there are several.
fn of_run(runs: &[Named], nth: usize, name: &str, title: &str) -> [String; 2] {
    match runs.len() {
        1 => [name.to_owned(), title.to_owned()],
        _ => [format!("{name}-{}", nth + 1), format!("{title}: {}", runs[nth].name)],
    }
}

/// What is drawn of a sweep.
const PERCENTILES: [(&str, Pick); 3] =
    [("p50", |times| times.p50_ns), ("p99", |times| times.p99_ns), ("p99.9", |times| times.p99_9_ns)];

fn sweeps(runs: &[Named]) -> Vec<Plot> {
    let title = "Latency against throughput";
    if let [Named { run, .. }] = runs {
        let Some(sweep) = &run.sweep else { return Vec::new() };
        let times = if run.is_open() { "response time" } else { "service time" };
        let climb = |(nth, (name, pick)): (usize, (&str, Pick))| Climb {
            label: format!("{name}, {times}"),
            class: format!("c{nth}"),
            sweep,
            pick,
        };
        let lines: Vec<Climb<'_>> = PERCENTILES.into_iter().enumerate().map(climb).collect();
        return climbs("sweep", title, &lines).into_iter().collect();
    }
    let of_each = |(name, pick): (&str, Pick)| {
        let swept = runs.iter().enumerate().filter_map(|(nth, named)| {
            let (label, class) = (named.name.clone(), format!("c{}", nth % MOST_RUNS));
            Some(Climb { label, class, sweep: named.run.sweep.as_ref()?, pick })
        });
        let lines: Vec<Climb<'_>> = swept.collect();
        climbs(&format!("sweep-{name}"), &format!("{title}: {name}"), &lines)
    };
    PERCENTILES.into_iter().filter_map(of_each).collect()
}

fn has_samples(runs: &[Named], kind: Kind) -> bool {
    runs.iter().any(|named| named.run.histogram(kind).is_some_and(|whole| whole.len() >= 10))
}

fn curve_of_kind(named: &Named, kind: Kind) -> Option<Curve<'_>> {
    let histogram = named.run.histogram(kind)?;
    // Beside response times, service times step back.
    let class = match kind {
        Kind::Read if named.run.is_open() => "c0 dashed",
        Kind::Write if named.run.is_open() => "c1 dashed",
        Kind::Sync if named.run.is_open() => "c2 dashed",
        Kind::Read | Kind::ResponseRead => "c0",
        Kind::Write | Kind::ResponseWrite => "c1",
        Kind::Sync | Kind::ResponseSync => "c2",
        Kind::Admission => "c3 dashed",
    };
    Some(Curve { label: tables::title(kind).to_lowercase(), class: class.to_owned(), histogram })
}

fn curve_of_run(named: &Named, nth: usize, kind: Kind) -> Option<Curve<'_>> {
    let histogram = named.run.histogram(kind)?;
    Some(Curve { label: named.name.clone(), class: format!("c{}", nth % MOST_RUNS), histogram })
}

fn flows(runs: &[Named]) -> Vec<Flow<'_>> {
    if let [Named { run, .. }] = runs {
        let flow =
            |label: &str, class: &str, bytes| Flow { label: label.into(), class: class.into(), run, bytes };
        let mut flows = Vec::new();
        if run.intervals.iter().any(|interval| interval.read_bytes > 0) {
            flows.push(flow("read", "c0", |interval| interval.read_bytes));
        }
        if run.intervals.iter().any(|interval| interval.write_bytes > 0) {
            flows.push(flow("written", "c1", |interval| interval.write_bytes));
        }
        return flows;
    }
    let of_run = |(nth, named): (usize, &'_ Named)| (named.name.clone(), format!("c{}", nth % MOST_RUNS));
    runs.iter()
        .enumerate()
        .map(|(nth, named)| {
            let (label, class) = of_run((nth, named));
            Flow { label, class, run: &named.run, bytes: |interval| interval.bytes }
        })
        .collect()
}

/// Writes the page of `runs`, of which there are at least one and at most [`MOST_RUNS`].
///
/// # Errors
/// Those of `out`.
pub fn write_page(out: &mut impl Write, runs: &[Named]) -> io::Result<()> {
    let title = facts::title(runs);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{PAGE_STYLE}{PLOT_STYLE}</style>\n\
         </head>\n<body>\n<main>\n",
        Escaped(&title)
    )?;
    facts::write_head(out, runs)?;
    tables::write_latencies(out, runs)?;
    let plots = plots(runs);
    for plot in &plots {
        write_figure(out, plot)?;
    }
    if plots.is_empty() {
        writeln!(
            out,
            "<p class=\"quiet\">There are no plots: the report has no intervals, or too few operations.</p>"
        )?;
    }
    facts::write_told(out, runs)?;
    facts::write_facts(out, runs)?;
    write!(out, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n")
}

fn write_figure(out: &mut impl Write, plot: &Plot) -> io::Result<()> {
    write!(out, "<figure id=\"{}\">\n<figcaption>{}", Escaped(&plot.name), Escaped(&plot.title))?;
    if !plot.note.is_empty() {
        write!(out, " <span class=\"quiet\">{}</span>", Escaped(&plot.note))?;
    }
    writeln!(out, "</figcaption>\n<ul class=\"legend\">")?;
    for (class, label) in &plot.legend {
        writeln!(out, "<li>{}{}</li>", Plot::key(class), Escaped(label))?;
    }
    writeln!(out, "</ul>\n{}{}</figure>", plot.wide, plot.narrow)
}
