//! Making room: what is in the way of a copy is renamed or removed.

use std::ffi::{OsStr, OsString};

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::Kind;

use crate::copy::events::Event;
use crate::copy::names::backup;
use crate::copy::names::decide::{Decided, Found};
use crate::copy::names::entry::{At, Entry};
use crate::copy::names::same::beside;
use crate::copy::options::{BackupKind, Dereference};
use crate::copy::work::worker::Worker;

/// Moves what is there out of the way, or removes it, where it is not to be written to; the name
/// of its backup.
pub(in crate::copy) fn make(
    worker: &Worker<'_>,
    entry: &Entry<'_>,
    decided: &mut Decided,
) -> Result<Option<OsString>, Error> {
    let (stat, options) = (&decided.stat, worker.run.options);
    let (Some(at), Found::Something(target)) = (entry.target(), decided.found) else { return Ok(None) };
    if target.kind == Kind::Directory {
        return Ok(None);
    }
    if let Some(wanted) = &options.backup {
        if backup::is_dots(entry.source_name) {
            return Ok(None);
        }
        if wanted.kind != BackupKind::Numbered && backup::is_of(entry, stat, &wanted.suffix) {
            return Err(entry.target_error(Op::Backup, Cause::BackupIsSource));
        }
        decided.found = Found::Nothing;
        let failed = |errno| entry.target_error(Op::Backup, Cause::Errno(errno as i32));
        // A directory needs the name free.
        if options.atomic && stat.kind != Kind::Directory && !options.dry_run {
            match backup::link_away(at, wanted) {
                // This file system, or this user, can't link it.
                Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EMLINK | Errno::ENOSYS) => {}
                linked => {
                    decided.replaces = true;
                    return linked.map_err(failed);
                }
            }
        }
        return match options.dry_run {
            true => backup::name_of(at, wanted).map(Some),
            false => backup::rename_away(at, wanted),
        }
        .map_err(failed);
    }
    let replaced = options.remove_first
        || !options.skip_data
            && (options.keep.links && target.links > 1
                || options.dereference == Dereference::Never && stat.kind != Kind::Regular);
    if replaced {
        decided.found = Found::Nothing;
        decided.replaces = options.atomic && stat.kind != Kind::Directory;
        if !options.dry_run && !decided.replaces {
            remove(worker, entry, at)?;
        }
    }
    Ok(None)
}

/// Gives a backup its name back, where the copy that it made room for failed.
pub(super) fn give_back(worker: &Worker<'_>, entry: &Entry<'_>, backup: Option<&OsStr>) {
    let (Some(name), Some(at)) = (backup, entry.target()) else { return };
    let target = entry.target_path();
    let path = beside(at.name, name);
    let given = match has_same_file(at, &path) {
        // It has its name still: the backup is only another one.
        true => sys::at::remove_file(at.directory, &path),
        false => sys::at::rename(at.directory, &path, at.name),
    };
    if let Err(errno) = given {
        worker.run.fail(entry.target_error(Op::Unbackup, Cause::Errno(errno as i32)));
    } else if worker.run.options.verbose {
        worker.run.tell(&Event::Unbackup { backup: &target.with_file_name(name), target: &target });
    }
}

fn has_same_file(at: At<'_>, backup: &OsStr) -> bool {
    let backup = sys::stat::at(at.directory, backup, false).map(|stat| stat.id());
    backup.is_ok() && at.stat(false).map(|stat| stat.id()) == backup
}

/// Removes what is to be replaced.
pub(in crate::copy) fn remove(worker: &Worker<'_>, entry: &Entry<'_>, at: At<'_>) -> Result<(), Error> {
    match sys::at::remove_file(at.directory, at.name) {
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Error::new(Op::Replace, entry.target_path(), Cause::Errno(errno as i32))),
        Ok(()) => {
            if worker.run.options.verbose {
                worker.run.tell(&Event::Removed(&entry.target_path()));
            }
            Ok(())
        }
    }
}
