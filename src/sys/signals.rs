//! Signals that stop a run or ask how it goes. Handlers only store atomics and write(2).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::cancel::Cancel;

static STOP: OnceLock<Cancel> = OnceLock::new();
static STOPPED_BY: AtomicI32 = AtomicI32::new(0);
static ASKED: AtomicU32 = AtomicU32::new(0);

/// From now on SIGINT, SIGTERM and SIGHUP raise `cancel`, and a second one ends the process at
/// once with status 128 + n; one that was ignored when the process started (nohup, a shell's
/// background job) stays ignored. System calls are interrupted (EINTR), not restarted. SIGUSR1 is
/// counted. SIGXFSZ is ignored, so that a file size limit is an EFBIG. Once in a process.
pub fn install(cancel: &Cancel) -> Result<(), Errno> {
    if STOP.set(cancel.clone()).is_err() {
        return Ok(());
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
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
        // SAFETY: _exit is async-signal-safe and does not return.
        unsafe { libc::_exit(128 + signal) };
    }
    if let Some(cancel) = STOP.get() {
        cancel.raise();
    }
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
