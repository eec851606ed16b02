//! What failed and what hung, as reports have it: paths as text, and their bytes where that is not all.

use crate::engine;
use crate::error::Error;
use nix::errno::Errno;
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// the path, lossily where it is not UTF-8
    pub path: String,
    /// the path's bytes in hex, only where it is not UTF-8
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// the other end of the copy, or the attribute's name, only where it takes both to understand
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// its bytes in hex, only where it is not UTF-8
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_bytes: Option<String>,
    /// the name of the operation, see [`crate::error::Op::name`]
    pub op: &'static str,
    /// where, in bytes from the start of the file
    pub offset: Option<u64>,
    /// over how many bytes from there, only where it is known of each of them
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// the symbol, `EIO`, or the number where the C library has no symbol for it
    pub errno: Option<String>,
    /// the cause in words
    pub message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        Failure {
            path: error.path.to_string_lossy().into_owned(),
            path_bytes: hex_unless_text(&error.path),
            other: error.other.as_ref().map(|other| other.to_string_lossy().into_owned()),
            other_bytes: error.other.as_deref().and_then(hex_unless_text),
            op: error.op.name(),
            offset: error.offset,
            length: error.length,
            errno: error.errno().map(symbol),
            message: error.cause.to_string(),
        }
    }
}

/// An operation that did not complete for longer than a limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stall {
    /// the name of the operation, see [`crate::error::Op::name`]
    pub op: &'static str,
    /// on what, lossily where it is not UTF-8
    pub path: String,
    /// the path's bytes in hex, only where it is not UTF-8
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// where, in bytes from the start of the file, of reads and writes
    pub offset: Option<u64>,
    /// since the run began, in seconds; as exact as the watch looks: a fiftieth of its limit, at most a tenth
    pub start_s: f64,
    /// how long it took, in seconds, likewise
    pub length_s: f64,
}

impl From<&engine::Stall> for Stall {
    fn from(stall: &engine::Stall) -> Stall {
        Stall {
            op: stall.op.name(),
            path: stall.path.to_string_lossy().into_owned(),
            path_bytes: hex_unless_text(&stall.path),
            offset: stall.offset,
            start_s: stall.start.as_secs_f64(),
            length_s: stall.length.as_secs_f64(),
        }
    }
}

fn hex_unless_text(path: &std::path::Path) -> Option<String> {
    let bytes = path.as_os_str().as_bytes();
    path.to_str().is_none().then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn symbol(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => errno.to_string(),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Op};
    use std::ffi::OsStr;

    #[test]
    fn a_failure_names_operation_place_and_errno() {
        let error = Error::new(Op::Write, "/mnt/a", Cause::Errno(libc::EIO)).at(4096);
        let failure = Failure {
            path: "/mnt/a".into(),
            path_bytes: None,
            other: None,
            other_bytes: None,
            op: "write",
            offset: Some(4096),
            length: None,
            errno: Some("EIO".into()),
            message: "Input/output error".into(),
        };
        assert_eq!(Failure::from(&error), failure);
    }

    #[test]
    fn what_differs_has_a_length() {
        let error = Error::new(Op::Verify, "b", Cause::Differs).with("a").at(1 << 20).over(65536);
        let failure = Failure::from(&error);
        assert_eq!((failure.op, failure.offset, failure.length), ("verify", Some(1 << 20), Some(65536)));
        assert_eq!(failure.message, "not what was written");
    }

    #[test]
    fn a_failure_of_ours_has_no_errno() {
        let failure = Failure::from(&Error::new(Op::Open, "a", Cause::SameFile));
        assert_eq!((failure.errno, failure.message.as_str()), (None, "source and target are the same file"));
    }

    #[test]
    fn an_errno_without_a_symbol_keeps_its_number() {
        let failure = Failure::from(&Error::new(Op::Write, "a", Cause::Errno(524)));
        assert_eq!(failure.errno.as_deref(), Some("524"));
    }

    #[test]
    fn a_path_that_is_not_utf8_keeps_its_bytes() {
        let path = OsStr::from_bytes(b"caf\xe9");
        let failure = Failure::from(&Error::new(Op::Stat, path, Cause::Errno(libc::ENOENT)));
        assert_eq!(failure.path, "caf\u{fffd}");
        assert_eq!(failure.path_bytes.as_deref(), Some("636166e9"));
    }

    #[test]
    fn a_failure_of_two_names_has_both() {
        let error = Error::new(Op::MakeLink, "b", Cause::Errno(libc::EMLINK)).with("a");
        let failure = Failure::from(&error);
        assert_eq!((failure.path.as_str(), failure.other.as_deref()), ("b", Some("a")));
    }
}
