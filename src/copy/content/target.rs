//! Opening a target for content, and giving it its name once it is complete.
//!
//! A new file has no name until then. A file that is there already keeps its inode, as with cp, unless a
//! new one is to take its place.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::{Edge, post};
use crate::error::{Cause, Op, errno_of};
use crate::sys;
use crate::sys::cancel::Cancel;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use crate::copy::content::replace::{Over, Spot};
use crate::copy::content::source;
use crate::copy::events::Left;
use crate::copy::metadata::{Handle, inherit};
use crate::copy::names::entry::At;
use crate::copy::names::same::{last_component, parent_of};
use crate::copy::names::temporary;

/// A target that is open and untouched.
pub(in crate::copy) struct Target {
    pub edge: Edge,
    pub kind: Kind,
    /// of its file system
    pub device: (u32, u32),
    /// of a file that was made, once it is wanted
    stat: OnceCell<Stat>,
    naming: Naming,
    over: Option<Over>,
}

/// What the target is to the name space.
enum Naming {
    /// a new file without a name
    Unnamed,
    /// a new file under a temporary name in the same directory, where unnamed ones can't be had
    Temporary(PartName),
    /// a new file under its own name: one block, whole or not there; or what is expected to grow
    Created,
    /// a file that was there, to be overwritten
    InPlace,
    /// a block device
    Device { size: u64 },
    /// a pipe, a terminal, standard output
    Passed,
}

/// The name that a file has until it is complete.
pub(in crate::copy) struct PartName {
    /// it is in this one
    pub directory: OwnedFd,
    pub name: OsString,
    /// where it gets its own name, if that is another directory
    pub into: Option<OwnedFd>,
}

/// What a target is called until it is complete.
pub(in crate::copy) enum Part<'a> {
    /// nothing yet
    Unnamed,
    /// another name than its own
    Has(&'a PartName),
    /// its own name, or none ever
    Never,
}

/// A failure of one step.
pub(in crate::copy) type Step<T> = Result<T, (Op, Cause)>;

fn failed(op: Op) -> impl Fn(Errno) -> (Op, Cause) {
    move |errno| (op, Cause::Errno(errno as i32))
}

impl Target {
    /// What is there already, `file` open for writing; nothing is changed yet. `found` is what it
    /// was before it was opened.
    pub fn existing(file: OwnedFd, source: &Stat) -> Step<Target> {
        let stat = sys::stat::of(file.as_fd()).map_err(failed(Op::Stat))?;
        refuse_same(&stat, source)?;
        let naming = match stat.kind {
            Kind::Block => {
                let size = sys::device::size_bytes(file.as_fd()).map_err(failed(Op::Stat))?;
                Naming::Device { size }
            }
            Kind::Regular => Naming::InPlace,
            _ => Naming::Passed,
        };
        let base = (!stat.kind.is_stream()).then_some(0);
        Ok(Target::seen(Edge::new(file, base, &stat), stat, naming))
    }

    /// A new file that takes the place of whatever has its name when it is published. `over` is taken
    /// where that succeeds.
    pub fn replacing(at: At<'_>, mode: u32, over: &mut Option<Over>) -> Step<Target> {
        let wanted = over.as_ref().expect("it is known what is replaced");
        // Until it has the permissions of the old one nobody else gets at it.
        let mode = if wanted.old.is_some() { 0o600 } else { mode };
        let made = Target::new(wanted.place.as_ref().map_or(at, Spot::at), mode, false, None);
        let mut target = made.map_err(|(op, cause)| match cause {
            Cause::Errno(libc::EACCES | libc::EPERM | libc::EROFS) => (Op::CreateTemporary, cause),
            cause => (op, cause),
        })?;
        if let Some(old) = &wanted.old
            && let Err(failed) =
                target.stat().and_then(|stat| inherit::owner(target.handle(), stat, &old.stat))
        {
            // Why it is given up matters more than why it can't be removed.
            let _ = target.abandon(None, 0);
            return Err(failed);
        }
        target.over = over.take();
        Ok(target)
    }

    /// A new file at `at`, which has its name at once or when it is published. Where the directory is known
    /// to be on `device`, so is what is made in it, and no more is asked of that than is wanted.
    pub fn new(at: At<'_>, mode: u32, at_once: bool, device: Option<(u32, u32)>) -> Step<Target> {
        let failed = failed(Op::Create);
        if at.name.as_bytes().ends_with(b"/") {
            return Err((Op::Create, Cause::Errno(libc::ENOTDIR)));
        }
        if at_once {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
            let file = sys::at::open(at.directory, at.name, flags, mode).map_err(&failed)?;
            return match device {
                Some(device) => {
                    let (edge, kind, stat) = (Edge::of_file(file), Kind::Regular, OnceCell::new());
                    Ok(Target { edge, kind, device, stat, naming: Naming::Created, over: None })
                }
                None => Target::made(file, Naming::Created),
            };
        }
        let up = parent_of(at.name);
        match sys::temporary::unnamed(at.directory, up, mode) {
            Ok(file) => Target::made(file, Naming::Unnamed),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
                let directory = sys::at::open_place(at.directory, up, true).map_err(&failed)?;
                let (file, name) = temporary::create(directory.as_fd(), mode).map_err(&failed)?;
                Target::made(file, Naming::Temporary(PartName { directory, name, into: None }))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    fn made(file: OwnedFd, naming: Naming) -> Step<Target> {
        let stat = sys::stat::of(file.as_fd()).map_err(failed(Op::Stat))?;
        Ok(Target::seen(Edge::of_file(file), stat, naming))
    }

    fn seen(edge: Edge, stat: Stat, naming: Naming) -> Target {
        let (kind, device, stat) = (stat.kind, stat.device, OnceCell::from(stat));
        Target { edge, kind, device, stat, naming, over: None }
    }

    /// What it is: as it was found, or as it was at some time since it was made.
    pub fn stat(&self) -> Step<&Stat> {
        if let Some(stat) = self.stat.get() {
            return Ok(stat);
        }
        let stat = sys::stat::of(self.edge.file.as_fd()).map_err(failed(Op::Stat))?;
        Ok(self.stat.get_or_init(|| stat))
    }

    /// Standard output, in order from where it stands: a shell's `>` and `>>` mean what they say,
    /// and a copy that is killed leaves a prefix.
    pub fn standard_output(source: &Stat) -> Step<Target> {
        let own = std::io::stdout().as_fd().try_clone_to_owned();
        let own = own.map_err(|error| (Op::Open, Cause::Errno(errno_of(&error))))?;
        let stat = sys::stat::of(own.as_fd()).map_err(failed(Op::Open))?;
        refuse_same(&stat, source)?;
        Ok(Target::seen(Edge::new(own, None, &stat), stat, Naming::Passed))
    }
}

/// Opens what is there for writing. The claim that O_EXCL makes on a device is refused while it is
/// mounted or part of something.
pub(super) fn open_existing(at: At<'_>, kind: Kind, extra: OFlag, cancel: &Cancel) -> Step<OwnedFd> {
    let claim = if kind == Kind::Block { OFlag::O_EXCL } else { OFlag::empty() };
    source::open(at, OFlag::O_WRONLY | claim | extra, cancel).map_err(|errno| match errno {
        Errno::EBUSY if kind == Kind::Block => (Op::Open, Cause::InUse),
        errno => failed(Op::Create)(errno),
    })
}

/// What would read what it has just written, or wipe what it is to read.
fn refuse_same(stat: &Stat, source: &Stat) -> Step<()> {
    match stat.is_same_file(source) && !stat.kind.is_stream() {
        true => Err((Op::Open, Cause::SameFile)),
        false => Ok(()),
    }
}

impl Target {
    /// A new file that an earlier run began, under the name that it has until it is complete.
    pub fn of_part(file: OwnedFd, part: PartName, over: Option<Over>) -> Step<Target> {
        let mut target = Target::made(file, Naming::Temporary(part))?;
        // Writing to it may take these, and what was seen before would be believed.
        target.stat.get_mut().iter_mut().for_each(|stat| stat.mode &= 0o1777);
        target.over = over;
        Ok(target)
    }

    /// What it is called until it is complete.
    pub fn part(&self) -> Part<'_> {
        match &self.naming {
            Naming::Unnamed => Part::Unnamed,
            Naming::Temporary(part) => Part::Has(part),
            Naming::Created | Naming::InPlace | Naming::Device { .. } | Naming::Passed => Part::Never,
        }
    }

    /// It was given another name until it is complete.
    pub fn is_called(&mut self, directory: OwnedFd, name: OsString) {
        assert!(self.has_no_name(), "what has its name keeps it");
        let into = match &mut self.naming {
            Naming::Temporary(part) => part.into.take(),
            _ => None,
        };
        self.naming = Naming::Temporary(PartName { directory, name, into });
    }

    /// It had its own name at once.
    pub fn was_created(&self) -> bool {
        matches!(self.naming, Naming::Created)
    }

    /// A file of ours alone: created, or truncated before the first write. Its holes read as
    /// zeros, and its size is ours to set.
    pub fn is_file(&self) -> bool {
        !matches!(self.naming, Naming::Device { .. } | Naming::Passed)
    }

    /// It was not there before.
    pub fn is_new(&self) -> bool {
        self.has_no_name() || matches!(self.naming, Naming::Created)
    }

    /// Nobody can see it before it is published.
    pub fn has_no_name(&self) -> bool {
        matches!(self.naming, Naming::Unnamed | Naming::Temporary(_))
    }

    /// It stands under a temporary name, as others may do there that a killed copy has left.
    pub fn is_temporary(&self) -> bool {
        matches!(self.naming, Naming::Temporary(_))
    }

    /// It gets its name elsewhere than where that was asked for: a symbolic link was followed.
    pub fn is_elsewhere(&self) -> bool {
        self.over.as_ref().is_some_and(|over| over.place.is_some())
    }

    /// Where it gets its name, which was asked for as `at`.
    pub fn place<'a>(&'a self, at: At<'a>) -> At<'a> {
        self.over.as_ref().and_then(|over| over.place.as_ref()).map_or(at, Spot::at)
    }

    fn handle(&self) -> Handle<'_> {
        Handle::File(self.edge.file.as_fd())
    }

    /// Takes over what belongs to the file that it replaces, now that it has its content.
    pub fn inherit(&self) -> Step<()> {
        match self.over.as_ref().and_then(|over| over.old.as_ref()) {
            Some(old) => inherit::rest(self.handle(), Handle::Path(old.handle.as_fd()), &old.stat),
            None => Ok(()),
        }
    }

    /// Whether its content can be made durable.
    pub fn can_sync(&self) -> bool {
        matches!(self.kind, Kind::Regular | Kind::Block)
    }

    /// The most bytes it can take, where that is known.
    pub fn capacity(&self) -> Option<u64> {
        match self.naming {
            Naming::Device { size } => Some(size),
            _ => None,
        }
    }

    /// Empties a file that was there, now that nothing else can be refused: not before it is sure
    /// that `needed` bytes fit, where that can be told.
    pub fn begin(&self, needed: Option<u64>) -> Step<()> {
        if !matches!(self.naming, Naming::InPlace) {
            return Ok(());
        }
        let stat = self.stat()?;
        if stat.size == 0 {
            return Ok(());
        }
        // Elsewhere compression or quotas make another sum of it; there the writes will tell.
        let room = match sys::space::file_system(self.edge.file.as_fd()) {
            Ok((FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Tmpfs, free)) => free + stat.allocated_bytes,
            _ => u64::MAX,
        };
        if needed.is_some_and(|needed| needed > room) {
            return Err((Op::Allocate, Cause::Errno(libc::ENOSPC)));
        }
        self.set_size(0)
    }

    /// Sets a file's size; other targets have none to set.
    pub fn set_size(&self, size: u64) -> Step<()> {
        if !self.is_file() {
            return Ok(());
        }
        let set = || sys::space::set_size(self.edge.file.as_fd(), size);
        post::during(Op::Truncate, set).map_err(failed(Op::Truncate))
    }

    /// Gives a new file its name, once: `at`, unless what it replaces was found elsewhere. Whether there is a
    /// new name, for which the directory must be synced if it is to last.
    pub fn publish(&mut self, at: At<'_>) -> Step<bool> {
        let failed = failed(Op::Publish);
        let replaces = self.over.is_some();
        let at = self.over.as_ref().and_then(|over| over.place.as_ref()).map_or(at, Spot::at);
        match std::mem::replace(&mut self.naming, Naming::InPlace) {
            Naming::Unnamed if replaces => {
                // A link can't replace anything, a rename can.
                let linked = temporary::link(&self.edge.file, at.directory, at.name);
                let from = linked.map_err(&failed)?;
                let renamed = rename_over((at.directory, &from), (at.directory, at.name));
                renamed.map_err(failed).map(|()| true)
            }
            Naming::Temporary(part) if replaces => {
                let renamed = rename_over(part.at(), (part.destination(), last_component(at.name)));
                renamed.map_err(failed).map(|()| true)
            }
            Naming::Unnamed => {
                let named = sys::temporary::name(self.edge.file.as_fd(), at.directory, at.name);
                named.map_err(failed).map(|()| true)
            }
            Naming::Temporary(part) => {
                let renamed = rename_part(part.at(), (part.destination(), last_component(at.name)));
                if renamed.is_err() {
                    // Why it has no name matters more than why it can't be removed.
                    let _ = sys::at::remove_file(part.directory.as_fd(), &part.name);
                }
                renamed.map_err(failed).map(|()| true)
            }
            Naming::Created => Ok(true),
            other => {
                self.naming = other;
                Ok(false)
            }
        }
    }

    /// Closes it, and hears what close(2) has to say.
    pub fn close(self) -> Step<()> {
        post::during(Op::Close, || self.edge.close()).map_err(failed(Op::Close))
    }

    /// Gives up: a new file goes, one that was there is cut to the `completed` bytes that are
    /// right. `at` is its name, where it has or gets one.
    pub fn abandon(&mut self, at: Option<At<'_>>, completed: u64) -> Step<Left> {
        let left = if self.over.is_some() { Left::Untouched } else { Left::Nothing };
        match std::mem::replace(&mut self.naming, Naming::InPlace) {
            Naming::Unnamed => Ok(left),
            Naming::Created => {
                let at = at.expect("what was created has a name");
                let removed = sys::at::remove_file(at.directory, at.name);
                removed.map_err(failed(Op::Remove)).map(|()| Left::Nothing)
            }
            Naming::Temporary(PartName { directory, name, .. }) => {
                let removed = sys::at::remove_file(directory.as_fd(), &name);
                removed.map_err(failed(Op::Remove)).map(|()| left)
            }
            Naming::InPlace => self.set_size(completed).map(|()| Left::Prefix(completed)),
            Naming::Device { .. } | Naming::Passed => Ok(Left::Prefix(completed)),
        }
    }
}

impl PartName {
    fn at(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.directory.as_fd(), &self.name)
    }

    fn destination(&self) -> BorrowedFd<'_> {
        self.into.as_ref().unwrap_or(&self.directory).as_fd()
    }
}

/// A name in a directory.
type Place<'a> = (BorrowedFd<'a>, &'a OsStr);

/// Renames over whatever is there; where that fails, the temporary name goes.
fn rename_over(from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    let renamed = sys::at::move_over(from, to);
    if renamed.is_err() {
        // Why it has no name matters more than why it can't be removed.
        let _ = sys::at::remove_file(from.0, from.1);
    }
    renamed
}

/// A new name without replacing: where renameat2(2) can't, a link, then the old name goes.
pub(in crate::copy) fn rename_part(from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    match sys::at::move_new(from, to) {
        Err(Errno::EINVAL) => {}
        renamed => return renamed,
    }
    sys::at::make_link(from, to, false)?;
    sys::at::remove_file(from.0, from.1)
}
