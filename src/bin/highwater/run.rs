//! A job from its command line to its exit status.

use std::cell::LazyCell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use highwater::copy::{self, Event, Job, Name, Report, SpentJournal, Watch, Witness};
use highwater::engine::Meter;
use highwater::error::{errno_of, strerror};
use highwater::report;
use highwater::sys::cancel::Cancel;
use highwater::sys::signals;
use highwater::units::{format_bytes, format_rate};

use crate::args::When;
use crate::args::copy::{Copy, Request};
use crate::display::Display;
use crate::meaning::Environment;
use crate::monitor::Monitor;
use crate::outputs::Outputs;
use crate::program::{Program, Usage};
use crate::quote::quote;
use crate::summary::summary;
use crate::voice::{Manner, Voice};
use crate::{args, manual, meaning};

const FAILED: u8 = 1;
/// Longer than any healthy disk takes, its error recovery included.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// A copy was read back and is not what was written to it.
const WRONG: u8 = 3;

/// `highwater copy`, or cp.
pub fn copy(args: impl Iterator<Item = OsString>, program: Program) -> ExitCode {
    let environment = Environment::of_process();
    let request = args::copy::read(args, program, environment.posixly_correct);
    let copied = request.and_then(|request| match request {
        Request::Help => Ok(print(program, &manual::copy_help(program))),
        Request::Version => Ok(print(program, &manual::version(program))),
        Request::Copy(typed) => {
            let job = meaning::copy(&typed, program, &environment, |message| say(program, message))?;
            Ok(carry_out(&typed, &job, program))
        }
    });
    copied.unwrap_or_else(|usage: Usage| {
        say(program, &usage.text(program));
        ExitCode::from(program.usage_status())
    })
}

/// Text that was asked for.
pub fn print(program: Program, text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(program, &format!("write error: {}", strerror(errno_of(&error)))),
    }
}

fn carry_out(typed: &Copy, job: &Job, program: Program) -> ExitCode {
    let output = &typed.output;
    let mut outputs = match Outputs::open(output) {
        Ok(outputs) => outputs,
        Err(message) => return failed(program, &message),
    };
    let cancel = match Cancel::new()
        .and_then(|cancel| signals::install(&cancel, last_words(job, program)).map(|()| cancel))
    {
        Ok(cancel) => cancel,
        Err(errno) => return failed(program, &format!("cannot start: {}", errno.desc())),
    };
    let progress = match output.progress {
        _ if output.quiet => When::Never,
        Some(typed) => typed,
        None if program.is_cp() => When::Never,
        None => When::Auto,
    };
    let display = Display::new(progress);
    let manner = Manner {
        program,
        quiet: output.quiet,
        verbose: job.options.verbose,
        dry_run: job.options.dry_run,
        output_taken: job.target == Name::Standard || output.on_standard_output().next().is_some(),
    };
    let voice = Arc::new(Voice::new(manner, display.clone(), outputs.manifest()));
    let meter = Arc::new(Meter::default());
    let limit = output.stall_limit.unwrap_or(STALL_LIMIT);
    let teller = Arc::clone(&voice);
    let monitor = Monitor::start(&meter, display, move |news| teller.tell_stall(news), limit);
    let watch = Watch {
        cancel,
        meter: Arc::clone(&meter),
        intervals: outputs.intervals(),
        witness: &*voice,
        keep_errors: output.json.is_some(),
    };
    let mut report = copy::copy(job, watch);
    let stalls = monitor.finish().stalls;

    let timeline = outputs.timeline();
    let run = LazyCell::new(|| summary(&report, &stalls, &timeline));
    let ends = voice.finish().err().into_iter().chain(outputs.finish(run, &report.latency));
    let ends: Vec<String> = ends.collect();
    let mut status = status(&report, &voice, program);
    if let Some(resumed) = report.resumed.as_ref().filter(|_| !report.complete()) {
        let journal = quote(&resumed.journal);
        voice.say(&format!("run the same command again to go on; {journal} tells what is safe already"));
    }
    for message in ends {
        voice.say(&message);
        if status == 0 {
            status = FAILED;
        }
    }
    if status == 0 && output.progress == Some(When::Always) && !output.quiet {
        let rate = report::throughput_bytes_per_s(report.bytes, report.elapsed);
        let seconds = report.elapsed.as_secs_f64();
        voice.say(&format!("{} in {seconds:.2} s, {}", format_bytes(report.bytes), format_rate(rate)));
    }
    // Last of all: see there.
    if let Some(Err(error)) = report.spent.take().map(SpentJournal::remove) {
        voice.tell(&Event::Failed(&error.into()));
        status = FAILED;
    }
    ExitCode::from(status)
}

/// What is said when a second signal ends the copy without its being drained.
fn last_words(job: &Job, program: Program) -> String {
    if program.is_cp() {
        return String::new();
    }
    let target = quote(job.target.shown());
    format!(
        "{}: stopped at once: what was in flight was not waited for; what {target} got may be incomplete \
         and not on stable storage\n",
        program.name()
    )
}

/// With which status to leave. Says which signal stopped the copy; its failures have been told.
fn status(report: &Report, voice: &Voice, program: Program) -> u8 {
    let Some(signal) = signals::stopped_by().filter(|_| report.interrupted) else {
        return match report.complete() {
            true => 0,
            // A wrong command line, as only a look at TARGET could tell.
            false if voice.heard_usage() => program.usage_status(),
            false if report.verified.is_some_and(|verified| verified.wrong > 0) && !program.is_cp() => WRONG,
            false => FAILED,
        };
    };
    if !program.is_cp() {
        let whole = (report.files > 0).then(|| format!("{} files are complete", report.files));
        let unverified = report.verified.is_some_and(|verified| verified.files < report.files);
        let unverified =
            unverified.then(|| "not all of them were verified".to_owned()).filter(|_| report.files > 0);
        let told: Vec<_> = whole.into_iter().chain(unverified).chain(voice.stopped()).collect();
        let told = if told.is_empty() { "nothing was written".to_owned() } else { told.join("; ") };
        voice.say(&format!("stopped by {}: {told}", signals::name(signal)));
    }
    128 + signal as u8
}

fn say(program: Program, message: &str) {
    eprintln!("{}: {message}", program.name());
}

fn failed(program: Program, message: &str) -> ExitCode {
    say(program, message);
    ExitCode::from(FAILED)
}
