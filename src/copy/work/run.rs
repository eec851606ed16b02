//! A copy from its beginning to its end: operands, workers, what holds for all of them.

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use crate::engine::{Choice, Ledger, Meter, Simulated, Simulator, Size};
use crate::error::{Cause, Error, Op, errno_of};
use crate::flow::Marks;
use crate::sys;
use crate::sys::cancel::Cancel;
use crate::sys::stat::Id;

use crate::copy::content::file;
use crate::copy::content::parts;
use crate::copy::events::Event;
use crate::copy::job::{Job, Method, Report, Resumed, Verified, Watch};
use crate::copy::names::entry::Entry;
use crate::copy::names::links::Links;
use crate::copy::names::operands::{Destination, Operands, destination, place_of};
use crate::copy::names::parents::Parents;
use crate::copy::names::temporary::Leftovers;
use crate::copy::options::{OnError, Options};
use crate::copy::paths::Name;
use crate::copy::tree::directory::{Operand, Place};
use crate::copy::tree::mirror;
use crate::copy::tree::survey;
use crate::copy::trust::durable::Durable;
use crate::copy::trust::evidence::Evidence;
use crate::copy::trust::resume::{self, Resume};
use crate::copy::trust::verify;
use crate::copy::work::engines::Used;
use crate::copy::work::queue::Queue;
use crate::copy::work::syncers::{self, SYNCERS};
use crate::copy::work::tally::{FileSystems, Impossible, Tally};
use crate::copy::work::telling::Telling;
use crate::copy::work::worker::{Unit, Worker};

/// What all workers share.
pub(in crate::copy) struct Run<'a> {
    pub job: &'a Job,
    pub options: &'a Options,
    pub cancel: &'a Cancel,
    pub meter: &'a Arc<Meter>,
    pub ledger: Arc<Ledger>,
    pub queue: Queue<Unit>,
    pub links: Links,
    pub operands: Operands,
    pub durable: Durable,
    pub leftovers: Leftovers,
    /// files on their way to the disk
    pub syncers: Queue<Box<syncers::Unit>>,
    resume: OnceLock<Resume>,
    pub tally: Tally,
    pub used: Used,
    pub clones: Impossible,
    pub offloads: Impossible,
    pub file_systems: FileSystems,
    /// what was copied, where that is to be verified or listed
    pub evidence: Option<Evidence>,
    /// of each worker's ring
    pub size: Size,
    /// over all of them
    pub marks: Marks,
    /// a device that does not exist stands before the target
    pub simulator: Option<Arc<Simulator>>,
    /// how many workers there are at most
    pub workers: usize,
    naps: AtomicU64,
    pub telling: Telling<'a>,
}

impl Run<'_> {
    /// The journal, where there is one.
    pub fn resume(&self) -> Option<&Resume> {
        self.resume.get()
    }

    /// Whether an earlier run may have met what is met now.
    pub fn goes_on(&self) -> bool {
        self.resume().is_some_and(Resume::goes_on)
    }

    /// Whether nothing new is to be begun.
    pub fn should_stop(&self) -> bool {
        self.cancel.is_raised() || self.options.on_error == OnError::Stop && self.tally.failures() > 0
    }

    /// Whether a worker may wait a little for what others hold; not for ever, all in all.
    pub fn may_nap(&self) -> bool {
        !self.should_stop() && self.naps.fetch_add(1, Ordering::Relaxed) < 5000
    }

    /// A file of this key on the simulated device, where there is one.
    pub fn simulated(&self, key: impl FnOnce() -> Vec<u8>) -> Option<Arc<Simulated>> {
        self.simulator.as_ref().map(|simulator| simulator.file(&key()))
    }

    /// Whether there may be more than one file.
    pub fn is_tree(&self) -> bool {
        self.options.recursive || self.job.sources.len() > 1
    }

    pub fn tells_copies(&self) -> bool {
        self.options.verbose || self.options.dry_run
    }

    /// Removes what killed copies have left in `directory`; `shown` is what messages call a name there.
    pub fn clean_up(&self, directory: BorrowedFd<'_>, shown: &dyn Fn(&OsStr) -> PathBuf) {
        self.leftovers.clean(directory, &mut |name| {
            if self.options.verbose {
                self.tell(&Event::Removed(&shown(name)));
            }
        });
    }

    /// A file is complete.
    pub fn count_file(&self) {
        self.tally.file();
        self.meter.add_file();
    }
}

/// Carries the job out. Whatever happens is told to the watch's witness and is in the report.
///
/// Stopped by the watch's cancel, it waits for what is in flight and leaves no file of a name that
/// is not complete, nor a file of the right length with wrong content.
pub fn copy(job: &Job, watch: Watch<'_>) -> Report {
    let started = Instant::now();
    let descriptors = sys::limits::raise_descriptors();
    let whole = match &job.sources[..] {
        // No larger than the only file needs.
        [only] if !job.options.recursive => job.size.for_length(file::length_of(only)),
        _ => job.size,
    };
    let (workers, size) = whole.shared_by(workers(job, descriptors));
    if job.options.gentle {
        sys::priority::be_idle();
    }
    let buffers = u32::from(size.buffers) * workers as u32;
    let marks = size.marks(buffers).expect("marks were checked with the job");
    let level = size.level(buffers).expect("marks were checked with the job");
    let simulator = job.simulated.clone().map(Simulator::new);
    let run = Run {
        job,
        options: &job.options,
        cancel: &watch.cancel,
        meter: &watch.meter,
        ledger: Ledger::under(level, &watch.meter, watch.intervals),
        queue: Queue::new(if workers > 1 { (4 * workers).min(descriptors as usize / 16).max(1) } else { 0 }),
        links: Links::default(),
        operands: Operands::new(job.sources.len()),
        durable: Durable::new(job, simulator.clone()),
        leftovers: Leftovers::default(),
        syncers: Queue::new(syncers::SYNCERS),
        resume: OnceLock::new(),
        tally: Tally::default(),
        used: Used::default(),
        clones: Impossible::default(),
        offloads: Impossible::default(),
        file_systems: FileSystems::default(),
        evidence: Evidence::new(&job.options),
        size,
        marks,
        simulator,
        workers,
        naps: AtomicU64::new(0),
        telling: Telling::new(watch.witness, watch.keep_errors),
    };
    run.meter.set_mark(marks.high_bytes());
    if let Err(error) = run.carry_out() {
        run.fail(error);
    }
    run.report(started)
}

/// How many workers: as many as were asked for and can be of use.
fn workers(job: &Job, descriptors: u64) -> usize {
    let several = job.options.recursive || job.sources.len() > 1;
    let is_small = || job.sources.iter().all(|name| !parts::may_be(file::length_of(name)));
    // A limit on the rate is kept by one reader at a time, and a journal splits no file: the only one has
    // the whole ring.
    let one = job.options.ask
        || job.options.map.is_some()
        || job.limit_bytes_per_s.is_some()
        || !several && (job.options.resume || is_small());
    // Each has a ring with some descriptors of its own, and some directories open.
    let possible = (descriptors / 64).max(1) as usize;
    if one { 1 } else { job.jobs.clamp(1, possible) }
}

/// Begins one of the run's threads.
pub(in crate::copy) fn begin<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: String,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn_scoped(scope, work).map(drop)
}

/// Of a worker's stack: directories are not walked on it.
const STACK_BYTES: usize = 512 << 10;

impl Run<'_> {
    fn carry_out(&self) -> Result<(), Error> {
        let Name::Path(target) = &self.job.target else { return self.stream() };
        if self.job.sources.contains(&Name::Standard) {
            return self.stream();
        }
        if self.options.delete.is_some() {
            mirror::refuse_files(&self.job.sources, self.options)?;
        }
        self.refuse_unverifiable(target)?;
        let mut operands = Vec::new();
        let destination = |recorded| destination(target, self.job.sources.len(), self.options, recorded);
        if self.options.resume {
            let resume = Resume::open(self.job, || destination(None).map(|to| to.is_directory))?;
            assert!(self.resume.set(resume).is_ok(), "a run has one journal");
        }
        let begun = self.resume().and_then(Resume::begun_with);
        let to = destination(begun.map(|header| header.target_is_directory))?;
        if self.options.parents && !to.is_directory {
            return Err(Error::new(Op::Target, target, Cause::ParentsNeedDirectory));
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            if self.is_tree() && self.meter.wants_total() {
                scope.spawn(|| {
                    let mut found = |files, bytes| self.meter.expect(files, bytes);
                    if survey::survey(&self.job.sources, self.options, &stop, &mut found) {
                        self.meter.set_total_known();
                    }
                });
            }
            for number in 1..self.workers {
                self.queue.join();
                // Without this worker the others do its work.
                if begin(scope, format!("copy-{number}"), || Worker::new(self).work()).is_err() {
                    self.queue.leave();
                    break;
                }
            }
            if syncers::are_wanted(self, &to) {
                for number in 0..SYNCERS {
                    self.syncers.join();
                    // Without this one others do its work, workers too.
                    if begin(scope, format!("sync-{number}"), || syncers::work(self)).is_err() {
                        self.syncers.leave();
                        break;
                    }
                }
            }
            if let Some(resume) = self.resume()
                && let Err(error) = begin(scope, "journal".into(), || resume.write(self))
            {
                resume.give_up(self, errno_of(&error));
            }
            let mut worker = Worker::new(self);
            let parents = self.copy_operands(&mut worker, &to, &mut operands);
            worker.work();
            self.syncers.leave();
            parents.finish(self);
            stop.store(true, Ordering::Relaxed);
            if let Some(resume) = self.resume() {
                resume.stop(self.is_whole());
            }
        });
        let is_whole = self.is_whole();
        if is_whole {
            resume::remove_orphans(self, &operands);
        }
        if self.options.delete.is_some() && is_whole {
            self.mirror(&operands);
        }
        self.secure(&place_of(&to.base), &to.base.target_path());
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.tally.failures() == 0 && !self.should_stop()
    }

    /// All is written: it is made durable, and read back, where that was asked for. Operands went to
    /// `base`.
    fn secure(&self, base: &Place, shown: &Path) {
        if self.should_stop() {
            return;
        }
        self.meter.begin_sync();
        let errors = self.durable.finish(base, shown, &self.ledger);
        errors.into_iter().for_each(|error| self.fail(error));
        verify::verify(self, base);
    }

    /// Begins all operands, in order.
    fn copy_operands(
        &self,
        worker: &mut Worker<'_>,
        to: &Destination,
        operands: &mut Vec<Arc<Operand>>,
    ) -> Parents {
        let mut names = HashSet::new();
        let mut parents = Parents::default();
        let places = to.base.places().expect("a base is never closed");
        for (index, source) in self.job.sources.iter().enumerate() {
            let Name::Path(source) = source else { continue };
            if self.should_stop() {
                break;
            }
            let (operand, name) = match self.options.parents {
                true => match parents.make(self, to, index, source) {
                    Ok(made) => made,
                    Err(error) => {
                        self.fail(error);
                        continue;
                    }
                },
                false => to.operand(index, source, self.options),
            };
            if self.options.delete.is_some() || self.goes_on() {
                operands.push(Arc::clone(&operand));
            }
            // What goes to the same name must find complete what went there before.
            if !names.insert(name.clone()) {
                worker.work_until_quiet();
            }
            let entry = Entry {
                parent: &to.base,
                places: &places,
                operand: &operand,
                source_name: source.as_os_str(),
                target_name: &name,
                is_new: to.is_missing,
                may_move: !self.options.ask,
                opened: Cell::new(None),
                seen: None,
            };
            worker.copy(&entry);
        }
        parents
    }

    /// From where nothing can be read back, nothing can be verified.
    fn refuse_unverifiable(&self, target: &Path) -> Result<(), Error> {
        let is_stream = || {
            let found = sys::stat::at(sys::at::WORKING_DIRECTORY, target.as_os_str(), true);
            found.is_ok_and(|stat| stat.kind.is_stream())
        };
        match self.options.verify && is_stream() {
            true => Err(Error::new(Op::Target, target, Cause::Unverifiable)),
            false => Ok(()),
        }
    }

    /// Where standard input or output is an end there is one source, and no tree.
    fn stream(&self) -> Result<(), Error> {
        self.refuse_unverifiable(self.job.target.shown())?;
        match &self.job.sources[..] {
            [source] => {
                file::copy_stream(&mut Worker::new(self), source, &self.job.target)?;
                self.secure(&Place::Working, Path::new(""));
                Ok(())
            }
            _ => Err(Error::new(Op::Target, self.job.target.shown(), Cause::NotDirectory)),
        }
    }

    /// What the sources lack goes. It is known to be wanted of directories only.
    fn mirror(&self, operands: &[Arc<Operand>]) {
        let pair = |operand: &Arc<Operand>| mirror::Pair::of(operand, self.options).transpose();
        let sync =
            |directory: BorrowedFd<'_>, id: Id| self.durable.directory(directory, id.device, &self.ledger);
        let mirrored = operands
            .iter()
            .filter_map(pair)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| vec![error])
            .and_then(|pairs| mirror::mirror(pairs, self.options, self.cancel, self.telling.witness, &sync));
        match mirrored {
            Ok(deleted) => self.tally.deleted.store(deleted, Ordering::Relaxed),
            Err(errors) => errors.into_iter().for_each(|error| self.fail(error)),
        }
    }

    fn report(self, started: Instant) -> Report {
        let spent = self.resume().filter(|_| self.is_whole()).map(Resume::spent);
        let books = self.ledger.finish();
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (errors, warnings) = self.telling.finish();
        Report {
            bytes: load(&self.tally.bytes),
            files: load(&self.tally.files),
            directories: load(&self.tally.directories),
            skipped: load(&self.tally.skipped),
            deleted: load(&self.tally.deleted),
            elapsed: started.elapsed(),
            method: self.used.method().unwrap_or(idle_method(self.job.engine)),
            source_direct: self.used.source_direct(),
            target_direct: self.used.target_direct(),
            ring: self.used.ring(),
            registered: self.used.is_registered(),
            marks: Some(self.marks),
            level: books.level,
            tuned: books.tuned,
            latency: books.latency,
            interrupted: self.cancel.is_raised(),
            failures: load(&self.tally.failures),
            retries: load(&self.tally.retries),
            errors,
            verified: self.options.verify.then(|| Verified {
                files: load(&self.tally.verified_files),
                bytes: load(&self.tally.verified_bytes),
                wrong: load(&self.tally.wrong_files),
            }),
            resumed: self.resume.get().map(|resume| Resumed {
                believed_bytes: load(&resume.believed_bytes),
                believed_files: load(&resume.believed_files),
                journal: resume.path().to_owned(),
            }),
            spent,
            warnings,
            simulated: self.job.simulated.as_ref().map(|device| device.spec().clone()),
        }
    }
}

/// How bytes would have gone, where there were none.
fn idle_method(engine: Choice) -> Method {
    match engine {
        Choice::Plain => Method::Plain,
        Choice::Auto | Choice::Ring => Method::Ring,
    }
}

/// The number of cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
