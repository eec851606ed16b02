//! A finished stress run for people.

use std::fmt::Write as _;
use std::io::{self, Write};

use highwater::report::{Run, write_table};
use highwater::stress::Report;
use highwater::stress::checker::{Fault, Findings};
use highwater::stress::health::Health;
use highwater::units::{format_bytes, format_rate};

use crate::quote::quote;

/// So many ranges are named, the rest counted.
const MOST_NAMED: usize = 50;

/// Shows it on standard output, or on standard error where that is taken.
pub fn show(report: &Report, run: &Run, to_stderr: bool) {
    let text = text(report, run);
    // Whoever closed it wants nothing more; files that were asked for are written all the same.
    let _ = match to_stderr {
        true => io::stderr().write_all(text.as_bytes()),
        false => io::stdout().write_all(text.as_bytes()),
    };
}

fn text(report: &Report, run: &Run) -> String {
    let mut text = String::new();
    if let Some(probed) = report.probed {
        let _ = match probed.is_genuine() {
            true => {
                writeln!(text, "{:<13} genuine: {} are kept", "capacity", format_bytes(probed.real_bytes))
            }
            false => writeln!(
                text,
                "{:<13} FAKE: says {}, keeps {}{}",
                "capacity",
                format_bytes(probed.announced_bytes),
                format_bytes(probed.real_bytes),
                match probed.wraps_after_bytes {
                    Some(after) =>
                        format!("; what is written behind {} goes to the beginning", format_bytes(after)),
                    None => String::new(),
                }
            ),
        };
    }
    if report.rounds > 0 && report.written_bytes > 0 {
        written(&mut text, report, run);
    }
    if let Some(findings) = &report.findings {
        let _ = writeln!(text, "{:<13} {}", "checked", checked(findings, report.to_check_bytes));
    }
    if run.latency.write.count + run.latency.read.count > 0 {
        let mut table = vec![];
        let _ = write_table(&mut table, &run.latency);
        text.push('\n');
        text += &String::from_utf8_lossy(&table);
    }
    if let Some((target, state)) = &report.kept
        && report.rounds > 0
    {
        let (target, state) = (quote(target), quote(state));
        let _ =
            writeln!(text, "\n{target} is kept; highwater stress --check --state {state} checks it again");
    }
    text
}

fn written(text: &mut String, report: &Report, run: &Run) {
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<13} {value}");
    };
    let rounds = match report.rounds {
        1 => String::new(),
        rounds => format!(", in {rounds} rounds of {}", format_bytes(report.size_bytes)),
    };
    row(
        "written",
        format!(
            "{} in {:.2} s, {}{rounds}, to {}",
            format_bytes(report.written_bytes),
            report.writing.as_secs_f64(),
            format_rate(run.throughput_bytes_per_s),
            quote(&report.target)
        ),
    );
    let longest = run.stalls.iter().max_by(|one, other| one.length_s.total_cmp(&other.length_s));
    row(
        "stalls",
        match longest {
            None => "none".into(),
            Some(longest) => format!(
                "{}, the longest of {:.2} s: {} at {:.2} s",
                run.stalls.len(),
                longest.length_s,
                longest.op,
                longest.start_s
            ),
        },
    );
    row(
        "cliff",
        match &run.cliff {
            None => "none".into(),
            Some(cliff) => format!(
                "from {} to {} after {:.0} s and {}",
                format_rate(cliff.before_bytes_per_s),
                format_rate(cliff.after_bytes_per_s),
                cliff.at_s,
                format_bytes(cliff.after_bytes)
            ),
        },
    );
    row(
        "backpressure",
        format!(
            "held for {:.2} s, {} times; at most {} of {} in flight",
            run.flow.paused_s,
            run.flow.backpressure_events,
            format_bytes(run.flow.peak_in_flight_bytes),
            format_bytes(run.flow.high_water_bytes)
        ),
    );
    if let Some(memory) = report.memory {
        row(
            "memory",
            format!(
                "{} at first, {} at last, {} at most",
                format_bytes(memory.first_bytes),
                format_bytes(memory.last_bytes),
                format_bytes(memory.most_bytes)
            ),
        );
    }
    match &report.health {
        Some(Ok((before, after))) => row("health", health(before, after)),
        Some(Err(why)) => row("health", format!("unknown: {why}")),
        None => {}
    }
}

fn health(before: &Health, after: &Health) -> String {
    let mut parts = vec![];
    if let (Some(before), Some(after)) = (before.temperature_celsius, after.temperature_celsius) {
        parts.push(format!("{before} °C before, {after} °C after"));
    }
    match after.passed {
        Some(true) => parts.push("SMART passed".into()),
        Some(false) => parts.push("SMART FAILED".into()),
        None => {}
    }
    for (name, value) in &after.troubles {
        let was = before.troubles.iter().find(|(other, _)| other == name).map_or(0, |(_, value)| *value);
        parts.push(if was == *value {
            format!("{name} {value}")
        } else {
            format!("{name} {was} -> {value}")
        });
    }
    parts.join("; ")
}

fn checked(findings: &Findings, to_check: u64) -> String {
    let blocks = findings.blocks;
    let mut parts = vec![];
    if findings.good == blocks {
        parts.push(format!("{} in {blocks} blocks of 4 KiB: all good", format_bytes(to_check)));
    } else {
        parts.push(format!("{blocks} blocks of 4 KiB: {} good", findings.good));
        if findings.unsynced > 0 {
            parts.push(format!("{} of which nothing was promised", findings.unsynced));
        }
        for fault in Fault::ALL {
            let count = findings.count(fault);
            if count > 0 {
                parts.push(format!("{count} {}", fault.name().to_uppercase()));
            }
        }
    }
    let missing = to_check / 4096 - blocks.min(to_check / 4096);
    if missing > 0 {
        parts.push(format!("{missing} more were not looked at"));
    }
    parts.join(", ")
}

/// Each range that is not as it should be, a line each.
pub fn findings(report: &Report) -> Vec<String> {
    let mut lines = vec![];
    if let Some(probed) = report.probed.filter(|probed| !probed.is_genuine()) {
        lines.push(format!(
            "{} says it has {} bytes and keeps {} of them",
            quote(&report.target),
            probed.announced_bytes,
            probed.real_bytes
        ));
    }
    let Some(findings) = &report.findings else { return lines };
    let path = quote(&report.target);
    for found in findings.ranges().iter().take(MOST_NAMED) {
        let (start, blocks) = (found.range.start, found.blocks());
        let what = meaning(found.fault);
        let length = format_bytes(found.range.end - start);
        lines.push(format!("{path} at byte {start}: {length} ({blocks} blocks) {what}"));
    }
    let more = findings.ranges().len().saturating_sub(MOST_NAMED) as u64 + findings.unlisted_ranges();
    if more > 0 {
        lines.push(format!("{more} more ranges of {path} are not as they were written; --json has them"));
    }
    lines
}

fn meaning(fault: Fault) -> &'static str {
    match fault {
        Fault::Lost => "lost: nothing of this run is there",
        Fault::Stale => "stale: an earlier round is there",
        Fault::Torn => "torn: parts of different writes are there",
        Fault::Misdirected => "misdirected: what belongs elsewhere is there",
        Fault::Corrupt => "corrupt: other bits than were written are there",
        Fault::Unreadable => "unreadable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_of_a_devices_health_is_told() {
        let before =
            Health { temperature_celsius: Some(31), passed: Some(true), troubles: vec![("a".into(), 1)] };
        let troubles = vec![("a".into(), 1), ("b".into(), 2)];
        let after = Health { temperature_celsius: Some(44), passed: Some(false), troubles };
        let told = health(&before, &after);
        assert_eq!(told, "31 °C before, 44 °C after; SMART FAILED; a 1; b 0 -> 2");
    }
}
