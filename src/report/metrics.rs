//! A finished run in OpenMetrics' text format, version 1.0: what a collector of text files, such as
//! Prometheus's node exporter, picks up.
//!
//! Names end in their unit, seconds and bytes. A percentile that the samples can't tell is left out.

use super::{Latency, Outcome, Run};
use crate::latency::Summary;
use std::io::{self, Write};

const NS_PER_S: f64 = 1e9;

/// Writes the metrics of `run`, its `# EOF` included.
///
/// # Errors
/// Those of `out`.
pub fn write_metrics(out: &mut impl Write, run: &Run) -> io::Result<()> {
    let command = run.command.name();
    let outcome = match run.outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    head(out, "highwater_run", "info", "", "Which job it was, and how it ended")?;
    writeln!(out, "highwater_run_info{{command=\"{command}\",outcome=\"{outcome}\"}} 1")?;

    gauge(out, "elapsed_seconds", "seconds", "Wall-clock time", run.elapsed_s)?;
    gauge(
        out,
        "throughput_bytes_per_second",
        "bytes_per_second",
        "Bytes a second over the whole run",
        run.throughput_bytes_per_s,
    )?;
    counter(out, "bytes", "bytes", "Bytes that reached the target", run.bytes as f64)?;
    counter(out, "files", "", "Files finished", run.files as f64)?;
    counter(out, "failures", "", "Failures", run.failures as f64)?;
    counter(out, "retries", "", "Operations tried again", run.retries as f64)?;

    let flow = &run.flow;
    gauge(out, "high_water_bytes", "bytes", "The high-water mark", flow.high_water_bytes as f64)?;
    gauge(
        out,
        "peak_in_flight_bytes",
        "bytes",
        "The most bytes in flight",
        flow.peak_in_flight_bytes as f64,
    )?;
    counter(out, "backpressure_events", "", "Admissions refused", flow.backpressure_events as f64)?;
    counter(out, "drain_events", "", "Completions that reopened admission", flow.drain_events as f64)?;
    counter(out, "paused_seconds", "seconds", "How long admission was closed", flow.paused_s)?;

    counter(out, "stalls", "", "Operations that hung", run.stalls.len() as f64)?;
    let longest_s = run.stalls.iter().map(|stall| stall.length_s).fold(0.0, f64::max);
    gauge(out, "longest_stall_seconds", "seconds", "How long the longest of them took", longest_s)?;

    let peak_rss_bytes = run.process.peak_rss_bytes as f64;
    gauge(out, "peak_resident_memory_bytes", "bytes", "The most resident memory", peak_rss_bytes)?;
    head(out, "highwater_cpu_seconds", "counter", "seconds", "CPU time")?;
    for (mode, seconds) in [("user", run.process.user_s), ("system", run.process.system_s)] {
        writeln!(out, "highwater_cpu_seconds_total{{mode=\"{mode}\"}} {seconds}")?;
    }

    latencies(out, "service_time", "From submission to completion", &run.latency)?;
    if let Some(response) = &run.response {
        latencies(out, "response_time", "From the intended start to completion", response)?;
    }
    if let Some(admission) = &run.admission {
        let help = "From the intended start to submission";
        summaries(out, "admission", help, &[("", admission)])?;
    }
    writeln!(out, "# EOF")
}

fn latencies(out: &mut impl Write, name: &str, help: &str, latency: &Latency) -> io::Result<()> {
    let [read, write, sync] = latency.each();
    let of = [("operation=\"read\"", read), ("operation=\"write\"", write), ("operation=\"sync\"", sync)];
    summaries(out, name, help, &of)
}

/// A summary of each, and the greatest values as gauges: a summary has no place for them.
fn summaries(out: &mut impl Write, name: &str, help: &str, of: &[(&str, &Summary)]) -> io::Result<()> {
    let family = format!("highwater_{name}_seconds");
    head(out, &family, "summary", "seconds", help)?;
    for (label, summary) in of {
        let comma = if label.is_empty() { "" } else { "," };
        for (quantile, ns) in summary.percentiles() {
            if let Some(ns) = ns {
                let seconds = ns as f64 / NS_PER_S;
                writeln!(out, "{family}{{{label}{comma}quantile=\"{quantile}\"}} {seconds}")?;
            }
        }
        let sum_s = summary.mean_ns.unwrap_or(0.0) * summary.count as f64 / NS_PER_S;
        writeln!(out, "{family}_count{} {}", braced(label), summary.count)?;
        writeln!(out, "{family}_sum{} {sum_s}", braced(label))?;
    }
    let family = format!("highwater_{name}_max_seconds");
    head(out, &family, "gauge", "seconds", "The greatest of them")?;
    for (label, summary) in of {
        if let Some(ns) = summary.max_ns {
            writeln!(out, "{family}{} {}", braced(label), ns as f64 / NS_PER_S)?;
        }
    }
    Ok(())
}

fn braced(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!("{{{label}}}") }
}

fn gauge(out: &mut impl Write, name: &str, unit: &str, help: &str, value: f64) -> io::Result<()> {
    head(out, &format!("highwater_{name}"), "gauge", unit, help)?;
    writeln!(out, "highwater_{name} {value}")
}

fn counter(out: &mut impl Write, name: &str, unit: &str, help: &str, value: f64) -> io::Result<()> {
    head(out, &format!("highwater_{name}"), "counter", unit, help)?;
    writeln!(out, "highwater_{name}_total {value}")
}

fn head(out: &mut impl Write, family: &str, kind: &str, unit: &str, help: &str) -> io::Result<()> {
    writeln!(out, "# TYPE {family} {kind}")?;
    if !unit.is_empty() {
        writeln!(out, "# UNIT {family} {unit}")?;
    }
    writeln!(out, "# HELP {family} {help}.")
}
