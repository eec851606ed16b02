//! A run from its start to its end: opened, probed, written, read back, removed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::engine::{Engine, Ledger, post};
use crate::error::{Cause, Error, Op, StateFault};
use crate::flow::{Digesting, Holes, Length, Marks, Patience, Shape, Side, Visibility};
use crate::ring::Arena;
use crate::sys::cancel::Cancel;

use super::cliff;
use super::health;
use super::job::{Event, Job, Report, Watch};
use super::keeper::Keeper;
use super::medium;
use super::pattern::{Pattern, fresh};
use super::series::Series;
use super::state::{PATH_MOST, State};
use super::target::{Target, state_beside};

/// What all parts of a run share, on whichever thread.
pub(super) struct Run<'a> {
    pub job: &'a Job,
    pub target: &'a Target,
    pub pattern: Pattern,
    pub marks: Marks,
    pub ledger: Arc<Ledger>,
    pub cancel: Cancel,
    pub hears: &'a (dyn Fn(&Event) + Sync),
    failed: Mutex<Failed>,
}

#[derive(Default)]
struct Failed {
    errors: Vec<Error>,
    count: u64,
}

/// So many failures are kept; more are counted.
const MOST_ERRORS: usize = 1000;

/// Leans on a target, or checks what an earlier run wrote. Stopped by the watch's cancel, it still
/// reports what happened until then.
pub fn stress(job: &Job, watch: Watch<'_>) -> Report {
    let began = Instant::now();
    watch.meter.open_post();
    post::be_about(Arc::new((job.target.clone(), job.target.clone())));
    let mut report = Report { target: job.target.clone(), ..Report::default() };
    let hears = watch.hears;
    let done = match job.only_check {
        true => check_later(job, watch, &mut report),
        false => lean(job, watch, &mut report),
    };
    if let Err(error) = done {
        hears(&Event::Failed(error.clone()));
        report.errors.push(error);
        report.failures += 1;
    }
    report.elapsed = began.elapsed();
    report
}

fn state_path(job: &Job) -> Result<PathBuf, Error> {
    let needed = || Error::new(Op::State, &job.target, Cause::State(StateFault::Needed));
    job.state.clone().or_else(|| state_beside(&job.target)).ok_or_else(needed)
}

// ---- writing and reading back ----

fn lean(job: &Job, watch: Watch<'_>, report: &mut Report) -> Result<(), Error> {
    let state_path = state_path(job)?;
    let pattern = Pattern { run: fresh(), seed: job.seed };
    let target = Target::open(job, pattern.run)?;
    report.target.clone_from(&target.path);
    report.size_bytes = target.size;
    report.is_longest = target.is_longest;
    if target.is_longest {
        (watch.hears)(&Event::Longest(target.size));
    }
    let keeper = first_state(job, &target, pattern, &state_path);
    let mut keeper = match keeper {
        Ok(keeper) => keeper,
        Err(error) => {
            let _ = target.remove();
            return Err(error);
        }
    };
    let leaned = lean_on(job, watch, report, &target, pattern, &mut keeper);
    // A file that can't be removed keeps its state.
    let may_go = target.is_made && !job.keep;
    let removed = if may_go { target.remove() } else { Ok(()) };
    if !may_go || removed.is_err() {
        report.kept = Some((target.path.clone(), keeper.path().to_owned()));
        return leaned.and(removed);
    }
    leaned.and(keeper.remove())
}

fn first_state(job: &Job, target: &Target, pattern: Pattern, path: &Path) -> Result<Keeper, Error> {
    let named = std::path::absolute(&target.path).unwrap_or_else(|_| target.path.clone());
    let name = named.into_os_string().into_encoded_bytes();
    if name.len() > PATH_MOST {
        return Err(Error::new(Op::State, path, Cause::Errno(libc::ENAMETOOLONG)));
    }
    let (number, generation, synced, is_complete) = (0, 0, 0, true);
    let state = State { number, pattern, size: target.size, generation, synced, is_complete, target: name };
    Keeper::create(path, state, job.destroy_data)
}

fn lean_on(
    job: &Job,
    watch: Watch<'_>,
    report: &mut Report,
    target: &Target,
    pattern: Pattern,
    keeper: &mut Keeper,
) -> Result<(), Error> {
    report.pattern = Some(pattern);
    post::be_about(Arc::new((target.path.clone(), target.path.clone())));
    let device = health::device_of(&target.stat);
    let before = health::ask(device.as_deref());
    if job.probe {
        match medium::probe(target, &watch.cancel)? {
            None => {
                report.interrupted = true;
                return Ok(());
            }
            Some(probed) => {
                report.probed = Some(probed);
                // What it does not keep need not be written to be known as lost.
                if !probed.is_genuine() {
                    return Ok(());
                }
            }
        }
    }
    let series = Series::default();
    let (run, engine) = Run::begin(job, target, pattern, watch, &series, report)?;
    let written = run.write(&engine, keeper, report);
    let writing_ended = run.ledger.now();
    if !report.interrupted && (written.is_checked || run.failures() == 0) {
        run.read_back(&engine, |offset| written.expected(offset), written.end, report);
    }
    run.finish(report);
    report.health = Some(before.and_then(|before| Ok((before, health::ask(device.as_deref())?))));
    report.cliff = cliff::find(&series.until(writing_ended));
    Ok(())
}

// ---- checking later ----

fn check_later(job: &Job, watch: Watch<'_>, report: &mut Report) -> Result<(), Error> {
    let path = state_path(job)?;
    let state = Keeper::read(&path)?;
    if state.generation == 0 || state.end() == 0 {
        return Err(Error::new(Op::State, path, Cause::State(StateFault::Empty)));
    }
    let written = PathBuf::from(OsString::from_vec(state.target.clone()));
    let target = Target::open_to_check(job, &written, state.end())?;
    report.target.clone_from(&target.path);
    report.size_bytes = target.size;
    report.rounds = state.generation;
    report.pattern = Some(state.pattern);
    if medium::holds_another_run(&target, state.pattern) {
        return Err(Error::new(Op::State, path, Cause::State(StateFault::OfOther)).with(&target.path));
    }
    let (run, engine) = Run::begin(job, &target, state.pattern, watch, &Series::default(), report)?;
    run.read_back(&engine, |offset| state.expected(offset), state.end(), report);
    run.finish(report);
    Ok(())
}

impl<'a> Run<'a> {
    fn begin(
        job: &'a Job,
        target: &'a Target,
        pattern: Pattern,
        watch: Watch<'a>,
        series: &Series,
        report: &mut Report,
    ) -> Result<(Run<'a>, Engine), Error> {
        let size = job.size.for_length(Some(target.size));
        let engine = Engine::open(job.engine, size)?;
        engine.notes().iter().for_each(|note| (watch.hears)(&Event::Noted(*note)));
        let arena = engine.arena();
        let marks = size.marks(arena.buffers().into()).expect("marks were checked with the job");
        report.ring = Some((arena.block_bytes(), arena.buffers().into()));
        report.is_ring = engine.is_ring();
        report.registered = engine.is_registered();
        report.marks = Some(marks);
        watch.meter.set_mark(marks.high_bytes());
        let level = size.level(arena.buffers().into()).expect("marks were checked with the job");
        let ledger = Ledger::under(level, &watch.meter, Some(series.tee(watch.intervals)));
        let Watch { cancel, hears, .. } = watch;
        let failed = Mutex::default();
        Ok((Run { job, target, pattern, marks, ledger, cancel, hears, failed }, engine))
    }

    /// Whole blocks in order from one side to the other, whatever they hold.
    pub fn shape(&self, arena: &Arena, source: Side, target: Side, length: Length) -> Shape {
        Shape {
            block_bytes: arena.block_bytes(),
            slots: arena.buffers(),
            marks: self.marks,
            source,
            target,
            length,
            sparse: false,
            holes: Holes::Zeros,
            find_zeros: false,
            fill_blocks: true,
            filled_by_caller: false,
            visibility: Visibility::Fixed,
            digesting: Digesting::Off,
            limit_bytes_per_s: self.job.limit_bytes_per_s,
            patience: Patience::default(),
        }
    }

    /// Something failed.
    pub fn fail(&self, error: Error) {
        (self.hears)(&Event::Failed(error.clone()));
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.count += 1;
        if failed.errors.len() < MOST_ERRORS {
            failed.errors.push(error);
        }
    }

    /// How much has failed so far.
    pub fn failures(&self) -> u64 {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Whether somebody stops it.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_raised()
    }

    fn finish(self, report: &mut Report) {
        let books = self.ledger.finish();
        report.level = books.level;
        report.tuned = books.tuned;
        report.latency = books.latency;
        report.interrupted |= self.cancel.is_raised();
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.failures += failed.count;
        report.errors.extend(failed.errors);
    }
}
