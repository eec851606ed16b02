//! What must not be written to though somebody said that its data may go: what is in use, and what
//! holds something that util-linux knows by a signature, a file system or a partition table.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Cause, Error, Op, strerror};
use crate::sys::stat::{Kind, Stat};

/// Refuses what is in use and what holds a known signature. `file` is open; a block device is to be
/// claimed by O_EXCL already, which tells whether it is mounted, swapped to or part of something.
///
/// # Errors
/// [`Cause::InUse`]; [`Cause::HoldsSignature`] with what it is as `other`; [`Cause::Unchecked`], where
/// wipefs(8) can't tell, with the reason as `other`.
pub fn refuse_what_is_precious(file: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), Error> {
    if stat.kind == Kind::Regular && (is_swap(stat) || is_behind_loop_device(stat)) {
        return Err(Error::new(Op::Open, path, Cause::InUse));
    }
    match signatures(file) {
        Ok(found) if found.is_empty() => Ok(()),
        Ok(found) => Err(Error::new(Op::Open, path, Cause::HoldsSignature).with(found)),
        Err(reason) => Err(Error::new(Op::Open, path, Cause::Unchecked).with(reason)),
    }
}

/// Their names, separated by commas.
fn signatures(file: &OwnedFd) -> Result<String, String> {
    // What is open here, whatever becomes of its name.
    let open = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let path = std::env::var("PATH").unwrap_or_default();
    let wipefs = Command::new("wipefs")
        .args(["--noheadings", "--output", "TYPE", "--"])
        .arg(open)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT) => "wipefs (util-linux) is not installed".to_owned(),
            Some(errno) => format!("wipefs: {}", strerror(errno)),
            None => format!("wipefs: {error}"),
        })?;
    if !wipefs.status.success() {
        let said = String::from_utf8_lossy(&wipefs.stderr);
        let line = said.lines().next().unwrap_or("").to_owned();
        return Err(if line.is_empty() { format!("wipefs: {}", wipefs.status) } else { line });
    }
    let types = String::from_utf8_lossy(&wipefs.stdout);
    let types: Vec<&str> = types.lines().map(str::trim).filter(|found| !found.is_empty()).collect();
    Ok(types.join(", "))
}

/// By /proc/swaps, whose first column is a path with its blanks in octal (proc_swaps(5)).
fn is_swap(stat: &Stat) -> bool {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let paths = swaps.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    paths.map(|path| path.replace("\\040", " ")).any(|path| is_same(stat, path.as_ref()))
}

/// By sysfs: the file that a loop device stands on.
fn is_behind_loop_device(stat: &Stat) -> bool {
    let Ok(devices) = fs::read_dir("/sys/block") else { return false };
    devices.flatten().any(|device| {
        let backing = fs::read_to_string(device.path().join("loop/backing_file"));
        backing.is_ok_and(|backing| is_same(stat, backing.trim_end_matches('\n').as_ref()))
    })
}

fn is_same(stat: &Stat, path: &Path) -> bool {
    let (major, minor) = stat.device;
    fs::metadata(path)
        .is_ok_and(|other| other.ino() == stat.inode && other.dev() == libc::makedev(major, minor))
}
