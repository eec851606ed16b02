//! What is being waited for: every thread that works has a post, at which it says what it is about, so
//! that whoever watches can tell what hangs while it hangs.
//!
//! A post says that something has moved, not when: a store or two for each turn, and no clock. When
//! that was is for the watcher to see.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Op;

/// What a worker is about, by the names that messages use. Asked only where something hangs.
pub trait Subject: Send + Sync {
    /// the source
    fn source(&self) -> PathBuf;
    /// the target
    fn target(&self) -> PathBuf;
}

/// One kind of operation of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// reads of data, any number in flight
    Read,
    /// writes, likewise
    Write,
    /// all other calls, one at a time
    Call,
}

impl Lane {
    /// All of them.
    pub const ALL: [Lane; 3] = [Lane::Read, Lane::Write, Lane::Call];
}

/// A worker's post.
#[derive(Default)]
pub struct Post {
    signals: [Signal; 3],
    subject: Mutex<Option<Arc<dyn Subject>>>,
    call: Mutex<Option<Call>>,
}

struct Call {
    op: Op,
    on: On,
}

enum On {
    /// what the thread is about
    Subject,
    Path(PathBuf),
    /// a descriptor of this process
    Descriptor(RawFd),
}

impl Subject for (PathBuf, PathBuf) {
    fn source(&self) -> PathBuf {
        self.0.clone()
    }

    fn target(&self) -> PathBuf {
        self.1.clone()
    }
}

/// Whether something is in flight, and how often anything has moved.
#[derive(Default)]
struct Signal {
    /// odd while something is in flight; another number after everything that moves
    turn: AtomicU64,
    offset: AtomicU64,
}

/// Something that has not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// of which kind
    pub lane: Lane,
    /// the same for as long as nothing has moved
    pub turn: u64,
    /// where the oldest of them is, in bytes; of no meaning for calls
    pub offset: u64,
}

thread_local! {
    static HERE: RefCell<Option<Arc<Post>>> = const { RefCell::new(None) };
}

/// This thread works at `post` from now on.
pub fn stand_at(post: Arc<Post>) {
    HERE.set(Some(post));
}

/// The post of this thread, where it has one.
pub(super) fn here() -> Option<Arc<Post>> {
    HERE.with_borrow(Clone::clone)
}

/// This thread is about these names from now on.
pub fn be_about(subject: Arc<dyn Subject>) {
    HERE.with_borrow(|post| {
        if let Some(post) = post {
            *lock(&post.subject) = Some(subject);
        }
    });
}

/// Makes a call that may hang, on what the thread is about.
pub fn during<T>(op: Op, call: impl FnOnce() -> T) -> T {
    during_at(op, On::Subject, call)
}

/// The same on another path than what the thread is about.
pub fn during_on<T>(op: Op, path: PathBuf, call: impl FnOnce() -> T) -> T {
    during_at(op, On::Path(path), call)
}

/// The same on a descriptor, by what the kernel calls it.
pub fn during_of<T>(op: Op, fd: BorrowedFd<'_>, call: impl FnOnce() -> T) -> T {
    during_at(op, On::Descriptor(fd.as_raw_fd()), call)
}

fn during_at<T>(op: Op, on: On, call: impl FnOnce() -> T) -> T {
    let Some(post) = here() else { return call() };
    *lock(&post.call) = Some(Call { op, on });
    post.show(Lane::Call, Some(0), true);
    let result = call();
    post.show(Lane::Call, None, true);
    result
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    /// What is in flight now: the oldest operation's offset; and whether anything has moved. Of each
    /// lane by one thread at a time.
    pub(super) fn show(&self, lane: Lane, oldest: Option<u64>, has_moved: bool) {
        let Signal { turn, offset } = &self.signals[lane as usize];
        let before = turn.load(Ordering::Relaxed);
        if !has_moved && (before & 1 == 1) == oldest.is_some() {
            return;
        }
        if let Some(oldest) = oldest {
            offset.store(oldest, Ordering::Relaxed);
        }
        turn.store(((before >> 1) + 1) << 1 | u64::from(oldest.is_some()), Ordering::Release);
    }

    /// What has not completed.
    pub fn waits(&self) -> impl Iterator<Item = Wait> {
        Lane::ALL.into_iter().filter_map(|lane| {
            let Signal { turn, offset } = &self.signals[lane as usize];
            let turn = turn.load(Ordering::Acquire);
            (turn & 1 == 1).then(|| Wait { lane, turn, offset: offset.load(Ordering::Relaxed) })
        })
    }

    /// Which operation a lane is at, and on what.
    pub fn what(&self, lane: Lane) -> (Op, PathBuf) {
        let subject = lock(&self.subject).clone();
        let source = || subject.as_ref().map_or(PathBuf::from("-"), |subject| subject.source());
        let target = || subject.as_ref().map_or(PathBuf::from("-"), |subject| subject.target());
        match (lane, &*lock(&self.call)) {
            (Lane::Read, _) => (Op::Read, source()),
            (Lane::Write, _) | (Lane::Call, None) => (Op::Write, target()),
            (Lane::Call, Some(Call { op, on: On::Path(path) })) => (*op, path.clone()),
            (Lane::Call, Some(Call { op, on: On::Descriptor(fd) })) => {
                let called = std::fs::read_link(format!("/proc/self/fd/{fd}"));
                (*op, called.unwrap_or_else(|_| source()))
            }
            (Lane::Call, Some(Call { op: Op::Open, on: On::Subject })) => (Op::Open, source()),
            (Lane::Call, Some(Call { op, on: On::Subject })) => (*op, target()),
        }
    }
}
