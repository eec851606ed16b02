//! The entries of a directory as a stream of bounded memory: getdents64(2).

use std::ffi::OsStr;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::stat::Kind;

const BUFFER_BYTES: usize = 32 << 10;

/// Reads a directory entry by entry. The directory may be closed and opened again in between.
#[derive(Debug, Default)]
pub struct Entries {
    /// of linux_dirent64 records
    buffer: Vec<u8>,
    at: usize,
    /// behind the last entry that was given out: a cookie of the file system
    position: i64,
    /// there are no more
    ended: bool,
}

/// One entry; `.` and `..` are left out.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// one component
    pub name: &'a OsStr,
    /// as the directory says, where it does
    pub kind: Option<Kind>,
}

impl Entries {
    /// From the directory's beginning.
    pub fn new() -> Entries {
        Entries::default()
    }

    /// The next entry of `directory`, which must be the same one each time, open for reading.
    pub fn next(&mut self, directory: BorrowedFd<'_>) -> Result<Option<Entry<'_>>, Errno> {
        loop {
            if self.at == self.buffer.len() && (self.ended || !self.fill(directory)?) {
                self.ended = true;
                return Ok(None);
            }
            let record = &self.buffer[self.at..];
            let number = |at: usize, len: usize| &record[at..at + len];
            let length = number(offset_of!(libc::dirent64, d_reclen), 2);
            let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
            let position = number(offset_of!(libc::dirent64, d_off), 8);
            let position = i64::from_ne_bytes(position.try_into().expect("eight bytes"));
            let kind = record[offset_of!(libc::dirent64, d_type)];
            let (from, to) = (self.at + offset_of!(libc::dirent64, d_name), self.at + length);
            self.at = to;
            self.position = position;
            let name = &self.buffer[from..to];
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            if matches!(&name[..end], b"." | b"..") {
                continue;
            }
            let name = OsStr::from_bytes(&self.buffer[from..from + end]);
            return Ok(Some(Entry { name, kind: kind_of(kind) }));
        }
    }

    /// Reads on; false where there are no more.
    fn fill(&mut self, directory: BorrowedFd<'_>) -> Result<bool, Errno> {
        self.buffer.clear();
        self.buffer.reserve_exact(BUFFER_BYTES);
        self.at = 0;
        let room = self.buffer.spare_capacity_mut();
        // SAFETY: the kernel writes at most so many bytes into the live buffer.
        let filled = unsafe {
            libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), room.as_mut_ptr(), room.len())
        };
        let filled = match Errno::result(filled) {
            Ok(filled) => filled as usize,
            // The directory was removed meanwhile: it has no more entries.
            Err(Errno::ENOENT) => 0,
            Err(errno) => return Err(errno),
        };
        // SAFETY: the kernel has just written so many.
        unsafe { self.buffer.set_len(filled) };
        Ok(filled > 0)
    }

    /// Gives the memory back, before the directory is closed.
    pub fn suspend(&mut self) {
        self.buffer = Vec::new();
        self.at = 0;
    }

    /// Goes on where it was, in the same directory opened anew.
    pub fn resume(&mut self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        self.suspend();
        self.ended = false;
        lseek(directory, self.position, Whence::SeekSet).map(drop)
    }
}

fn kind_of(kind: u8) -> Option<Kind> {
    match kind {
        libc::DT_REG => Some(Kind::Regular),
        libc::DT_DIR => Some(Kind::Directory),
        libc::DT_LNK => Some(Kind::Symlink),
        libc::DT_BLK => Some(Kind::Block),
        libc::DT_CHR => Some(Kind::Character),
        libc::DT_FIFO => Some(Kind::Fifo),
        libc::DT_SOCK => Some(Kind::Socket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn every_entry_is_met_once_also_after_a_pause() {
        let directory = tempfile::tempdir().unwrap();
        let mut expected = BTreeSet::new();
        for number in 0..2000 {
            let name = OsString::from(format!("{number:0200}"));
            File::create(directory.path().join(&name)).unwrap();
            expected.insert(name);
        }
        let mut entries = Entries::new();
        let mut open = File::open(directory.path()).unwrap();
        let mut met = BTreeSet::new();
        while let Some(entry) = entries.next(open.as_fd()).unwrap() {
            assert!(met.insert(entry.name.to_owned()), "{:?} twice", entry.name);
            if met.len() % 700 == 0 {
                entries.suspend();
                open = File::open(directory.path()).unwrap();
                entries.resume(open.as_fd()).unwrap();
            }
        }
        assert_eq!(met, expected);
    }
}
