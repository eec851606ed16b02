//! Errors as data: which operation on which path at which offset, and why. No prose and no advice
//! here: the command line words them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What was being done when it failed. Its name is the `op` of the JSON report's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// stat, statx, fstat
    Stat,
    /// open of what is there
    Open,
    /// open or naming of what is not there yet
    Create,
    /// read of data, continuations included
    Read,
    /// write of data, continuations included
    Write,
    /// fallocate
    Allocate,
    /// ftruncate
    Truncate,
    /// lseek, SEEK_DATA and SEEK_HOLE included
    Seek,
    /// fsync, of a file or of a directory
    Sync,
    /// close
    Close,
    /// linkat or rename of a finished file to its name
    Publish,
    /// unlink of a file that we created and could not finish
    Remove,
    /// FICLONE
    Clone,
    /// fchmod, utimensat
    SetMetadata,
    /// setting up io_uring, its buffers or the arena
    Setup,
}

impl Op {
    /// The stable name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Op::Stat => "stat",
            Op::Open => "open",
            Op::Create => "create",
            Op::Read => "read",
            Op::Write => "write",
            Op::Allocate => "allocate",
            Op::Truncate => "truncate",
            Op::Seek => "seek",
            Op::Sync => "sync",
            Op::Close => "close",
            Op::Publish => "publish",
            Op::Remove => "remove",
            Op::Clone => "clone",
            Op::SetMetadata => "set_metadata",
            Op::Setup => "setup",
        }
    }
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel's errno.
    Errno(i32),
    /// A write was accepted and took no byte.
    WriteZero,
    /// The source ended before the length it had when the copy began: it was truncated meanwhile.
    SourceShrank {
        /// the length at the start, in bytes
        expected: u64,
    },
    /// Source and target are the same file or device.
    SameFile,
    /// The source does not fit onto the device.
    TooLarge {
        /// the source's length in bytes
        source: u64,
        /// the device's length in bytes
        target: u64,
    },
    /// O_DIRECT was demanded and cannot be had here.
    NoDirect,
    /// A reflink was demanded and cannot be had here.
    NoClone,
    /// A directory where a file is needed.
    IsDirectory,
    /// A symbolic link as target that points nowhere.
    DanglingLink,
    /// A block device that is mounted or held by another program.
    InUse,
    /// io_uring was demanded and the kernel refuses it, with this errno.
    NoRing(i32),
}

/// One failure: the operation, the path, the offset in bytes where that means something, the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// what was being done
    pub op: Op,
    /// to what; standard input and output are `-`
    pub path: PathBuf,
    /// where, in bytes from the start
    pub offset: Option<u64>,
    /// why
    pub cause: Cause,
}

impl Error {
    /// An error of `op` on `path`, without an offset.
    pub fn new(op: Op, path: impl AsRef<Path>, cause: Cause) -> Error {
        Error { op, path: path.as_ref().to_path_buf(), offset: None, cause }
    }

    /// The same error, at `offset` bytes.
    pub fn at(mut self, offset: u64) -> Error {
        self.offset = Some(offset);
        self
    }

    /// The kernel's errno, where the kernel said one.
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) | Cause::NoRing(errno) => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.op.name(), self.path.display())?;
        if let Some(offset) = self.offset {
            write!(out, " at {offset}")?;
        }
        write!(out, ": {}", self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cause::Errno(errno) => write!(out, "{}", strerror(errno)),
            Cause::WriteZero => write!(out, "a write took no byte"),
            Cause::SourceShrank { expected } => write!(out, "source ended before its {expected} bytes"),
            Cause::SameFile => write!(out, "source and target are the same file"),
            Cause::TooLarge { source, target } => {
                write!(out, "source of {source} bytes does not fit into {target} bytes")
            }
            Cause::NoDirect => write!(out, "direct I/O is not possible here"),
            Cause::NoClone => write!(out, "a reflink is not possible here"),
            Cause::IsDirectory => write!(out, "is a directory"),
            Cause::DanglingLink => write!(out, "is a dangling symbolic link"),
            Cause::InUse => write!(out, "is mounted or in use"),
            Cause::NoRing(errno) => write!(out, "io_uring is refused: {}", strerror(errno)),
        }
    }
}

impl std::error::Error for Error {}

/// The C library's words for `errno`, without the number: `No space left on device`.
pub fn strerror(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The errno of an [`io::Error`]; EIO where the operating system gave none.
pub fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
