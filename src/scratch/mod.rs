//! Ground to measure on: a scratch file in a directory, an existing file, a block device; and what must
//! not be written to.
//!
//! Whoever writes to something that was there before has to say that its data may go, and is refused
//! all the same where it is in use or holds something with a known signature. Knows nothing of what is
//! written, nor of options as typed.

mod file;
mod guard;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

pub use file::Scratch;
pub use guard::refuse_what_is_precious;

/// What will be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// only reads
    Read,
    /// writes, and reads too
    Write,
}

/// What is wanted of the ground.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// what will be done there
    pub access: Access,
    /// `--destroy-data`: what an existing file or a device holds may go
    pub destroy_data: bool,
    /// how many bytes of it are used; None: all of a file or device
    pub size_bytes: Option<u64>,
    /// likewise of a scratch file, though never more than half of what is free there
    pub scratch_bytes: u64,
}

/// What the ground is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// a file that was made for this and will be removed
    Scratch,
    /// a file that was there
    File,
    /// a block device
    Device,
}

/// Ground that is open, and claimed where it is a device that is to be written to.
#[derive(Debug)]
pub struct Ground {
    /// open for reading, and for writing where that was wanted
    pub file: OwnedFd,
    /// of it
    pub stat: Stat,
    /// what it is
    pub origin: Origin,
    /// so many bytes of it are to be used, from its start
    pub size_bytes: u64,
    /// what messages call it: a scratch file is called by its directory
    pub path: PathBuf,
    scratch: Option<Scratch>,
}

impl Ground {
    /// Opens `target`, or makes a scratch file in it where it is a directory: of its full size, with
    /// space allocated where the file system can, and nothing written to it yet.
    ///
    /// # Errors
    /// What was there and would be lost ([`Cause::WouldDestroy`], [`Cause::InUse`],
    /// [`Cause::HoldsSignature`], [`Cause::Unchecked`]); a size of more than there is
    /// ([`Cause::Beyond`]); a target that is no ground ([`Cause::NoGround`]); the kernel's errno, ENOSPC
    /// among them.
    pub fn open(target: &Path, wanted: &Wanted) -> Result<Ground, Error> {
        let errno = |op, errno| Error::new(op, target, Cause::Errno(errno as i32));
        let found = sys::stat::at(sys::at::WORKING_DIRECTORY, target.as_os_str(), true);
        let found = found.map_err(|failed| errno(Op::Stat, failed))?;
        let origin = match found.kind {
            Kind::Directory => return Ground::scratch(target, wanted),
            Kind::Regular => Origin::File,
            Kind::Block => Origin::Device,
            _ => return Err(Error::new(Op::Open, target, Cause::NoGround)),
        };
        if wanted.access == Access::Write && !wanted.destroy_data {
            return Err(Error::new(Op::Open, target, Cause::WouldDestroy));
        }
        let (op, flags) = match (wanted.access, origin) {
            (Access::Read, _) => (Op::Open, OFlag::O_RDONLY),
            // The claim is refused while the device is mounted, swapped to or part of something, and a
            // whole disk while one of its partitions is.
            (Access::Write, Origin::Device) => (Op::Create, OFlag::O_RDWR | OFlag::O_EXCL),
            (Access::Write, _) => (Op::Create, OFlag::O_RDWR),
        };
        let opened = sys::at::open(sys::at::WORKING_DIRECTORY, target.as_os_str(), flags, 0);
        let file = opened.map_err(|failed| match failed {
            nix::errno::Errno::EBUSY if origin == Origin::Device => {
                Error::new(Op::Open, target, Cause::InUse)
            }
            failed => errno(op, failed),
        })?;
        let stat = sys::stat::of(file.as_fd()).map_err(|failed| errno(Op::Stat, failed))?;
        if stat.kind != found.kind {
            return Err(Error::new(Op::Open, target, Cause::Replaced));
        }
        if wanted.access == Access::Write {
            refuse_what_is_precious(&file, &stat, target)?;
        }
        let length = match origin {
            Origin::Device => {
                sys::device::size_bytes(file.as_fd()).map_err(|failed| errno(Op::Stat, failed))?
            }
            _ => stat.size,
        };
        let size_bytes = wanted.size_bytes.unwrap_or(length);
        if size_bytes > length || length == 0 {
            return Err(Error::new(Op::Open, target, Cause::Beyond { wanted: size_bytes, length }));
        }
        Ok(Ground { file, stat, origin, size_bytes, path: target.into(), scratch: None })
    }

    fn scratch(directory: &Path, wanted: &Wanted) -> Result<Ground, Error> {
        let (file, scratch, size_bytes) = Scratch::make(directory, wanted.size_bytes, wanted.scratch_bytes)?;
        let stat = sys::stat::of(file.as_fd())
            .map_err(|errno| Error::new(Op::Stat, directory, Cause::Errno(errno as i32)))?;
        let (origin, path) = (Origin::Scratch, directory.into());
        Ok(Ground { file, stat, origin, size_bytes, path, scratch: Some(scratch) })
    }

    /// Closes it, and removes what was made; everything else open on it is to be closed before. A
    /// ground that is dropped instead is removed, too, but nobody hears of a failure.
    pub fn close(self) -> Result<(), Error> {
        let removed = self.scratch.map_or(Ok(()), Scratch::remove);
        let closed = nix::unistd::close(self.file);
        let closed = closed.map_err(|errno| Error::new(Op::Close, &self.path, Cause::Errno(errno as i32)));
        removed.and(closed)
    }
}
