//! A failure in words, and what to do about it.

use std::path::Path;

use highwater::error::{Cause, Error, MapFault, Op, StateFault, strerror};
use highwater::units::format_bytes;

use crate::program::Program;
use crate::quote::{quote, quote_if_needed};

/// Where a file ends before what is free does: FAT's end at 4 GiB.
pub(super) const WHOLE_DEVICE: &str =
    "only the device itself, with --destroy-data, can be written to as a whole";

/// A failure in one line, without the program's name.
pub fn error(error: &Error, program: Program) -> String {
    let path = quote(&error.path);
    let other = quote(error.other.as_deref().unwrap_or(Path::new("-")));
    match error.cause {
        Cause::Errno(_) | Cause::WriteZero => operation(error, &path, &other, program),
        Cause::SourceShrank { expected } | Cause::TargetShrank { expected } => {
            let place = place(error, Program::Highwater);
            let is_source = matches!(error.cause, Cause::SourceShrank { .. });
            let doing = if is_source { "copied" } else { "measured" };
            format!("{path} ended{place}, before its {expected} bytes: it was truncated while being {doing}")
        }
        Cause::SameFile => format!("{other} and {path} are the same file"),
        Cause::TooLarge { source, target } => {
            format!("{other} ({source} bytes) does not fit onto {path} ({target} bytes); nothing was written")
        }
        Cause::NoDirect => format!("direct I/O is not possible on {path}"),
        Cause::NoClone => format!("failed to clone {path} from {other}: {}", error.cause),
        Cause::IsDirectory => format!("cannot overwrite directory {path} with non-directory {other}"),
        Cause::NotDirectory if error.op == Op::MakeParent => {
            format!("{path} exists but is not a directory")
        }
        Cause::NotDirectory if error.op == Op::Delete => {
            format!("--delete needs directories as sources, which {path} is not; nothing was done")
        }
        Cause::NotDirectory => format!("cannot overwrite non-directory {path} with directory {other}"),
        Cause::ParentsNeedDirectory => "with --parents, the destination must be a directory".to_owned(),
        Cause::NotRecursive => format!("-r not specified; omitting directory {path}"),
        Cause::Replaced if error.op == Op::Verify => {
            format!("{path} is not the file that {other} was copied to: it was replaced")
        }
        Cause::Replaced => format!("skipping file {path}, as it was replaced while being copied"),
        Cause::Exists => format!("not replacing {path}"),
        Cause::JustCreated => format!("will not overwrite just-created {path} with {other}"),
        Cause::ThroughCreatedLink => format!("will not copy {other} through just-created symlink {path}"),
        Cause::IntoItself => format!("cannot copy a directory, {path}, into itself, {other}"),
        Cause::HardLinkToDirectory => format!("will not create hard link {path} to directory {other}"),
        Cause::Cycle => format!("cannot copy cyclic symbolic link {path}"),
        Cause::UnknownKind => format!("{path} has unknown file type"),
        Cause::BackupIsSource => format!("backing up {path} might destroy source;  {other} not copied"),
        Cause::RelativeLink => {
            let path = quote_if_needed(&error.path);
            format!("{path}: can make relative symbolic links only in current directory")
        }
        Cause::LeadsOutside => format!(
            "not writing through {path}: it is a symbolic link that leads out of the target; \
             --remove-destination replaces it"
        ),
        Cause::Moved => format!(
            "{path} was moved while being copied, and not all of it was: copy it again where it is now"
        ),
        Cause::EmptySource => format!(
            "not deleting everything in {other}, as {path} is empty: is it mounted? \
             rm -r does that if it is meant"
        ),
        Cause::TooManyDeletions { found, most } => format!(
            "not deleting {found} files from {path}, as --max-delete allows {most}: \
             --dry-run shows which, and nothing was deleted"
        ),
        Cause::Differs => {
            let (bytes, place) = (error.length.unwrap_or(0), place(error, Program::Highwater));
            format!("{path} does not hold what was read from {other}: {bytes} bytes differ{place}")
        }
        Cause::OtherLength { is, expected } => {
            format!("{path} does not hold what was read from {other}: it has {is} bytes, not {expected}")
        }
        Cause::Unverifiable if error.op == Op::Target => {
            format!("--verify can't read back what goes to {path}: it is a pipe or a device that streams")
        }
        Cause::Unverifiable if error.offset.is_some() => {
            let place = place(error, Program::Highwater);
            format!("{path} was not verified from there on: too much of it can't be read{place}")
        }
        Cause::Unverifiable => format!("not writing to {path}, as --verify can't read back what goes there"),
        Cause::DanglingLink => format!("not writing through dangling symlink {path}"),
        Cause::NotAFile => format!(
            "--atomic replaces regular files only, and {path} is none; without it that is written to; \
             nothing was done"
        ),
        Cause::SeveralNames { names } => format!(
            "{path} has {names} names, and --atomic would leave the others with the old content; \
             --remove-destination replaces this one all the same"
        ),
        Cause::InUse => format!("{path} is mounted or in use; nothing was written"),
        Cause::WouldDestroy => format!(
            "{path} exists, and what it holds would be written over: --destroy-data permits that, \
             a directory gets a scratch file instead; nothing was written"
        ),
        Cause::HoldsSignature => format!(
            "{path} holds {}, and is not written over even with --destroy-data: \
             wipefs --all takes that away if it is meant; nothing was written",
            error.other.as_deref().unwrap_or(Path::new("something")).display()
        ),
        Cause::Unchecked => format!(
            "whether {path} holds a file system can't be told, so it is not written over: {}",
            error.other.as_deref().unwrap_or(Path::new("wipefs failed")).display()
        ),
        Cause::NoGround => format!("{path} is neither a file nor a directory nor a block device"),
        Cause::Beyond { length: 0, .. } => {
            format!("{path} is empty; its directory as TARGET gets a scratch file")
        }
        Cause::Beyond { wanted, length } => {
            format!("{path} has {length} bytes, fewer than the {wanted} that are wanted of it")
        }
        Cause::BeyondFile { wanted, longest } => format!(
            "a file in {path} can have no more than {longest} bytes, and {wanted} are wanted; {WHOLE_DEVICE}"
        ),
        Cause::Map(fault) => map(fault, &path, &other),
        Cause::State(fault) => state(fault, &path, &other),
        Cause::JournalNeeded => format!(
            "--resume finds no place for a journal beside {path}: name one that outlasts a crash by --journal FILE"
        ),
        Cause::JournalInUse => format!("another copy is using the journal {path}; nothing was done"),
        Cause::JournalForeign => {
            format!("{path} is no journal of highwater's, and is left alone; --journal names another place")
        }
        Cause::JournalVersion(version) => format!(
            "the journal {path} is of version {version} of its format, which this highwater does not know: \
             resume with the one that began the copy, or remove the journal to begin anew"
        ),
        Cause::JournalCut => format!(
            "the journal {path} is cut short, and tells nothing: remove it to begin anew; nothing was done"
        ),
        Cause::JournalDamaged(at) => format!(
            "the journal {path} is damaged at byte {at} or just behind, and is not believed: \
             remove it to begin anew; nothing was done"
        ),
        Cause::JournalOfOther => format!(
            "the journal {path} is of another copy, of other sources or to another target ({other}): \
             finish that one first, or remove the journal; nothing was done"
        ),
        Cause::JournalOptions => format!(
            "the journal {path} is of this copy with other options: type them as they were, \
             or remove the journal to begin anew; nothing was done"
        ),
        Cause::TargetOther => format!(
            "{path} is not what this copy was begun with: is the right one mounted? \
             Remove the journal {other} to begin anew"
        ),
        Cause::NoRing(_) => format!("{}; --engine plain does without", error.cause),
        _ => error.to_string(),
    }
}

/// A map that can't be used or kept.
fn map(fault: MapFault, path: &str, source: &str) -> String {
    let refused = "nothing was touched";
    match fault {
        MapFault::Errno(errno) => format!("cannot use the map {path}: {}", strerror(errno)),
        MapFault::Line { number } => {
            format!(
                "line {number} of {path} is none of a ddrescue map, or doesn't follow the one before; {refused}"
            )
        }
        MapFault::OtherLength { map, source: length } => format!(
            "the map {path} is of {map} bytes, and {source} has {length}: it belongs to another source; {refused}"
        ),
        MapFault::TargetLacks { needed, target } => format!(
            "the map {path} has bytes up to {needed} as rescued, and the target has {target}: \
             it belongs to another target, or begin anew without it; {refused}"
        ),
        MapFault::NoLength => format!("{source} has no length that a map could be of; {refused}"),
        MapFault::NoPlace => format!("--map needs a file or a block device as target; {refused}"),
        fault => format!("{path} can't be used as a map: {fault}; {refused}"),
    }
}

/// A state that can't be used or kept.
fn state(fault: StateFault, path: &str, target: &str) -> String {
    match fault {
        StateFault::Needed => {
            format!(
                "{path} is a device: name a file that outlasts a crash by --state FILE; nothing was written"
            )
        }
        StateFault::Foreign => format!("{path} is no state of a stress run, and is left as it is"),
        StateFault::Version(version) => {
            format!("{path} is a state of version {version}, which this highwater doesn't know")
        }
        StateFault::Damaged => format!("{path} is damaged: it can't tell what was written"),
        StateFault::InUse => format!("another run is using the state {path}; nothing was written"),
        StateFault::Exists => format!(
            "{path} tells of what an earlier run has left: --check checks that, --state FILE names another \
             place, --destroy-data replaces it; nothing was written"
        ),
        StateFault::OfOther => format!("{path} is the state of another run than wrote {target}"),
        StateFault::Empty => format!("{path} tells of a run that wrote nothing"),
        _ => format!("{path}: {fault}"),
    }
}

/// An operation that failed, and the kernel's reason.
fn operation(error: &Error, path: &str, other: &str, program: Program) -> String {
    let because = &error.cause;
    let place = place(error, program);
    let has_other = error.other.is_some();
    let what = match error.op {
        Op::Stat => format!("cannot stat {path}"),
        Op::Open => format!("cannot open {path} for reading"),
        Op::Create | Op::Publish => format!("cannot create regular file {path}"),
        Op::CreateTemporary => format!("cannot create a new file beside {path}, as --atomic has to"),
        Op::Read => format!("error reading {path}{place}"),
        Op::Write => format!("error writing {path}{place}"),
        Op::Allocate => format!("cannot allocate space for {path}"),
        Op::Truncate if program.is_cp() => format!("failed to extend {path}"),
        Op::Truncate => format!("cannot set the size of {path}{place}"),
        Op::Seek => format!("cannot lseek {path}{place}"),
        Op::SyncFileSystem => {
            return format!(
                "failed to sync the file system of {path}: {because}; \
                 some of what was written there is lost, of this copy or of others"
            );
        }
        Op::Sync => return format!("failed to sync {path}: {because}; what was written may be lost"),
        Op::Close => format!("failed to close {path}"),
        Op::Remove | Op::Replace | Op::Delete => format!("cannot remove {path}"),
        Op::Clone => format!("failed to clone {path} from {other}"),
        Op::Target => format!("target {path}"),
        Op::TargetDirectory => format!("target directory {path}"),
        Op::MakeParent => format!("cannot make directory {path}"),
        Op::StatParent => format!("failed to get attributes of {path}"),
        Op::SetMode => format!("preserving permissions for {path}"),
        Op::ClearMode => format!("clearing permissions for {path}"),
        Op::OpenMode => format!("setting permissions for {path}"),
        Op::SetTimes => format!("preserving times for {path}"),
        Op::SetOwner => format!("failed to preserve ownership for {path}"),
        Op::GetXattr if has_other => format!("getting attribute {other} of {path}"),
        Op::GetXattr => format!("listing attributes of {path}"),
        Op::SetXattr if has_other => format!("setting attribute {other} for {path}"),
        Op::SetXattr => format!("setting attributes for {path}"),
        Op::MakeDirectory => format!("cannot create directory {path}"),
        Op::MakeFifo => format!("cannot create fifo {path}"),
        Op::MakeNode => format!("cannot create special file {path}"),
        Op::MakeSymlink if has_other => format!("cannot create symbolic link {path} to {other}"),
        Op::MakeSymlink => format!("cannot create symbolic link {path}"),
        Op::MakeLink => format!("cannot create hard link {path} to {other}"),
        Op::ReadLink => format!("cannot read symbolic link {path}"),
        Op::List => format!("cannot access {path}"),
        Op::Backup => format!("cannot backup {path}"),
        Op::Unbackup => format!("cannot un-backup {path}"),
        Op::Compare if has_other => format!("cannot compare {other} with {path}"),
        Op::Compare => format!("cannot compare {path}"),
        Op::Verify if error.offset.is_some() => format!("error reading back {path}{place}"),
        Op::Verify => format!("cannot read back {path}, to which {other} was copied"),
        Op::Keep => format!("{path} is not verified: cannot keep checksums in {other}"),
        Op::Journal => format!("cannot use the journal {path}"),
        Op::MakeScratch => match error.length {
            Some(size) => format!("cannot make a scratch file of {} in {path}", format_bytes(size)),
            None => format!("cannot make a scratch file in {path}"),
        },
        Op::State => format!("cannot use the state {path}"),
        Op::Setup => format!("cannot set up {}", error.path.display()),
        _ => return error.to_string(),
    };
    format!("{what}: {because}")
}

/// Where; cp doesn't tell.
fn place(error: &Error, program: Program) -> String {
    match (error.offset, program) {
        (Some(offset), Program::Highwater) => format!(" at byte {offset}"),
        _ => String::new(),
    }
}

/// What to do about an error, where that is known.
pub fn advice(error: &Error) -> Option<&'static str> {
    match error.errno()? {
        libc::ENOSPC if error.op == Op::MakeScratch => {
            Some("free some space there, or make it smaller by --size")
        }
        libc::ENOSPC => Some("free some space there, or choose another target"),
        libc::EDQUOT => Some("the quota there is used up"),
        libc::EFBIG => Some("a file size limit (ulimit -f) or the file system's own is in the way"),
        libc::EIO if error.op == Op::Map => None,
        libc::EIO if error.op == Op::Read => Some("the source's device can't read this range; see dmesg"),
        libc::EIO => Some("the target's device can't be trusted; see dmesg"),
        _ => None,
    }
}
