//! What a test needs of its machine. A need that isn't met is one line on stderr, `SKIP <test>:
//! <reason>`, and the test returns; where `HIGHWATER_REQUIRE_ALL=1` stands, as in CI, it panics, so
//! that no test falls silent for a missing package.

use super::disk::Fs;
use std::io::Write;
use std::path::Path;

/// Returns from the test, saying why, unless `$need` is `Ok`.
#[macro_export]
macro_rules! need {
    ($need:expr) => {
        if let Err(reason) = $need {
            fn here() {}
            let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
            $crate::support::needs::skip(name, &reason);
            return;
        }
    };
}

/// The test needs the rights of root.
#[macro_export]
macro_rules! need_root {
    () => {
        $crate::need!($crate::support::needs::root())
    };
}

/// The test needs a program on the PATH.
#[macro_export]
macro_rules! need_tool {
    ($tool:expr) => {
        $crate::need!($crate::support::needs::tool($tool))
    };
}

/// The test needs a loop device with this file system: root, mkfs, and a kernel that has it.
#[macro_export]
macro_rules! need_fs {
    ($fs:expr) => {
        $crate::need!($crate::support::needs::file_system($fs))
    };
}

/// The test needs to mount a FUSE file system of its own.
#[macro_export]
macro_rules! need_fuse {
    () => {
        $crate::need!($crate::support::needs::fuse())
    };
}

/// The test needs disks behind nbdkit: root, loop devices, FUSE, nbdkit and nbdfuse.
#[macro_export]
macro_rules! need_nbd {
    () => {
        $crate::need!($crate::support::nbd::needed())
    };
}

/// The test needs a kernel and a sandbox that let io_uring through.
#[macro_export]
macro_rules! need_uring {
    () => {
        $crate::need!($crate::support::needs::uring())
    };
}

/// The test needs a controller of cgroup v1: "blkio" or "memory".
#[macro_export]
macro_rules! need_cgroup {
    ($controller:expr) => {
        $crate::need!($crate::support::needs::cgroup($controller))
    };
}

/// Whether no test may be skipped.
pub fn are_required() -> bool {
    std::env::var_os("HIGHWATER_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// Says that `test` is skipped. Written past the test harness's capture, which would hide it.
pub fn skip(test: &str, reason: &str) {
    if are_required() {
        panic!("{test} was skipped though all tests are required: {reason}");
    }
    let _ = std::io::stderr().write_all(format!("SKIP {test}: {reason}\n").as_bytes());
}

/// Root, or why not.
pub fn root() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err("needs root".into()) }
}

/// A program on the PATH, or why not.
pub fn tool(name: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(Into::into);
    let found = std::env::split_paths(&path).chain(sbin).any(|dir| dir.join(name).is_file());
    if found { Ok(()) } else { Err(format!("needs {name}")) }
}

/// Loop devices with this file system, or why not.
pub fn file_system(fs: Fs) -> Result<(), String> {
    loop_devices()?;
    tool(fs.mkfs())?;
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = known.lines().any(|line| line.trim() == fs.name());
    if has { Ok(()) } else { Err(format!("needs a kernel with {}", fs.name())) }
}

/// Loop devices, or why not.
pub fn loop_devices() -> Result<(), String> {
    root()?;
    tool("losetup")?;
    if Path::new("/dev/loop-control").exists() { Ok(()) } else { Err("needs loop devices".into()) }
}

/// FUSE, or why not.
pub fn fuse() -> Result<(), String> {
    if std::fs::File::options().read(true).write(true).open("/dev/fuse").is_err() {
        return Err("needs /dev/fuse".into());
    }
    root().or_else(|_| tool("fusermount3"))
}

/// A controller of cgroup v1 that we may make groups in, or why not.
pub fn cgroup(controller: &str) -> Result<(), String> {
    root()?;
    let tasks = format!("/sys/fs/cgroup/{controller}/cgroup.procs");
    if Path::new(&tasks).exists() { Ok(()) } else { Err(format!("needs cgroup v1's {controller}")) }
}

/// io_uring, or why not.
pub fn uring() -> Result<(), String> {
    io_uring::IoUring::new(2).map(drop).map_err(|error| format!("needs io_uring: {error}"))
}
