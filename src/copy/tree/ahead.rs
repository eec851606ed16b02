//! The next names of a directory, with their files open, and with the beginnings of files on their way
//! from the disk.
//!
//! Small files that aren't in the page cache would be read one at a time, each waiting for the disk
//! by itself. So a worker opens some files before it comes to them and has the kernel read the
//! beginning of each: the disk works on all of them at once. Where files are in the page cache, that
//! is found out from one of them now and then, and each is opened when it comes to it.
//!
//! Files of one directory are made one after the other, whoever makes them. A worker that has nothing
//! else to do helps another one with what can be done beside that: it opens the source's next files.
//! Nobody waits for help that has not come: what nobody has begun with is taken back.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::engine::post;
use crate::error::Op;
use crate::sys;
use crate::sys::directory::Entries;
use crate::sys::stat::{Kind, Stat};

use crate::copy::options::{Make, Options};
use crate::copy::tree::directory::Directory;
use crate::copy::work::run::Run;
use crate::copy::work::worker::Unit;

/// So many files are read at once, or opened by one who helps; after so many the page cache is asked
/// again.
const FILES: usize = 16;
/// So much of each, in bytes: all of a small one.
const BYTES: i64 = 64 << 10;

/// A name to come to.
pub(in crate::copy) struct Name {
    pub name: OsString,
    /// as the directory says, where it does
    kind: Option<Kind>,
    pub opened: Option<Opened>,
}

/// A file that is open for reading, and was not followed if it was a symbolic link.
pub(in crate::copy) struct Opened {
    pub file: OwnedFd,
    /// of that very file
    pub stat: Stat,
}

/// Whether files are in the page cache, as far as that is known.
#[derive(Clone, Copy, Default)]
struct Cache {
    /// files opened since it was asked last
    opened: usize,
    /// it did not have that file
    is_cold: bool,
}

/// See the module.
#[derive(Default)]
pub(in crate::copy) struct Ahead {
    lot: Lot,
    /// what comes behind it
    batch: Option<Arc<Batch>>,
    /// names given out since help was looked for
    given: usize,
    /// the directory could not be read on
    failure: Option<Errno>,
}

impl Ahead {
    /// The next name of `directory` that is to be copied, whose source is open as `source`.
    pub fn next(
        &mut self,
        run: &Run<'_>,
        directory: &Directory,
        source: &Arc<OwnedFd>,
        entries: &mut Entries,
    ) -> Result<Option<Name>, Errno> {
        let options = run.options;
        // Where something may be there already, most files may not have to be read at all.
        let reads =
            directory.is_new && options.make == Make::Copies && !options.dry_run && !options.skip_data;
        if self.lot.names.is_empty()
            && let Some(batch) = self.batch.take()
        {
            self.lot = batch.take();
            // Whoever has helped has done with it, and may open the next ones while these are copied.
            self.given = 0;
        }
        let mut read = |names: &mut VecDeque<Name>, wanted| {
            if self.failure.is_none() {
                self.failure = read(options, directory, source.as_fd(), entries, names, wanted).err();
            }
        };
        let (known, wanted) = (self.lot.names.len(), if reads && self.lot.cache.is_cold { FILES } else { 1 });
        if self.batch.is_none() && known < wanted {
            read(&mut self.lot.names, wanted);
            if reads {
                self.lot.open(source.as_fd(), known);
            }
        }
        if reads && self.batch.is_none() && self.given.is_multiple_of(FILES) && run.queue.is_wanted() {
            let mut names = VecDeque::with_capacity(FILES);
            read(&mut names, FILES);
            if !names.is_empty() {
                let batch = Batch::new(source, Lot { names, cache: self.lot.cache });
                // Where there is no room for it nobody comes, as where all have found something else to do.
                let _ = run.queue.offer(Unit::Ahead(Arc::clone(&batch)));
                self.batch = Some(batch);
            }
        }
        self.given += 1;
        match (self.lot.names.pop_front(), self.failure) {
            (None, Some(errno)) => Err(errno),
            (name, _) => Ok(name),
        }
    }

    /// Closes what is open ahead; the files are opened again when it comes to them.
    pub fn close(&mut self) -> bool {
        if let Some(batch) = self.batch.take() {
            let mut lot = batch.take_back();
            self.lot.cache = lot.cache;
            self.lot.names.append(&mut lot.names);
        }
        let open = self.lot.names.iter().any(|name| name.opened.is_some());
        self.lot.names.iter_mut().for_each(|name| name.opened = None);
        open
    }
}

/// Reads until there are so many names, or no more to read.
fn read(
    options: &Options,
    directory: &Directory,
    source: BorrowedFd<'_>,
    entries: &mut Entries,
    names: &mut VecDeque<Name>,
    wanted: usize,
) -> Result<(), Errno> {
    let mut path = None;
    while names.len() < wanted {
        let Some(entry) = entries.next(source)? else { break };
        let kind = entry.kind;
        if !options.filter.is_empty() {
            let path: &std::path::PathBuf = path.get_or_insert_with(|| directory.path_in_operand());
            let is_directory = || match kind {
                Some(kind) => kind == Kind::Directory,
                None => {
                    sys::stat::at(source, entry.name, false).is_ok_and(|stat| stat.kind == Kind::Directory)
                }
            };
            if !options.filter.takes(&Path::new(path).join(entry.name), is_directory()) {
                continue;
            }
        }
        names.push_back(Name { name: entry.name.to_owned(), kind, opened: None });
    }
    Ok(())
}

/// Names in a row, and what is known of their files.
#[derive(Default)]
struct Lot {
    names: VecDeque<Name>,
    cache: Cache,
}

impl Lot {
    /// Opens those that are files, but for the first `known` ones. Why one can't be opened is found out when
    /// it comes to it.
    fn open(&mut self, directory: BorrowedFd<'_>, known: usize) {
        for name in self.names.iter_mut().skip(known).filter(|name| name.kind == Some(Kind::Regular)) {
            name.opened = self.cache.open(directory, &name.name);
        }
    }
}

impl Cache {
    fn open(&mut self, directory: BorrowedFd<'_>, name: &OsString) -> Option<Opened> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = sys::at::open(directory, name, flags, 0).ok()?;
        let stat = sys::stat::of(file.as_fd()).ok()?;
        // Where there is nothing to read, there is nothing to tell. Where the page cache tells nothing, the
        // file may have to be read from the disk.
        if self.opened.is_multiple_of(FILES) && stat.size > 0 {
            self.is_cold = sys::cache::cached_bytes(file.as_fd()).unwrap_or(0) == 0;
        }
        self.opened += 1;
        if self.is_cold {
            let _ = posix_fadvise(file.as_fd(), 0, BYTES, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
        }
        Some(Opened { file, stat })
    }
}

/// Names whose files are opened together: by a worker that helps, or, where none has begun with it by
/// then, by the one that comes to them.
pub(in crate::copy) struct Batch {
    state: Mutex<State>,
    is_open: Condvar,
}

enum State {
    /// nobody has begun with it; and the directory that they are in
    Waits(Lot, Arc<OwnedFd>),
    /// somebody has it
    Taken,
    /// it is for the one that comes to it
    Open(Lot),
}

impl Batch {
    /// Names of the directory that is open as `source`. Nobody has begun with it.
    fn new(source: &Arc<OwnedFd>, lot: Lot) -> Arc<Batch> {
        let state = Mutex::new(State::Waits(lot, Arc::clone(source)));
        Arc::new(Batch { state, is_open: Condvar::new() })
    }

    /// Opens it, unless somebody else has begun with it.
    pub fn open(&self) {
        let mut state = self.lock();
        let (mut lot, source) = match std::mem::replace(&mut *state, State::Taken) {
            State::Waits(lot, source) => (lot, source),
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        post::during_of(Op::List, source.as_fd(), || lot.open(source.as_fd(), 0));
        // It may be the last to have the directory open.
        drop(source);
        *self.lock() = State::Open(lot);
        self.is_open.notify_one();
    }

    /// With its files open.
    fn take(&self) -> Lot {
        let (mut lot, source) = self.wait();
        if let Some(source) = source {
            lot.open(source.as_fd(), 0);
        }
        lot
    }

    /// As it is.
    fn take_back(&self) -> Lot {
        self.wait().0
    }

    /// As it is once nobody is at it; with the directory, where it was not begun with.
    fn wait(&self) -> (Lot, Option<Arc<OwnedFd>>) {
        let mut state = self.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Waits(lot, source) => return (lot, Some(source)),
                State::Open(lot) => return (lot, None),
                State::Taken => state = self.is_open.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::thread;
    use tempfile::TempDir;

    /// A directory of two files of one and two bytes and a symbolic link to one of them, and a lot of all
    /// its names, which are said to be files.
    fn scene() -> (TempDir, Arc<OwnedFd>, Lot) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("one"), "1").unwrap();
        fs::write(directory.path().join("two"), "22").unwrap();
        std::os::unix::fs::symlink("one", directory.path().join("link")).unwrap();
        let source = Arc::new(File::open(directory.path()).unwrap().into());
        let name = |name: &str| Name { name: name.into(), kind: Some(Kind::Regular), opened: None };
        let names = ["one", "link", "two"].map(name).into();
        (directory, source, Lot { names, cache: Cache::default() })
    }

    fn sizes(lot: &Lot) -> Vec<(&str, Option<u64>)> {
        let size = |name: &Name| name.opened.as_ref().map(|opened| opened.stat.size);
        lot.names.iter().map(|name| (name.name.to_str().unwrap(), size(name))).collect()
    }

    const OPENED: [(&str, Option<u64>); 3] = [("one", Some(1)), ("link", None), ("two", Some(2))];

    #[test]
    fn what_nobody_has_begun_with_is_opened_by_the_one_that_comes_to_it() {
        let (_directory, source, lot) = scene();
        let batch = Batch::new(&source, lot);
        assert_eq!(sizes(&batch.take()), OPENED);
        // One who comes late finds nothing to do, and keeps nothing open.
        batch.open();
        assert!(matches!(*batch.lock(), State::Taken));
        assert_eq!(Arc::strong_count(&source), 1);
    }

    #[test]
    fn what_another_one_opens_is_there_whoever_comes_first() {
        for _ in 0..200 {
            let (_directory, source, lot) = scene();
            let batch = Batch::new(&source, lot);
            let lot = thread::scope(|scope| {
                scope.spawn(|| batch.open());
                batch.take()
            });
            assert_eq!(sizes(&lot), OPENED);
            assert_eq!(Arc::strong_count(&source), 1);
        }
    }

    #[test]
    fn what_is_open_ahead_is_closed_on_demand_and_its_names_stay() {
        for is_begun in [false, true] {
            let (_directory, source, lot) = scene();
            let batch = Batch::new(&source, lot);
            if is_begun {
                batch.open();
            }
            let mut ahead = Ahead { batch: Some(batch), ..Ahead::default() };
            assert_eq!(ahead.close(), is_begun);
            let names: Vec<_> =
                ahead.lot.names.iter().map(|name| (&*name.name, name.opened.is_some())).collect();
            assert_eq!(names, [("one".as_ref(), false), ("link".as_ref(), false), ("two".as_ref(), false)]);
            assert_eq!(Arc::strong_count(&source), 1, "the directory is not held");
        }
    }
}
