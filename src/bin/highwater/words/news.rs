//! What is told while a job runs.

use highwater::copy::{Question, Retried, Warning};
use highwater::engine::{self, News};
use highwater::error::{Op, strerror};
use highwater::units::format_duration;

use super::failure::error;
use crate::program::Program;
use crate::quote::quote;

/// Something that hangs, or hung.
pub fn stall(news: &News) -> String {
    let (News::Hangs(stall) | News::GoesOn(stall)) = news;
    let path = quote(&stall.path);
    let doing = match stall.op {
        Op::Read => format!("reading {path}"),
        Op::Write => format!("writing {path}"),
        Op::Sync => format!("syncing {path}"),
        Op::SyncFileSystem => format!("syncing the file system of {path}"),
        Op::Open => format!("opening {path}"),
        Op::Create => format!("opening {path} for writing"),
        Op::List => format!("reading directory {path}"),
        Op::Allocate => format!("allocating space for {path}"),
        Op::Truncate => format!("setting the size of {path}"),
        Op::Close => format!("closing {path}"),
        Op::Publish => format!("naming {path}"),
        op => format!("{} of {path}", op.name()),
    };
    let place = stall.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    let length = format_duration(stall.length);
    match news {
        News::Hangs(_) => format!("{doing}{place} hangs: nothing has come of it for {length}"),
        News::GoesOn(_) => format!("{doing}{place} went on after {length}"),
    }
}

/// What failed and is tried again.
pub fn retried(retried: &Retried, program: Program) -> String {
    let error = error(&retried.error, program);
    match retried.most {
        Some(most) => {
            let pause = format_duration(retried.pause);
            format!("{error}; trying again in {pause} ({} of {most})", retried.attempt)
        }
        None => format!("{error}; waiting for room"),
    }
}

/// What could not be had of the engine.
pub fn note(note: engine::Note) -> String {
    match note {
        engine::Note::NoRing(errno) => {
            format!("io_uring is refused ({}); copying with pread and pwrite", strerror(errno))
        }
        engine::Note::Unregistered(errno) => {
            format!("buffers can't be registered ({}); copying without (see ulimit -l)", strerror(errno))
        }
    }
}

/// One line, without the program's name.
pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::Engine(found) => note(*found),
        Warning::Grew { source, from, to } => {
            let source = quote(source);
            format!("{source} grew from {from} to {to} bytes while being copied; all of it was copied")
        }
        Warning::NotFromDevice { target, in_memory: true } => format!(
            "{} is on a file system in memory: it was read back, but there is no device that could be wrong",
            quote(target)
        ),
        Warning::NotFromDevice { target, in_memory: false } => format!(
            "{} can't be read back from its device alone: what is in the page cache may hide what is not there",
            quote(target)
        ),
        Warning::Unlistable { target } => {
            format!("b3sum --check can't find {}: its name is not UTF-8", quote(target))
        }
        Warning::Altered { target } => {
            format!("{} is not as this copy left it; it is copied anew", quote(target))
        }
        Warning::JournalLost { journal, errno } => format!(
            "the journal {} can't be used any more ({}); the copy goes on, and can't be resumed from here",
            quote(journal),
            strerror(*errno)
        ),
        Warning::SourceTwice { source, is_directory } => {
            let kind = if *is_directory { "directory" } else { "file" };
            format!("warning: source {kind} {} specified more than once", quote(source))
        }
    }
}

/// Without the question mark.
pub fn question(question: &Question<'_>) -> String {
    let target = quote(question.target);
    let mode = question.mode & 0o7777;
    match (question.unwritable, question.replaces) {
        (false, _) => format!("overwrite {target}"),
        (true, true) => format!("replace {target}, overriding mode {mode:04o} ({})", letters(mode)),
        (true, false) => format!("unwritable {target} (mode {mode:04o}, {}); try anyway", letters(mode)),
    }
}

/// A mode as `ls -l` shows it: `rwxr-x--T`.
fn letters(mode: u32) -> String {
    let special = [(0o4000, 's', 'S'), (0o2000, 's', 'S'), (0o1000, 't', 'T')];
    let mut text = String::new();
    for (who, (bit, with, without)) in special.into_iter().enumerate() {
        let bits = mode >> (6 - 3 * who);
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & bit != 0, bits & 1 != 0) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}
