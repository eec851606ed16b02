//! Waiting, inside a ring's runtime, for a descriptor that no operation is submitted on.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::Context;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells once that a descriptor has become readable.
pub struct Watch<T: AsFd> {
    event: Option<AsyncFd<Owner<T>>>,
    told: Cell<bool>,
}

struct Owner<T>(T);

impl<T: AsFd> AsRawFd for Owner<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> Watch<T> {
    /// Watches `fd`, inside [`Ring::block_on`](super::Ring::block_on). Where it can't be watched
    /// nothing is told, and the next completion must do.
    pub fn new(fd: T) -> Watch<T> {
        // SAFETY: the AsyncFd owns `fd`, whose descriptor stays open and the same until it is gone.
        let event = unsafe { AsyncFd::register_with_interest(Owner(fd), Interest::READABLE) }.ok();
        Watch { event, told: Cell::new(false) }
    }

    /// Whether it has become readable since this was last asked; false for ever after.
    pub fn poll_news(&self, context: &mut Context<'_>) -> bool {
        let Some(event) = self.event.as_ref().filter(|_| !self.told.get()) else { return false };
        let news = event.poll_read_ready(context).is_ready();
        self.told.set(news);
        news
    }
}
