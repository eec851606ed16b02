//! I/O priorities: ioprio_set(2).

/// The class of those that wait until nobody else has anything to do, IOPRIO_CLASS_IDLE, and no level in it.
pub const IDLE: u16 = 3 << 13;

/// IOPRIO_WHO_PROCESS, which is a thread; 0 is the one that asks.
const WHO_PROCESS: libc::c_int = 1;

/// What this thread reads and writes, and what threads do that it begins from now on, waits for everybody
/// else, where the device's scheduler knows priorities.
pub fn be_idle() {
    // SAFETY: it takes three numbers. Anybody may give way: it does not fail.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, libc::c_int::from(IDLE)) };
}
