//! What earlier runs of a copy have recorded, looked up by path, and how much of it is true now.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::digest::{UNIT_BYTES, unit};
use crate::error::errno_of;
use crate::journal::{
    Belief, Claim, Identity, PAYLOAD_MOST, Reader, Record, Records, believe, key, key_of_file, key_of_path,
    key_of_source, record_at,
};
use crate::sys;

use super::index::Index;
use super::readback::ReadBack;

/// See the module.
pub(super) struct Past {
    journal: File,
    index: Index,
    /// all of it that is about earlier runs
    pub bytes: u64,
}

/// What is recorded of a file.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub source: Identity,
    /// of the target
    pub inode: u64,
    /// its part's name; empty: it has its own
    pub part: Vec<u8>,
    /// where it was begun; None: it was copied at once
    pub begun: Option<u64>,
    /// where the last record of it is
    last: u64,
}

/// Why reading back ends early.
pub(super) enum Stopped {
    /// somebody wants the copy to stop
    Cancelled,
    /// the journal or its index can't be read
    Journal(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Journal(error)
    }
}

impl Past {
    /// Reads a journal to its end; `directory` is for the index. The reader has read the header.
    /// None where it is damaged, at that byte.
    pub fn read(journal: File, reader: &mut Reader, directory: &Path) -> io::Result<Result<Past, u64>> {
        let index = Index::new(journal.metadata()?.len(), directory)?;
        loop {
            let batch = match reader.next(|offset, buffer| journal.read_at(buffer, offset))? {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(crate::journal::Unfit::Damaged(at)) => return Ok(Err(at)),
                Err(_) => return Ok(Err(reader.believed_to())),
            };
            for (at, record) in Records::of(batch.payload) {
                let at = batch.offset + at as u64;
                index.put(key(&record), at)?;
                if let Record::Begun { source, .. } | Record::Copied { source, .. } = &record {
                    index.put(key_of_source(source), at)?;
                }
            }
        }
        let bytes = reader.believed_to();
        Ok(Ok(Past { journal, index, bytes }))
    }

    /// The bytes that the record at `offset` takes.
    fn fetch(&self, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut head = [0; 5];
        self.journal.read_exact_at(&mut head, offset)?;
        let length = u32::from_le_bytes(*head[1..].first_chunk().expect("it has 5 bytes")).min(PAYLOAD_MOST);
        bytes.clear();
        bytes.resize(head.len() + length as usize, 0);
        self.journal.read_exact_at(bytes, offset)
    }

    /// Whether a directory was made by this copy: its inode, or 0 where that is not known.
    pub fn made(&self, path: &[u8]) -> io::Result<Option<u64>> {
        let Some(at) = self.index.get(key_of_path(path))? else { return Ok(None) };
        let mut bytes = Vec::new();
        self.fetch(at, &mut bytes)?;
        Ok(match record_at(&bytes) {
            Some((Record::Made { inode, path: of }, _)) if of == path => Some(inode),
            _ => None,
        })
    }

    /// The last that is recorded of the file `path`.
    pub fn known(&self, path: &[u8]) -> io::Result<Option<Known>> {
        let known = self.known_by(key_of_path(path))?;
        Ok(known.filter(|(_, of)| of == path).map(|(known, _)| known))
    }

    /// The last that is recorded of a source under any of its names, and under which.
    pub fn known_by_source(&self, source: &Identity) -> io::Result<Option<(Known, Vec<u8>)>> {
        Ok(self.known_by(key_of_source(source))?.filter(|(known, _)| known.source == *source))
    }

    fn known_by(&self, key: u64) -> io::Result<Option<(Known, Vec<u8>)>> {
        let Some(at) = self.index.get(key)? else { return Ok(None) };
        let mut bytes = Vec::new();
        self.fetch(at, &mut bytes)?;
        Ok(match record_at(&bytes) {
            Some((Record::Begun { source, inode, part, path }, _)) => {
                let last = self.index.get(key_of_file(at))?.unwrap_or(at);
                let known = Known { source, inode, part: part.to_vec(), begun: Some(at), last };
                Some((known, path.to_vec()))
            }
            Some((Record::Copied { source, inode, path, .. }, _)) => {
                Some((Known { source, inode, part: Vec::new(), begun: None, last: at }, path.to_vec()))
            }
            _ => None,
        })
    }

    /// How much of `file`, which is the one that is known, is as it was recorded. It is read from the
    /// disk where the page cache can be made to let go of it.
    pub fn belief(
        &self,
        known: &Known,
        file: BorrowedFd<'_>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Belief, Stopped> {
        let mut read_back = ReadBack::new(file);
        let mut matches = |claim: &Claim<'_>| match good_units(claim, file, &mut read_back, is_cancelled) {
            Some(units) => Ok(units),
            None => Err(Stopped::Cancelled),
        };
        match known.begun {
            Some(begun) => {
                let fetch = |at, bytes: &mut Vec<u8>| self.fetch(at, bytes).map_err(Stopped::from);
                believe(begun, known.last, UNIT_BYTES, fetch, matches)
            }
            None => {
                let mut bytes = Vec::new();
                self.fetch(known.last, &mut bytes)?;
                let Some((Record::Copied { length, digests, .. }, _)) = record_at(&bytes) else {
                    return Err(Stopped::Journal(io::ErrorKind::InvalidData.into()));
                };
                let claim = Claim { from: 0, zeros: 0, digests, length: Some(length) };
                let is_whole = claim.units() == length.div_ceil(UNIT_BYTES)
                    && matches(&claim)? == claim.units()
                    && size_of(file).is_none_or(|size| size == length);
                let to = if is_whole { length } else { 0 };
                Ok(Belief { to, before: 0, is_whole, altered: !is_whole })
            }
        }
    }

    /// Every part that a run has begun: `each` is told its path, inode and name.
    pub fn parts(&self, mut each: impl FnMut(&[u8], u64, &[u8])) -> io::Result<()> {
        let read = |offset: u64, buffer: &mut [u8]| {
            let most = self.bytes.saturating_sub(offset).min(buffer.len() as u64) as usize;
            self.journal.read_at(&mut buffer[..most], offset)
        };
        let Ok((_, mut reader)) = Reader::open(read)? else { return Ok(()) };
        while let Ok(Some(batch)) = reader.next(read)? {
            for (_, record) in Records::of(batch.payload) {
                if let Record::Begun { inode, part, path, .. } = record
                    && !part.is_empty()
                {
                    each(path, inode, part);
                }
            }
        }
        Ok(())
    }
}

/// Of a regular file.
fn size_of(file: BorrowedFd<'_>) -> Option<u64> {
    let stat = sys::stat::of(file).ok()?;
    (stat.kind == sys::stat::Kind::Regular).then_some(stat.size)
}

/// How many units of a claim, from its first on, are in the file as it says; None where that is
/// stopped. What can't be read isn't.
fn good_units(
    claim: &Claim<'_>,
    file: BorrowedFd<'_>,
    read_back: &mut ReadBack<'_>,
    is_cancelled: &dyn Fn() -> bool,
) -> Option<u64> {
    // The file's last unit may be short; of it no more than that counts.
    let end = claim.length.unwrap_or(u64::MAX);
    let mut hole_end = 0;
    for nth in 0..claim.units() {
        if is_cancelled() {
            return None;
        }
        let from = claim.from + nth * UNIT_BYTES;
        let wanted = UNIT_BYTES.min(end.saturating_sub(from)) as usize;
        let digest = nth.checked_sub(claim.zeros).map(|nth| &claim.digests[nth as usize * 32..][..32]);
        let to = from + wanted as u64;
        if digest.is_none() && hole_end < to {
            hole_end = hole_at(file, from);
        }
        if digest.is_none() && hole_end >= to {
            continue;
        }
        let is_good = read_back.unit(from).is_ok_and(|bytes| match (bytes.get(..wanted), digest) {
            (None, _) => false,
            (Some(bytes), None) => bytes.iter().all(|byte| *byte == 0),
            (Some(bytes), Some(digest)) => unit(from / UNIT_BYTES, bytes).digest[..] == *digest,
        });
        if !is_good {
            return Some(nth);
        }
    }
    Some(claim.units())
}

/// Where the hole ends that begins at `from`, or `from`.
fn hole_at(file: BorrowedFd<'_>, from: u64) -> u64 {
    match sys::holes::extent_at(file, from) {
        Ok((false, hole)) => hole.end,
        _ => from,
    }
}

/// An error of the journal as the kernel's errno.
pub(super) fn errno(error: &io::Error) -> i32 {
    errno_of(error)
}
