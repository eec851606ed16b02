//! What became of a copy that did not end as it was to.

use std::fmt::Write;
use std::path::Path;

use highwater::copy::{Left, Lost, Remains};
use highwater::units::format_bytes;

use super::failure::{WHOLE_DEVICE, error};
use crate::program::Program;
use crate::quote::quote;

/// A file there can't be longer than that, and so not all that is free is used.
pub fn longest(target: &Path, bytes: u64) -> String {
    let path = quote(target);
    format!(
        "no more than {} are used: {path} has room for more, but a file there can be no longer; {WHOLE_DEVICE}",
        format_bytes(bytes)
    )
}

/// What became of an incomplete copy: `3 MiB of 512 MiB were written; 'b' holds the first 3145728
/// bytes`.
pub fn remains(remains: &Remains) -> String {
    let mut text = format_bytes(remains.written);
    if let Some(total) = remains.total {
        let _ = write!(text, " of {}", format_bytes(total));
    }
    let target = quote(&remains.target);
    let _ = match remains.left {
        Left::Untouched => write!(text, " were written; {target} is as it was"),
        Left::Nothing => write!(text, " were written; no file is left at {target}"),
        Left::Mapped => write!(text, " were written; {target} keeps them, and the map tells which"),
        Left::Part(left) => {
            write!(
                text,
                " were written; the first {left} bytes are recorded as safe, no file is left at {target}"
            )
        }
        Left::Prefix(left) => write!(text, " were written; {target} holds the first {left} bytes"),
    };
    text
}

/// So many ranges of a file are told one by one.
const MOST_RANGES: usize = 10;

/// What of a file could not be read: some lines, the last of which says how much it is.
pub fn lost(lost: &Lost, program: Program) -> Vec<String> {
    let (source, target) = (quote(&lost.source), quote(&lost.target));
    let ranges = lost.losses.count();
    let mut lines: Vec<String> = lost
        .errors()
        .take(MOST_RANGES)
        .map(|range| {
            let bytes = range.length.unwrap_or(0);
            format!("{}; {bytes} bytes are zeros in {target}", error(&range, program))
        })
        .collect();
    if ranges > MOST_RANGES {
        lines.push(format!("and in {} ranges more", ranges - MOST_RANGES));
    }
    let total = lost.total.map(|total| format!(" of {total}")).unwrap_or_default();
    let (bytes, ranges) = (lost.losses.bytes(), counted(ranges as u64, "range"));
    let map = match &lost.map {
        Some(map) => format!("{} tells which, ddrescue can go on with it", quote(map)),
        None => "with --map FILE a later run, or ddrescue, can go on with these".to_owned(),
    };
    lines.push(format!(
        "{target} is not whole: {bytes}{total} bytes in {ranges} of {source} can't be read; {map}"
    ));
    lines
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
