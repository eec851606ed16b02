//! Opening a target, and giving it its name once it is complete.
//!
//! A new file has no name until then; a file that is there already keeps its inode, as with cp.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::engine::Edge;
use crate::error::{Cause, Error, Op, errno_of};
use crate::sys;
use crate::sys::cancel::Cancel;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use super::job::Left;
use super::paths::{Name, split};
use super::source::{Source, open_path};

/// A target that is open and untouched.
pub(super) struct Target {
    pub edge: Edge,
    pub stat: Stat,
    pub path: PathBuf,
    naming: Naming,
}

/// What the target is to the name space.
enum Naming {
    /// a new file without a name
    Unnamed { directory: OwnedFd, name: OsString },
    /// a new file under a temporary name, where unnamed ones can't be had
    Temporary { directory: OwnedFd, name: tempfile::TempPath },
    /// a new file under its own name: one block, whole or not there
    Created { directory: OwnedFd },
    /// a file that was there, to be overwritten
    InPlace,
    /// a block device
    Device { size: u64 },
    /// a pipe, a terminal, standard output
    Passed,
}

/// Opens it, creates it or finds out why not. Nothing that is there is changed. `mode` is the
/// source's, of which a new file gets what the umask leaves.
pub(super) fn open_target(
    name: &Name,
    source: &Source,
    one_block: bool,
    cancel: &Cancel,
) -> Result<Target, Error> {
    let Name::Path(path) = name else { return standard_output(source) };
    let failed = |op| move |errno: Errno| Error::new(op, path, Cause::Errno(errno as i32));
    match nix::sys::stat::stat(path) {
        Ok(found) if found.st_mode & libc::S_IFMT == libc::S_IFDIR => {
            Err(Error::new(Op::Create, path, Cause::IsDirectory))
        }
        Ok(found) => existing(path, found.st_mode & libc::S_IFMT, source, cancel),
        Err(Errno::ENOENT) if nix::sys::stat::lstat(path).is_ok() => {
            Err(Error::new(Op::Create, path, Cause::DanglingLink))
        }
        Err(Errno::ENOENT) => new(path, source.stat.mode & 0o777, one_block).map_err(failed(Op::Create)),
        Err(errno) => Err(failed(Op::Stat)(errno)),
    }
}

fn existing(path: &Path, kind: libc::mode_t, source: &Source, cancel: &Cancel) -> Result<Target, Error> {
    let failed = |op| move |errno: Errno| Error::new(op, path, Cause::Errno(errno as i32));
    // The claim that O_EXCL makes on a device is refused while it is mounted or part of something.
    let claim = if kind == libc::S_IFBLK { OFlag::O_EXCL } else { OFlag::empty() };
    if let Ok(by_path) = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
        refuse_same(path, &sys::stat::of(by_path.as_fd()).map_err(failed(Op::Stat))?, source)?;
    }
    let file = open_path(path, OFlag::O_WRONLY | claim, cancel).map_err(|errno| match errno {
        Errno::EBUSY if kind == libc::S_IFBLK => Error::new(Op::Open, path, Cause::InUse),
        errno => failed(Op::Create)(errno),
    })?;
    let stat = sys::stat::of(file.as_fd()).map_err(failed(Op::Stat))?;
    refuse_same(path, &stat, source)?;
    let naming = match stat.kind {
        Kind::Block => {
            Naming::Device { size: sys::device::size_bytes(file.as_fd()).map_err(failed(Op::Stat))? }
        }
        Kind::Regular => Naming::InPlace,
        Kind::Directory | Kind::Stream => Naming::Passed,
    };
    let base = (stat.kind != Kind::Stream).then_some(0);
    Ok(Target { edge: Edge::new(file, base, &stat), stat, path: path.to_owned(), naming })
}

/// What would read what it has just written, or wipe what it is to read.
fn refuse_same(path: &Path, stat: &Stat, source: &Source) -> Result<(), Error> {
    match stat.is_same_file(&source.stat) && stat.kind != Kind::Stream {
        true => Err(Error::new(Op::Open, path, Cause::SameFile)),
        false => Ok(()),
    }
}

fn new(path: &Path, mode: u32, one_block: bool) -> Result<Target, Errno> {
    let (directory, name) = split(path).ok_or(Errno::ENOTDIR)?;
    let opened = open(directory, OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let (file, naming) = if one_block {
        (create(path, mode)?, Naming::Created { directory: opened })
    } else {
        match sys::temporary::unnamed(directory, mode) {
            Ok(file) => (file, Naming::Unnamed { directory: opened, name: name.to_owned() }),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
                let (file, name) = temporary(directory, mode)?;
                (file, Naming::Temporary { directory: opened, name })
            }
            Err(errno) => return Err(errno),
        }
    };
    let stat = sys::stat::of(file.as_fd())?;
    Ok(Target { edge: Edge::new(file, Some(0), &stat), stat, path: path.to_owned(), naming })
}

fn create(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::from_bits_truncate(mode))
}

fn temporary(directory: &Path, mode: u32) -> Result<(OwnedFd, tempfile::TempPath), Errno> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".highwater-").permissions(Permissions::from_mode(mode));
    let made = builder.tempfile_in(directory).map_err(|error| Errno::from_raw(errno_of(&error)))?;
    let (file, name) = made.into_parts();
    Ok((file.into(), name))
}

/// Standard output, in order from where it stands: a shell's `>` and `>>` mean what they say, and
/// a copy that is killed leaves a prefix.
fn standard_output(source: &Source) -> Result<Target, Error> {
    let failed = |errno: Errno| Error::new(Op::Open, "-", Cause::Errno(errno as i32));
    let own = std::io::stdout().as_fd().try_clone_to_owned();
    let own = own.map_err(|error| failed(Errno::from_raw(errno_of(&error))))?;
    let stat = sys::stat::of(own.as_fd()).map_err(failed)?;
    refuse_same(Path::new("-"), &stat, source)?;
    Ok(Target { edge: Edge::new(own, None, &stat), stat, path: PathBuf::from("-"), naming: Naming::Passed })
}

impl Target {
    /// A file of ours alone: created, or truncated before the first write. Its holes read as
    /// zeros, and its size is ours to set.
    pub fn is_file(&self) -> bool {
        !matches!(self.naming, Naming::Device { .. } | Naming::Passed)
    }

    /// It was not there before.
    pub fn is_new(&self) -> bool {
        matches!(self.naming, Naming::Unnamed { .. } | Naming::Temporary { .. } | Naming::Created { .. })
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
    pub fn begin(&self, needed: Option<u64>) -> Result<(), Error> {
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
            return Err(Error::new(Op::Allocate, &self.path, Cause::Errno(libc::ENOSPC)));
        }
        self.set_size(0)
    }

    /// Sets a file's size; other targets have none to set.
    pub fn set_size(&self, size: u64) -> Result<(), Error> {
        if !self.is_file() {
            return Ok(());
        }
        let failed = |errno| Error::new(Op::Truncate, &self.path, Cause::Errno(errno as i32)).at(size);
        sys::space::set_size(self.edge.file.as_fd(), size).map_err(failed)
    }

    /// Gives a new file its name; the directory that must be synced for the name to last.
    pub fn publish(self) -> Result<(Edge, Option<OwnedFd>), Error> {
        let failed = |errno: Errno| Error::new(Op::Publish, &self.path, Cause::Errno(errno as i32));
        let directory = match self.naming {
            Naming::Unnamed { directory, name } => {
                sys::temporary::name(self.edge.file.as_fd(), directory.as_fd(), &name).map_err(failed)?;
                Some(directory)
            }
            Naming::Temporary { directory, name } => {
                let named = name.persist_noclobber(&self.path);
                named.map_err(|error| failed(Errno::from_raw(errno_of(&error.error))))?;
                Some(directory)
            }
            Naming::Created { directory } => Some(directory),
            Naming::InPlace | Naming::Device { .. } | Naming::Passed => None,
        };
        Ok((self.edge, directory))
    }

    /// Gives up: a new file goes, one that was there is cut to the `completed` bytes that are
    /// right.
    pub fn abandon(self, completed: u64) -> Result<Left, Error> {
        match &self.naming {
            Naming::Unnamed { .. } => Ok(Left::Nothing),
            Naming::Created { .. } => {
                let failed = |errno| Error::new(Op::Remove, &self.path, Cause::Errno(errno as i32));
                nix::unistd::unlink(&self.path).map_err(failed).map(|()| Left::Nothing)
            }
            Naming::Temporary { .. } => {
                let Naming::Temporary { name, .. } = self.naming else { unreachable!() };
                let failed = |error| Error::new(Op::Remove, &self.path, Cause::Errno(errno_of(&error)));
                name.close().map_err(failed).map(|()| Left::Nothing)
            }
            Naming::InPlace => self.set_size(completed).map(|()| Left::Prefix(completed)),
            Naming::Device { .. } | Naming::Passed => Ok(Left::Prefix(completed)),
        }
    }
}
