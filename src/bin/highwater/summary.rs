//! A finished copy as reports show it.

use std::ffi::OsStr;
use std::thread;
use std::time::{Duration, SystemTime};

use highwater::copy::{self, Method};
use highwater::engine::Stall;
use highwater::flow::Bound;
use highwater::latency::Timeline;
use highwater::report::{self, Run};
use highwater::sys::process;
use highwater::units::{format_bytes, format_rate};
use nix::sys::utsname::uname;

use crate::words;

/// The run of which `report` tells, what hung meanwhile, and how it went interval by interval.
pub fn summary(report: &copy::Report, stalls: &[Stall], timeline: &Timeline) -> Run {
    let used = process::usage();
    let (block_bytes, buffers) = report.ring.unwrap_or_default();
    Run {
        schema: report::SCHEMA,
        command: report::Command::Copy,
        about: about(report.elapsed),
        outcome: match (report.interrupted, report.complete()) {
            (true, _) => report::Outcome::Interrupted,
            (false, true) => report::Outcome::Ok,
            (false, false) => report::Outcome::Failed,
        },
        bytes: report.bytes,
        files: report.files,
        directories: report.directories,
        skipped: report.skipped,
        deleted: report.deleted,
        failures: report.failures,
        retries: report.retries,
        elapsed_s: report.elapsed.as_secs_f64(),
        throughput_bytes_per_s: report::throughput_bytes_per_s(report.bytes, report.elapsed),
        ring: report::Ring {
            block_bytes: block_bytes.into(),
            buffers: buffers.into(),
            registered: report.registered,
        },
        flow: report::Flow::new(report.marks, &report.level),
        tuner: report.tuned.as_ref().map(|tuned| report::Tuner::new(tuned, buffers.into())),
        simulated: report.simulated.as_ref().map(|spec| report::Simulated { spec: spec.to_string() }),
        path: report::Path {
            method: match report.method {
                Method::Ring => report::Method::Ring,
                Method::Plain => report::Method::Plain,
                Method::Clone => report::Method::Clone,
                Method::Offload => report::Method::Offload,
            },
            source_direct: report.source_direct,
            target_direct: report.target_direct,
        },
        resumed: report.resumed.as_ref().map(|resumed| report::Resumed {
            believed_bytes: resumed.believed_bytes,
            believed_files: resumed.believed_files,
        }),
        load: None,
        sweep: None,
        latency: report::Latency::service(&report.latency),
        response: None,
        admission: None,
        intervals: report::intervals(timeline, report::Command::Copy, false),
        process: report::Process {
            peak_rss_bytes: used.peak_rss_bytes,
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
        },
        verified: report.verified.map(|verified| report::Verified {
            files: verified.files,
            bytes: verified.bytes,
            wrong_files: verified.wrong,
        }),
        errors: report.errors.iter().map(report::Failure::from).collect(),
        stalls: stalls.iter().map(report::Stall::from).collect(),
        cliff: None,
        check: None,
        stress: None,
        notes: report.warnings.iter().map(words::warning).chain(ring_note(report)).collect(),
    }
}

/// Where and when a run was that ends now and took so long, and what was typed.
pub fn about(elapsed: Duration) -> report::About {
    let started = SystemTime::now().checked_sub(elapsed).unwrap_or(SystemTime::UNIX_EPOCH);
    let system = uname().ok();
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let system = system.as_ref();
    report::About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        host: text(system.map(|system| system.nodename())),
        kernel: format!(
            "{} {}",
            text(system.map(|system| system.sysname())),
            text(system.map(|system| system.release()))
        ),
        cpus: thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        arguments: std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect(),
    }
}

/// More in flight would have brought more, and the ring had no room for it.
fn ring_note(report: &copy::Report) -> Option<String> {
    let tuned = report.tuned.as_ref().filter(|tuned| tuned.bound_by == Bound::Ring)?;
    let (block_bytes, buffers) = report.ring?;
    let ring = format_bytes(u64::from(block_bytes) * u64::from(buffers));
    let rate = format_rate(tuned.rate_bytes_per_s);
    Some(format!("the ring of {ring} held the rate back to {rate}: try --buffers {}", 2 * buffers))
}
