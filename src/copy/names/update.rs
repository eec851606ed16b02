//! Whether a target that is there is what copying would make of it: `--update`.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::uio::pread;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat, Time};

use crate::copy::names::entry::{At, Entry};
use crate::copy::options::{Options, Update};

/// Whether the target may stay as it is. `Update::None` is not this function's business.
pub(super) fn is_up_to_date(
    entry: &Entry<'_>,
    source: &Stat,
    target: &Stat,
    options: &Options,
) -> Result<bool, Error> {
    let both_regular = source.kind == Kind::Regular && target.kind == Kind::Regular;
    match options.update {
        Update::All | Update::None | Update::NoneFail => Ok(false),
        Update::Older => Ok(!is_older(target.modified, source.modified, options.keep.timestamps)),
        Update::Changed => Ok(source.kind == target.kind
            && source.size == target.size
            && is_equal(target.modified, source.modified)),
        Update::Checksum if both_regular => Ok(source.size == target.size && has_same_content(entry)?),
        Update::Checksum => Ok(false),
    }
}

/// Whether the target's time is before the source's. Where times are copied, a target that could
/// keep only the beginning of the source's time (seconds, milliseconds) is not older for that.
fn is_older(target: Time, source: Time, copied: bool) -> bool {
    target < source && !(copied && is_equal(target, source))
}

/// Whether the target's time is the source's, as precisely as the target's file system keeps it.
fn is_equal(target: Time, source: Time) -> bool {
    if target.seconds != source.seconds {
        // FAT keeps every other second.
        return target.nanoseconds == 0 && target.seconds % 2 == 0 && target.seconds + 1 == source.seconds;
    }
    let grain =
        (1..=9).map(|digits| 10u32.pow(digits)).take_while(|grain| target.nanoseconds.is_multiple_of(*grain));
    let grain = grain.last().unwrap_or(1);
    source.nanoseconds - source.nanoseconds % grain == target.nanoseconds
}

const COMPARE_BYTES: usize = 128 << 10;

/// Reads both to the first difference. A checksum of each could say no more, and no sooner.
fn has_same_content(entry: &Entry<'_>) -> Result<bool, Error> {
    let Some(at) = entry.target() else { return Ok(false) };
    let open = |at: At<'_>| sys::at::open(at.directory, at.name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0);
    let source =
        open(entry.source()).map_err(|errno| entry.source_error(Op::Open, Cause::Errno(errno as i32)))?;
    // A target that can't be read is replaced.
    let Ok(target) = open(at) else { return Ok(false) };
    let (mut ours, mut theirs) = (vec![0; COMPARE_BYTES], vec![0; COMPARE_BYTES]);
    let mut offset = 0;
    loop {
        let read = fill(&source, &mut ours, offset)
            .map_err(|errno| entry.source_error(Op::Read, Cause::Errno(errno as i32)).at(offset))?;
        let Ok(there) = fill(&target, &mut theirs, offset) else { return Ok(false) };
        if ours[..read] != theirs[..there] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        offset += read as u64;
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(file.as_fd(), &mut buffer[filled..], (offset + filled as u64) as i64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_as_precisely_as_the_target_keeps_them() {
        let at = |seconds, nanoseconds| Time { seconds, nanoseconds };
        assert!(is_older(at(1, 0), at(1, 5), false));
        assert!(!is_older(at(1, 0), at(1, 5), true), "whole seconds");
        assert!(!is_older(at(1, 123_000_000), at(1, 123_456_789), true), "milliseconds");
        assert!(is_older(at(1, 123_000_001), at(1, 123_456_789), true));
        assert!(is_older(at(1, 122_000_000), at(1, 123_456_789), true));
        assert!(!is_older(at(-2, 0), at(-1, 0), true), "FAT before 1970");
        assert!(is_older(at(-2, 0), at(-1, 0), false));
        assert!(!is_older(at(2, 0), at(1, 9), false));
    }
}
