//! A stream that a caller reads from.

use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::engine::Flow;
use crate::error::{Cause, Error, Op};
use crate::flow::{LevelStats, Transfer};
use crate::ring::Buffer;

use super::Options;
use super::thread::{Direction, Opened, failure, start};

/// Reads ahead of its caller, at most to the high-water mark.
///
/// Dropped before the end, it stops reading; what is in flight still completes.
pub struct ReadStream {
    flow: Arc<Flow<'static>>,
    path: PathBuf,
    paused: AtomicBool,
    ended: bool,
}

/// Bytes of the stream, in a buffer of its ring. Dropping it is the drain event that lets more in;
/// a caller that keeps as many as the ring has gets no more.
pub struct Chunk {
    buffer: Option<Buffer>,
    transfer: Transfer,
    flow: Arc<Flow<'static>>,
}

impl ReadStream {
    /// Reads the file at `path` from its start to its end. Errors: those of open(2), EINVAL for
    /// marks that contradict each other, ENOMEM.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<ReadStream, Error> {
        let path = path.as_ref();
        let failed = |errno: Errno| Error::new(Op::Open, path, Cause::Errno(errno as i32));
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = open(path, flags, Mode::empty()).map_err(failed)?;
        ReadStream::start(Opened::new(file, path, true)?, options)
    }

    /// Reads a descriptor from where it stands. It is closed at the end; its flags are never
    /// changed. Errors are told under `name`.
    pub fn over(
        fd: impl Into<OwnedFd>,
        name: impl AsRef<Path>,
        options: Options,
    ) -> Result<ReadStream, Error> {
        ReadStream::start(Opened::new(fd.into(), name.as_ref(), false)?, options)
    }

    fn start(opened: Opened, options: Options) -> Result<ReadStream, Error> {
        let path = opened.path.clone();
        // Errors are in the flow, where the caller meets them in their turn.
        let flow = start(opened, Direction::Out, options, drop)?;
        Ok(ReadStream { flow, path, paused: AtomicBool::new(false), ended: false })
    }

    /// The next chunk ('data'), in order; None at the end ('end'). Waits while paused. An error
    /// comes after the data before it, once, and then None. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Result<Chunk, Error>> {
        let (buffer, transfer) = loop {
            let mut moved = pin!(self.flow.moved());
            moved.as_mut().enable();
            if !self.is_paused() {
                let mut state = self.flow.lock();
                if let Some(transfer) = state.pump.take() {
                    break (self.flow.arena().buffer(transfer.slot), transfer);
                }
                if state.pump.has_ended() {
                    drop(state);
                    let first = !std::mem::replace(&mut self.ended, true);
                    return failure(&self.flow, &self.path).filter(|_| first).map(Err);
                }
            }
            moved.await;
        };
        let flow = Arc::clone(&self.flow);
        Some(Ok(Chunk { buffer: Some(buffer), transfer, flow }))
    }

    /// Gives no more chunks until [`ReadStream::resume`]; reading ahead goes on to the mark.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Gives chunks again.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Release);
        self.flow.notify();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Bytes admitted to read and not yet taken (Node: `readableLength`).
    pub fn in_flight_bytes(&self) -> u64 {
        self.flow.lock().pump.in_flight_bytes()
    }

    /// What the level has seen so far.
    pub fn level(&self) -> LevelStats {
        self.flow.lock().pump.level_stats(self.flow.now())
    }
}

impl Drop for ReadStream {
    fn drop(&mut self) {
        self.flow.cancel().raise();
        self.flow.notify_driver();
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Transfer { at, len, .. } = self.transfer;
        let buffer = self.buffer.as_deref().unwrap_or_default();
        &buffer[at as usize..][..len as usize]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.buffer = None;
        let now = self.flow.now();
        self.flow.lock().pump.wrote(self.transfer, self.transfer.len, now);
        self.flow.notify_driver();
    }
}
