//! What a page says of runs beside their latencies.

use std::io::{self, Write};
use std::time::Duration;

use super::super::plot::Escaped;
use super::Named;
use crate::report::{Command, Flow, Outcome, Recorded, Sweep, Tuner};
use crate::units::{format_bytes, format_duration, format_ns, format_rate};

/// Of more, only the number is told.
const MOST_TOLD: usize = 20;

/// The page's title.
pub fn title(runs: &[Named]) -> String {
    match runs {
        [one] => {
            let about = &one.run.about;
            let place = if about.host.is_empty() { String::new() } else { format!(" on {}", about.host) };
            format!("highwater {}{place}", one.run.command.name())
        }
        _ => format!("highwater: {} runs", runs.len()),
    }
}

/// Writes the heading, and of one run what it came to.
pub fn write_head(out: &mut impl Write, runs: &[Named]) -> io::Result<()> {
    let [Named { run, .. }] = runs else {
        return writeln!(out, "<header><h1>{}</h1></header>", Escaped(&title(runs)));
    };
    let outcome = outcome(run.outcome);
    writeln!(
        out,
        "<header><h1>highwater {} <span class=\"outcome {outcome}\">{outcome}</span></h1>",
        run.command.name()
    )?;
    let about = &run.about;
    let place = [about.started.clone(), about.host.clone(), about.kernel.clone(), cpus(about.cpus)];
    let place: Vec<String> = place.into_iter().filter(|part| !part.is_empty()).collect();
    writeln!(out, "<p class=\"quiet\">{}</p>", Escaped(&place.join(" · ")))?;
    if !about.arguments.is_empty() {
        writeln!(out, "<pre><code>{}</code></pre>", Escaped(&command_line(run)))?;
    }
    writeln!(out, "</header>\n<dl class=\"cards\">")?;
    let mut card = |name: &str, field: &str, value: f64, shown: String| {
        writeln!(
            out,
            "<div><dt>{name}</dt><dd data-field=\"{field}\" data-value=\"{value}\">{}</dd></div>",
            Escaped(&shown)
        )
    };
    let rate = run.throughput_bytes_per_s;
    card("Throughput", "throughput_bytes_per_s", rate, format_rate(rate))?;
    card("Moved", "bytes", run.bytes as f64, format_bytes(run.bytes))?;
    card("Time", "elapsed_s", run.elapsed_s, elapsed(run.elapsed_s))?;
    if let Some(sweep) = &run.sweep {
        for (name, field, step) in
            [("at the knee", "knee", sweep.knee), ("that keep the goal", "best", sweep.best)]
        {
            let Some(step) = step.and_then(|nth| sweep.steps.get(nth)) else { continue };
            let rate = step.operations_per_s;
            card(&format!("Operations a second {name}"), field, rate, format!("{rate:.0}"))?;
        }
    } else if run.command == Command::Bench && run.elapsed_s > 0.0 {
        let operations: u64 = run.latency.each().iter().map(|summary| summary.count).sum();
        let rate = operations as f64 / run.elapsed_s;
        card("Operations a second", "operations_per_s", rate, format!("{rate:.0}"))?;
    }
    if let Some(flow) = flow(run) {
        let (peak, mark) = (flow.peak_in_flight_bytes, flow.high_water_bytes);
        let name = format!("Peak in flight of {}", format_bytes(mark));
        card(&name, "peak_in_flight_bytes", peak as f64, format_bytes(peak))?;
    }
    if let Some(check) = &run.check {
        let name = format!("Good blocks of {}", check.blocks);
        card(&name, "good", check.good as f64, check.good.to_string())?;
    }
    writeln!(out, "</dl>")
}

/// Writes what was told of the runs: failures, stalls, cliffs, notes.
pub fn write_told(out: &mut impl Write, runs: &[Named]) -> io::Result<()> {
    let told = runs.iter().map(|named| (named, told(&named.run))).filter(|(_, lines)| !lines.is_empty());
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>What was told</h2>")?;
    for (named, lines) in told {
        if runs.len() > 1 {
            writeln!(out, "<p>{}</p>", Escaped(&named.name))?;
        }
        writeln!(out, "<ul class=\"told\">")?;
        for line in lines.iter().take(MOST_TOLD) {
            writeln!(out, "<li>{}</li>", Escaped(line))?;
        }
        if lines.len() > MOST_TOLD {
            writeln!(
                out,
                "<li class=\"quiet\">and {} more, in the JSON report</li>",
                lines.len() - MOST_TOLD
            )?;
        }
        writeln!(out, "</ul>")?;
    }
    Ok(())
}

fn told(run: &Recorded) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(cliff) = &run.cliff {
        lines.push(format!(
            "Throughput fell for good after {:.1} s and {}: from {} to {}.",
            cliff.at_s,
            format_bytes(cliff.after_bytes),
            format_rate(cliff.before_bytes_per_s),
            format_rate(cliff.after_bytes_per_s)
        ));
    }
    lines.extend(run.stalls.iter().map(|stall| {
        let path = if stall.path.is_empty() { String::new() } else { format!(" of {}", stall.path) };
        format!("Stall at {:.1} s: {}{path} took {:.1} s.", stall.start_s, stall.op, stall.length_s)
    }));
    lines.extend(run.errors.iter().map(|failure| {
        let at = failure.offset.map_or_else(String::new, |offset| format!(" at byte {offset}"));
        format!("Failed: {} of {}{at}: {}", failure.op, failure.path, failure.message)
    }));
    lines.extend(run.notes.iter().cloned());
    lines
}

/// Writes a table of what is known of the runs, side by side.
pub fn write_facts(out: &mut impl Write, runs: &[Named]) -> io::Result<()> {
    writeln!(
        out,
        "<h2>{}</h2>\n<div class=\"scroll\"><table class=\"facts\">",
        if runs.len() > 1 { "Runs" } else { "Run" }
    )?;
    if runs.len() > 1 {
        write!(out, "<thead><tr><th></th>")?;
        for named in runs {
            write!(out, "<th>{}</th>", Escaped(&named.name))?;
        }
        writeln!(out, "</tr></thead>")?;
    }
    writeln!(out, "<tbody>")?;
    for (name, value) in FACTS {
        let values: Vec<String> = runs.iter().map(|named| value(&named.run).unwrap_or_default()).collect();
        if values.iter().all(String::is_empty) || runs.len() == 1 && ON_CARDS.contains(&name) {
            continue;
        }
        write!(out, "<tr><th>{name}</th>")?;
        for value in values {
            write!(out, "<td>{}</td>", Escaped(&value))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(
        out,
        "</tbody></table></div>\n<footer>Drawn by highwater {}.</footer>",
        env!("CARGO_PKG_VERSION")
    )
}

/// Nothing of a job that keeps no mark.
fn flow(run: &Recorded) -> Option<&Flow> {
    run.flow.as_ref().filter(|flow| flow.high_water_bytes > 0)
}

type Fact = (&'static str, fn(&Recorded) -> Option<String>);

/// What the head of a page has of its one run.
const ON_CARDS: [&str; 8] =
    ["Command line", "Began", "Machine", "Outcome", "Throughput", "Moved", "Time", "Kernel"];

const FACTS: [Fact; 25] = [
    ("Command line", |run| (!run.about.arguments.is_empty()).then(|| command_line(run))),
    ("Command", |run| Some(run.command.name().to_owned())),
    ("Version", |run| Some(run.about.version.clone())),
    ("Began", |run| Some(run.about.started.clone())),
    ("Machine", |run| Some(run.about.host.clone())),
    ("Kernel", |run| Some(run.about.kernel.clone())),
    ("Outcome", |run| Some(outcome(run.outcome).to_owned())),
    ("Throughput", |run| Some(format_rate(run.throughput_bytes_per_s))),
    ("Moved", |run| Some(format_bytes(run.bytes))),
    ("Time", |run| Some(elapsed(run.elapsed_s))),
    ("Knee", |run| step(run.sweep.as_ref()?, run.sweep.as_ref()?.knee)),
    ("Goal", |run| {
        let goal = run.sweep.as_ref()?.goal.as_ref()?;
        Some(format!("{} of at most {}", goal.percentile, format_ns(goal.limit_ns as f64)))
    }),
    ("Keeps the goal", |run| {
        let sweep = run.sweep.as_ref().filter(|sweep| sweep.goal.is_some())?;
        step(sweep, sweep.best).or_else(|| Some("no step".to_owned()))
    }),
    ("Files", |run| run.files.filter(|&files| files > 0).map(|files| files.to_string())),
    ("Failures", |run| run.failures.map(|failures| failures.to_string())),
    ("Tried again", |run| run.retries.filter(|&retries| retries > 0).map(|retries| retries.to_string())),
    ("Ring", |run| {
        let ring = run.ring?;
        let pinned = if ring.registered { "registered" } else { "not registered" };
        let block = format_bytes(ring.block_bytes);
        (ring.buffers > 0).then(|| format!("{} buffers of {block}, {pinned}", ring.buffers))
    }),
    ("Engine", |run| run.path.as_ref()?.method.clone()),
    ("Around the page cache", |run| {
        let path = run.path.as_ref()?;
        let ends = [("source", path.source_direct), ("target", path.target_direct)];
        let direct: Vec<&str> = ends.iter().filter(|end| end.1 == Some(true)).map(|end| end.0).collect();
        Some(if direct.is_empty() { "neither end".to_owned() } else { direct.join(" and ") })
    }),
    ("High-water mark", |run| flow(run).map(|flow| format_bytes(flow.high_water_bytes))),
    ("Mark that found itself", |run| run.tuner.as_ref().map(found)),
    ("Peak in flight", |run| flow(run).map(|flow| format_bytes(flow.peak_in_flight_bytes))),
    ("Backpressure", |run| {
        flow(run).map(|flow| format!("{} times, {:.2} s in all", flow.backpressure_events, flow.paused_s))
    }),
    ("Process", |run| {
        let process = run.process?;
        let peak = format_bytes(process.peak_rss_bytes);
        Some(format!(
            "{peak} at most, CPU {:.2} s and {:.2} s in the kernel",
            process.user_s, process.system_s
        ))
    }),
    ("Check", |run| {
        let check = run.check.as_ref()?;
        let bad = [
            ("lost", check.lost),
            ("stale", check.stale),
            ("torn", check.torn),
            ("misdirected", check.misdirected),
            ("corrupt", check.corrupt),
            ("unreadable", check.unreadable),
        ];
        let bad = bad.iter().filter(|kind| kind.1 > 0).map(|(name, count)| format!(", {count} {name}"));
        Some(format!("{} of {} blocks good{}", check.good, check.blocks, bad.collect::<String>()))
    }),
];

/// What a mark that found itself came to.
fn found(tuner: &Tuner) -> String {
    let bound = match (tuner.bound_by.as_ref(), tuner.buffers_wanted) {
        ("devices", _) => ": more would bring no more".to_owned(),
        ("ring", Some(buffers)) => {
            format!(", where the ring ends: --buffers {buffers} would hold it back less")
        }
        ("source", _) => ": the source is slower".to_owned(),
        ("wait", _) => ": with more others would wait longer".to_owned(),
        _ => ", and was still looking".to_owned(),
    };
    format!("{} after {} changes{bound}", format_bytes(tuner.high_water_bytes), tuner.changes)
}

/// A step of a sweep by its load, and what that reached.
fn step(sweep: &Sweep, nth: Option<usize>) -> Option<String> {
    let step = sweep.steps.get(nth?)?;
    let load = match step.rate_per_s {
        Some(rate) => format!("a rate of {rate:.0}/s"),
        None => format!("a depth of {}", step.depth),
    };
    Some(format!("{load}: {:.0} operations a second", step.operations_per_s))
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    }
}

fn cpus(cpus: u64) -> String {
    match cpus {
        0 => String::new(),
        1 => "1 CPU".to_owned(),
        cpus => format!("{cpus} CPUs"),
    }
}

fn elapsed(seconds: f64) -> String {
    match seconds {
        ..60.0 => format!("{seconds:.2} s"),
        _ => format_duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
    }
}

/// As it could be typed: words with a space or a special character in quotes.
fn command_line(run: &Recorded) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%^".contains(c) || !c.is_ascii();
    let words = run.about.arguments.iter().map(|word| match !word.is_empty() && word.chars().all(is_plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    ["highwater".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
