//! What workers count and remember together.

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::space::{self, FileSystem};

/// What was done so far.
#[derive(Default)]
pub(in crate::copy) struct Tally {
    pub bytes: AtomicU64,
    pub files: AtomicU64,
    pub directories: AtomicU64,
    pub skipped: AtomicU64,
    pub failures: AtomicU64,
    pub deleted: AtomicU64,
    pub retries: AtomicU64,
    pub verified_files: AtomicU64,
    pub verified_bytes: AtomicU64,
    pub wrong_files: AtomicU64,
}

impl Tally {
    pub fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub fn directory(&self) {
        self.directories.fetch_add(1, Ordering::Relaxed);
    }

    pub fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// A failure that was told, or needs no words.
    pub fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub fn retries(&self, retries: u64) {
        self.retries.fetch_add(retries, Ordering::Relaxed);
    }

    pub fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A copy was read back, and is wrong or not.
    pub fn verified(&self, bytes: u64, is_wrong: bool) {
        self.verified_files.fetch_add(1, Ordering::Relaxed);
        self.verified_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.wrong_files.fetch_add(is_wrong.into(), Ordering::Relaxed);
    }

    /// How many so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Of a file system.
type Device = (u32, u32);

/// A list of what is known of file systems. There are few of them in a run, so it is searched from end to
/// end, and asked for each file, so nobody waits for a lock. What it has no room for is found out anew.
struct Few<T>([OnceLock<T>; 16]);

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few([const { OnceLock::new() }; 16])
    }
}

impl<T> Few<T> {
    fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        self.0.iter().map_while(OnceLock::get).find(|known| is_it(known))
    }

    /// It may be there twice, where two threads have found it out.
    fn add(&self, known: T) {
        let mut left = Some(known);
        self.0.iter().any(|place| {
            left = left.take().and_then(|known| place.set(known).err());
            left.is_none()
        });
    }
}

/// Between which file systems something can't be done, so that it isn't tried for each file.
#[derive(Default)]
pub(in crate::copy) struct Impossible {
    pairs: Few<(Device, Device)>,
}

impl Impossible {
    pub fn are_impossible(&self, source: Device, target: Device) -> bool {
        self.pairs.find(|pair| *pair == (source, target)).is_some()
    }

    pub fn remember_impossible(&self, source: Device, target: Device) {
        if !self.are_impossible(source, target) {
            self.pairs.add((source, target));
        }
    }
}

/// Of which kind file systems are, so that it isn't asked for each file.
#[derive(Default)]
pub(in crate::copy) struct FileSystems {
    kinds: Few<(Device, FileSystem)>,
}

impl FileSystems {
    /// That of `file`, which is on `device`; None where it can't be told.
    pub fn kind_of(&self, file: BorrowedFd<'_>, device: Device) -> Option<FileSystem> {
        if let Some((_, kind)) = self.kinds.find(|(known, _)| *known == device) {
            return Some(*kind);
        }
        let (kind, _) = space::file_system(file).ok()?;
        self.kinds.add((device, kind));
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_stays_known_as_long_as_there_is_room() {
        let impossible = Impossible::default();
        for minor in 0..20 {
            assert!(!impossible.are_impossible((0, minor), (1, 1)));
            impossible.remember_impossible((0, minor), (1, 1));
        }
        let known = (0..20).map(|minor| impossible.are_impossible((0, minor), (1, 1)));
        assert_eq!(known.filter(|known| *known).count(), 16);
        assert!(impossible.are_impossible((0, 0), (1, 1)) && !impossible.are_impossible((1, 1), (0, 0)));
    }
}
