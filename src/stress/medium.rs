//! A target as the probe sees it, and a first look at what is on one.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::uio::{pread, pwrite};

use crate::engine::post;
use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::cancel::Cancel;

use super::pattern::{Pattern, SECTOR_BYTES, fresh, whole};
use super::probe::{self, Failed, Medium, Probed};
use super::target::Target;

/// Around the page cache.
struct Direct<'a> {
    file: OwnedFd,
    cancel: &'a Cancel,
}

impl Medium for Direct<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), i32> {
        let mut done = 0;
        while done < bytes.len() {
            let at = (offset + done as u64) as i64;
            match post::during(Op::Write, || pwrite(&self.file, &bytes[done..], at)) {
                Ok(0) => return Err(libc::EIO),
                Ok(n) => done += n,
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno as i32),
            }
        }
        Ok(())
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), i32> {
        let mut done = 0;
        while done < bytes.len() {
            let at = (offset + done as u64) as i64;
            match post::during(Op::Read, || pread(&self.file, &mut bytes[done..], at)) {
                Ok(0) => return Err(libc::EIO),
                Ok(n) => done += n,
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno as i32),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), i32> {
        post::during(Op::Sync, || nix::unistd::fsync(&self.file)).map_err(|errno| errno as i32)
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_raised()
    }
}

/// Probes the target for fake capacity; None where somebody stopped that.
pub(super) fn probe(target: &Target, cancel: &Cancel) -> Result<Option<Probed>, Error> {
    let error = |op, errno| Error::new(op, &target.path, Cause::Errno(errno));
    let file = sys::temporary::reopen(target.file.as_fd(), OFlag::O_RDWR | OFlag::O_DIRECT);
    let file = file.map_err(|_| Error::new(Op::Open, &target.path, Cause::NoDirect))?;
    let pattern = Pattern { run: fresh(), seed: 0 };
    match probe::probe(&mut Direct { file, cancel }, target.size, pattern) {
        Ok(probed) => Ok(Some(probed)),
        Err(Failed::Cancelled) => Ok(None),
        Err(Failed::Write(offset, errno)) => Err(error(Op::Write, errno).at(offset)),
        Err(Failed::Sync(errno)) => Err(error(Op::Sync, errno)),
    }
}

/// Whether the first block of the target is whole and of another run.
pub(super) fn holds_another_run(target: &Target, pattern: Pattern) -> bool {
    let mut sector = [0; SECTOR_BYTES];
    // What can't be read is for the check to tell.
    let read = pread(&target.file, &mut sector, 0);
    read == Ok(SECTOR_BYTES) && whole(&sector).is_some_and(|head| head.pattern != pattern)
}
