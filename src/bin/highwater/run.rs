//! A job from its options to its exit status.

use std::process::ExitCode;
use std::sync::Arc;

use highwater::copy::{self, Method, Report, Watch};
use highwater::engine::Meter;
use highwater::report::{self, Run};
use highwater::sys::cancel::Cancel;
use highwater::sys::{process, signals};
use highwater::units::{format_bytes, format_rate};

use crate::args::{self, When};
use crate::monitor::Monitor;
use crate::outputs::Outputs;
use crate::{meaning, words};

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// `highwater copy`
pub fn copy(typed: &args::Copy) -> ExitCode {
    let job = match meaning::copy(typed) {
        Ok(job) => job,
        Err(usage) => {
            return say_and(USAGE, &format!("{usage}\nTry 'highwater copy --help' for more information."));
        }
    };
    let mut outputs = match Outputs::open(&typed.output) {
        Ok(outputs) => outputs,
        Err(message) => return say_and(FAILED, &message),
    };
    let cancel = match Cancel::new().and_then(|cancel| signals::install(&cancel).map(|()| cancel)) {
        Ok(cancel) => cancel,
        Err(errno) => return say_and(FAILED, &format!("cannot start: {}", errno.desc())),
    };
    let meter = Arc::new(Meter::default());
    let progress = if typed.output.quiet { When::Never } else { typed.output.progress };
    let monitor = Monitor::start(&meter, progress);
    let watch = Watch { cancel, meter: Arc::clone(&meter), intervals: outputs.intervals() };
    let report = copy::copy(&job, watch);
    drop(monitor);

    let status = tell(&report, &job, &meter, typed);
    let latency = report.finished.as_ref().map(|finished| &finished.latency);
    match outputs.finish(&summary(&report, &job), latency.unwrap_or(&Default::default())) {
        Ok(()) => status,
        Err(message) if status == ExitCode::SUCCESS => say_and(FAILED, &message),
        Err(message) => {
            say(&message);
            status
        }
    }
}

/// Says what is to be said, and with which status to leave.
fn tell(report: &Report, job: &copy::Job, meter: &Meter, typed: &args::Copy) -> ExitCode {
    if !typed.output.quiet {
        report.notes.iter().for_each(|note| say(&words::note(note, job)));
    }
    let total = meter.look().total;
    for error in &report.errors {
        say(&words::error(error, job));
    }
    if report.finished.is_some() && !report.complete && !report.interrupted {
        let advice = report.errors.first().and_then(words::advice);
        let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
        say(&format!("{}{advice}", words::remains(report, total)));
    }
    if let (true, Some(signal)) = (report.interrupted, signals::stopped_by()) {
        let remains = match report.finished {
            Some(_) => words::remains(report, total),
            None => "nothing was written".to_owned(),
        };
        say(&format!("stopped by {}: {remains}", signals::name(signal)));
        return ExitCode::from(128 + signal as u8);
    }
    if !report.complete {
        return ExitCode::from(FAILED);
    }
    if typed.output.progress == When::Always && !typed.output.quiet {
        let rate = report::throughput_bytes_per_s(report.bytes, report.elapsed);
        let seconds = report.elapsed.as_secs_f64();
        say(&format!("{} in {seconds:.2} s, {}", format_bytes(report.bytes), format_rate(rate)));
    }
    ExitCode::SUCCESS
}

fn say(message: &str) {
    eprintln!("highwater: {message}");
}

fn say_and(status: u8, message: &str) -> ExitCode {
    say(message);
    ExitCode::from(status)
}

/// The run as reports show it.
fn summary(report: &Report, job: &copy::Job) -> Run {
    let used = process::usage();
    let (block_bytes, buffers) = report.ring.unwrap_or_default();
    let level = report.finished.as_ref().map(|finished| finished.level).unwrap_or_default();
    let latency = report.finished.as_ref().map(|finished| report::Latency::from(&finished.latency));
    Run {
        schema: report::SCHEMA,
        command: report::Command::Copy,
        outcome: match (report.interrupted, report.complete) {
            (true, _) => report::Outcome::Interrupted,
            (false, true) => report::Outcome::Ok,
            (false, false) => report::Outcome::Failed,
        },
        bytes: report.bytes,
        files: u64::from(report.complete),
        elapsed_s: report.elapsed.as_secs_f64(),
        throughput_bytes_per_s: report::throughput_bytes_per_s(report.bytes, report.elapsed),
        ring: report::Ring {
            block_bytes: block_bytes.into(),
            buffers: buffers.into(),
            registered: report.registered,
        },
        flow: report::Flow {
            high_water_bytes: report.marks.map_or(0, |marks| marks.high_bytes()),
            low_water_bytes: report.marks.map_or(0, |marks| marks.low_bytes()),
            peak_in_flight_bytes: level.peak_bytes,
            backpressure_events: level.backpressure_events,
            drain_events: level.drain_events,
            paused_s: level.paused.as_secs_f64(),
        },
        path: report::Path {
            method: match report.method {
                Method::Ring => report::Method::Ring,
                Method::Plain => report::Method::Plain,
                Method::Clone => report::Method::Clone,
            },
            source_direct: report.source_direct,
            target_direct: report.target_direct,
        },
        latency: latency.unwrap_or_default(),
        process: report::Process {
            peak_rss_bytes: used.peak_rss_bytes,
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
        },
        errors: report.errors.iter().map(report::Failure::from).collect(),
        notes: report.notes.iter().map(|note| words::note(note, job)).collect(),
    }
}
