//! What makes a copy durable: file by file, or each file system that was written to once at the
//! end.
//!
//! An error of writing back a file that is closed already is reported by syncfs(2) (Linux 5.8) once,
//! to descriptors that were open before it happened: so each file system's is opened before the
//! first file there is written. syncfs does nothing over FUSE, and what it does on file systems not
//! known here is not known either: there each file is synced by itself.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use crate::engine::Ledger;
use crate::error::{Cause, Error, Op};
use crate::latency::Kind as Latency;
use crate::sys;
use crate::sys::space::FileSystem;

use super::directory::Place;
use super::entry::At;
use super::job::Job;
use super::options::Sync;
use super::same::parent_of;
use super::target::Step;

/// How each file system is synced, by device.
pub(super) struct Durable {
    sync: Sync,
    /// one file is synced with less than its file system
    one_file: bool,
    file_systems: Mutex<HashMap<(u32, u32), How>>,
}

enum How {
    /// once, at the end; and what messages call it
    Whole(OwnedFd, PathBuf),
    ByFile,
}

impl Durable {
    pub fn new(job: &Job) -> Durable {
        let one_file = !job.options.recursive && job.sources.len() == 1;
        Durable { sync: job.options.sync, one_file, file_systems: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u32, u32), How>> {
        self.file_systems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A directory on `device` is going to be written to; `shown` is called where it is the first.
    pub fn expect(&self, device: (u32, u32), place: &Place, shown: &dyn Fn() -> PathBuf) {
        if self.sync != Sync::End || self.one_file {
            return;
        }
        self.lock().entry(device).or_insert_with(|| {
            let opened = sys::at::open_directory(place.as_fd(), OsStr::new("."), false);
            match opened {
                Ok(opened) if sys::kernel::is_at_least(5, 8) && is_known(&opened) => {
                    How::Whole(opened, shown())
                }
                _ => How::ByFile,
            }
        });
    }

    /// Whether files on `device` are synced by themselves.
    pub fn is_by_file(&self, device: (u32, u32)) -> bool {
        match self.sync {
            Sync::None => false,
            Sync::File => true,
            Sync::End => self.one_file || !matches!(self.lock().get(&device), Some(How::Whole(..))),
        }
    }

    /// fsync(2) of a file.
    pub fn sync_file(&self, file: &Arc<OwnedFd>, ledger: &Ledger) -> Step<()> {
        sync(ledger, || nix::unistd::fsync(file.as_fd())).map_err(|cause| (Op::Sync, cause))
    }

    /// fsync(2) of the directory that holds `at`. EINVAL says that this file system has nothing to
    /// do for that.
    pub fn sync_directory_of(&self, at: At<'_>, ledger: &Ledger) -> Step<()> {
        let opened = sys::at::open_directory(at.directory, parent_of(at.name), true);
        let opened = opened.map_err(|errno| (Op::Sync, Cause::Errno(errno as i32)))?;
        match sync(ledger, || nix::unistd::fsync(opened.as_fd())) {
            Err(Cause::Errno(libc::EINVAL)) => Ok(()),
            synced => synced.map_err(|cause| (Op::Sync, cause)),
        }
    }

    /// fsync(2) of a directory that is complete, where that is done one by one.
    pub fn directory(&self, place: &Place, device: (u32, u32), ledger: &Ledger) -> Step<()> {
        match self.is_by_file(device) {
            true => self.sync_directory_of(At { directory: place.as_fd(), name: OsStr::new("./.") }, ledger),
            false => Ok(()),
        }
    }

    /// Everything is written: syncs what is left to sync. Such an error may be due to what others
    /// have written there.
    pub fn finish(&self, ledger: &Ledger) -> Result<(), Error> {
        for how in self.lock().values() {
            if let How::Whole(fd, path) = how {
                let failed = |cause| Error::new(Op::SyncFileSystem, path as &Path, cause);
                sync(ledger, || nix::unistd::syncfs(fd)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn sync(ledger: &Ledger, call: impl FnOnce() -> Result<(), Errno>) -> Result<(), Cause> {
    let started = ledger.now();
    let result = call();
    ledger.record(Latency::Sync, started);
    result.map_err(|errno| Cause::Errno(errno as i32))
}

/// The file systems whose syncfs is known to do what it says.
fn is_known(fd: &OwnedFd) -> bool {
    let known = [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs, FileSystem::Tmpfs];
    sys::space::file_system(fd.as_fd()).is_ok_and(|(kind, _)| known.contains(&kind))
}
