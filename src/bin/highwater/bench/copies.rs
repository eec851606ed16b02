//! The workload `copy:SOURCE`: copies of it, one after the other, measured by copy's own engine. Here and not
//! in the library, as no job imports another.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use highwater::copy::{self, Event, Job, Question, Report, Watch};
use highwater::engine::{IntervalSink, Meter, Stall, load};
use highwater::error::{Cause, Error, Op, errno_of};
use highwater::latency::Timeline;
use highwater::report::{self, Load, Run};
use highwater::sys::cancel::Cancel;
use nix::unistd::mkdtemp;

use super::joined::Joined;
use super::live::Live;
use super::{FAILED, fail, say, status_of_signal, text};
use crate::args::bench::{Bench as Typed, LoadOptions};
use crate::args::copy::Request;
use crate::display::Display;
use crate::meaning::{self, Environment};
use crate::monitor::Monitor;
use crate::outputs::Outputs;
use crate::program::Program;
use crate::{args, words};

/// Why options of loads have no meaning here, if one was typed.
pub fn unfit(load: &LoadOptions) -> Option<String> {
    let typed = [
        (load.rate.is_some(), "--rate"),
        (load.depth.is_some(), "--depth"),
        (load.size.is_some(), "--size"),
        (load.sync_every.is_some(), "--sync-every"),
        (load.seed.is_some(), "--seed"),
        (load.sweep, "--sweep"),
        (load.destroy_data, "--destroy-data"),
    ];
    let option = typed.into_iter().find(|(is_typed, _)| *is_typed)?.1;
    Some(format!("{option} has no meaning for copies: --workload copy:SOURCE has those of a whole copy"))
}

/// What is told while copies are made, to all that listens.
struct Listeners {
    live: Live,
    joined: Joined,
}

/// Who makes copies, and the engine's threads, all tell them.
type Shared = Arc<Mutex<Listeners>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Listeners> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says what fails.
struct Told(Shared);

impl copy::Witness for Told {
    fn tell(&self, event: &Event<'_>) {
        if let Event::Failed(failed) = event {
            lock(&self.0).live.say(&words::error(&failed.error, Program::Highwater));
        }
    }

    fn ask(&self, _: &Question<'_>) -> bool {
        false
    }
}

/// Copies for as long as was asked, at least once, and reports of all of them.
pub fn bench(
    typed: &Typed,
    source: &Path,
    length: Duration,
    mut outputs: Outputs,
    cancel: &Cancel,
) -> ExitCode {
    let target = &typed.target;
    let folder = match mkdtemp(&target.join(".highwater-scratch-XXXXXX")) {
        Ok(folder) => folder,
        Err(errno) => return fail(&Error::new(Op::MakeScratch, target, Cause::Errno(errno as i32))),
    };
    let copied = folder.join("copy");
    let job = job(typed, source, &copied).expect("what was typed could be meant of TARGET itself");
    let every = typed.output.interval.unwrap_or(super::meaning::INTERVAL);
    let live = Live::new(Display::new(super::progress(typed)), outputs.intervals(), length);
    let shared = Arc::new(Mutex::new(Listeners { live, joined: Joined::new(every) }));
    let limit = typed.output.stall_limit.unwrap_or(super::meaning::STALL_LIMIT);
    let (mut whole, mut times, mut stalls) = (None::<Report>, Vec::new(), Vec::new());
    let began = Instant::now();
    while whole.as_ref().is_none_or(|whole| whole.complete() && began.elapsed() < length) {
        let (report, hung) = copy_once(&job, &shared, every, limit, cancel);
        stalls.extend(hung);
        if report.complete() {
            times.push(report.elapsed);
        }
        whole = Some(match whole {
            None => report,
            Some(whole) => added(whole, report),
        });
        if let Err(error) = remove(&copied) {
            lock(&shared).live.clear();
            fail(&Error::new(Op::Remove, &copied, Cause::Errno(errno_of(&error))));
            break;
        }
    }
    {
        let Listeners { live, joined } = &mut *lock(&shared);
        if let Some(last) = joined.finish() {
            load::Witness::interval(live, &last);
        }
        live.clear();
    }
    let removed = std::fs::remove_dir(&folder);
    let whole = whole.expect("there is a first copy");
    let limit_rate = typed.engine.limit_rate;
    let run = summary(&whole, source, length, &mut times, &stalls, &outputs.timeline(), limit_rate);
    if !typed.output.quiet {
        text::show(&run, target, typed.output.on_standard_output().next().is_some());
    }
    let mut status = match run.outcome {
        report::Outcome::Ok => 0,
        report::Outcome::Failed => FAILED,
        report::Outcome::Interrupted => status_of_signal(),
    };
    let left = removed.err().map(|error| Error::new(Op::Remove, &folder, Cause::Errno(errno_of(&error))));
    let left = left.map(|error| words::error(&error, Program::Highwater));
    for message in left.into_iter().chain(outputs.finish(&run, &whole.latency)) {
        say(&message);
        status = status.max(FAILED);
    }
    ExitCode::from(status)
}

/// One copy, and what hung meanwhile.
fn copy_once(
    job: &Job,
    shared: &Shared,
    every: Duration,
    stall_limit: Duration,
    cancel: &Cancel,
) -> (Report, Vec<Stall>) {
    let meter = Arc::new(Meter::default());
    let listening = Arc::clone(shared);
    let tell = move |news: &_| load::Witness::news(&mut lock(&listening).live, news);
    let monitor = Monitor::start(&meter, Display::Nowhere, tell, stall_limit);
    let listening = Arc::clone(shared);
    let sink: IntervalSink = Box::new(move |interval| {
        let Listeners { live, joined } = &mut *lock(&listening);
        if let Some(whole) = joined.add(interval) {
            load::Witness::interval(live, &whole);
        }
    });
    let witness = Told(Arc::clone(shared));
    let intervals = Some((every, sink));
    let watch = Watch { cancel: cancel.clone(), meter, intervals, witness: &witness, keep_errors: true };
    let report = copy::copy(job, watch);
    let mut stalls = monitor.finish().stalls;
    let joined = &mut lock(shared).joined;
    stalls.iter_mut().for_each(|stall| stall.start += joined.began());
    joined.next(report.elapsed);
    (report, stalls)
}

/// What `highwater copy -R --reflink=never` would do with the engine's options; or why they can't be meant.
pub fn job(typed: &Typed, source: &Path, target: &Path) -> Result<Job, String> {
    let mut args: Vec<OsString> =
        ["-RT", "--reflink=never", "--offload=never", "--"].map(OsString::from).into();
    args.extend([source.as_os_str(), target.as_os_str()].map(OsStr::to_owned));
    let program = Program::Highwater;
    let request = args::copy::read(args, program, false).map_err(|usage| usage.message)?;
    let Request::Copy(mut copy) = request else { unreachable!("no help was asked for") };
    copy.engine = typed.engine.clone();
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
    whole.latency.merge(&next.latency);
    whole.errors.extend(next.errors);
    whole
}

fn summary(
    whole: &Report,
    source: &Path,
    length: Duration,
    times: &mut [Duration],
    stalls: &[Stall],
    timeline: &Timeline,
    limit_bytes_per_s: Option<u64>,
) -> Run {
    times.sort();
    let mut run = crate::summary::summary(whole, stalls, timeline);
    let copies = times.len() as u64;
    run.command = report::Command::Bench;
    run.load = Some(Load {
        workload: format!("copy:{}", source.display()),
        ground: "scratch".into(),
        size_bytes: whole.bytes.checked_div(copies).unwrap_or(0),
        block_bytes: run.ring.block_bytes,
        depth: run.ring.buffers,
        length_s: length.as_secs_f64(),
        limit_bytes_per_s,
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
