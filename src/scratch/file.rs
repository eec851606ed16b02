//! A scratch file: without a name where the file system has such files, so that whatever ends the
//! process removes it; else under a name that is removed at the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tempfile::TempPath;

use crate::error::{Cause, Error, Op, errno_of};
use crate::sys;

/// What the name begins with, where there has to be one.
const PREFIX: &str = ".highwater-scratch-";

/// Sizes that nobody typed are whole MiB, as many as fit.
const MIB: u64 = 1 << 20;

/// What there is to be removed.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    name: Option<TempPath>,
}

impl Scratch {
    /// A new file in `directory`, open for reading and writing, of `typed` bytes, or of `untyped` though
    /// of no more than half of what is free there; and its size. Space is allocated for all of it
    /// where the file system can, and it is not written to.
    ///
    /// # Errors
    /// The kernel's errno of [`Op::MakeScratch`], with the size: ENOSPC where it doesn't fit, EROFS or
    /// EACCES where nothing can be made.
    pub fn make(
        directory: &Path,
        typed: Option<u64>,
        untyped: u64,
    ) -> Result<(OwnedFd, Scratch, u64), Error> {
        let failed = |errno: Errno| Error::new(Op::MakeScratch, directory, Cause::Errno(errno as i32));
        let (file, name) = match unnamed(directory) {
            Ok(file) => (file, None),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
                // Made by hand, as what tempfile says where it makes one has no errno.
                let named = tempfile::Builder::new().prefix(PREFIX).make_in(directory, make);
                let named = named.map_err(|error| failed(Errno::from_raw(errno_of(&error))))?;
                let (file, name) = named.into_parts();
                (file.into(), Some(name))
            }
            Err(errno) => return Err(failed(errno)),
        };
        let scratch = Scratch { directory: directory.into(), name };
        let free = sys::space::free_bytes(file.as_fd()).map_err(failed)?.unwrap_or(u64::MAX);
        let size = typed.unwrap_or_else(|| untyped.min(free / 2 / MIB * MIB));
        let too_small = |errno| failed(errno).over(size);
        if size == 0 || size > free {
            // A file system that allocates nothing ahead would only tell while it is written to.
            return Err(too_small(Errno::ENOSPC));
        }
        match sys::space::preallocate(file.as_fd(), 0, size) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(errno) => return Err(too_small(errno)),
        }
        sys::space::set_size(file.as_fd(), size).map_err(too_small)?;
        Ok((file, scratch, size))
    }

    /// Removes its name, where it has one.
    pub fn remove(self) -> Result<(), Error> {
        let Some(name) = self.name else { return Ok(()) };
        // Likewise. Dropped afterwards, it finds nothing to remove.
        let removed = fs::remove_file(&name);
        removed.map_err(|error| Error::new(Op::Remove, &*name, Cause::Errno(errno_of(&error))))
    }

    /// Its name below the directory, where it has to have one: what a kill would leave there.
    pub fn name(&self) -> Option<&OsStr> {
        self.name.as_ref().and_then(|name| name.strip_prefix(&self.directory).ok()).map(Path::as_os_str)
    }
}

fn make(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn unnamed(directory: &Path) -> Result<OwnedFd, Errno> {
    sys::temporary::unnamed(sys::at::WORKING_DIRECTORY, directory.as_os_str(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_has_its_size_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (file, scratch, size) = Scratch::make(directory.path(), Some(3 << 20), 1).unwrap();
        assert_eq!((size, sys::stat::of(file.as_fd()).unwrap().size), (3 << 20, 3 << 20));
        let entries = || std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(entries(), usize::from(scratch.name().is_some()));
        scratch.remove().unwrap();
        assert_eq!(entries(), 0);
    }

    #[test]
    fn more_than_is_free_is_refused_with_the_size() {
        let directory = tempfile::tempdir().unwrap();
        let error = Scratch::make(directory.path(), Some(1 << 60), 1).unwrap_err();
        let expected =
            Error::new(Op::MakeScratch, directory.path(), Cause::Errno(libc::ENOSPC)).over(1 << 60);
        assert_eq!(error, expected);
    }
}
