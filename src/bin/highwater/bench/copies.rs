//! The workload `copy:SOURCE`: copies of it, one after the other, measured by copy's own engine. Here and not
//! in the library, as no job imports another.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater::copy::{self, Event, Job, Question, Report, Watch};
use highwater::engine::Meter;
use highwater::error::{Cause, Error, Op, errno_of};
use highwater::latency::Timeline;
use highwater::report::{self, Load, Run};
use highwater::sys::cancel::Cancel;

use super::{FAILED, fail, failed, say, status_of_signal, text};
use crate::args::bench::{Bench as Typed, LoadOptions};
use crate::args::copy::Request;
use crate::meaning::{self, Environment};
use crate::outputs::Outputs;
use crate::program::Program;
use crate::{args, words};

/// Says what fails.
struct Told;

impl copy::Witness for Told {
    fn tell(&self, event: &Event<'_>) {
        if let Event::Failed(failed) = event {
            say(&words::error(&failed.error, Program::Highwater));
        }
    }

    fn ask(&self, _: &Question<'_>) -> bool {
        false
    }
}

/// Why options of loads have no meaning here, if one was typed.
pub fn unfit(load: &LoadOptions) -> Option<String> {
    let typed = [
        (load.rate.is_some(), "--rate"),
        (load.depth.is_some(), "--depth"),
        (load.size.is_some(), "--size"),
        (load.sync_every.is_some(), "--sync-every"),
        (load.sweep, "--sweep"),
        (load.destroy_data, "--destroy-data"),
    ];
    let option = typed.into_iter().find(|(is_typed, _)| *is_typed)?.1;
    Some(format!("{option} has no meaning for copies: --workload copy:SOURCE has those of a whole copy"))
}

/// Copies for as long as was asked, at least once, and reports of all of them.
pub fn bench(typed: &Typed, source: &Path, length: Duration, outputs: Outputs, cancel: &Cancel) -> ExitCode {
    let target = &typed.target;
    let made = tempfile::Builder::new().prefix(".highwater-scratch-").tempdir_in(target);
    let folder = match made {
        Ok(folder) => folder,
        Err(error) => return fail(&Error::new(Op::MakeScratch, target, Cause::Errno(errno_of(&error)))),
    };
    let copied = folder.path().join("copy");
    let job = match job(typed, source, &copied) {
        Ok(job) => job,
        Err(message) => return failed(&message),
    };
    let (mut whole, mut times) = (None::<Report>, Vec::new());
    let began = Instant::now();
    while whole.as_ref().is_none_or(|whole| whole.complete() && began.elapsed() < length) {
        let watch = Watch {
            cancel: cancel.clone(),
            meter: Arc::new(Meter::default()),
            intervals: None,
            witness: &Told,
            keep_errors: true,
        };
        let report = copy::copy(&job, watch);
        if report.complete() {
            times.push(report.elapsed);
        }
        whole = Some(match whole {
            None => report,
            Some(whole) => added(whole, report),
        });
        if let Err(error) = remove(&copied) {
            fail(&Error::new(Op::Remove, &copied, Cause::Errno(errno_of(&error))));
            break;
        }
    }
    let removed = folder.close();
    let whole = whole.expect("there is a first copy");
    let run = summary(&whole, source, length, &mut times);
    if !typed.output.quiet {
        text::show(&run, target, typed.output.on_standard_output().next().is_some());
    }
    let mut status = match run.outcome {
        report::Outcome::Ok => 0,
        report::Outcome::Failed => FAILED,
        report::Outcome::Interrupted => status_of_signal(),
    };
    let left = removed.err().map(|error| format!("cannot remove a scratch directory: {error}"));
    for message in left.into_iter().chain(outputs.finish(&run, &whole.latency)) {
        say(&message);
        status = status.max(FAILED);
    }
    ExitCode::from(status)
}

/// What `highwater copy -R --reflink=never` would do.
fn job(typed: &Typed, source: &Path, target: &Path) -> Result<Job, String> {
    let named = |name: &str, value: &dyn std::fmt::Debug| {
        OsString::from(format!("--{name}={}", format!("{value:?}").to_lowercase()))
    };
    let mut args: Vec<OsString> = ["-RT", "--reflink=never", "--offload=never"].map(OsString::from).into();
    args.push(named("engine", &typed.load.engine));
    args.push(named("direct", &typed.load.direct));
    args.extend(typed.load.block_size.map(|bytes| OsString::from(format!("--block-size={bytes}"))));
    let simulated = &typed.load.simulated;
    args.extend(simulated.simulate.iter().map(|spec| OsString::from(format!("--simulate={spec}"))));
    args.extend(simulated.profile.iter().map(|name| OsString::from(format!("--profile={name}"))));
    args.extend([OsStr::new("--"), source.as_os_str(), target.as_os_str()].map(OsStr::to_owned));
    let program = Program::Highwater;
    let request = args::copy::read(args, program, false).map_err(|usage| usage.message)?;
    let Request::Copy(copy) = request else { unreachable!("no help was asked for") };
    meaning::copy(&copy, program, &Environment::default(), |_| {}).map_err(|usage| usage.message)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn added(mut whole: Report, next: Report) -> Report {
    whole.bytes += next.bytes;
    whole.files += next.files;
    whole.directories += next.directories;
    whole.elapsed += next.elapsed;
    whole.failures += next.failures;
    whole.interrupted |= next.interrupted;
    whole.level.peak_bytes = whole.level.peak_bytes.max(next.level.peak_bytes);
    whole.level.backpressure_events += next.level.backpressure_events;
    whole.level.drain_events += next.level.drain_events;
    whole.level.paused += next.level.paused;
    whole.latency.merge(next.latency);
    whole.errors.extend(next.errors);
    whole
}

fn summary(whole: &Report, source: &Path, length: Duration, times: &mut [Duration]) -> Run {
    times.sort();
    let mut run = crate::summary::summary(whole, &[], &Timeline::default());
    let copies = times.len() as u64;
    run.command = report::Command::Bench;
    run.load = Some(Load {
        workload: format!("copy:{}", source.display()),
        ground: "scratch".into(),
        size_bytes: whole.bytes.checked_div(copies).unwrap_or(0),
        block_bytes: run.ring.block_bytes,
        depth: run.ring.buffers,
        length_s: length.as_secs_f64(),
        operations: copies,
        operations_per_s: report::throughput_bytes_per_s(copies, whole.elapsed),
        ..Load::default()
    });
    if let (Some(least), Some(most)) = (times.first(), times.last()) {
        let median = times[times.len() / 2];
        let [least, median, most] = [*least, median, *most].map(|time| time.as_secs_f64());
        run.notes.push(format!(
            "{copies} copies, each durable: {median:.3} s at the median, {least:.3} to {most:.3} s"
        ));
    }
    run
}
