//! The units of many streams at once, each in order, in one growing list.
//!
//! A stream's units come in chunks that are chained: the streams of several workers grow between
//! each other, and each can be read from its first chunk on.
//!
//! ```text
//! chunk: where the next one is (8 bytes, little endian, 0 for none), how many units (8), then for each
//! its index (8) and its digest (32)
//! ```

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;
use crate::sys::spill::Spill;

/// Up to so many bytes of all streams stay in memory.
const MOST_BYTES: usize = 1 << 20;
/// A chunk is a page, 6 MiB of a file.
const CHUNK_UNITS: usize = (4096 - HEAD_BYTES) / UNIT_BYTES;
const HEAD_BYTES: usize = 16;
const UNIT_BYTES: usize = 40;

/// See the module.
pub(in crate::copy) struct Units {
    spill: Mutex<Spill>,
}

/// A stream that is complete: where its first chunk is, where it has any units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::copy) struct Stream(pub Option<u64>);

/// A stream that grows.
#[derive(Default)]
pub(super) struct Writer {
    first: Option<u64>,
    last: Option<u64>,
    open: Vec<(u64, Digest)>,
}

impl Default for Units {
    fn default() -> Units {
        Units { spill: Mutex::new(Spill::new(MOST_BYTES)) }
    }
}

impl Units {
    fn lock(&self) -> MutexGuard<'_, Spill> {
        self.spill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next unit of a stream.
    pub(super) fn push(&self, writer: &mut Writer, index: u64, digest: Digest) -> io::Result<()> {
        writer.open.push((index, digest));
        if writer.open.len() == CHUNK_UNITS { self.flush(writer) } else { Ok(()) }
    }

    /// A stream is complete.
    pub(super) fn close(&self, mut writer: Writer) -> io::Result<Stream> {
        if !writer.open.is_empty() {
            self.flush(&mut writer)?;
        }
        Ok(Stream(writer.first))
    }

    fn flush(&self, writer: &mut Writer) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(HEAD_BYTES + writer.open.len() * UNIT_BYTES);
        chunk.extend_from_slice(&0u64.to_le_bytes());
        chunk.extend_from_slice(&(writer.open.len() as u64).to_le_bytes());
        for (index, digest) in writer.open.drain(..) {
            chunk.extend_from_slice(&index.to_le_bytes());
            chunk.extend_from_slice(&digest);
        }
        let mut spill = self.lock();
        if spill.is_empty() {
            // Nothing is at 0, so that it can mean nothing.
            spill.append(&[0; 8])?;
        }
        let at = spill.append(&chunk)?;
        if let Some(last) = writer.last {
            spill.overwrite(last, &at.to_le_bytes())?;
        }
        writer.first = writer.first.or(Some(at));
        writer.last = Some(at);
        Ok(())
    }
}

/// Reads streams one after the other.
pub(in crate::copy) struct Reader<'u> {
    units: &'u Units,
    /// to be read, the next one last
    streams: Vec<Stream>,
    next: Option<u64>,
    chunk: std::vec::IntoIter<(u64, Digest)>,
}

impl<'u> Reader<'u> {
    /// Of the streams that a file consists of, in their order.
    pub fn new(units: &'u Units, mut streams: Vec<Stream>) -> Reader<'u> {
        streams.reverse();
        Reader { units, streams, next: None, chunk: Vec::new().into_iter() }
    }

    /// The index and the digest of the next unit, where there is one.
    pub fn peek(&mut self) -> io::Result<Option<(u64, Digest)>> {
        while self.chunk.as_slice().is_empty() {
            let Some(at) = self.next.take() else {
                let Some(stream) = self.streams.pop() else { return Ok(None) };
                self.next = stream.0;
                continue;
            };
            self.read_chunk(at)?;
        }
        Ok(self.chunk.as_slice().first().copied())
    }

    /// Goes past it.
    pub fn advance(&mut self) {
        self.chunk.next();
    }

    fn read_chunk(&mut self, at: u64) -> io::Result<()> {
        let mut bytes = [0; HEAD_BYTES + CHUNK_UNITS * UNIT_BYTES];
        let (head, rest) = bytes.split_at_mut(HEAD_BYTES);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
        let spill = self.units.lock();
        spill.read(at, head)?;
        let count = (number(&head[8..]) as usize).min(CHUNK_UNITS);
        self.next = Some(number(head)).filter(|next| *next > 0);
        let units = &mut rest[..count * UNIT_BYTES];
        spill.read(at + HEAD_BYTES as u64, units)?;
        let unit = |unit: &[u8]| (number(unit), unit[8..].try_into().expect("32 bytes"));
        self.chunk = units.chunks(UNIT_BYTES).map(unit).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_grow_between_each_other_are_read_one_by_one() {
        let units = Units { spill: Mutex::new(Spill::new(10_000)) };
        let mut writers: Vec<Writer> = (0..3).map(|_| Writer::default()).collect();
        for index in 0..1000u64 {
            for (nth, writer) in writers.iter_mut().enumerate() {
                if index % (nth as u64 + 1) == 0 {
                    units.push(writer, index, [nth as u8; 32]).unwrap();
                }
            }
        }
        let streams: Vec<Stream> = writers.into_iter().map(|writer| units.close(writer).unwrap()).collect();
        let read = |streams: Vec<Stream>| {
            let mut reader = Reader::new(&units, streams);
            let mut all = Vec::new();
            while let Some(unit) = reader.peek().unwrap() {
                all.push(unit);
                reader.advance();
            }
            all
        };
        let expected =
            |nth: u64| (0..1000).step_by(nth as usize + 1).map(move |index| (index, [nth as u8; 32]));
        assert_eq!(read(vec![streams[1]]), expected(1).collect::<Vec<_>>());
        let both: Vec<_> = expected(2).chain(expected(0)).collect();
        assert_eq!(read(vec![streams[2], Stream::default(), streams[0]]), both);
        assert_eq!(read(vec![]), []);
    }
}
