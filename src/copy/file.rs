//! The content of one file, from opening both ends to the name of the copy.

use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::{Choice, End, Engine, Flow, error_of};
use crate::error::{Cause, Error, Op};
use crate::flow::{Holes, Length, Pump, Shape, Side, Visibility};
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use super::direct::{self, Facts};
use super::entry::{At, Decided, Entry, Found, Next, Stop};
use super::events::{Event, Explanation, Failed, Left, Remains, Warning};
use super::job::Method;
use super::make;
use super::metadata::{self, Handle, Making, Subject};
use super::offload::{self, Stopped};
use super::options::{Offload, Reflink, Sparse, Sync};
use super::parts;
use super::paths::Name;
use super::run::Run;
use super::source::{self, Source};
use super::target::{Step, Target, open_existing};
use super::worker::Worker;

pub(super) use super::source::INTERRUPTED;

/// Both ends of a file's copy, open.
pub(super) struct Pair {
    pub source: Source,
    pub target: Target,
    /// of the target before the copy, where it was there
    before: Option<Stat>,
    making: Making,
    /// how the content went, for `--debug`
    pub explanation: Explanation,
    pub method: Method,
}

/// What a file's content came to.
pub(super) enum Content {
    /// all of it is with the target, which is so long
    Whole(u64),
    /// it is large enough for several workers to copy parts of it
    InParts(Side, Side),
}

/// How long a source is, where it is a regular file.
pub(super) fn length_of(name: &Name) -> Option<u64> {
    let Name::Path(path) = name else { return None };
    let stat = sys::stat::at(sys::at::WORKING_DIRECTORY, path.as_os_str(), true).ok()?;
    (stat.kind == Kind::Regular).then_some(stat.size)
}

/// Copies the content of a regular file, or of whatever else is to be copied as one.
pub(super) fn copy(worker: &mut Worker<'_>, entry: &Entry<'_>, decided: &Decided) -> Result<Next, Stop> {
    let mut pair = open(worker, entry, decided)?;
    let run = worker.run;
    let moved = match run.options.skip_data {
        true => Ok(Content::Whole(pair.target.stat.size)),
        false => transfer(worker, &mut pair, Some(entry)),
    };
    let size = match moved {
        Ok(Content::Whole(size)) => size,
        Ok(Content::InParts(source, target)) => {
            parts::hand_out(worker, entry, pair, (source, target));
            return Ok(Next::Elsewhere);
        }
        Err(failed) => return Err(Stop::Failed(failed)),
    };
    complete(run, entry, pair, size).map(|()| Next::Done)
}

/// Copies to or from a standard stream.
pub(super) fn copy_stream(worker: &mut Worker<'_>, from: &Name, to: &Name) -> Result<(), Error> {
    let run = worker.run;
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    let source = match from {
        Name::Standard => Source::standard_input()?,
        Name::Path(path) => {
            let at = At { directory: sys::at::WORKING_DIRECTORY, name: path.as_os_str() };
            let stat = at.stat(true).map_err(|no| Error::new(Op::Stat, path, errno(no)))?;
            if stat.kind == Kind::Directory {
                return Err(Error::new(Op::Open, path, Cause::NotRecursive));
            }
            let file = source::open(at, OFlag::O_RDONLY, run.cancel);
            let file = file.map_err(|no| Error::new(Op::Open, path, errno(no)))?;
            Source::of(file).map_err(|no| Error::new(Op::Stat, path, errno(no)))?
        }
    };
    let told = |(op, cause): (Op, Cause)| Error::new(op, to.shown(), cause).with(from.shown());
    let (target, at) = match to {
        Name::Standard => (Target::standard_output(&source.stat).map_err(told)?, None),
        Name::Path(path) => {
            let at = At { directory: sys::at::WORKING_DIRECTORY, name: path.as_os_str() };
            (stream_target(run, at, &source).map_err(told)?, Some(at))
        }
    };
    let making = metadata::making(&source.stat, run.options);
    let mut pair = Pair::new(source, target, None, making);
    let ends = Ends { source: from.shown().to_owned(), target: to.shown().to_owned() };
    let moved = transfer_between(worker, &mut pair, None, at, &|| ends.clone());
    let done = match moved {
        Ok(Content::Whole(size)) => {
            let settled = cut(&pair, size, run.options.sparse).and_then(|()| sync(run, &pair));
            publish(run, &mut pair, at, size, settled).map_err(told).and_then(|()| {
                pair.source.leave_after(size).map_err(|no| Error::new(Op::Seek, from.shown(), errno(no)))?;
                pair.target.close().map_err(told)
            })
        }
        Ok(Content::InParts(..)) => unreachable!("a stream has no parts"),
        Err(failed) => {
            run.fail(*failed);
            return Ok(());
        }
    };
    if done.is_ok() {
        run.count_file();
    }
    done
}

/// The file that standard input goes to: TARGET, whatever it is.
fn stream_target(run: &Run<'_>, at: At<'_>, source: &Source) -> Step<Target> {
    match at.stat(true) {
        Ok(stat) if stat.kind == Kind::Directory => Err((Op::Create, Cause::IsDirectory)),
        Ok(stat) => {
            let file = open_existing(at, stat.kind, OFlag::empty(), run.cancel)?;
            Target::existing(file, &source.stat)
        }
        Err(Errno::ENOENT) if at.stat(false).is_ok() => Err((Op::Create, Cause::DanglingLink)),
        Err(Errno::ENOENT) => Target::new(at, source.stat.mode & 0o666, false),
        Err(errno) => Err((Op::Stat, Cause::Errno(errno as i32))),
    }
}

// ---- open ----

impl Pair {
    fn new(source: Source, target: Target, before: Option<Stat>, making: Making) -> Pair {
        let explanation = Explanation {
            offload: "unknown",
            reflink: "unknown",
            sparse_detection: "unknown",
            engine: None,
            direct: (false, false),
        };
        Pair { source, target, before, making, explanation, method: Method::Plain }
    }

    fn is_new(&self) -> bool {
        self.before.is_none()
    }
}

fn open(worker: &mut Worker<'_>, entry: &Entry<'_>, decided: &Decided) -> Result<Pair, Stop> {
    let options = worker.run.options;
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    let mut flags = OFlag::O_RDONLY;
    if decided.stat.kind == Kind::Regular {
        // It may have become a FIFO since, which would wait for its writer.
        flags |= OFlag::O_NONBLOCK;
    }
    if !entry.follows(options) {
        flags |= OFlag::O_NOFOLLOW;
    }
    let mut tries = 0;
    let ahead = entry.opened.take();
    let file = loop {
        if let Some(file) = ahead {
            break file;
        }
        match source::open(entry.source(), flags, worker.run.cancel) {
            Err(no) if worker.find_descriptors(no, &mut tries) => continue,
            opened => break opened.map_err(|no| entry.source_error(Op::Open, errno(no)))?,
        }
    };
    let source = Source::of(file).map_err(|no| entry.source_error(Op::Stat, errno(no)))?;
    if source.stat.id() != decided.stat.id() {
        return Err(entry.source_error(Op::Open, Cause::Replaced).into());
    }
    let making = metadata::making(&source.stat, options);
    let (target, before) = open_target(worker, entry, decided, &source, &making)?;
    if let (Some(length), Some(capacity)) = (source.known_length(), target.capacity())
        && length > capacity
    {
        let cause = Cause::TooLarge { source: length, target: capacity };
        return Err(entry.target_error(Op::Open, cause).into());
    }
    Ok(Pair::new(source, target, before, making))
}

fn open_target(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
    source: &Source,
    making: &Making,
) -> Result<(Target, Option<Stat>), Error> {
    let run = worker.run;
    let told = |(op, cause)| entry.target_error(op, cause);
    let at = entry.target().expect("a target is opened where something is to be touched");
    let mut is_new = false;
    let existing = match decided.found {
        Found::Nothing => {
            is_new = true;
            None
        }
        Found::Something(stat) => Some(stat),
        Found::Loop => None,
    };
    if !is_new {
        let kind = existing.map_or(Kind::Symlink, |stat| stat.kind);
        let mut tries = 0;
        let opened = loop {
            match open_there(run, entry, at, kind) {
                Err((_, Cause::Errno(no))) if worker.find_descriptors(Errno::from_raw(no), &mut tries) => {}
                opened => break opened,
            }
        };
        match opened {
            Ok(file) => {
                let target = Target::existing(file, &source.stat).map_err(told)?;
                let before = Some(target.stat);
                return Ok((target, before));
            }
            // It has gone since (over NFS, names may outlive files).
            Err((_, Cause::Errno(libc::ENOENT))) => {}
            Err((_, Cause::Errno(_))) if run.options.force => make::remove(worker, entry, at)?,
            Err(error) => return Err(told(error)),
        }
    }
    // A stream's copy can be seen growing, as with cp.
    let one_block = match source.known_length() {
        Some(length) => length <= u64::from(run.size.block_bytes),
        None => source.is_empty(),
    };
    let grows = run.options.as_cp && source.stat.kind.is_stream();
    let at_once = one_block || grows || run.options.skip_data;
    if !at_once && at.stat(false).is_ok() {
        // A whole copy would be in vain.
        return match is_link(at) {
            true => through_dangling(run, entry, at, source),
            false => Err(told((Op::Create, Cause::Errno(libc::EEXIST)))),
        };
    }
    let mut tries = 0;
    loop {
        match Target::new(at, making.mode & 0o777 & !making.omitted, at_once) {
            Ok(target) => return Ok((target, None)),
            Err((_, Cause::Errno(no))) if worker.find_descriptors(Errno::from_raw(no), &mut tries) => {}
            Err((_, Cause::Errno(libc::EEXIST))) if is_link(at) => {
                return through_dangling(run, entry, at, source);
            }
            Err(error) => return Err(told(error)),
        }
    }
}

fn is_link(at: At<'_>) -> bool {
    at.stat(false).is_ok_and(|stat| stat.kind == Kind::Symlink)
}

/// Opens what is there for writing. A symbolic link that is an operand is followed wherever it
/// leads; one inside a tree only within the target.
fn open_there(run: &Run<'_>, entry: &Entry<'_>, at: At<'_>, kind: Kind) -> Step<std::os::fd::OwnedFd> {
    if entry.is_operand() {
        return open_existing(at, kind, OFlag::empty(), run.cancel);
    }
    match open_existing(at, kind, OFlag::O_NOFOLLOW, run.cancel) {
        Err((op, Cause::Errno(libc::ELOOP))) => {
            let root = entry.operand.target_root().ok_or((op, Cause::LeadsOutside))?;
            let path = entry.parent.target_path_in_operand().join(at.name);
            sys::at::open_beneath(root.as_fd(), &path, OFlag::O_WRONLY).map_err(|no| match no {
                Errno::EXDEV | Errno::ENOSYS | Errno::EPERM => (op, Cause::LeadsOutside),
                no => (op, Cause::Errno(no as i32)),
            })
        }
        opened => opened,
    }
}

/// A symbolic link to nothing is written through only where POSIX is asked for.
fn through_dangling(
    run: &Run<'_>,
    entry: &Entry<'_>,
    at: At<'_>,
    source: &Source,
) -> Result<(Target, Option<Stat>), Error> {
    let told = |(op, cause)| entry.target_error(op, cause);
    if !run.options.through_dangling || !entry.is_operand() {
        return Err(told((Op::Create, Cause::DanglingLink)));
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT;
    let mode = source.stat.mode & 0o777;
    let file = sys::at::open(at.directory, at.name, flags, mode)
        .map_err(|no| told((Op::Create, Cause::Errno(no as i32))))?;
    let target = Target::existing(file, &source.stat).map_err(told)?;
    Ok((target, None))
}

// ---- move the bytes ----

/// What messages call both ends.
#[derive(Clone)]
struct Ends {
    source: PathBuf,
    target: PathBuf,
}

fn transfer(
    worker: &mut Worker<'_>,
    pair: &mut Pair,
    entry: Option<&Entry<'_>>,
) -> Result<Content, Box<Failed>> {
    let entry = entry.expect("a file of a tree has a name");
    let ends = || Ends { source: entry.source_path(), target: entry.target_path() };
    transfer_between(worker, pair, Some(entry), entry.target(), &ends)
}

fn transfer_between(
    worker: &mut Worker<'_>,
    pair: &mut Pair,
    entry: Option<&Entry<'_>>,
    at: Option<At<'_>>,
    ends: &dyn Fn() -> Ends,
) -> Result<Content, Box<Failed>> {
    let run = worker.run;
    match clone_file(run, pair) {
        Ok(Some(size)) => return Ok(Content::Whole(size)),
        Ok(None) => {}
        Err((op, cause)) => {
            let Ends { source, target } = ends();
            let error = Error::new(op, &target, cause).with(source);
            return Err(give_up(pair, at, error));
        }
    }
    let length = pair.source.known_length();
    let sides = match set_up(run, pair, ends) {
        Ok(sides) => sides,
        Err(error) => return Err(give_up(pair, at, error)),
    };
    let is_offered = offload::may_be(run, pair);
    if !is_offered && entry.is_some() && parts::are_worthwhile(run, pair, length) {
        return Ok(Content::InParts(sides.0, sides.1));
    }
    let by_calls = goes_by_calls(run, pair, length);
    let engine = match by_calls {
        true => worker.engines.calls(run),
        false => {
            pair.source.edge.look_at_file_system();
            worker.engines.ring(run, length)
        }
    };
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => return Err(give_up(pair, at, error)),
    };
    let needed = length.map(|length| match pair.source.edge.has_holes {
        true => length.min(pair.source.stat.allocated_bytes),
        false => length,
    });
    // Nothing but the copy itself can fail from here on: now what is there may go.
    if let Err((op, cause)) = pair.target.begin(needed) {
        let target = ends().target;
        let mut failed = give_up(pair, at, Error::new(op, &target, cause));
        let remains = Remains { target, left: Left::Untouched, written: 0, total: length };
        failed.remains = Some(remains);
        return Err(failed);
    }
    run.meter.begin(if run.is_tree() { None } else { length }, run.marks.high_bytes());
    if is_offered && let Some(size) = offload_file(run, pair, at, ends)? {
        return Ok(Content::Whole(size));
    }
    pair.method = if engine.is_ring() { Method::Ring } else { Method::Plain };
    let shape = shape(run, engine, pair, sides, pair.source.length);
    let flow = Flow::new(Pump::under(shape, run.ledger.level()), engine.arena(), run.cancel, &run.ledger);
    move_bytes(run, engine, flow, by_calls, pair, at, ends)
}

fn move_bytes(
    run: &Run<'_>,
    engine: &Engine,
    flow: Flow,
    by_calls: bool,
    pair: &mut Pair,
    at: Option<At<'_>>,
    ends: &dyn Fn() -> Ends,
) -> Result<Content, Box<Failed>> {
    let (from, to) = (pair.source.edge.share(), End::Edge(pair.target.edge.share()));
    match by_calls {
        true => engine.run_here(&flow, &from, &to),
        false => engine.run(&flow, &End::Edge(from), &to),
    }
    let finished = flow.finish();
    let moved = finished.progress.completed_bytes;
    run.tally.bytes(moved);
    run.used.add(pair.method, moved);
    run.used.add_direct(pair.source.edge.direct.is_some(), pair.target.edge.direct.is_some());
    let completed = finished.completed_to;
    let expected = pair.source.known_length();
    let failed = finished.failure.map(|failure| {
        let Ends { source, target } = ends();
        error_of(failure, expected, &source, &target)
    });
    let failed = failed.or_else(|| shrank(pair, completed, ends)).or_else(|| {
        let Ends { target, .. } = ends();
        finished.cancelled.then(|| Error::new(Op::Write, target, Cause::Errno(INTERRUPTED)))
    });
    match failed {
        None => Ok(Content::Whole(completed)),
        Some(error) => Err(abandon(pair, at, error, completed, moved, ends)),
    }
}

/// A hole at the end of a file that was cut meanwhile is never read, so its size must tell.
fn shrank(pair: &Pair, completed: u64, ends: &dyn Fn() -> Ends) -> Option<Error> {
    let Length::Expected(expected) = pair.source.length else { return None };
    if !pair.source.edge.has_holes {
        return None;
    }
    let now = pair.source.size_now().filter(|now| *now < completed)?;
    Some(Error::new(Op::Read, ends().source, Cause::SourceShrank { expected }).at(now))
}

/// A target that was opened and not written to is left as it was.
fn give_up(pair: &mut Pair, at: Option<At<'_>>, error: Error) -> Box<Failed> {
    if pair.target.is_new() {
        // Why it could not be filled matters more than why it can't be removed.
        let _ = pair.target.abandon(at, 0);
    }
    Box::new(error.into())
}

/// A target that was written to is cut to what is right, or goes.
fn abandon(
    pair: &mut Pair,
    at: Option<At<'_>>,
    error: Error,
    completed: u64,
    written: u64,
    ends: &dyn Fn() -> Ends,
) -> Box<Failed> {
    let Ends { target, .. } = ends();
    match pair.target.abandon(at, completed) {
        Ok(left) => {
            let total = pair.source.known_length();
            Box::new(Failed { error, remains: Some(Remains { target, left, written, total }) })
        }
        Err((op, cause)) => Box::new(Error::new(op, target, cause).into()),
    }
}

/// Shares the source's blocks, where that was not forbidden; the size of the copy, or None where it
/// can't be done.
fn clone_file(run: &Run<'_>, pair: &mut Pair) -> Step<Option<u64>> {
    let (source, target) = (&pair.source, &pair.target);
    let whole = source.stat.kind == Kind::Regular && source.edge.base == Some(0) && target.is_file();
    let demanded = match run.options.reflink {
        Reflink::Never => {
            pair.explanation.reflink = "no";
            return Ok(None);
        }
        // Holes that are to be made or filled need the bytes in hand.
        Reflink::Auto if run.options.sparse != Sparse::Auto => {
            pair.explanation.reflink = "no";
            return Ok(None);
        }
        Reflink::Auto => false,
        Reflink::Always => true,
    };
    if !whole {
        return if demanded { Err((Op::Clone, Cause::NoClone)) } else { Ok(None) };
    }
    if !demanded && run.clones.are_impossible(source.stat.device, target.stat.device) {
        pair.explanation.reflink = "unsupported";
        return Ok(None);
    }
    match sys::clone::clone_file(source.edge.file.as_fd(), target.edge.file.as_fd()) {
        Ok(()) => {
            // A clone has what the source has now, and behind it what a longer file held before.
            let size = source.size_now().unwrap_or(source.stat.size);
            pair.method = Method::Clone;
            pair.explanation.reflink = "yes";
            run.tally.bytes(size);
            run.used.add(Method::Clone, size);
            run.meter.add_bytes(size);
            Ok(Some(size))
        }
        // As cp has it: these say that the target is in trouble, not that it can't clone.
        Err(no @ (Errno::EIO | Errno::ENOMEM | Errno::ENOSPC | Errno::EDQUOT)) => {
            Err((Op::Clone, Cause::Errno(no as i32)))
        }
        Err(no) if demanded => Err((Op::Clone, Cause::Errno(no as i32))),
        Err(no) => {
            if matches!(no, Errno::EOPNOTSUPP | Errno::EXDEV | Errno::ENOTTY) {
                run.clones.remember_impossible(source.stat.device, target.stat.device);
            }
            pair.explanation.reflink = "unsupported";
            Ok(None)
        }
    }
}

/// Has a server copy it; None where that can't be done, and nothing is with the target.
fn offload_file(
    run: &Run<'_>,
    pair: &mut Pair,
    at: Option<At<'_>>,
    ends: &dyn Fn() -> Ends,
) -> Result<Option<u64>, Box<Failed>> {
    offload::copy(run, pair).map_err(|Stopped { op, errno, completed, moved }| {
        let error = Error::new(op, ends().target, Cause::Errno(errno));
        let error = if errno == INTERRUPTED { error } else { error.at(completed) };
        abandon(pair, at, error, completed, moved, ends)
    })
}

/// Sets both edges up; how each is to be read and written.
fn set_up(run: &Run<'_>, pair: &mut Pair, ends: &dyn Fn() -> Ends) -> Result<(Side, Side), Error> {
    let Pair { source, target, explanation, .. } = pair;
    let options = run.options;
    let length = source.known_length();
    let synced = options.sync != Sync::None;
    let facts = Facts { name: &|| ends().source, stat: &source.stat, length, synced };
    let source_side = direct::set_up_source(&mut source.edge, options.direct, &facts)?;
    let facts = Facts { name: &|| ends().target, stat: &target.stat, length, synced };
    let target_side = direct::set_up_target(&mut target.edge, options.direct, &facts)?;
    let one_block = length.is_some_and(|length| length <= u64::from(run.size.block_bytes));
    // On btrfs space that is allocated ahead is never compressed.
    let is_btrfs = || matches!(sys::space::file_system(target.edge.file.as_fd()), Ok((FileSystem::Btrfs, _)));
    target.edge.preallocate =
        target.is_file() && options.sparse != Sparse::Always && !one_block && length.is_some() && !is_btrfs();
    explanation.direct = (source.edge.direct.is_some(), target.edge.direct.is_some());
    explanation.sparse_detection = match (options.sparse, source.edge.has_holes) {
        (Sparse::Always, true) => "SEEK_HOLE + zeros",
        (Sparse::Always, false) => "zeros",
        (_, true) => "SEEK_HOLE",
        (_, false) => "no",
    };
    explanation.offload = match (options.sparse, options.offload) {
        (Sparse::Auto, Offload::Auto) => "no",
        _ => "avoided",
    };
    Ok((source_side, target_side))
}

/// Whether calls on the worker's own thread are the fastest way: small files, and those of medium
/// size that go through the page cache on both sides.
fn goes_by_calls(run: &Run<'_>, pair: &Pair, length: Option<u64>) -> bool {
    let (source, target) = (&pair.source.edge, &pair.target.edge);
    if source.may_block || target.may_block || run.job.limit_bytes_per_s.is_some() {
        return false;
    }
    // The ring's own cost is worth it for one file, not for each of thousands.
    if run.job.engine == Choice::Ring || !run.is_tree() && !run.options.as_cp {
        return false;
    }
    let regular = pair.source.stat.kind == Kind::Regular && pair.target.stat.kind == Kind::Regular;
    let most = match source.direct.is_none() && target.direct.is_none() {
        true => direct::WORTH_IT_BYTES,
        false => 0,
    };
    regular && length.is_none_or(|length| length < most)
}

/// How far the size that a target shows may be ahead of what is complete. Measured: 512 MiB took
/// 0.31 s where every write extends the file, 0.173 s in these steps.
const SIZE_STEP: u64 = 16 << 20;

pub(super) fn shape(
    run: &Run<'_>,
    engine: &Engine,
    pair: &Pair,
    sides: (Side, Side),
    length: Length,
) -> Shape {
    let options = run.options;
    let (source, target) = (&pair.source, &pair.target);
    let is_file = target.is_file();
    Shape {
        block_bytes: engine.arena().block_bytes(),
        slots: engine.arena().buffers(),
        marks: run.marks,
        source: sides.0,
        target: sides.1,
        length,
        sparse: source.edge.has_holes || target.edge.preallocate,
        holes: if is_file && options.sparse != Sparse::Never { Holes::Skip } else { Holes::Zeros },
        find_zeros: is_file && options.sparse == Sparse::Always,
        fill_blocks: target.edge.base.is_some(),
        filled_by_caller: false,
        visibility: match is_file {
            true if target.edge.preallocate => Visibility::Ahead { step: SIZE_STEP },
            true => Visibility::ByWrites,
            false => Visibility::Fixed,
        },
        limit_bytes_per_s: run.job.limit_bytes_per_s,
    }
}

// ---- complete ----

/// All content is with the target: its size, attributes, durability and name.
pub(super) fn complete(run: &Run<'_>, entry: &Entry<'_>, mut pair: Pair, size: u64) -> Result<(), Stop> {
    let at = entry.target();
    let told = |(op, cause)| entry.target_error(op, cause);
    let mut kept = true;
    let mut settled = if run.options.skip_data { Ok(()) } else { cut(&pair, size, run.options.sparse) };
    if settled.is_ok() {
        kept = keep_metadata(run, entry, &pair);
        settled = sync(run, &pair);
    }
    publish(run, &mut pair, at, size, settled).map_err(told)?;
    if let Some(from) = pair.source.known_length().filter(|from| *from < size && !run.options.skip_data) {
        run.warn(Warning::Grew { source: entry.source_path(), from, to: size });
    }
    let explanation = pair.explanation;
    pair.target.close().map_err(told)?;
    if run.options.explain && !run.options.skip_data {
        run.tell(&Event::Explained(explanation));
    }
    if kept {
        run.count_file();
    }
    Ok(())
}

fn keep_metadata(run: &Run<'_>, entry: &Entry<'_>, pair: &Pair) -> bool {
    let paths = || (entry.source_path(), entry.target_path());
    let subject = Subject {
        source: Handle::File(pair.source.edge.file.as_fd()),
        target: Handle::File(pair.target.edge.file.as_fd()),
        stat: &pair.source.stat,
        before: pair.before.as_ref(),
        made: pair.is_new().then_some(&pair.target.stat),
        made_with: pair.making,
        inherits: entry.parent.inherits(entry.places),
        paths: &paths,
    };
    run.keep_metadata(&subject)
}

/// The target gets its true size. What was written from its beginning to its end is as long as that;
/// what ends with a hole, or was allocated ahead, may not be.
fn cut(pair: &Pair, size: u64, sparse: Sparse) -> Step<()> {
    let target = &pair.target;
    let as_written = pair.method == Method::Plain
        && !target.edge.preallocate
        && !pair.source.edge.has_holes
        && sparse != Sparse::Always
        && pair.source.stat.kind == Kind::Regular;
    if !target.is_file() || as_written {
        return Ok(());
    }
    let now = sys::stat::of(target.edge.file.as_fd()).map_err(|no| (Op::Stat, Cause::Errno(no as i32)))?;
    if now.size == size { Ok(()) } else { target.set_size(size) }
}

fn sync(run: &Run<'_>, pair: &Pair) -> Step<()> {
    if !pair.target.can_sync() || !run.durable.is_by_file(pair.target.stat.device) {
        return Ok(());
    }
    run.meter.begin_sync();
    run.durable.sync_file(&pair.target.edge.file, &run.ledger)
}

/// The target gets its name, which is made durable where that was asked; or it goes, where not all
/// that comes before is `settled`.
fn publish(run: &Run<'_>, pair: &mut Pair, at: Option<At<'_>>, size: u64, settled: Step<()>) -> Step<()> {
    if let Err(failed) = settled {
        pair.target.abandon(at, size)?;
        return Err(failed);
    }
    let Some(at) = at else { return Ok(()) };
    match pair.target.publish(at)? && run.durable.is_by_file(pair.target.stat.device) {
        true => run.durable.sync_directory_of(at, &run.ledger),
        false => Ok(()),
    }
}

/// Not all parts of a file could be copied: it goes.
pub(super) fn give_up_parts(mut pair: Pair, entry: &Entry<'_>, error: Error, written: u64) -> Failed {
    let at = entry.target();
    let ends = || Ends { source: entry.source_path(), target: entry.target_path() };
    *abandon(&mut pair, at, error, 0, written, &ends)
}
