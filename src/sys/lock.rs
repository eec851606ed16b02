//! Advisory locks on open files: flock(2). A lock belongs to the description that was opened, and
//! goes with it, also where its process is killed.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Locks `fd` for this description alone; false where another one has a lock on it. ENOLCK,
/// EOPNOTSUPP or EBADF where the file system has no such locks, or not for this kind of open.
pub fn try_exclusive(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    // SAFETY: flock takes no pointers.
    let locked = unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    match Errno::result(locked) {
        Ok(_) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_lock_is_one_descriptions_alone_until_it_is_closed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (one, other) = (File::open(file.path()).unwrap(), File::open(file.path()).unwrap());
        assert_eq!(try_exclusive(one.as_fd()), Ok(true));
        assert_eq!(try_exclusive(one.as_fd()), Ok(true));
        assert_eq!(try_exclusive(other.as_fd()), Ok(false));
        drop(one);
        assert_eq!(try_exclusive(other.as_fd()), Ok(true));
    }
}
