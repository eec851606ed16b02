//! What the tests of the command share: running it, data that shows where it belongs, disks that
//! are slow, small or faulty, and saying aloud when a machine can't run a test.
//!
//! It knows the command line's contract (names, exit codes, the JSON report) and nothing of the
//! library behind it: whatever a test here proves, it proves for a user.
//!
//! Everything made here is named uniquely and undone in Drop, also when a test panics.

// Each test binary compiles this module anew and uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]
// Lists of ranges of a file often have one.
#![allow(clippy::single_range_in_vec_init)]

pub mod cgroup;
pub mod command;
pub mod data;
pub mod disk;
pub mod faulty;
pub mod nbd;
#[macro_use]
pub mod needs;
pub mod recorded;
pub mod report;
pub mod server;
pub mod trace;
pub mod tree;

pub use cgroup::{MemoryCgroup, Throttle};
pub use command::{Highwater, Outcome, Running, bounded_copy};
pub use data::*;
pub use disk::{Fs, LoopDevice, LoopDisk, Tmpfs};
pub use faulty::{Fault, FaultyDisk, Lie, On, Transfer};
pub use nbd::{Nbd, Pause};
pub use server::{Answer, Server};

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// 1 KiB.
pub const KIB: u64 = 1024;
/// 1 MiB.
pub const MIB: u64 = 1024 * 1024;

/// A directory of one test's own, on the disk that holds the build (a real file system, where
/// `/tmp` may be a tmpfs), removed with all in it on Drop.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// A new empty directory.
    pub fn new() -> Scratch {
        Scratch(tempfile::Builder::new().prefix("copy-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The directory.
    pub fn dir(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }
}

/// A name no other test and no other run uses: for cgroups.
pub fn unique_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("highwater-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The engines this machine can run. Without io_uring there is a fall-back, tested elsewhere.
pub fn engines() -> Vec<&'static str> {
    if needs::uring().is_ok() { vec!["ring", "plain"] } else { vec!["plain"] }
}

/// Waits until nobody has this file open any more, nor the kernel for a process that has ended: a ring goes a
/// little after its process. Only then a lease is to be had.
pub fn wait_until_closed(path: &std::path::Path) {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(path).unwrap();
    // SAFETY: F_SETLEASE takes no pointer.
    wait_for("a file to be closed", || unsafe {
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0
    });
}

/// Whether somebody has a lock on this file, by the kernel's list of all.
pub fn is_locked(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    let inode = format!(":{} ", metadata.ino());
    std::fs::read_to_string("/proc/locks").unwrap().lines().any(|lock| lock.contains(&inode))
}

/// Waits until `done` says so; panics with `what` after a generous time.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited 30 s for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
