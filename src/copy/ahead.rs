//! The next names of a directory, with the beginnings of their files on their way from the disk.
//!
//! Small files that aren't in the page cache would be read one at a time, each waiting for the disk
//! by itself. So a worker opens some files before it comes to them and has the kernel read the
//! beginning of each: the disk works on all of them at once.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::sys;
use crate::sys::directory::Entries;
use crate::sys::stat::Kind;

use super::directory::Directory;
use super::options::{Make, Options};

/// So many files are read at once.
const FILES: usize = 16;
/// So much of each, in bytes: all of a small one.
const BYTES: i64 = 64 << 10;

/// A name to come to.
pub(super) struct Name {
    pub name: OsString,
    /// open for reading, not followed if it was a symbolic link
    pub file: Option<OwnedFd>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Ahead {
    names: VecDeque<Name>,
}

impl Ahead {
    /// The next name of `directory` that is to be copied, whose source is open as `source`.
    pub fn next(
        &mut self,
        options: &Options,
        directory: &Directory,
        source: BorrowedFd<'_>,
        entries: &mut Entries,
    ) -> Result<Option<Name>, Errno> {
        // Where something may be there already, most files may not have to be read at all.
        let reads =
            directory.is_new && options.make == Make::Copies && !options.dry_run && !options.skip_data;
        let wanted = if reads { FILES } else { 1 };
        let mut path = None;
        while self.names.len() < wanted {
            let Some(entry) = entries.next(source)? else { break };
            let kind = entry.kind;
            if !options.filter.is_empty() {
                let path: &std::path::PathBuf = path.get_or_insert_with(|| directory.path_in_operand());
                let is_directory = || match kind {
                    Some(kind) => kind == Kind::Directory,
                    None => sys::stat::at(source, entry.name, false)
                        .is_ok_and(|stat| stat.kind == Kind::Directory),
                };
                if !options.filter.takes(&Path::new(path).join(entry.name), is_directory()) {
                    continue;
                }
            }
            let name = entry.name.to_owned();
            let file = if reads && kind == Some(Kind::Regular) { read_ahead(source, &name) } else { None };
            self.names.push_back(Name { name, file });
        }
        Ok(self.names.pop_front())
    }

    /// Closes what is open ahead; the files are opened again when it comes to them.
    pub fn close(&mut self) -> bool {
        let open = self.names.iter().any(|name| name.file.is_some());
        self.names.iter_mut().for_each(|name| name.file = None);
        open
    }
}

/// Why it can't be opened is found out when it comes to it.
fn read_ahead(directory: BorrowedFd<'_>, name: &OsString) -> Option<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = sys::at::open(directory, name, flags, 0).ok()?;
    let _ = posix_fadvise(file.as_fd(), 0, BYTES, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    Some(file)
}
