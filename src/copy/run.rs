//! One copy from its beginning to its end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::engine::{End, Engine, Flow, Meter, error_of};
use crate::error::{Cause, Error, Op};
use crate::flow::{Holes, Length, Marks, Pump, Shape, Side, Visibility};
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::Kind;

use super::direct::{self, Facts};
use super::job::{Job, Method, Note, Reflink, Report, Sparse, Sync, Watch};
use super::paths::Name;
use super::source::{INTERRUPTED, Source, open_source};
use super::target::{Target, open_target};

/// Carries the job out. Whatever happens is in the report.
///
/// Stopped by the watch's cancel, it waits for what is in flight and leaves no file of a name that
/// is not complete, nor a file of the right length with wrong content.
pub fn copy(job: &Job, watch: Watch) -> Report {
    let started = Instant::now();
    let mut report = Report::empty(job);
    let cancel = watch.cancel.clone();
    if let Err(error) = attempt(job, watch, &mut report) {
        match error.cause {
            Cause::Errno(INTERRUPTED) if cancel.is_raised() => report.interrupted = true,
            _ => report.errors.push(error),
        }
    }
    report.elapsed = started.elapsed();
    report
}

fn attempt(job: &Job, watch: Watch, report: &mut Report) -> Result<(), Error> {
    let mut source = open_source(&job.source, &watch.cancel)?;
    let name = resolve(job)?;
    report.target = name.shown().to_owned();
    let length = known(source.length);
    // A file that says 0, or lies, is small too.
    let apparent = (source.stat.kind == Kind::Regular).then_some(source.stat.size);
    let size = job.size.for_length(length.or(apparent));
    let one_block = length.is_some_and(|length| length <= u64::from(size.block_bytes));
    let mut target = open_target(&name, &source, one_block, &watch.cancel)?;
    if let (Some(source), Some(target)) = (length, target.capacity())
        && source > target
    {
        return Err(Error::new(Op::Open, &report.target, Cause::TooLarge { source, target }));
    }
    let sides = match set_up(job, one_block, &mut source, &mut target) {
        Ok(sides) => sides,
        Err(error) => return give_up(target, error),
    };
    let engine = match Engine::open(job.engine, size) {
        Ok(engine) => engine,
        Err(error) => return give_up(target, error),
    };
    report.set_engine(&engine);
    report.source_direct = source.edge.direct.is_some();
    report.target_direct = target.edge.direct.is_some();
    let marks = size.marks(engine.arena().buffers()).expect("marks were checked with the job");
    report.marks = Some(marks);
    watch.meter.begin(length, marks.high_bytes());
    let pump = Pump::new(shape(job, &engine, marks, &source, &target, sides));
    let flow = Flow::new(pump, engine.arena(), &watch.cancel, &watch.meter, watch.intervals);
    let result =
        Run { job, engine: &engine, flow: &flow, meter: &watch.meter, report }.carry_out(source, target);
    report.set_finished(flow.finish());
    result
}

/// A target that was opened and not written to is left as it was.
fn give_up(target: Target, error: Error) -> Result<(), Error> {
    if target.is_new() {
        target.abandon(0)?;
    }
    Err(error)
}

fn known(length: Length) -> Option<u64> {
    match length {
        Length::Exact(bytes) | Length::Expected(bytes) => Some(bytes),
        Length::Unknown => None,
    }
}

/// TARGET, or the file of the source's name in it where it is a directory.
fn resolve(job: &Job) -> Result<Name, Error> {
    match (&job.target, &job.source) {
        (Name::Path(target), Name::Path(source)) if target.is_dir() => match source.file_name() {
            Some(name) => Ok(Name::Path(target.join(name))),
            None => Err(Error::new(Op::Create, target, Cause::IsDirectory)),
        },
        (target, _) => Ok(target.clone()),
    }
}

/// Sets both edges up; how each is to be read and written.
fn set_up(
    job: &Job,
    one_block: bool,
    source: &mut Source,
    target: &mut Target,
) -> Result<(Side, Side), Error> {
    let length = known(source.length);
    let synced = job.sync != Sync::None;
    let facts = Facts { name: job.source.shown(), stat: &source.stat, length, synced };
    let source_side = direct::set_up_source(&mut source.edge, job.direct, &facts)?;
    let facts = Facts { name: &target.path, stat: &target.stat, length, synced };
    let target_side = direct::set_up_target(&mut target.edge, job.direct, &facts)?;
    // On btrfs space that is allocated ahead is never compressed.
    let is_btrfs = || matches!(sys::space::file_system(target.edge.file.as_fd()), Ok((FileSystem::Btrfs, _)));
    target.edge.preallocate =
        target.is_file() && job.sparse != Sparse::Always && !one_block && length.is_some() && !is_btrfs();
    Ok((source_side, target_side))
}

/// How far the size that a target shows may be ahead of what is complete. Measured: 512 MiB took
/// 0.31 s where every write extends the file, 0.173 s in these steps.
const SIZE_STEP: u64 = 16 << 20;

fn shape(
    job: &Job,
    engine: &Engine,
    marks: Marks,
    source: &Source,
    target: &Target,
    sides: (Side, Side),
) -> Shape {
    let is_file = target.is_file();
    Shape {
        block_bytes: engine.arena().block_bytes(),
        slots: engine.arena().buffers(),
        marks,
        source: sides.0,
        target: sides.1,
        length: source.length,
        sparse: source.edge.has_holes || target.edge.preallocate,
        holes: if is_file && job.sparse != Sparse::Never { Holes::Skip } else { Holes::Zeros },
        find_zeros: is_file && job.sparse == Sparse::Always,
        fill_blocks: target.edge.base.is_some(),
        filled_by_caller: false,
        visibility: match is_file {
            true if target.edge.preallocate => Visibility::Ahead { step: SIZE_STEP },
            true => Visibility::ByWrites,
            false => Visibility::Fixed,
        },
        limit_bytes_per_s: job.limit_bytes_per_s,
    }
}

/// A job with everything set up.
struct Run<'a> {
    job: &'a Job,
    engine: &'a Engine,
    flow: &'a Flow,
    meter: &'a Meter,
    report: &'a mut Report,
}

impl Run<'_> {
    fn carry_out(mut self, mut source: Source, mut target: Target) -> Result<(), Error> {
        match self.clone_file(&source, &target) {
            Ok(true) => return self.end(source, target, None),
            Ok(false) => {}
            Err(error) => return give_up(target, error),
        }
        let needed = known(source.length).map(|length| match source.edge.has_holes {
            true => length.min(source.stat.allocated_bytes),
            false => length,
        });
        if let Err(error) = target.begin(needed) {
            return give_up(target, error);
        }
        let ends = (End::Edge(source.edge), End::Edge(target.edge));
        self.engine.run(self.flow, &ends.0, &ends.1);
        let (End::Edge(from), End::Edge(to)) = ends else { unreachable!("both ends were edges") };
        (source.edge, target.edge) = (from, to);

        let (completed, failure, cancelled) = {
            let state = self.flow.lock();
            (state.pump.completed_to(), state.pump.failure(), state.pump.is_cancelled())
        };
        self.report.interrupted = cancelled;
        let failed = failure
            .map(|failure| error_of(failure, known(source.length), self.job.source.shown(), &target.path));
        match failed.or_else(|| self.shrank(&source, completed)) {
            None if !cancelled => self.end(source, target, Some(completed)),
            error => {
                self.report.left = target.abandon(completed)?;
                error.map_or(Ok(()), Err)
            }
        }
    }

    /// Shares the source's blocks, where that was not forbidden; false where it can't be done.
    fn clone_file(&mut self, source: &Source, target: &Target) -> Result<bool, Error> {
        let whole = source.stat.kind == Kind::Regular && source.edge.base == Some(0) && target.is_file();
        let demanded = match self.job.reflink {
            Reflink::Never => return Ok(false),
            // Holes that are to be made or filled need the bytes in hand.
            Reflink::Auto if self.job.sparse != Sparse::Auto => return Ok(false),
            Reflink::Auto => false,
            Reflink::Always => true,
        };
        if !whole {
            let refused = Error::new(Op::Clone, &target.path, Cause::NoClone);
            return if demanded { Err(refused) } else { Ok(false) };
        }
        match sys::clone::clone_file(source.edge.file.as_fd(), target.edge.file.as_fd()) {
            Ok(()) => {
                self.report.method = Method::Clone;
                Ok(true)
            }
            Err(errno) if demanded => Err(Error::new(Op::Clone, &target.path, Cause::Errno(errno as i32))),
            Err(_) => Ok(false),
        }
    }

    /// A hole at the end of a file that was cut meanwhile is never read, so its size must tell.
    fn shrank(&self, source: &Source, completed: u64) -> Option<Error> {
        let Length::Expected(expected) = source.length else { return None };
        let now = source.size_now().filter(|now| *now < completed)?;
        let cause = Cause::SourceShrank { expected };
        Some(Error::new(Op::Read, self.job.source.shown(), cause).at(now))
    }

    /// Everything is with the target: cut, sync, publish, close. `completed` is None for a clone.
    fn end(self, source: Source, target: Target, completed: Option<u64>) -> Result<(), Error> {
        // A clone has what the source has now, and behind it what a longer file held before.
        let size = completed.or_else(|| source.size_now()).unwrap_or(source.stat.size);
        if self.report.method == Method::Clone {
            self.report.bytes = size;
        }
        if let Err(error) = self.settle_content(&target, size) {
            self.report.left = target.abandon(size)?;
            return Err(error);
        }
        let path = target.path.clone();
        let (edge, directory) = target.publish()?;
        if let (Some(directory), true) = (directory, self.job.sync != Sync::None) {
            self.sync_directory(&directory)
                .map_err(|errno| Error::new(Op::Sync, &path, Cause::Errno(errno)))?;
        }
        let expected = known(source.length).filter(|expected| *expected < size);
        if let (Some(from), Length::Expected(_)) = (expected, source.length) {
            self.report.notes.push(Note::Grew { from, to: size });
        }
        let failed = |errno| Error::new(Op::Seek, self.job.source.shown(), Cause::Errno(errno as i32));
        source.leave_after(size).map_err(failed)?;
        edge.close().map_err(|errno| Error::new(Op::Close, &path, Cause::Errno(errno as i32)))?;
        self.report.complete = true;
        Ok(())
    }

    /// The target gets its true size, and is made durable where that was asked.
    fn settle_content(&self, target: &Target, size: u64) -> Result<(), Error> {
        let errno = |op| move |errno: Errno| Error::new(op, &target.path, Cause::Errno(errno as i32));
        let file = &target.edge.file;
        if target.is_file() && sys::stat::of(file.as_fd()).map_err(errno(Op::Stat))?.size != size {
            target.set_size(size)?;
        }
        if self.job.sync != Sync::None && target.can_sync() {
            self.meter.begin_sync();
            let failed = |errno| Error::new(Op::Sync, &target.path, Cause::Errno(errno));
            self.engine.sync(self.flow, file).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the name durable. EINVAL says that this file system has nothing to do for that.
    fn sync_directory(&self, directory: &OwnedFd) -> Result<(), i32> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let opened =
            nix::fcntl::openat(directory, ".", flags, Mode::empty()).map_err(|errno| errno as i32)?;
        match self.engine.sync(self.flow, &Arc::new(opened)) {
            Err(libc::EINVAL) => Ok(()),
            result => result,
        }
    }
}
