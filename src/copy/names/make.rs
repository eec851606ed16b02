//! Making what has no content to copy: directories, links, nodes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use crate::copy::events::Event;
use crate::copy::metadata::{self, Handle, Making, Subject};
use crate::copy::names::decide::{Decided, Found};
use crate::copy::names::entry::{At, Entry, Next, Stop};
use crate::copy::names::links::Home;
use crate::copy::names::same::{beside, parent_of};
use crate::copy::names::temporary;
use crate::copy::options::{Dereference, Update};
use crate::copy::tree::directory::{Directory, Place, Places, Root, Side, Within};
use crate::copy::trust::resume;
use crate::copy::work::worker::Worker;

fn cause(errno: Errno) -> Cause {
    Cause::Errno(errno as i32)
}

// ---- directories ----

/// Makes a directory, or opens the one that is there, for its entries to be copied into.
pub(in crate::copy) fn directory(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
) -> Result<Next, Stop> {
    let (run, options) = (worker.run, worker.run.options);
    let stat = decided.stat;
    if options.dereference == Dereference::Always && entry.parent.comes_from(stat.id()) {
        return Err(entry.source_error(Op::Open, Cause::Cycle).into());
    }
    let (is_new, is_there) = match decided.found {
        Found::Something(found) if found.kind == Kind::Directory => {
            (resume::directory_made_before(run, entry, &found)?, true)
        }
        _ => (true, false),
    };
    let (target, made) = match entry.target() {
        Some(at) if !(is_new && options.dry_run) => {
            let mut making = is_new.then(|| metadata::making(&stat, options));
            let (place, found) = make_directory(worker, entry, at, making.as_mut(), is_there)?;
            (Some((place, found)), making)
        }
        _ => (None, None),
    };
    if is_new && !is_there && run.tells_copies() {
        let (source, target) = (entry.source_path(), entry.target_path());
        run.tell(&Event::Copied { source: &source, target: &target, backup: None });
    }
    let (source, readable) = open_source(worker, entry, &stat)?;
    if let Err(error) = readable {
        run.fail(error);
    }
    if let Some((place, found)) = &target {
        run.durable.expect(found.device, place, &|| entry.target_path());
        if is_there && (options.atomic || run.goes_on()) {
            run.clean_up(place.as_fd(), &|name| entry.target_path().join(name));
        }
    }
    let (target, found) = target.unzip();
    let crosses = options.one_file_system
        && entry.parent.within.as_ref().is_some_and(|parent| parent.stat.device != stat.device);
    // Another file system's entries stay away; the directory itself is wanted.
    let source = match source {
        Place::Open(fd) if crosses => Place::Handle(fd),
        source => source,
    };
    let within = Within {
        parent: Arc::clone(entry.parent),
        operand: Arc::clone(entry.operand),
        source_name: entry.source_name.to_owned(),
        target_name: entry.target_name.to_owned(),
        stat,
        target: found,
        making: made,
    };
    let places = Places { source, target };
    if entry.is_operand() {
        let root = Root { places: places.clone(), target: found.map(|found| found.id()) };
        let _ = entry.operand.root.set(root);
    }
    let directory = Directory::new(within, is_new, places.clone());
    Ok(Next::Descend(directory, places))
}

/// Makes it where `making` says how, and opens it.
fn make_directory(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    at: At<'_>,
    making: Option<&mut Making>,
    is_there: bool,
) -> Result<(Place, Stat), Error> {
    let failed = |op, errno| Error::new(op, entry.target_path(), cause(errno));
    let is_new = making.is_some();
    let resume = worker.run.resume().filter(|_| !is_there);
    if let Some(making) = making.as_ref().filter(|_| !is_there) {
        if let Some(resume) = resume {
            resume.will_make(worker.run, entry);
        }
        let mut tries = 0;
        while let Err(errno) = sys::at::make_directory(at.directory, at.name, making.mode) {
            let failed = || failed(Op::MakeDirectory, errno);
            if !worker.run.waits_for_room(failed, errno as i32, &mut tries) {
                return Err(failed());
            }
        }
    }
    // Where a symbolic link was found to be as good as the directory, it is followed.
    let follow = !is_new && (entry.is_operand() || worker.run.options.keep_directory_symlink);
    let opened = open(worker, at, follow);
    let (place, stat) = opened.map_err(|errno| failed(Op::Stat, errno))?;
    if let (Some(resume), true) = (resume, is_new) {
        resume.made(worker.run, entry, &stat);
    }
    let Some(making) = making else { return Ok((place, stat)) };
    if is_there {
        return open_again(worker, entry, at, making, place, stat);
    }
    if stat.mode & 0o700 == 0o700 {
        return Ok((place, stat));
    }
    making.restore = Some(stat.mode);
    let accessible = Handle::Path(place.as_fd()).set_mode(stat.mode | 0o700);
    accessible.map_err(|errno| failed(Op::OpenMode, errno))?;
    let (place, _) = open(worker, at, false).map_err(|errno| failed(Op::Stat, errno))?;
    Ok((place, stat))
}

/// A directory that an earlier run has made gets the mode again that it was made with, and its owner is
/// let in.
fn open_again(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    at: At<'_>,
    making: &mut Making,
    place: Place,
    stat: Stat,
) -> Result<(Place, Stat), Error> {
    let failed = |op, errno| Error::new(op, entry.target_path(), cause(errno));
    let mode = making.mode & !sys::attributes::umask() | stat.mode & 0o2000;
    if mode & 0o700 != 0o700 {
        making.restore = Some(mode);
    }
    if stat.mode != mode | 0o700 {
        let set = Handle::Path(place.as_fd()).set_mode(mode | 0o700);
        set.map_err(|errno| failed(Op::OpenMode, errno))?;
    }
    open(worker, at, false).map_err(|errno| failed(Op::Stat, errno))
}

/// Opens a directory to read it, or at least as a place for names.
fn open(worker: &mut Worker<'_>, at: At<'_>, follow: bool) -> Result<(Place, Stat), Errno> {
    let place = worker.opening(|| Place::open(at.directory, at.name, follow))?;
    let stat = sys::stat::of(place.as_fd())?;
    Ok((place, stat))
}

/// Opens a directory of the source, which must be the one that it was; where it can't be read, why,
/// and a handle for its attributes.
fn open_source(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    stat: &Stat,
) -> Result<(Place, Result<(), Error>), Error> {
    let failed = |errno| entry.source_error(Op::List, cause(errno));
    let follow = entry.follows(worker.run.options);
    let (place, now) = open(worker, entry.source(), follow).map_err(failed)?;
    if now.id() != stat.id() {
        return Err(entry.source_error(Op::Open, Cause::Replaced));
    }
    let readable = match place {
        Place::Handle(_) => Err(failed(Errno::EACCES)),
        _ => Ok(()),
    };
    Ok((place, readable))
}

// ---- nodes and links ----

/// Makes a FIFO, a device node or a socket.
pub(in crate::copy) fn node(worker: &Worker<'_>, entry: &Entry<'_>, decided: &Decided) -> Result<(), Error> {
    let stat = &decided.stat;
    let at = entry.target().expect("a node is made where something is to be touched");
    let making = metadata::making(stat, worker.run.options);
    let device = match stat.kind {
        Kind::Block | Kind::Character => stat.represents,
        _ => (0, 0),
    };
    let source = source_handle(worker, entry)?;
    let op = if stat.kind == Kind::Fifo { Op::MakeFifo } else { Op::MakeNode };
    let made = force(decided.replaces, at, |name| {
        sys::at::make_node(at.directory, name, stat.kind.mode_bits(), making.mode, device)?;
        let target = sys::at::open_handle(at.directory, name)?;
        let is_it = sys::stat::of(target.as_fd())?;
        if is_it.kind != stat.kind {
            // It was replaced meanwhile.
            return Err(Errno::ESTALE);
        }
        let (source, target) = (Handle::Path(source.as_fd()), Handle::Path(target.as_fd()));
        keep(worker, entry, decided, source, target, Some(&is_it), making);
        Ok(())
    });
    made.map(drop).map_err(|errno| match errno {
        Errno::ESTALE => Error::new(Op::Stat, entry.target_path(), Cause::Replaced),
        errno => Error::new(op, entry.target_path(), cause(errno)),
    })
}

/// The source's own handle, where attributes are to be read from it.
fn source_handle(worker: &Worker<'_>, entry: &Entry<'_>) -> Result<OwnedFd, Error> {
    let flags = match entry.follows(worker.run.options) {
        true => nix::fcntl::OFlag::O_PATH,
        false => nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_NOFOLLOW,
    };
    let source = entry.source();
    let opened = sys::at::open(source.directory, source.name, flags, 0);
    opened.map_err(|errno| entry.source_error(Op::Open, cause(errno)))
}

/// Copies a symbolic link as a link.
pub(in crate::copy) fn symlink(
    worker: &Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
) -> Result<(), Error> {
    let options = worker.run.options;
    let source = entry.source();
    let content = sys::at::read_link(source.directory, source.name)
        .map_err(|errno| entry.source_error(Op::ReadLink, cause(errno)))?;
    let at = entry.target().expect("a link is made where something is to be touched");
    let keep_all = |name: &OsStr| {
        let making = metadata::making(&decided.stat, options);
        let (from, to) = (Handle::Link(source.directory, source.name), Handle::Link(at.directory, name));
        keep(worker, entry, decided, from, to, None, making);
    };
    let made = force(options.force || decided.replaces, at, |name| {
        sys::at::make_symlink(&content, at.directory, name)?;
        keep_all(name);
        Ok(())
    });
    match made {
        Ok(_) => Ok(()),
        Err(Errno::EEXIST)
            if (options.update == Update::Older || worker.run.goes_on()) && is_link_to(at, &content) =>
        {
            keep_all(at.name);
            Ok(())
        }
        Err(errno) => Err(Error::new(Op::MakeSymlink, entry.target_path(), cause(errno))),
    }
}

fn is_link_to(at: At<'_>, content: &OsStr) -> bool {
    sys::at::read_link(at.directory, at.name).is_ok_and(|there| there == content)
}

fn keep(
    worker: &Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
    source: Handle<'_>,
    target: Handle<'_>,
    made: Option<&Stat>,
    making: Making,
) {
    let paths = || (entry.source_path(), entry.target_path());
    let subject = Subject {
        source,
        target,
        stat: &decided.stat,
        before: None,
        made,
        made_with: making,
        inherits: entry.parent.inherits(entry.places),
        paths: &paths,
    };
    worker.run.keep_metadata(&subject);
}

/// Gives a target whose content is right already the source's attributes: what told the two apart
/// need not be looked at again.
pub(super) fn mend(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat, target: &Stat) -> Result<(), Error> {
    let run = worker.run;
    let Some(at) = entry.target().filter(|_| !run.options.dry_run && stat.kind == Kind::Regular) else {
        return Ok(());
    };
    let failed = |errno| Error::new(Op::Stat, entry.target_path(), cause(errno));
    let handle = sys::at::open_handle(at.directory, at.name).map_err(failed)?;
    if sys::stat::of(handle.as_fd()).map_err(failed)?.id() != target.id() {
        // It is a symbolic link, or not there any more.
        return Ok(());
    }
    let source = source_handle(worker, entry)?;
    let paths = || (entry.source_path(), entry.target_path());
    let subject = Subject {
        source: Handle::Path(source.as_fd()),
        target: Handle::Path(handle.as_fd()),
        stat,
        before: Some(target),
        made: None,
        made_with: metadata::making(stat, run.options),
        inherits: false,
        paths: &paths,
    };
    run.keep_metadata(&subject);
    match run.durable.is_by_file(target.device) {
        true => run.durable.sync_handle(handle.as_fd(), &run.ledger),
        false => Ok(()),
    }
    .map_err(|(op, cause)| Error::new(op, entry.target_path(), cause))
}

/// `-s`: a symbolic link to the source.
pub(super) fn symbolic_link(worker: &Worker<'_>, entry: &Entry<'_>, replaces: bool) -> Result<(), Error> {
    let at = entry.target().expect("a link is made where something is to be touched");
    let source = entry.source_path();
    if source.is_relative() && !is_in_working_directory(at) {
        return Err(entry.target_error(Op::MakeSymlink, Cause::RelativeLink));
    }
    let content = source.as_os_str();
    let replaces = replaces || worker.run.options.force;
    force(replaces, at, |name| sys::at::make_symlink(content, at.directory, name))
        .map(drop)
        .map_err(|errno| entry.target_error(Op::MakeSymlink, cause(errno)))
}

fn is_in_working_directory(at: At<'_>) -> bool {
    let here = sys::stat::at(sys::at::WORKING_DIRECTORY, OsStr::new("."), true);
    let there = sys::stat::at(at.directory, parent_of(at.name), true);
    match (here, there) {
        (Ok(here), Ok(there)) => here.id() == there.id(),
        _ => true,
    }
}

/// `-l`: a hard link to the source.
pub(in crate::copy) fn hard_link(
    worker: &Worker<'_>,
    entry: &Entry<'_>,
    replaces: bool,
) -> Result<(), Error> {
    let options = worker.run.options;
    let at = entry.target().expect("a link is made where something is to be touched");
    let source = entry.source();
    let (follow, replaces) = (entry.follows(options), replaces || options.force || options.ask);
    force(replaces, at, |name| {
        sys::at::make_link((source.directory, source.name), (at.directory, name), follow)
    })
    .map(drop)
    .map_err(|errno| entry.target_error(Op::MakeLink, cause(errno)))
}

/// A hard link to an earlier copy of the same file, in the place of what is there.
pub(super) fn link_to(worker: &Worker<'_>, entry: &Entry<'_>, home: &Home) -> Result<(), Error> {
    let run = worker.run;
    let at = entry.target().expect("a link is made where something is to be touched");
    let shown = || home.directory.target_path_of(&home.name);
    let failed = |errno| Error::new(Op::MakeLink, entry.target_path(), cause(errno)).with(shown());
    let place = match home.directory.places().and_then(|places| places.target) {
        Some(place) => place,
        None => {
            let opened = home.directory.open_anew(Side::Target);
            opened.map_err(|cause| Error::new(Op::MakeLink, entry.target_path(), cause).with(shown()))?
        }
    };
    let from = (place.as_fd(), home.name.as_os_str());
    // What has the name now may not be what was copied there.
    if let Some(id) = home.id
        && !sys::stat::at(from.0, from.1, false).is_ok_and(|stat| stat.id() == id)
    {
        return Err(Error::new(Op::MakeLink, shown(), Cause::Replaced));
    }
    match force(true, at, |name| sys::at::make_link(from, (at.directory, name), false)) {
        Ok(replaced) => {
            if replaced && run.options.verbose {
                run.tell(&Event::Removed(&entry.target_path()));
            }
            Ok(())
        }
        Err(errno) => Err(failed(errno)),
    }
}

/// Makes something at `at`; where `replace`, under another name first that then takes the place of
/// what is there, so that something always is. True where it did.
fn force(replace: bool, at: At<'_>, make: impl Fn(&OsStr) -> Result<(), Errno>) -> Result<bool, Errno> {
    match make(at.name) {
        Err(Errno::EEXIST) if replace => {}
        made => return made.map(|()| false),
    }
    let mut tries = 0;
    loop {
        let name = beside(at.name, &temporary::fresh());
        match make(&name) {
            Err(Errno::EEXIST) => continue,
            Err(errno) => return Err(errno),
            Ok(()) => {}
        }
        match sys::at::rename(at.directory, &name, at.name) {
            // Another copy took it for a leftover.
            Err(Errno::ENOENT) if tries < 100 => tries += 1,
            renamed => {
                // Renaming one link of a file to another of it does nothing: then this one is too many.
                let _ = sys::at::remove_file(at.directory, &name);
                return renamed.map(|()| true);
            }
        }
    }
}
