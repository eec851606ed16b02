//! Errors and notes in words, as GNU cp says them, with advice where there is some.

use std::fmt::Write;

use highwater::copy::{Job, Left, Note, Report};
use highwater::engine;
use highwater::error::{Cause, Error, Op, strerror};
use highwater::units::format_bytes;

use crate::quote::quote;

/// One line, without the program's name.
pub fn error(error: &Error, job: &Job) -> String {
    let path = quote(&error.path);
    let because = &error.cause;
    let place = error.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    match (error.op, error.cause) {
        (_, Cause::SameFile) => format!("{} and {path} are the same file", quote(job.source.shown())),
        (_, Cause::DanglingLink) => format!("not writing through dangling symlink {path}"),
        (_, Cause::InUse) => format!("{path} is mounted or in use; nothing was written"),
        (_, Cause::NoDirect) => format!("direct I/O is not possible on {path}"),
        (_, Cause::TooLarge { source, target }) => format!(
            "{} ({source} bytes) does not fit onto {path} ({target} bytes); nothing was written",
            quote(job.source.shown())
        ),
        (_, Cause::SourceShrank { expected }) => {
            format!("{path} ended{place}, before its {expected} bytes: it was truncated while being copied")
        }
        (Op::Create, Cause::IsDirectory) => format!("cannot overwrite directory {path} with non-directory"),
        (_, Cause::IsDirectory) => format!("-r not specified; omitting directory {path}"),
        (Op::Clone, _) => format!("failed to clone {path} from {}: {because}", quote(job.source.shown())),
        (Op::Stat, _) => format!("cannot stat {path}: {because}"),
        (Op::Open, _) => format!("cannot open {path} for reading: {because}"),
        (Op::Create | Op::Publish, _) => format!("cannot create regular file {path}: {because}"),
        (Op::Read, _) => format!("error reading {path}{place}: {because}"),
        (Op::Write, _) => format!("error writing {path}{place}: {because}"),
        (Op::Allocate, _) => format!("cannot allocate space for {path}: {because}"),
        (Op::Truncate, _) => format!("cannot set the size of {path}{place}: {because}"),
        (Op::Seek, _) => format!("cannot lseek {path}{place}: {because}"),
        (Op::Sync, _) => format!("failed to sync {path}: {because}; what was written may be lost"),
        (Op::Close, _) => format!("failed to close {path}: {because}"),
        (Op::Remove, _) => format!("cannot remove {path}: {because}"),
        (Op::Setup, Cause::NoRing(_)) => format!("{because}; --engine plain does without"),
        (Op::Setup, _) => format!("cannot set up {}: {because}", error.path.display()),
        _ => error.to_string(),
    }
}

/// What to do about an error, where that is known.
pub fn advice(error: &Error) -> Option<&'static str> {
    match error.errno()? {
        libc::ENOSPC => Some("free some space there, or choose another target"),
        libc::EDQUOT => Some("the quota there is used up"),
        libc::EFBIG => Some("a file size limit (ulimit -f) or the file system's own is in the way"),
        libc::EIO if error.op == Op::Read => Some("the source's device can't read this range; see dmesg"),
        libc::EIO => Some("the target's device can't be trusted; see dmesg"),
        _ => None,
    }
}

/// What became of an incomplete copy: `3 MiB of 512 MiB were copied; 'b' was cut to 3 MiB`.
pub fn remains(report: &Report, total: Option<u64>) -> String {
    let written = report.finished.as_ref().map_or(0, |finished| finished.progress.completed_bytes);
    let mut text = format_bytes(written);
    if let Some(total) = total {
        let _ = write!(text, " of {}", format_bytes(total));
    }
    let target = quote(&report.target);
    let _ = match report.left {
        Left::Untouched => write!(text, " were written; {target} is as it was"),
        Left::Nothing => write!(text, " were written; no file is left at {target}"),
        Left::Prefix(left) => write!(text, " were written; {target} holds the first {left} bytes"),
    };
    text
}

/// One line, without the program's name.
pub fn note(note: &Note, job: &Job) -> String {
    match *note {
        Note::Engine(engine::Note::NoRing(errno)) => {
            format!("io_uring is refused ({}); copying with pread and pwrite", strerror(errno))
        }
        Note::Engine(engine::Note::Unregistered(errno)) => {
            format!("buffers can't be registered ({}); copying without (see ulimit -l)", strerror(errno))
        }
        Note::Grew { from, to } => {
            let source = quote(job.source.shown());
            format!("{source} grew from {from} to {to} bytes while being copied; all of it was copied")
        }
    }
}
