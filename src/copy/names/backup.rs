//! Keeping what is replaced: `--backup`, with the names that GNU's tools give.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::sys;
use crate::sys::directory::Entries;
use crate::sys::stat::Stat;

use crate::copy::names::entry::{At, Entry};
use crate::copy::names::same::{beside, last_component, parent_of};
use crate::copy::names::temporary;
use crate::copy::options::{Backup, BackupKind};

/// Renames what is there to its backup's name, which is given back (one component); None where
/// nothing was there any more.
pub(super) fn rename_away(at: At<'_>, wanted: &Backup) -> Result<Option<OsString>, Errno> {
    loop {
        let name = name_for(at, wanted)?;
        let numbered = name.is_numbered;
        let path = beside(at.name, &name.name);
        let renamed = match numbered {
            true => sys::at::rename_new(at.directory, at.name, &path),
            false => sys::at::rename(at.directory, at.name, &path),
        };
        match renamed {
            Ok(()) => return Ok(Some(name.name)),
            Err(Errno::ENOENT) => return Ok(None),
            // Somebody else took the number.
            Err(Errno::EEXIST) if numbered => continue,
            // No renaming without replacing on this file system.
            Err(Errno::EINVAL) if numbered => {
                return sys::at::rename(at.directory, at.name, &path).map(|()| Some(name.name));
            }
            Err(errno) => return Err(errno),
        }
    }
}

/// The same by another name for what is there, which keeps its own.
pub(super) fn link_away(at: At<'_>, wanted: &Backup) -> Result<Option<OsString>, Errno> {
    let link = |to: &OsStr| sys::at::make_link((at.directory, at.name), (at.directory, to), false);
    loop {
        let name = name_for(at, wanted)?;
        let path = beside(at.name, &name.name);
        let linked = match link(&path) {
            Err(Errno::EEXIST) if name.is_numbered => continue,
            Err(Errno::EEXIST) => link_over(at, &path, link),
            linked => linked,
        };
        return match linked {
            Ok(()) => Ok(Some(name.name)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        };
    }
}

/// A link in the place of an earlier backup.
fn link_over(at: At<'_>, path: &OsStr, link: impl Fn(&OsStr) -> Result<(), Errno>) -> Result<(), Errno> {
    let temporary = beside(at.name, &temporary::fresh());
    link(&temporary)?;
    let renamed = sys::at::rename(at.directory, &temporary, path);
    // Two names of one file are not renamed over one another: then this one is too many.
    let _ = sys::at::remove_file(at.directory, &temporary);
    renamed
}

/// What the backup of a target would be called, one component.
pub(super) fn name_of(at: At<'_>, wanted: &Backup) -> Result<OsString, Errno> {
    name_for(at, wanted).map(|name| name.name)
}

/// The path of the backup that a target would get, for a copy of a file onto itself.
pub(super) fn path_for(at: At<'_>, wanted: &Backup) -> Result<OsString, Errno> {
    name_for(at, wanted).map(|name| beside(at.name, &name.name))
}

struct Named {
    name: OsString,
    is_numbered: bool,
}

fn name_for(at: At<'_>, wanted: &Backup) -> Result<Named, Errno> {
    let last = last_component(at.name);
    let simple = || {
        let mut name = last.to_owned();
        name.push(&wanted.suffix);
        Named { name, is_numbered: false }
    };
    let highest = match wanted.kind {
        BackupKind::Simple => return Ok(simple()),
        BackupKind::Existing | BackupKind::Numbered => highest_number(at, last)?,
    };
    if highest == 0 && wanted.kind == BackupKind::Existing {
        return Ok(simple());
    }
    let mut name = last.to_owned();
    name.push(format!(".~{}~", highest + 1));
    Ok(Named { name, is_numbered: true })
}

/// Of the numbered backups that are there; 0 where there are none.
fn highest_number(at: At<'_>, last: &OsStr) -> Result<u64, Errno> {
    let directory = sys::at::open_directory(at.directory, parent_of(at.name), true)?;
    let mut entries = Entries::new();
    let mut highest = 0;
    while let Some(entry) = entries.next(directory.as_fd())? {
        let number = entry.name.as_bytes().strip_prefix(last.as_bytes()).and_then(|rest| {
            let digits = rest.strip_prefix(b".~")?.strip_suffix(b"~")?;
            let starts_well = digits.first().is_some_and(|digit| (b'1'..=b'9').contains(digit));
            std::str::from_utf8(digits).ok().filter(|_| starts_well)?.parse::<u64>().ok()
        });
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

/// Whether the source is what a simple backup of the target would be called and would replace.
pub(super) fn is_of(entry: &Entry<'_>, source: &Stat, suffix: &OsStr) -> bool {
    let Some(at) = entry.target() else { return false };
    let mut backup = last_component(at.name).to_owned();
    backup.push(suffix);
    if last_component(entry.source_name) != backup {
        return false;
    }
    let path = beside(at.name, &backup);
    sys::stat::at(at.directory, &path, true).is_ok_and(|stat| stat.id() == source.id())
}

/// `.` and `..` have no backups.
pub(super) fn is_dots(name: &OsStr) -> bool {
    matches!(last_component(name).as_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn away(directory: &std::path::Path, kind: BackupKind) -> String {
        File::create(directory.join("a")).unwrap();
        let open = File::open(directory).unwrap();
        let at = At { directory: open.as_fd(), name: OsStr::new("a") };
        let wanted = Backup { kind, suffix: "~".into() };
        rename_away(at, &wanted).unwrap().unwrap().into_string().unwrap()
    }

    #[test]
    fn backups_are_named_as_gnus_tools_name_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(away(path, BackupKind::Existing), "a~");
        assert_eq!(away(path, BackupKind::Simple), "a~");
        assert_eq!(away(path, BackupKind::Numbered), "a.~1~");
        assert_eq!(away(path, BackupKind::Existing), "a.~2~");
        fs::write(path.join("a.~9~"), "").unwrap();
        fs::write(path.join("a.~010~"), "").unwrap();
        fs::write(path.join("a.~x~"), "").unwrap();
        assert_eq!(away(path, BackupKind::Numbered), "a.~10~");
    }
}
