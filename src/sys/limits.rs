//! How many descriptors this process may have open: getrlimit(2).

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises RLIMIT_NOFILE to what it may be raised to, and says what it is then.
pub fn raise_descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    // Kernels before 6.4 keep a bitmap of them for each process: a million is enough for anybody.
    let wanted = hard.min(1 << 20).max(soft);
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}
