//! `highwater bench` from its command line to its exit status.

mod copies;
mod joined;
mod live;
mod meaning;
mod summary;
mod sweep;
mod text;

use std::path::Path;
use std::process::ExitCode;

use highwater::bench::sweep::Goal;
use highwater::bench::{Bench, Options};
use highwater::engine::load::Outcome;
use highwater::error::Error;
use highwater::report;
use highwater::sys::cancel::Cancel;
use highwater::sys::signals;

use crate::args::When;
use crate::args::bench::{Bench as Typed, What};
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
    if let Err(message) = meaning::check(typed) {
        return usage(&message);
    }
    let what = match &typed.load.workload {
        What::Load(workload) => {
            meaning::options(typed, *workload).map(|options| Meant::Load(Box::new(options)))
        }
        What::Copy(source) => {
            let unfit = copies::unfit(&typed.load).map_or(Ok(()), Err);
            unfit.and_then(|()| copies::job(typed, source, &typed.target)).map(|_| Meant::Copies(source))
        }
    };
    let what = match what {
        Ok(what) => what,
        Err(message) => return usage(&message),
    };
    let outputs = match Outputs::open(&typed.output) {
        Ok(outputs) => outputs,
        Err(message) => return failed(&message),
    };
    let cancel =
        Cancel::new().and_then(|cancel| signals::install(&cancel, LAST_WORDS.to_owned()).map(|()| cancel));
    let cancel = match cancel {
        Ok(cancel) => cancel,
        Err(errno) => return failed(&format!("cannot start: {}", errno.desc())),
    };
    match what {
        Meant::Copies(_) if meaning::length(&typed.load).is_zero() => usage("--for must be larger than 0"),
        Meant::Copies(source) => copies::bench(typed, source, meaning::length(&typed.load), outputs, &cancel),
        Meant::Load(options) => carry_out(typed, *options, outputs, &cancel),
    }
}

/// What is to be measured.
enum Meant<'a> {
    Load(Box<Options>),
    Copies(&'a Path),
}

fn progress(typed: &Typed) -> When {
    if typed.output.quiet { When::Never } else { typed.output.progress.unwrap_or(When::Auto) }
}

fn usage(message: &str) -> ExitCode {
    say(message);
    eprintln!("Try 'highwater bench --help' for more information.");
    ExitCode::from(USAGE)
}

/// A load, or a sweep of them.
fn carry_out(typed: &Typed, options: Options, mut outputs: Outputs, cancel: &Cancel) -> ExitCode {
    let display = Display::new(progress(typed));
    let mut live = Live::new(display, outputs.intervals(), options.length);
    let opened = Bench::open(&typed.target, options, &mut live, cancel);
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
    let goal = typed.load.goal;
    let measured = match typed.load.sweep {
        true => measure_all(&bench, goal, &mut live, cancel),
        false => bench.measure(&mut live, cancel).map(|outcome| (outcome, None)),
    };
    live.clear();
    let (seen, options) = (bench.seen(), bench.options().clone());
    let closed = bench.close();
    let (outcome, swept) = match measured {
        Ok(measured) => measured,
        Err(error) => return fail(&error),
    };
    let mut run = summary::summary(&outcome, &options, seen, &outputs.timeline());
    let to_stderr = typed.output.on_standard_output().next().is_some();
    let is_swept = swept.is_some();
    if let Some((report, text)) = swept {
        run.sweep = Some(report);
        run.notes.insert(0, "a sweep: all else that is told here is of its steps together".to_owned());
        if !typed.output.quiet {
            text::print(&text, to_stderr);
        }
    }
    if let Err(error) = &closed {
        run.failures += 1;
        run.outcome = report::Outcome::Failed;
        run.errors.push(error.into());
    }
    if !typed.output.quiet && !is_swept {
        text::show(&run, &typed.target, to_stderr);
    }
    let mut status = status(&outcome, run.outcome);
    outcome.errors.iter().chain(closed.as_ref().err()).for_each(|error| {
        fail(error);
    });
    for message in outputs.finish(&run, &outcome.latency) {
        say(&message);
        status = if status == 0 { FAILED } else { status };
    }
    ExitCode::from(status)
}

/// A measured load; of a sweep the sum of all, with their report and what is shown of them.
type Measured = (Outcome, Option<(report::Sweep, String)>);

/// Carries a sweep out.
fn measure_all(
    bench: &Bench,
    goal: Option<Goal>,
    live: &mut Live,
    cancel: &Cancel,
) -> Result<Measured, Error> {
    let swept = highwater::bench::sweep::sweep(bench, goal, live, cancel)?;
    let (report, text) = (sweep::report(&swept, goal), sweep::text(&swept, goal));
    let whole = sweep::merged(swept.steps).expect("a sweep has a first step");
    Ok((whole, Some((report, text))))
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
