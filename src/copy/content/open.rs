//! Opening both ends of a file's copy, which from then on are safe from what happens to names.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::{Engine, post};
use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use crate::copy::content::replace::{self, Over, Spot};
use crate::copy::content::source::{self, Source};
use crate::copy::content::target::{PartName, Step, Target, open_existing};
use crate::copy::events::Explanation;
use crate::copy::job::Method;
use crate::copy::metadata::{self, Making};
use crate::copy::names::decide::{Decided, Found};
use crate::copy::names::entry::{At, Entry, Stop};
use crate::copy::names::room;
use crate::copy::names::same::parent_of;
use crate::copy::trust::evidence::Digested;
use crate::copy::trust::resume::{self, Partial, Tracked};
use crate::copy::work::run::Run;
use crate::copy::work::worker::Worker;

/// Both ends of a file's copy, open.
pub(in crate::copy) struct Pair {
    pub source: Source,
    pub target: Target,
    /// of the target before the copy, where it was there
    pub before: Option<Stat>,
    pub making: Making,
    /// the target is synced by itself before it gets its name
    pub syncs: bool,
    /// how the content went, for `--debug`
    pub explanation: Explanation,
    pub method: Method,
    /// the target may go on behind what has completed
    pub may_be_longer: bool,
    /// what its content hashes to, where that is kept
    pub digested: Option<io::Result<Digested>>,
    /// as the journal sees it, where there is one
    pub tracked: Option<Tracked>,
}

impl Pair {
    /// In a box, as it is large and goes from hand to hand.
    pub fn new(
        run: &Run<'_>,
        source: Source,
        target: Target,
        before: Option<Stat>,
        making: Making,
    ) -> Box<Pair> {
        let syncs = target.can_sync() && run.durable.is_alone(target.kind, target.device);
        let explanation = Explanation {
            offload: "unknown",
            reflink: "unknown",
            sparse_detection: "unknown",
            engine: None,
            direct: (false, false),
        };
        let (method, digested, tracked) = (Method::Plain, None, None);
        let may_be_longer = false;
        Box::new(Pair {
            source,
            target,
            before,
            making,
            syncs,
            explanation,
            method,
            may_be_longer,
            digested,
            tracked,
        })
    }

    pub fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// Its bytes are about to go through this engine.
    pub fn goes_through(&mut self, engine: &Engine, by_calls: bool) {
        self.method = if engine.is_ring() { Method::Ring } else { Method::Plain };
        self.explanation.engine = Some(match self.method {
            Method::Ring => "ring",
            _ if by_calls => "calls",
            _ => "plain",
        });
    }
}

/// Opens both ends of a name of the source.
pub(in crate::copy) fn open(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
) -> Result<Box<Pair>, Stop> {
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
    let cancel = worker.run.cancel;
    let source = match entry.opened.take() {
        // What was decided was decided of this very file.
        Some(ahead) => Source::with(ahead, decided.stat),
        None => {
            let opened = worker.opening(|| source::open(entry.source(), flags, cancel));
            Source::of(opened.map_err(|no| entry.source_error(Op::Open, errno(no)))?)
        }
    };
    let source = source.map_err(|no| entry.source_error(Op::Stat, errno(no)))?;
    if source.stat.id() != decided.stat.id() {
        return Err(entry.source_error(Op::Open, Cause::Replaced).into());
    }
    let making = metadata::making(&source.stat, options);
    let mut partial = decided.partial.take();
    let (target, before) = open_target(worker, entry, decided, &source, &making, &mut partial)?;
    if let (Some(length), Some(capacity)) = (source.known_length(), target.capacity())
        && length > capacity
    {
        let cause = Cause::TooLarge { source: length, target: capacity };
        return Err(entry.target_error(Op::Open, cause).into());
    }
    let mut pair = Pair::new(worker.run, source, target, before, making);
    pair.target.edge.simulated = worker.run.simulated(|| entry.key());
    if !options.skip_data {
        pair.tracked = resume::track(worker.run, entry, &pair.source, &pair.target, partial);
    }
    Ok(pair)
}

fn open_target(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
    source: &Source,
    making: &Making,
    partial: &mut Option<Partial>,
) -> Result<(Target, Option<Stat>), Error> {
    let run = worker.run;
    let told = |(op, cause)| entry.target_error(op, cause);
    let at = entry.target().expect("a target is opened where something is to be touched");
    let mut part = partial.as_mut().and_then(|partial| partial.part.take());
    if let (false, false, Found::Something(_), Some((_, PartName { directory, name, .. }))) =
        (run.options.atomic, decided.replaces, decided.found, &part)
    {
        // Somebody has taken its name since: that is written to, as ever.
        let _ = sys::at::remove_file(directory.as_fd(), name);
        (part, *partial) = (None, None);
    }
    if partial.is_some() && part.is_none() && !matches!(decided.found, Found::Something(_)) {
        // It was to be gone on with, and had to make room.
        *partial = None;
    }
    let over = match decided.found {
        _ if decided.replaces => Some(Over::default()),
        Found::Nothing => None,
        // Without content to write, what is there is opened as ever.
        Found::Something(_) if run.options.atomic && !run.options.skip_data => {
            Some(replace::existing(run, entry, at).map_err(told)?)
        }
        Found::Loop if run.options.atomic => Some(Over::default()),
        Found::Something(Stat { kind, .. }) if run.options.verify && kind.is_stream() => {
            return Err(told((Op::Verify, Cause::Unverifiable)));
        }
        Found::Something(Stat { kind, .. }) => match open_in_place(worker, entry, at, kind)? {
            Some(file) => {
                let target = Target::existing(file, &source.stat).map_err(told)?;
                let before = Some(*target.stat().map_err(told)?);
                return Ok((target, before));
            }
            None => None,
        },
        Found::Loop => match open_in_place(worker, entry, at, Kind::Symlink)? {
            Some(file) => return Ok((Target::existing(file, &source.stat).map_err(told)?, None)),
            None => None,
        },
    };
    if let Some((file, part)) = part {
        let before = over.as_ref().and_then(|over| over.old.as_ref()).map(|old| old.stat);
        return Ok((Target::of_part(file, part, over).map_err(told)?, before));
    }
    if let Some(over) = over {
        return make_over(worker, entry, at, source, making, over);
    }
    // A stream's copy can be seen growing, as with cp.
    let one_block = match source.known_length() {
        Some(length) => length <= u64::from(run.size.block_bytes),
        None => source.is_empty(&run.file_systems),
    };
    let grows = run.options.as_cp && source.stat.kind.is_stream();
    // What an earlier run has left in a directory that was there could not be told from what others
    // have there, were it not complete.
    let is_told = run.resume().is_none() || entry.parent.is_new;
    let at_once = !run.options.atomic
        && is_told
        && (one_block || grows || run.options.skip_data || run.options.map.is_some());
    if !at_once && at.stat(false).is_ok() {
        // A whole copy would be in vain.
        return match is_link(at) {
            true => through_dangling(worker, entry, at, source, making),
            false => Err(told((Op::Create, Cause::Errno(libc::EEXIST)))),
        };
    }
    let mut pauses = 0;
    let device = entry.parent.within.as_ref().and_then(|within| within.target).map(|stat| stat.device);
    loop {
        let made = || Target::new(at, making.mode & 0o777 & !making.omitted, at_once, device);
        match worker.opening(|| post::during(Op::Create, made)) {
            Ok(target) => {
                if target.is_temporary() {
                    clean_up(run, entry, at);
                }
                return Ok((target, None));
            }
            Err((op, Cause::Errno(no)))
                if run.waits_for_room(|| told((op, Cause::Errno(no))), no, &mut pauses) => {}
            Err((_, Cause::Errno(libc::EEXIST))) if is_link(at) => {
                return through_dangling(worker, entry, at, source, making);
            }
            Err(error) => return Err(told(error)),
        }
    }
}

/// Opens what is there to be written to; None where it has gone, or was removed as it can't be opened.
fn open_in_place(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    at: At<'_>,
    kind: Kind,
) -> Result<Option<OwnedFd>, Error> {
    let run = worker.run;
    match worker.opening(|| open_there(run, entry, at, kind)) {
        Ok(file) => Ok(Some(file)),
        // It has gone since (over NFS, names may outlive files).
        Err((_, Cause::Errno(libc::ENOENT))) => Ok(None),
        Err((_, Cause::Errno(_))) if run.options.force => room::remove(worker, entry, at).map(|()| None),
        Err((op, cause)) => Err(entry.target_error(op, cause)),
    }
}

/// A new file that is to take the place of what is there.
fn make_over(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    at: At<'_>,
    source: &Source,
    making: &Making,
    over: Over,
) -> Result<(Target, Option<Stat>), Error> {
    let run = worker.run;
    let told = |(op, cause)| entry.target_error(op, cause);
    let before = over.old.as_ref().map(|old| old.stat);
    if before.is_some_and(|before| before.is_same_file(&source.stat)) {
        return Err(told((Op::Open, Cause::SameFile)));
    }
    clean_up(run, entry, over.place.as_ref().map_or(at, Spot::at));
    let mut over = Some(over);
    let mode = making.mode & 0o777 & !making.omitted;
    let made = worker.opening(|| Target::replacing(at, mode, &mut over));
    made.map(|target| (target, before)).map_err(told)
}

/// Removes what killed copies have left in the directory of `at`, once, where others may have been.
pub(in crate::copy) fn clean_up(run: &Run<'_>, entry: &Entry<'_>, at: At<'_>) {
    if entry.parent.is_new {
        return;
    }
    let Ok(directory) = sys::at::open_place(at.directory, parent_of(at.name), true) else { return };
    run.clean_up(directory.as_fd(), &|name| entry.target_path().with_file_name(name));
}

fn is_link(at: At<'_>) -> bool {
    at.stat(false).is_ok_and(|stat| stat.kind == Kind::Symlink)
}

/// Opens what is there for writing. A symbolic link that is an operand is followed wherever it
/// leads; one inside a tree only within the target.
fn open_there(run: &Run<'_>, entry: &Entry<'_>, at: At<'_>, kind: Kind) -> Step<OwnedFd> {
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
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    at: At<'_>,
    source: &Source,
    making: &Making,
) -> Result<(Target, Option<Stat>), Error> {
    let run = worker.run;
    let told = |(op, cause)| entry.target_error(op, cause);
    if !run.options.through_dangling || !entry.is_operand() {
        return Err(told((Op::Create, Cause::DanglingLink)));
    }
    if run.options.atomic {
        let over = replace::existing(run, entry, at).map_err(told)?;
        return make_over(worker, entry, at, source, making, over);
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT;
    let mode = source.stat.mode & 0o777;
    let file = sys::at::open(at.directory, at.name, flags, mode)
        .map_err(|no| told((Op::Create, Cause::Errno(no as i32))))?;
    let target = Target::existing(file, &source.stat).map_err(told)?;
    Ok((target, None))
}

/// The file that standard input goes to: TARGET, whatever it is.
pub(super) fn stream_target(run: &Run<'_>, at: At<'_>, source: &Source) -> Step<Target> {
    let mode = source.stat.mode & 0o666;
    let target = match at.stat(true) {
        Ok(stat) if stat.kind == Kind::Directory => return Err((Op::Create, Cause::IsDirectory)),
        Ok(_) if run.options.atomic => {
            let over = replace::path(at)?;
            if over.old.as_ref().is_some_and(|old| old.stat.is_same_file(&source.stat)) {
                return Err((Op::Open, Cause::SameFile));
            }
            Target::replacing(at, mode, &mut Some(over))?
        }
        Ok(stat) => {
            let file = open_existing(at, stat.kind, OFlag::empty(), run.cancel)?;
            return Target::existing(file, &source.stat);
        }
        Err(Errno::ENOENT) if at.stat(false).is_ok() => return Err((Op::Create, Cause::DanglingLink)),
        Err(Errno::ENOENT) => Target::new(at, mode, false, None)?,
        Err(errno) => return Err((Op::Stat, Cause::Errno(errno as i32))),
    };
    if (run.options.atomic || target.is_temporary())
        && let Ok(directory) = sys::at::open_place(at.directory, parent_of(at.name), true)
    {
        run.clean_up(directory.as_fd(), &|name| Path::new(at.name).with_file_name(name));
    }
    Ok(target)
}
