//! A finished stress run as reports show it.

use highwater::engine::LevelSpan;
use highwater::latency::Timeline;
use highwater::report::{self, Run};
use highwater::stress::checker::{Fault, Findings};
use highwater::stress::{Job, Report};
use highwater::sys::process;

use crate::monitor::Watched;
use crate::summary::about;
use crate::words;

/// The run of which `report` tells, what was seen of it meanwhile, and how it went interval by interval.
pub fn summary(report: &Report, job: &Job, watched: &Watched, timeline: &Timeline) -> Run {
    let used = process::usage();
    let (block_bytes, buffers) = report.ring.unwrap_or_default();
    Run {
        schema: report::SCHEMA,
        command: report::Command::Stress,
        about: about(report.elapsed),
        outcome: match report {
            _ if report.interrupted => report::Outcome::Interrupted,
            _ if report.failures > 0 || report.is_wrong() => report::Outcome::Failed,
            _ => report::Outcome::Ok,
        },
        bytes: report.written_bytes,
        files: 0,
        directories: 0,
        skipped: 0,
        deleted: 0,
        failures: report.failures,
        retries: 0,
        elapsed_s: report.elapsed.as_secs_f64(),
        throughput_bytes_per_s: report::throughput_bytes_per_s(report.written_bytes, report.writing),
        ring: report::Ring {
            block_bytes: block_bytes.into(),
            buffers: buffers.into(),
            registered: report.registered,
        },
        flow: report::Flow::new(report.marks, &report.level),
        tuner: report.tuned.as_ref().map(|tuned| report::Tuner::new(tuned, buffers.into())),
        simulated: job.simulated.as_ref().map(|device| report::Simulated { spec: device.spec().to_string() }),
        path: report::Path {
            method: if report.is_ring { report::Method::Ring } else { report::Method::Plain },
            source_direct: report.direct.1,
            target_direct: report.direct.0,
        },
        resumed: None,
        load: None,
        sweep: None,
        latency: report::Latency::service(&report.latency),
        response: None,
        admission: None,
        intervals: report::intervals(timeline, report::Command::Stress, false),
        process: report::Process {
            peak_rss_bytes: used.peak_rss_bytes,
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
        },
        verified: None,
        errors: report.errors.iter().map(report::Failure::from).collect(),
        stalls: watched.stalls.iter().map(report::Stall::from).collect(),
        cliff: report.cliff.map(|cliff| report::Cliff {
            at_s: cliff.at.as_secs_f64(),
            after_bytes: cliff.after_bytes,
            before_bytes_per_s: cliff.before_bytes_per_s,
            after_bytes_per_s: cliff.after_bytes_per_s,
        }),
        check: report.findings.as_ref().map(check),
        stress: Some(stress(report, &watched.levels)),
        notes: report
            .is_longest
            .then(|| words::longest(&job.target, report.size_bytes))
            .into_iter()
            .collect(),
    }
}

fn check(findings: &Findings) -> report::Check {
    let range = |found: &highwater::stress::checker::Finding| report::BadRange {
        fault: found.fault.name().to_owned(),
        offset: found.range.start,
        length: found.range.end - found.range.start,
    };
    report::Check {
        blocks: findings.blocks,
        good: findings.good,
        unsynced: findings.unsynced,
        lost: findings.count(Fault::Lost),
        stale: findings.count(Fault::Stale),
        torn: findings.count(Fault::Torn),
        misdirected: findings.count(Fault::Misdirected),
        corrupt: findings.count(Fault::Corrupt),
        unreadable: findings.count(Fault::Unreadable),
        ranges: findings.ranges().iter().map(range).collect(),
        unlisted_ranges: findings.unlisted_ranges(),
    }
}

fn stress(report: &Report, levels: &[LevelSpan]) -> report::Stress {
    let health = |health: &highwater::stress::health::Health| report::Health {
        temperature_celsius: health.temperature_celsius,
        passed: health.passed,
        troubles: health.troubles.iter().cloned().collect(),
    };
    let (before, after) = match &report.health {
        Some(Ok((before, after))) => (Some(health(before)), Some(health(after))),
        _ => (None, None),
    };
    report::Stress {
        target: report.target.to_string_lossy().into_owned(),
        run: report.pattern.map(|pattern| format!("{:016x}", pattern.run)),
        seed: report.pattern.map(|pattern| pattern.seed),
        size_bytes: report.size_bytes,
        rounds: report.rounds,
        writing_s: report.writing.as_secs_f64(),
        to_check_bytes: report.to_check_bytes,
        probe: report.probed.map(|probed| report::Probe {
            announced_bytes: probed.announced_bytes,
            real_bytes: probed.real_bytes,
            wraps_after_bytes: probed.wraps_after_bytes,
        }),
        levels: levels.iter().map(level).collect(),
        memory: report.memory.map(|memory| report::Memory {
            first_bytes: memory.first_bytes,
            last_bytes: memory.last_bytes,
            most_bytes: memory.most_bytes,
        }),
        health_before: before,
        health_after: after,
    }
}

fn level(span: &LevelSpan) -> report::Level {
    report::Level {
        start_s: span.start.as_secs_f64(),
        length_s: span.length.as_secs_f64(),
        mean_bytes: span.mean_bytes,
        most_bytes: span.most_bytes,
    }
}
