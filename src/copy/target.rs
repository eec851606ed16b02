//! Opening a target for content, and giving it its name once it is complete.
//!
//! A new file has no name until then; a file that is there already keeps its inode, as with cp.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::Edge;
use crate::error::{Cause, Op, errno_of};
use crate::sys;
use crate::sys::cancel::Cancel;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use super::entry::At;
use super::events::Left;
use super::same::{last_component, parent_of};
use super::source;

/// A target that is open and untouched.
pub(super) struct Target {
    pub edge: Edge,
    pub stat: Stat,
    naming: Naming,
}

/// What the target is to the name space.
enum Naming {
    /// a new file without a name
    Unnamed,
    /// a new file under a temporary name in the same directory, where unnamed ones can't be had
    Temporary { directory: OwnedFd, temporary: tempfile::TempPath },
    /// a new file under its own name: one block, whole or not there; or what is expected to grow
    Created,
    /// a file that was there, to be overwritten
    InPlace,
    /// a block device
    Device { size: u64 },
    /// a pipe, a terminal, standard output
    Passed,
}

/// A failure of one step.
pub(super) type Step<T> = Result<T, (Op, Cause)>;

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
        Ok(Target { edge: Edge::new(file, base, &stat), stat, naming })
    }

    /// A new file at `at`, which has its name at once or when it is published.
    pub fn new(at: At<'_>, mode: u32, at_once: bool) -> Step<Target> {
        let failed = failed(Op::Create);
        if at.name.as_bytes().ends_with(b"/") {
            return Err((Op::Create, Cause::Errno(libc::ENOTDIR)));
        }
        if at_once {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
            let file = sys::at::open(at.directory, at.name, flags, mode).map_err(&failed)?;
            return Target::made(file, Naming::Created);
        }
        let up = parent_of(at.name);
        match sys::temporary::unnamed(at.directory, up, mode) {
            Ok(file) => Target::made(file, Naming::Unnamed),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
                let directory = sys::at::open_place(at.directory, up, true).map_err(&failed)?;
                let (file, temporary) = temporary(&directory, mode).map_err(&failed)?;
                Target::made(file, Naming::Temporary { directory, temporary })
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    fn made(file: OwnedFd, naming: Naming) -> Step<Target> {
        let stat = sys::stat::of(file.as_fd()).map_err(failed(Op::Stat))?;
        Ok(Target { edge: Edge::of_file(file), stat, naming })
    }

    /// Standard output, in order from where it stands: a shell's `>` and `>>` mean what they say,
    /// and a copy that is killed leaves a prefix.
    pub fn standard_output(source: &Stat) -> Step<Target> {
        let own = std::io::stdout().as_fd().try_clone_to_owned();
        let own = own.map_err(|error| (Op::Open, Cause::Errno(errno_of(&error))))?;
        let stat = sys::stat::of(own.as_fd()).map_err(failed(Op::Open))?;
        refuse_same(&stat, source)?;
        Ok(Target { edge: Edge::new(own, None, &stat), stat, naming: Naming::Passed })
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

fn temporary(directory: &OwnedFd, mode: u32) -> Result<(OwnedFd, tempfile::TempPath), Errno> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".highwater-").permissions(Permissions::from_mode(mode));
    let made = builder.tempfile_in(sys::at::path_of(directory));
    let (file, name) = made.map_err(|error| Errno::from_raw(errno_of(&error)))?.into_parts();
    Ok((file.into(), name))
}

impl Target {
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
        matches!(self.naming, Naming::Unnamed | Naming::Temporary { .. })
    }

    /// Whether its content can be made durable.
    pub fn can_sync(&self) -> bool {
        matches!(self.stat.kind, Kind::Regular | Kind::Block)
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
        if !matches!(self.naming, Naming::InPlace) || self.stat.size == 0 {
            return Ok(());
        }
        // Elsewhere compression or quotas make another sum of it; there the writes will tell.
        let room = match sys::space::file_system(self.edge.file.as_fd()) {
            Ok((FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Tmpfs, free)) => {
                free + self.stat.allocated_bytes
            }
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
        sys::space::set_size(self.edge.file.as_fd(), size).map_err(failed(Op::Truncate))
    }

    /// Gives a new file its name, which is `at`, once; whether its directory must be synced for the
    /// name to last.
    pub fn publish(&mut self, at: At<'_>) -> Step<bool> {
        let failed = failed(Op::Publish);
        match std::mem::replace(&mut self.naming, Naming::InPlace) {
            Naming::Unnamed => {
                let named = sys::temporary::name(self.edge.file.as_fd(), at.directory, at.name);
                named.map_err(failed).map(|()| true)
            }
            Naming::Temporary { directory, temporary } => {
                let from = temporary.file_name().unwrap_or_default().to_owned();
                let name = last_component(at.name);
                match sys::at::rename_new(directory.as_fd(), &from, name) {
                    Err(Errno::EINVAL) => link_over(&directory, &from, name),
                    renamed => renamed,
                }
                .map_err(failed)?;
                // The name is gone; there is nothing left to remove.
                let _ = temporary.keep();
                Ok(true)
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
        self.edge.close().map_err(failed(Op::Close))
    }

    /// Gives up: a new file goes, one that was there is cut to the `completed` bytes that are
    /// right. `at` is its name, where it has or gets one.
    pub fn abandon(&mut self, at: Option<At<'_>>, completed: u64) -> Step<Left> {
        match std::mem::replace(&mut self.naming, Naming::InPlace) {
            Naming::Unnamed => Ok(Left::Nothing),
            Naming::Created => {
                let at = at.expect("what was created has a name");
                let removed = sys::at::remove_file(at.directory, at.name);
                removed.map_err(failed(Op::Remove)).map(|()| Left::Nothing)
            }
            Naming::Temporary { temporary, .. } => {
                let gone = temporary.close();
                gone.map_err(|error| (Op::Remove, Cause::Errno(errno_of(&error)))).map(|()| Left::Nothing)
            }
            Naming::InPlace => self.set_size(completed).map(|()| Left::Prefix(completed)),
            Naming::Device { .. } | Naming::Passed => Ok(Left::Prefix(completed)),
        }
    }
}

/// A new name without replacing, where renameat2(2) can't: a link, then the old name goes.
fn link_over(directory: &OwnedFd, from: &OsStr, name: &OsStr) -> Result<(), Errno> {
    let directory = directory.as_fd();
    sys::at::make_link((directory, from), (directory, name), false)?;
    sys::at::remove_file(directory, from)
}
