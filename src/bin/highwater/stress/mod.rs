//! `highwater stress` from its command line to its exit status.

mod meaning;
mod summary;
mod text;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use highwater::engine::{Meter, News, Origin};
use highwater::error::{Cause, StateFault};
use highwater::stress::{Event, Job, Report, Watch, stress as carry_out};
use highwater::sys::cancel::Cancel;
use highwater::sys::signals;

use crate::args::When;
use crate::args::stress::Stress;
use crate::display::Display;
use crate::monitor::Monitor;
use crate::outputs::Outputs;
use crate::program::Program;
use crate::quote::quote;
use crate::words;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// Something else was found than was written.
const WRONG: u8 = 3;
/// No healthy disk takes so long for a write.
const STALL_LIMIT: Duration = Duration::from_secs(1);

/// Carries it out.
pub fn stress(typed: &Stress) -> ExitCode {
    let job = match meaning::job(typed) {
        Ok(job) => job,
        Err(message) => return usage(&message),
    };
    let mut outputs = match Outputs::open(&typed.output) {
        Ok(outputs) => outputs,
        Err(message) => return failed(&message),
    };
    let last_words = format!(
        "highwater: stopped at once: nothing was waited for or removed; {} may hold what was written\n",
        quote(&job.target)
    );
    let cancel = Cancel::new().and_then(|cancel| signals::install(&cancel, last_words).map(|()| cancel));
    let cancel = match cancel {
        Ok(cancel) => cancel,
        Err(errno) => return failed(&format!("cannot start: {}", errno.desc())),
    };
    let quiet = typed.output.quiet;
    let progress = if quiet { When::Never } else { typed.output.progress.unwrap_or(When::Auto) };
    let display = Display::new(progress);
    let meter = Arc::new(Meter::default());
    let shown = display.clone();
    let tell = move |news: &News| {
        if !quiet {
            shown.aside(|| say(&words::stall(news)));
        }
    };
    let monitor =
        Monitor::start(&meter, display.clone(), tell, typed.output.stall_limit.unwrap_or(STALL_LIMIT));
    let hears = |event: &Event| {
        if let Some(message) = heard(event, &job, quiet) {
            display.aside(|| say(&message));
        }
    };
    let intervals = outputs.intervals();
    let report = carry_out(&job, Watch { cancel, meter, intervals, hears: &hears });
    let watched = monitor.finish();

    let run = summary::summary(&report, &job, &watched, &outputs.timeline());
    if !quiet {
        let to_stderr = typed.output.on_standard_output().next().is_some();
        text::show(&report, &run, to_stderr);
    }
    let findings = text::findings(&report);
    findings.iter().for_each(|line| say(line));
    let mut status = status(&report);
    for message in outputs.finish(&run, &report.latency) {
        say(&message);
        status = if status == 0 { FAILED } else { status };
    }
    ExitCode::from(status)
}

/// What is said of what happens.
fn heard(event: &Event, job: &Job, quiet: bool) -> Option<String> {
    match event {
        Event::Failed(error) => {
            let advice = words::advice(error).map(|advice| format!(" ({advice})")).unwrap_or_default();
            Some(words::error(error, Program::Highwater) + &advice)
        }
        _ if quiet => None,
        Event::Noted(note) => Some(words::note(*note)),
        Event::Longest(bytes) => Some(words::longest(&job.target, *bytes)),
        Event::ReadsBack(Origin::Cache) => Some(
            "what was written can't be read past the page cache here: what follows says nothing of the device"
                .into(),
        ),
        Event::ReadsBack(Origin::Memory) => Some("the target is in memory: there is no device under it".into()),
        Event::ReadsBack(Origin::Device) | Event::Round(_) => None,
    }
}

/// With which status to leave. Says which signal stopped it.
fn status(report: &Report) -> u8 {
    if let Some(signal) = signals::stopped_by().filter(|_| report.interrupted) {
        say(&format!("stopped by {}", signals::name(signal)));
        return 128 + signal as u8;
    }
    // What only a look at the target could tell.
    let is_usage = |cause: &Cause| {
        matches!(
            cause,
            Cause::WouldDestroy
                | Cause::Beyond { .. }
                | Cause::BeyondFile { .. }
                | Cause::State(StateFault::Needed)
        )
    };
    match report {
        _ if report.is_wrong() => WRONG,
        _ if report.errors.iter().any(|error| is_usage(&error.cause)) => USAGE,
        _ if report.failures > 0 => FAILED,
        _ => 0,
    }
}

fn usage(message: &str) -> ExitCode {
    say(message);
    eprintln!("Try 'highwater stress --help' for more information.");
    ExitCode::from(USAGE)
}

fn failed(message: &str) -> ExitCode {
    say(message);
    ExitCode::from(FAILED)
}

fn say(message: &str) {
    eprintln!("highwater: {message}");
}
