//! Signals that stop a run or ask how it goes. Handlers only store atomics and write(2).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::cancel::Cancel;

static STOP: OnceLock<Cancel> = OnceLock::new();
static LAST_WORDS: OnceLock<String> = OnceLock::new();
static STOPPED_BY: AtomicI32 = AtomicI32::new(0);
static ASKED: AtomicU32 = AtomicU32::new(0);

/// From now on SIGINT, SIGTERM and SIGHUP raise `cancel`, and a second one writes `last_words` to
/// standard error and ends the process at once with status 128 + n; the kernel may still have to wait
/// for a thread that it can't interrupt. One that was ignored when the process started (nohup, a shell's
/// background job) stays ignored. System calls are interrupted (EINTR), not restarted. SIGUSR1 is
/// counted. SIGXFSZ is ignored, so that a file size limit is an EFBIG. Once in a process.
pub fn install(cancel: &Cancel, last_words: String) -> Result<(), Errno> {
    if STOP.set(cancel.clone()).is_err() {
        return Ok(());
    }
    LAST_WORDS.get_or_init(|| last_words);
    for signal in &stopping() {
        let before = set(signal, SigHandler::Handler(on_stop))?;
        if matches!(before, SigHandler::SigIgn) {
            set(signal, SigHandler::SigIgn)?;
        }
    }
    set(Signal::SIGUSR1, SigHandler::Handler(on_question))?;
    set(Signal::SIGXFSZ, SigHandler::SigIgn)?;
    Ok(())
}

fn set(signal: Signal, handler: SigHandler) -> Result<SigHandler, Errno> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handlers below do only what signal-safety(7) allows.
    unsafe { sigaction(signal, &action) }.map(|before| before.handler())
}

extern "C" fn on_stop(signal: libc::c_int) {
    if STOPPED_BY.swap(signal, Ordering::SeqCst) != 0 {
        let words = LAST_WORDS.get().map_or("", String::as_str);
        // SAFETY: write and _exit are async-signal-safe, and the words are live and never change.
        unsafe {
            libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len());
            libc::_exit(128 + signal)
        };
    }
    if let Some(cancel) = STOP.get() {
        cancel.raise();
    }
}

/// A thread of its own that answers where no other can: signals that stop are not delivered to it, and
/// it is to look for them from time to time ([`answer_pending`]).
///
/// The kernel hands a signal to the main thread, even where that waits for a device and can't be
/// interrupted.
pub fn stand_by() -> Result<(), Errno> {
    stopping().thread_block()
}

/// Handles a signal that no other thread has taken yet. On a thread that stands by.
pub fn answer_pending() {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are live; no information is asked for.
    let signal = unsafe { libc::sigtimedwait(stopping().as_ref(), std::ptr::null_mut(), &now) };
    if signal > 0 {
        on_stop(signal);
    }
}

fn stopping() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

extern "C" fn on_question(_: libc::c_int) {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// The number of the signal that stopped the run.
pub fn stopped_by() -> Option<i32> {
    Some(STOPPED_BY.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
}

/// How often SIGUSR1 came so far.
pub fn times_asked() -> u32 {
    ASKED.load(Ordering::Relaxed)
}

/// What a signal is called: `SIGINT`.
pub fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}
