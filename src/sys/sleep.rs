//! How late a thread wakes: prctl(2), PR_SET_TIMERSLACK.

/// From now on the kernel does not let this thread sleep longer than asked, to save power; 50 us are usual.
pub fn precisely() {
    // Where it is refused, wake-ups are a little late.
    let _ = nix::sys::prctl::set_timerslack(1);
}
