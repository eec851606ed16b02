//! The next names of a directory, with the beginnings of their files on their way from the disk.
//!
//! Small files that aren't in the page cache would be read one at a time, each waiting for the disk
//! by itself. So a worker opens some files before it comes to them and has the kernel read the
//! beginning of each: the disk works on all of them at once. Where files are in the page cache, that
//! is found out from one of them now and then, and each is opened when it comes to it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::sys;
use crate::sys::directory::Entries;
use crate::sys::stat::Kind;

use crate::copy::options::{Make, Options};
use crate::copy::tree::directory::Directory;

/// So many files are read at once; after so many the page cache is asked again.
const FILES: usize = 16;
/// So much of each, in bytes: all of a small one.
const BYTES: i64 = 64 << 10;

/// A name to come to.
pub(in crate::copy) struct Name {
    pub name: OsString,
    /// open for reading, not followed if it was a symbolic link
    pub file: Option<OwnedFd>,
}

/// See the module.
#[derive(Default)]
pub(in crate::copy) struct Ahead {
    names: VecDeque<Name>,
    /// files opened since the page cache was asked last
    opened: usize,
    /// it did not have that file
    is_cold: bool,
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
        let mut path = None;
        while self.names.len() < if reads && self.is_cold { FILES } else { 1 } {
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
            let file = if reads && kind == Some(Kind::Regular) { self.open(source, &name) } else { None };
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

    /// Why it can't be opened is found out when it comes to it.
    fn open(&mut self, directory: BorrowedFd<'_>, name: &OsString) -> Option<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = sys::at::open(directory, name, flags, 0).ok()?;
        if self.opened.is_multiple_of(FILES) {
            self.is_cold = is_cold(file.as_fd()).unwrap_or(self.is_cold);
        }
        self.opened += 1;
        if self.is_cold {
            let _ = posix_fadvise(file.as_fd(), 0, BYTES, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
        }
        Some(file)
    }
}

/// Whether a file is to be read from the disk; None where there is nothing to read. Where the page
/// cache tells nothing, it may be.
fn is_cold(file: BorrowedFd<'_>) -> Option<bool> {
    let has_content = sys::stat::of(file).is_ok_and(|stat| stat.size > 0);
    has_content.then(|| sys::cache::cached_bytes(file).unwrap_or(0) == 0)
}
