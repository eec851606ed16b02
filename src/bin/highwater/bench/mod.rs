//! `highwater bench` from its command line to its exit status.

mod live;
mod meaning;
mod summary;
mod text;

use std::process::ExitCode;

use highwater::bench::Bench;
use highwater::engine::load::Outcome;
use highwater::error::Error;
use highwater::report;
use highwater::sys::cancel::Cancel;
use highwater::sys::signals;

use crate::args::When;
use crate::args::bench::Bench as Typed;
use crate::display::Display;
use crate::outputs::Outputs;
use crate::program::Program;
use crate::words;
use live::Live;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

const LAST_WORDS: &str = "highwater: stopped at once: nothing is reported of what was measured\n";

/// Carries it out.
pub fn bench(typed: &Typed) -> ExitCode {
    let options = match meaning::options(typed) {
        Ok(options) => options,
        Err(message) => {
            say(&message);
            eprintln!("Try 'highwater bench --help' for more information.");
            return ExitCode::from(USAGE);
        }
    };
    let mut outputs = match Outputs::open(&typed.output) {
        Ok(outputs) => outputs,
        Err(message) => return failed(&message),
    };
    let cancel =
        Cancel::new().and_then(|cancel| signals::install(&cancel, LAST_WORDS.to_owned()).map(|()| cancel));
    let cancel = match cancel {
        Ok(cancel) => cancel,
        Err(errno) => return failed(&format!("cannot start: {}", errno.desc())),
    };
    let progress = if typed.output.quiet { When::Never } else { typed.output.progress.unwrap_or(When::Auto) };
    let display = Display::new(progress);
    let mut live = Live::new(display, outputs.intervals(), options.length);
    let opened = Bench::open(&typed.target, options, &mut live, &cancel);
    let bench = match opened {
        Ok(Some(bench)) => bench,
        Ok(None) => {
            live.clear();
            say("stopped before anything was measured; no scratch file is left");
            return ExitCode::from(status_of_signal());
        }
        Err(error) => {
            live.clear();
            return fail(&error);
        }
    };
    let measured = bench.measure(&mut live, &cancel);
    live.clear();
    let (seen, options) = (bench.seen(), bench.options().clone());
    let closed = bench.close();
    let outcome = match measured {
        Ok(outcome) => outcome,
        Err(error) => return fail(&error),
    };
    let mut run = summary::summary(&outcome, &options, seen, &outputs.timeline());
    if let Err(error) = &closed {
        run.failures += 1;
        run.outcome = report::Outcome::Failed;
        run.errors.push(error.into());
    }
    if !typed.output.quiet {
        let to_stderr = typed.output.on_standard_output().next().is_some();
        text::show(&run, &typed.target, to_stderr);
    }
    let mut status = status(&outcome, run.outcome);
    outcome.errors.iter().chain(closed.as_ref().err()).for_each(|error| {
        fail(error);
    });
    if let Err(message) = outputs.finish(&run, &outcome.latency) {
        say(&message);
        if status == 0 {
            status = FAILED;
        }
    }
    ExitCode::from(status)
}

/// With which status to leave, and what is said of it.
fn status(outcome: &Outcome, reported: report::Outcome) -> u8 {
    if outcome.outstanding.count > 0 {
        let (count, oldest) = (outcome.outstanding.count, outcome.outstanding.oldest.as_secs_f64());
        say(&format!("{count} operations were still out at the end, the oldest for {oldest:.1} s"));
    }
    if let Some(signal) = signals::stopped_by().filter(|_| outcome.interrupted) {
        let elapsed = outcome.elapsed.as_secs_f64();
        say(&format!(
            "stopped by {} after {elapsed:.1} s; the report is of what was measured",
            signals::name(signal)
        ));
        return status_of_signal();
    }
    match reported {
        report::Outcome::Ok => 0,
        report::Outcome::Failed | report::Outcome::Interrupted => FAILED,
    }
}

fn status_of_signal() -> u8 {
    signals::stopped_by().map_or(FAILED, |signal| 128 + signal as u8)
}

fn say(message: &str) {
    eprintln!("highwater: {message}");
}

fn failed(message: &str) -> ExitCode {
    say(message);
    ExitCode::from(FAILED)
}

/// Tells of a failure, with advice.
fn fail(error: &Error) -> ExitCode {
    let message = words::error(error, Program::Highwater);
    match words::advice(error) {
        Some(advice) => failed(&format!("{message}; {advice}")),
        None => failed(&message),
    }
}
