//! A stream that a caller writes to.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use tokio::sync::oneshot;

use crate::engine::Flow;
use crate::error::{Cause, Error, Op};
use crate::flow::LevelStats;

use super::Options;
use super::thread::{Direction, Opened, failure, start};

/// Takes chunks and writes them, at most the ring ahead of the target.
///
/// Dropped without [`WriteStream::end`], it stops: what is in flight still completes, what is not
/// yet submitted is lost, errors are told to nobody.
pub struct WriteStream {
    flow: Arc<Flow<'static>>,
    path: PathBuf,
    done: Option<oneshot::Receiver<Result<(), Error>>>,
}

/// What a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// written, all of them
    pub bytes: u64,
    /// what the level saw
    pub level: LevelStats,
}

impl WriteStream {
    /// Creates or truncates the file at `path` (mode 0666 and the umask), as `createWriteStream`
    /// does. Errors: those of open(2), EINVAL for marks that contradict each other, ENOMEM.
    pub fn create(path: impl AsRef<Path>, options: Options) -> Result<WriteStream, Error> {
        let path = path.as_ref();
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let failed = |errno: Errno| Error::new(Op::Create, path, Cause::Errno(errno as i32));
        let file = open(path, flags, Mode::from_bits_truncate(0o666)).map_err(failed)?;
        WriteStream::start(Opened::new(file, path, true)?, options)
    }

    /// Writes to a descriptor, in order from where it stands: a pipe, a socket, a file. It is
    /// closed at the end; its flags are never changed. Errors are told under `name`.
    pub fn over(
        fd: impl Into<OwnedFd>,
        name: impl AsRef<Path>,
        options: Options,
    ) -> Result<WriteStream, Error> {
        WriteStream::start(Opened::new(fd.into(), name.as_ref(), false)?, options)
    }

    fn start(opened: Opened, options: Options) -> Result<WriteStream, Error> {
        let path = opened.path.clone();
        let (tell, done) = oneshot::channel();
        let flow = start(opened, Direction::In, options, |result| drop(tell.send(result)))?;
        Ok(WriteStream { flow, path, done: Some(done) })
    }

    /// Takes the whole chunk. True while more may follow at once; false once the high-water mark
    /// was reached, until the next drain event: a caller that writes on all the same waits here,
    /// so that in-flight bytes never exceed the ring.
    ///
    /// Errors: the first one that the target brought, also one of an earlier chunk. Cancelled
    /// (dropped before it is ready), part of the chunk may have been taken.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<bool, Error> {
        let mut rest = chunk;
        loop {
            let mut moved = pin!(self.flow.moved());
            moved.as_mut().enable();
            if let Some(error) = failure(&self.flow, &self.path) {
                return Err(error);
            }
            let (taken, open) = self.take(rest);
            rest = &rest[taken..];
            if rest.is_empty() {
                return Ok(open);
            }
            moved.await;
        }
    }

    /// Copies what fits into the ring; how much that was, and whether more may follow at once.
    fn take(&self, chunk: &[u8]) -> (usize, bool) {
        let now = self.flow.now();
        let mut state = self.flow.lock();
        let mut taken = 0;
        while taken < chunk.len() {
            let Some(place) = state.pump.room() else { break };
            let len = (place.len as usize).min(chunk.len() - taken);
            let at = place.at as usize;
            self.flow.arena().buffer(place.slot)[at..at + len].copy_from_slice(&chunk[taken..taken + len]);
            state.pump.fill(place, len as u32, now);
            taken += len;
        }
        let open = !state.pump.is_held();
        drop(state);
        if taken > 0 {
            self.flow.notify_driver();
        }
        (taken, open)
    }

    /// In-flight bytes: taken and not yet with the target (Node: `writableLength`).
    pub fn in_flight_bytes(&self) -> u64 {
        self.flow.lock().pump.in_flight_bytes()
    }

    /// Whether [`WriteStream::write`] said false and no drain event has come (Node:
    /// `writableNeedDrain`).
    pub fn needs_drain(&self) -> bool {
        self.flow.lock().pump.is_held()
    }

    /// What the level has seen so far: its peak, and how often it was at the mark.
    pub fn level(&self) -> LevelStats {
        self.flow.lock().pump.level_stats(self.flow.now())
    }

    /// The drain event: ready once the level has fallen to the low-water mark, at once where it
    /// is not above. Errors as for [`WriteStream::write`]. Cancelling it loses nothing.
    pub async fn drain(&self) -> Result<(), Error> {
        loop {
            let mut moved = pin!(self.flow.moved());
            moved.as_mut().enable();
            if let Some(error) = failure(&self.flow, &self.path) {
                return Err(error);
            }
            if !self.needs_drain() {
                return Ok(());
            }
            moved.await;
        }
    }

    /// Writes what is left, syncs where [`Options::sync`] asks for it, closes, and tells the first
    /// error of them all. Cancelled, the rest is still written, and errors are told to nobody.
    pub async fn end(mut self) -> Result<Ended, Error> {
        self.flow.lock().pump.finish();
        self.flow.notify_driver();
        let done = self.done.take().expect("a stream ends once");
        done.await.expect("the stream's thread tells how it ended")?;
        let state = self.flow.lock();
        let level = state.pump.level_stats(self.flow.now());
        Ok(Ended { bytes: state.pump.completed_to(), level })
    }
}

impl Drop for WriteStream {
    fn drop(&mut self) {
        if self.done.is_some() {
            self.flow.cancel().raise();
            self.flow.notify_driver();
        }
    }
}
