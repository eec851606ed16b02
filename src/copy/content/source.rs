//! Opening a source, and what it turns out to be.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Whence, lseek};

use crate::engine::{Edge, post};
use crate::error::{Cause, Error, Op, errno_of};
use crate::flow::Length;
use crate::sys;
use crate::sys::cancel::Cancel;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use crate::copy::names::entry::At;
use crate::copy::work::tally::FileSystems;

/// A source that is open.
pub(in crate::copy) struct Source {
    pub edge: Edge,
    pub stat: Stat,
    /// from the edge's base on
    pub length: Length,
    /// standard input, which is left where the copy has ended
    leave_behind: Option<(OwnedFd, u64)>,
}

/// An open that a signal interrupted and that is not to be tried again: nothing was begun.
pub(in crate::copy) const INTERRUPTED: i32 = libc::ECANCELED;

/// openat(2), again after a signal unless that signal asked to stop.
pub(in crate::copy) fn open(at: At<'_>, flags: OFlag, cancel: &Cancel) -> Result<OwnedFd, Errno> {
    loop {
        let op = if flags.contains(OFlag::O_WRONLY) { Op::Create } else { Op::Open };
        match post::during(op, || sys::at::open(at.directory, at.name, flags, 0)) {
            Err(Errno::EINTR) if cancel.is_raised() => return Err(Errno::from_raw(INTERRUPTED)),
            Err(Errno::EINTR) => continue,
            result => return result,
        }
    }
}

impl Source {
    /// What `file`, open for reading, turns out to be.
    pub fn of(file: OwnedFd) -> Result<Source, Errno> {
        let stat = sys::stat::of(file.as_fd())?;
        Source::with(file, stat)
    }

    /// The same where `stat` is known to be of `file`.
    pub fn with(file: OwnedFd, stat: Stat) -> Result<Source, Errno> {
        let length = length(file.as_fd(), &stat)?;
        let base = (!stat.kind.is_stream()).then_some(0);
        Ok(Source { edge: edge(file, base, &stat, length), stat, length, leave_behind: None })
    }

    /// Standard input, from where it stands. A regular file is opened anew, so that it can be read
    /// at offsets and its own position stays where it is until the end.
    pub fn standard_input() -> Result<Source, Error> {
        let failed = |errno: Errno| Error::new(Op::Open, "-", Cause::Errno(errno as i32));
        // Another descriptor of the same description: closing it leaves the inherited one open.
        let own = std::io::stdin().as_fd().try_clone_to_owned();
        let own = own.map_err(|error| failed(Errno::from_raw(errno_of(&error))))?;
        let stat = sys::stat::of(own.as_fd()).map_err(failed)?;
        if stat.kind == Kind::Directory {
            return Err(Error::new(Op::Open, "-", Cause::NotRecursive));
        }
        let seekable = matches!(stat.kind, Kind::Regular | Kind::Block);
        let position = lseek(&own, 0, Whence::SeekCur).ok().filter(|_| seekable);
        let anew = sys::temporary::reopen(own.as_fd(), OFlag::O_RDONLY).ok();
        let (Some(position), Some(anew)) = (position, anew) else {
            let length = Length::Unknown;
            return Ok(Source { edge: edge(own, None, &stat, length), stat, length, leave_behind: None });
        };
        let base = position as u64;
        let length = match length(anew.as_fd(), &stat).map_err(failed)? {
            Length::Exact(all) => Length::Exact(all.saturating_sub(base)),
            Length::Expected(all) => Length::Expected(all.saturating_sub(base)),
            Length::Unknown => Length::Unknown,
        };
        let edge = edge(anew, Some(base), &stat, length);
        Ok(Source { edge, stat, length, leave_behind: Some((own, base)) })
    }

    /// Bytes that it has, where that is known.
    pub fn known_length(&self) -> Option<u64> {
        match self.length {
            Length::Exact(bytes) | Length::Expected(bytes) => Some(bytes),
            Length::Unknown => None,
        }
    }

    /// Whether it is a file without content, on a file system that says so only where it is true: one
    /// that makes up its files (/proc) says it of all.
    pub fn is_empty(&self, file_systems: &FileSystems) -> bool {
        let stores = || match file_systems.kind_of(self.edge.file.as_fd(), self.stat.device) {
            Some(FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Btrfs | FileSystem::Tmpfs) => true,
            Some(_) | None => false,
        };
        self.stat.kind == Kind::Regular && self.stat.size == 0 && stores()
    }

    /// Its size now, where it is a regular file: it may have changed while it was copied.
    pub fn size_now(&self) -> Option<u64> {
        let stat = sys::stat::of(self.edge.file.as_fd()).ok()?;
        let base = self.edge.base?;
        (stat.kind == Kind::Regular).then(|| stat.size.saturating_sub(base))
    }

    /// Leaves standard input behind the `bytes` that were copied.
    pub fn leave_after(&self, bytes: u64) -> Result<(), Errno> {
        match &self.leave_behind {
            Some((own, base)) => lseek(own, (base + bytes) as i64, Whence::SeekSet).map(drop),
            None => Ok(()),
        }
    }
}

fn edge(file: OwnedFd, base: Option<u64>, stat: &Stat, length: Length) -> Edge {
    let mut edge = match (stat.kind, base) {
        (Kind::Regular, Some(0)) => Edge::of_file(file),
        _ => Edge::new(file, base, stat),
    };
    edge.has_holes = stat.allocated_bytes < stat.size && matches!(length, Length::Expected(_));
    edge
}

/// How long it is. A regular file that says 0 is read to its end all the same (/proc), and so is
/// one that says more and stores nothing, where no hole explains it (/sys).
fn length(fd: BorrowedFd<'_>, stat: &Stat) -> Result<Length, Errno> {
    match stat.kind {
        Kind::Block => sys::device::size_bytes(fd).map(Length::Exact),
        Kind::Regular if stat.size == 0 => Ok(Length::Unknown),
        Kind::Regular if stat.allocated_bytes == 0 && !is_hole(fd)? => Ok(Length::Unknown),
        Kind::Regular => Ok(Length::Expected(stat.size)),
        _ => Ok(Length::Unknown),
    }
}

fn is_hole(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let (is_data, _) = sys::holes::extent_at(fd, 0)?;
    lseek(fd, 0, Whence::SeekSet)?;
    Ok(!is_data)
}
