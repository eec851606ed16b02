//! A flag that may be raised from a signal handler and that a poll can wait for.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

/// A request to stop early. Once raised it stays.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raised: AtomicBool,
    event: EventFd,
}

impl Cancel {
    /// A flag that is not raised. Fails where no descriptor is to be had (EMFILE).
    pub fn new() -> Result<Cancel, Errno> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Cancel(Arc::new(Inner { raised: AtomicBool::new(false), event })))
    }

    /// Raises it: an atomic store and a write(2), both safe in a signal handler.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::SeqCst);
        let one = 1u64.to_ne_bytes();
        // SAFETY: the descriptor is open and eight live bytes are written. The counter cannot
        // overflow in any number of signals; and where it could, the flag is up already.
        unsafe { libc::write(self.0.event.as_fd().as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::SeqCst)
    }
}

impl AsFd for Cancel {
    /// Readable, for ever, once raised.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}
