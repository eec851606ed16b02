//! A worker: a thread with its own ring that takes units of work and walks directories depth first.

use std::cell::Cell;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use crate::engine::post;
use crate::error::{Cause, Error, Op};
use crate::sys::directory::Entries;

use crate::copy::content::parts;
use crate::copy::content::parts::Parts;
use crate::copy::names::about::About;
use crate::copy::names::entry::{Entry, Next, Waiting, process};
use crate::copy::tree::ahead::{self, Ahead, Batch};
use crate::copy::tree::directory::{Directory, Place, Places};
use crate::copy::tree::finish;
use crate::copy::work::engines::Engines;
use crate::copy::work::run::Run;

/// What a worker may hand to another.
pub(in crate::copy) enum Unit {
    /// a directory with all that is in it
    Directory(Arc<Directory>, Places),
    /// one entry, with what it is in
    Entry(Waiting),
    /// one part of a large file
    Part(Arc<Parts>, usize),
    /// files that another worker is going to copy, to be opened
    Ahead(Arc<Batch>),
}

/// A failure that may be one for want of a descriptor.
pub(in crate::copy) trait Errnoed {
    /// where there is one
    fn errno(&self) -> Option<Errno>;
}

impl Errnoed for Errno {
    fn errno(&self) -> Option<Errno> {
        Some(*self)
    }
}

impl Errnoed for (Op, Cause) {
    fn errno(&self) -> Option<Errno> {
        match self.1 {
            Cause::Errno(errno) => Some(Errno::from_raw(errno)),
            _ => None,
        }
    }
}

/// How many directories a worker keeps open above the one that it is in.
const OPEN_ABOVE: usize = 16;

/// See the module.
pub(in crate::copy) struct Worker<'r> {
    pub run: &'r Run<'r>,
    pub engines: Engines,
    /// the directories that it is in, the deepest last
    stack: VecDeque<Frame>,
    /// how many of them, from the first, are closed
    suspended: usize,
    about: Arc<About>,
}

struct Frame {
    directory: Arc<Directory>,
    /// None while it is closed
    places: Option<Places>,
    entries: Entries,
    ahead: Ahead,
}

impl<'r> Worker<'r> {
    pub fn new(run: &'r Run<'r>) -> Worker<'r> {
        run.meter.open_post();
        Worker {
            run,
            engines: Engines::default(),
            stack: VecDeque::new(),
            suspended: 0,
            about: Arc::default(),
        }
    }

    /// Works until there is nothing left for anybody.
    pub fn work(&mut self) {
        while let Some(unit) = self.run.queue.take() {
            self.carry_out(unit);
        }
    }

    /// Works until everything handed over so far is done.
    pub fn work_until_quiet(&mut self) {
        while let Some(unit) = self.run.queue.take_or_quiet() {
            self.carry_out(unit);
        }
    }

    fn carry_out(&mut self, unit: Unit) {
        match unit {
            Unit::Directory(directory, places) => self.walk(directory, places),
            Unit::Entry(waiting) => {
                self.copy(&waiting.entry());
                finish::give_up_share(self.run, waiting.parent, Some(waiting.places));
            }
            Unit::Part(parts, index) => parts::copy_part(self, &parts, index),
            Unit::Ahead(batch) => batch.open(),
        }
    }

    /// Copies an entry with all that is in it.
    pub fn copy(&mut self, entry: &Entry<'_>) {
        if let Next::Descend(directory, places) = process(self, entry) {
            self.walk(directory, places);
        }
    }

    /// Whoever watches this worker sees the names of `entry`.
    pub fn be_about(&self, entry: &Entry<'_>) {
        self.about.change(entry);
        post::be_about(Arc::clone(&self.about) as Arc<dyn post::Subject>);
    }

    /// Hands an entry to a worker that has nothing to do; false where there is none.
    pub fn offer(&self, entry: &Entry<'_>) -> bool {
        if !self.run.queue.is_wanted() {
            return false;
        }
        match self.run.queue.offer(Unit::Entry(entry.to_waiting())) {
            Ok(()) => true,
            Err(refused) => {
                if let Unit::Entry(waiting) = refused {
                    // The entry at hand has a share of its own.
                    waiting.parent.give_up_share();
                }
                false
            }
        }
    }

    // ---- walk ----

    /// Copies what is in a directory, and gives up its first share.
    fn walk(&mut self, directory: Arc<Directory>, places: Places) {
        let base = self.stack.len();
        self.enter(directory, places);
        while self.stack.len() > base {
            if let Some((directory, places)) = self.step() {
                match self.run.queue.offer(Unit::Directory(directory, places)) {
                    Ok(()) => {}
                    Err(Unit::Directory(directory, places)) => self.enter(directory, places),
                    Err(_) => unreachable!("what is refused is given back"),
                }
            }
        }
    }

    fn enter(&mut self, directory: Arc<Directory>, places: Places) {
        let (entries, ahead) = (Entries::new(), Ahead::default());
        let frame = Frame { directory, places: Some(places), entries, ahead };
        self.stack.push_back(frame);
        while self.stack.len() - self.suspended > OPEN_ABOVE + 1 {
            self.suspend_one();
        }
    }

    /// Closes the uppermost directory that is open, unless it is the one at hand.
    fn suspend_one(&mut self) -> bool {
        if self.suspended + 1 >= self.stack.len() {
            return false;
        }
        let frame = &mut self.stack[self.suspended];
        frame.entries.suspend();
        frame.ahead.close();
        frame.places = None;
        frame.directory.close();
        self.suspended += 1;
        true
    }

    /// Opens something, again where it lacked a descriptor and some could be closed.
    pub fn opening<T, E: Errnoed>(&mut self, mut open: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        let mut tries = 0;
        loop {
            match open() {
                Err(error) if error.errno().is_some_and(|no| self.find_descriptors(no, &mut tries)) => {}
                opened => return opened,
            }
        }
    }

    /// Closes what it can do without, where no more descriptors are to be had; whether trying again
    /// makes sense.
    fn find_descriptors(&mut self, errno: Errno, tries: &mut u32) -> bool {
        if !matches!(errno, Errno::EMFILE | Errno::ENFILE) {
            return false;
        }
        if self.suspend_one() || self.stack.iter_mut().any(|frame| frame.ahead.close()) {
            return true;
        }
        // Others give some back as they go on, where there are others.
        *tries += 1;
        let goes_on = self.run.queue.has_others() && *tries < 1000 && self.run.may_nap();
        if goes_on {
            thread::sleep(Duration::from_millis(1));
        }
        goes_on
    }

    /// The next entry of the directory at hand; a directory to enter, where it is one.
    fn step(&mut self) -> Option<(Arc<Directory>, Places)> {
        let run = self.run;
        let frame = self.stack.back_mut().expect("a step is taken in a directory");
        let places = frame.places.clone().expect("the directory at hand is open");
        let directory = Arc::clone(&frame.directory);
        let Place::Open(source) = &places.source else {
            // It may not be read, which was told when it was opened.
            self.leave(places);
            return None;
        };
        let next = match run.should_stop() {
            true => Ok(None),
            false => post::during_of(Op::List, source.as_fd(), || {
                frame.ahead.next(run, &directory, source, &mut frame.entries)
            }),
        };
        let ahead::Name { name, opened, .. } = match next {
            Ok(Some(name)) => name,
            Ok(None) => {
                self.leave(places);
                return None;
            }
            Err(errno) => {
                let error = Error::new(Op::List, directory.source_path(), Cause::Errno(errno as i32));
                run.fail(error);
                self.leave(places);
                return None;
            }
        };
        let (opened, seen) = opened.map(|opened| (opened.file, opened.stat)).unzip();
        let entry = Entry { opened: Cell::new(opened), seen, ..entry_in(&directory, &places, &name) };
        match process(self, &entry) {
            Next::Descend(directory, places) => Some((directory, places)),
            Next::Done | Next::Elsewhere => None,
        }
    }

    /// Back to the directory above, opened again where it was closed.
    fn leave(&mut self, places: Places) {
        let frame = self.stack.pop_back().expect("a directory is left once");
        let left = self.stack.len();
        if let Some(above) = self.stack.back_mut()
            && above.places.is_none()
        {
            self.suspended = left - 1;
            let reopened = above.directory.reopen(&places).and_then(|places| {
                let resumed = above.entries.resume(places.source.as_fd());
                let failed =
                    |errno| Error::new(Op::List, above.directory.source_path(), Cause::Errno(errno as i32));
                resumed.map_err(failed).map(|()| places)
            });
            match reopened {
                Ok(places) => above.places = Some(places),
                Err(error) => self.abandon(error),
            }
        }
        // Work that goes on in it has it open for itself.
        frame.directory.close();
        finish::give_up_share(self.run, frame.directory, Some(places));
    }

    /// The directories above can't be reached any more: what is left in them is not copied.
    fn abandon(&mut self, error: Error) {
        self.run.fail(error);
        while self.stack.back().is_some_and(|frame| frame.places.is_none()) {
            let frame = self.stack.pop_back().expect("there is one");
            finish::give_up_share(self.run, frame.directory, None);
        }
        self.suspended = self.suspended.min(self.stack.len());
    }
}

fn entry_in<'a>(parent: &'a Arc<Directory>, places: &'a Places, name: &'a std::ffi::OsStr) -> Entry<'a> {
    let within = parent.within.as_ref().expect("a directory that is walked is in an operand");
    Entry {
        parent,
        places,
        operand: &within.operand,
        source_name: name,
        target_name: name,
        is_new: parent.is_new,
        may_move: true,
        opened: Cell::new(None),
        seen: None,
    }
}
