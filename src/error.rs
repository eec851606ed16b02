//! Errors as data: which operation on which path at which offset, and why. No prose and no advice
//! here: the command line words them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use cause::Cause;
pub use fault::{MapFault, StateFault};
pub use op::Op;

mod cause;
mod fault;
mod op;

/// One failure: the operation, the path, the offset in bytes where that means something, the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// what was being done
    pub op: Op,
    /// to what; standard input and output are `-`
    pub path: PathBuf,
    /// the other end of the copy, or the attribute's name, where it takes both to understand
    pub other: Option<PathBuf>,
    /// where, in bytes from the start
    pub offset: Option<u64>,
    /// over how many bytes from there, where it is known of each of them
    pub length: Option<u64>,
    /// why
    pub cause: Cause,
}

impl Error {
    /// An error of `op` on `path`, without an offset.
    pub fn new(op: Op, path: impl AsRef<Path>, cause: Cause) -> Error {
        Error { op, path: path.as_ref().to_path_buf(), other: None, offset: None, length: None, cause }
    }

    /// The same error, with the other end of the copy.
    pub fn with(mut self, other: impl AsRef<Path>) -> Error {
        self.other = Some(other.as_ref().to_path_buf());
        self
    }

    /// The same error, at `offset` bytes.
    pub fn at(mut self, offset: u64) -> Error {
        self.offset = Some(offset);
        self
    }

    /// The same error, of `length` bytes from its offset on.
    pub fn over(mut self, length: u64) -> Error {
        self.length = Some(length);
        self
    }

    /// The kernel's errno, where the kernel said one.
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) | Cause::NoRing(errno) | Cause::Map(MapFault::Errno(errno)) => Some(errno),
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
