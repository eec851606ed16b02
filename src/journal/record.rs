//! What a journal says of files, a record each, as bytes.

use crate::digest::Digest;

use super::batch::PAYLOAD_MOST;

/// A file whose path is longer, in bytes, is not recorded.
pub const PATH_MOST: usize = 16 << 10;

/// No file is longer, in bytes: what a record says beyond that is nothing that was written (off_t).
const PLACE_MOST: u64 = i64::MAX as u64;

/// A moment: seconds since 1970, nanoseconds past them.
pub type Moment = (i64, u32);

/// What tells whether a source is the one that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// its number in its file system; 0 for a device
    pub inode: u64,
    /// in bytes
    pub size: u64,
    /// when its content last changed
    pub modified: Moment,
    /// when anything about it last changed
    pub changed: Moment,
}

/// One statement. Paths are the operand's number in 4 bytes (big-endian) and the path below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A directory of the target, in one that was there before, is about to be made; or was, and this
    /// is it.
    Made {
        /// 0 before it is made
        inode: u64,
        /// which
        path: &'a [u8],
    },
    /// A file is being copied. What is recorded of it says so by this record's place.
    Begun {
        /// from what
        source: Identity,
        /// of the target
        inode: u64,
        /// what it is called until it is complete, in its directory; empty: by its own name
        part: &'a [u8],
        /// which
        path: &'a [u8],
    },
    /// So many units more are durable.
    Durable {
        /// where the file's [`Record::Begun`] is
        begun: u64,
        /// where the record before this one is that says something of this file
        before: u64,
        /// from this byte on: what earlier records say of what lies behind it is void
        from: u64,
        /// so many units of zeros first, which may be a hole
        zeros: u64,
        /// of each unit behind them, [`Digest`]s in a row
        digests: &'a [u8],
    },
    /// All of the file is durable, its attributes included.
    Whole {
        /// where the file's [`Record::Begun`] is
        begun: u64,
        /// where the record before this one is that says something of this file
        before: u64,
        /// from this byte on
        from: u64,
        /// so many units of zeros first; the last one may be short
        zeros: u64,
        /// of the file, in bytes
        length: u64,
        /// of each unit behind them; the last one may be short
        digests: &'a [u8],
    },
    /// A file was copied, has its name, and all of it is durable.
    Copied {
        /// from what
        source: Identity,
        /// of the target
        inode: u64,
        /// of the file, in bytes
        length: u64,
        /// which
        path: &'a [u8],
        /// of each unit; the last one may be short
        digests: &'a [u8],
    },
}

const MADE: u8 = 1;
const BEGUN: u8 = 2;
const DURABLE: u8 = 3;
const WHOLE: u8 = 4;
const COPIED: u8 = 5;

/// Before a record's fields: which it is, and their length.
const HEAD_BYTES: usize = 5;

impl Record<'_> {
    /// Appends it to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEAD_BYTES]);
        let kind = match self {
            Record::Made { inode, path } => {
                put_u64(out, *inode);
                put_bytes(out, path);
                MADE
            }
            Record::Begun { source, inode, part, path } => {
                put_identity(out, source);
                put_u64(out, *inode);
                put_bytes(out, part);
                put_bytes(out, path);
                BEGUN
            }
            Record::Durable { begun, before, from, zeros, digests } => {
                [*begun, *before, *from, *zeros].iter().for_each(|number| put_u64(out, *number));
                put_bytes(out, digests);
                DURABLE
            }
            Record::Whole { begun, before, from, zeros, length, digests } => {
                [*begun, *before, *from, *zeros, *length].iter().for_each(|number| put_u64(out, *number));
                put_bytes(out, digests);
                WHOLE
            }
            Record::Copied { source, inode, length, path, digests } => {
                put_identity(out, source);
                [*inode, *length].iter().for_each(|number| put_u64(out, *number));
                put_bytes(out, path);
                put_bytes(out, digests);
                COPIED
            }
        };
        let length = (out.len() - start - HEAD_BYTES) as u32;
        out[start] = kind;
        out[start + 1..start + HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    }
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    put_u64(out, identity.inode);
    put_u64(out, identity.size);
    for (seconds, nanoseconds) in [identity.modified, identity.changed] {
        out.extend(seconds.to_le_bytes());
        out.extend(nanoseconds.to_le_bytes());
    }
}

/// Bytes that are taken from the front, or None where there are too few.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn digest(&mut self) -> Option<Digest> {
        self.array()
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A place or a length in a file.
    fn place(&mut self) -> Option<u64> {
        self.u64().filter(|place| *place <= PLACE_MOST)
    }

    /// So many units of a file.
    fn units(&mut self) -> Option<u64> {
        self.u64().filter(|units| *units <= PLACE_MOST >> 16)
    }

    fn moment(&mut self) -> Option<Moment> {
        Some((self.array().map(i64::from_le_bytes)?, self.u32()?))
    }

    fn identity(&mut self) -> Option<Identity> {
        Some(Identity {
            inode: self.u64()?,
            size: self.u64()?,
            modified: self.moment()?,
            changed: self.moment()?,
        })
    }
}

fn digests<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    fields.bytes().filter(|bytes| bytes.len().is_multiple_of(size_of::<Digest>()))
}

/// The record at the start of `bytes`, and how many bytes it takes; None where there is none that is
/// whole.
pub fn record_at(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let mut head = Fields(bytes);
    let kind = head.u8()?;
    let body = head.bytes()?;
    let mut fields = Fields(body);
    let fields = &mut fields;
    let record = match kind {
        MADE => Record::Made { inode: fields.u64()?, path: fields.bytes()? },
        BEGUN => Record::Begun {
            source: fields.identity()?,
            inode: fields.u64()?,
            part: fields.bytes()?,
            path: fields.bytes()?,
        },
        DURABLE => Record::Durable {
            begun: fields.place()?,
            before: fields.place()?,
            from: fields.place()?,
            zeros: fields.units()?,
            digests: digests(fields)?,
        },
        WHOLE => Record::Whole {
            begun: fields.place()?,
            before: fields.place()?,
            from: fields.place()?,
            zeros: fields.units()?,
            length: fields.place()?,
            digests: digests(fields)?,
        },
        COPIED => Record::Copied {
            source: fields.identity()?,
            inode: fields.u64()?,
            length: fields.place()?,
            path: fields.bytes()?,
            digests: digests(fields)?,
        },
        _ => return None,
    };
    fields.0.is_empty().then_some((record, HEAD_BYTES + body.len()))
}

/// The records of a payload, each with its place in it. What can't be understood ends them.
pub struct Records<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// From the first on.
    pub fn of(payload: &'a [u8]) -> Records<'a> {
        Records { payload, at: 0 }
    }

    /// Whether all of the payload was understood, once there are no more.
    pub fn are_whole(&self) -> bool {
        self.at == self.payload.len()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (usize, Record<'a>);

    fn next(&mut self) -> Option<(usize, Record<'a>)> {
        let (record, bytes) = record_at(&self.payload[self.at..])?;
        let at = self.at;
        self.at += bytes;
        Some((at, record))
    }
}

/// How much of `pending`, whole records, fits into one batch beside others.
pub(super) fn fitting(pending: &[u8]) -> usize {
    const MOST: usize = PAYLOAD_MOST as usize / 2;
    if pending.len() <= MOST {
        return pending.len();
    }
    let mut end = 0;
    for (at, _) in Records::of(pending) {
        if at > MOST {
            break;
        }
        end = at;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moments() -> impl Strategy<Value = Moment> {
        (any::<i64>(), any::<u32>())
    }

    fn identities() -> impl Strategy<Value = Identity> {
        (any::<u64>(), any::<u64>(), moments(), moments())
            .prop_map(|(inode, size, modified, changed)| Identity { inode, size, modified, changed })
    }

    proptest! {
        /// What is written is read, one after the other.
        #[test]
        fn records_are_read_as_written(
            numbers in any::<[u64; 4]>(), source in identities(), path in ".{0,40}", part in ".{0,10}",
            units in 0usize..4,
        ) {
            let [a, b, c, d] = numbers.map(|number| number & PLACE_MOST >> 16);
            let (path, part, digests) = (path.as_bytes(), part.as_bytes(), &vec![7; 32 * units][..]);
            let records = [
                Record::Made { inode: a, path },
                Record::Begun { source, inode: a, part, path },
                Record::Durable { begun: a, before: b, from: c, zeros: d, digests },
                Record::Whole { begun: a, before: b, from: c, zeros: b, length: d, digests },
                Record::Copied { source, inode: a, length: d, path, digests },
            ];
            let mut bytes = Vec::new();
            records.iter().for_each(|record| record.write(&mut bytes));
            let mut read = Records::of(&bytes);
            let got: Vec<Record> = read.by_ref().map(|(_, record)| record).collect();
            prop_assert!(read.are_whole());
            prop_assert_eq!(got, records);
        }

        /// What can't be a place or a length is none: sums of them never overflow.
        #[test]
        fn numbers_beyond_any_file_are_refused(
            numbers in proptest::array::uniform5(prop_oneof![any::<u64>(), 0u64..1 << 47]), units in 0usize..3,
        ) {
            let [begun, before, from, zeros, length] = numbers;
            let digests = &vec![7; 32 * units][..];
            let mut bytes = Vec::new();
            Record::Whole { begun, before, from, zeros, length, digests }.write(&mut bytes);
            if let Some((Record::Whole { from, zeros, .. }, _)) = record_at(&bytes) {
                prop_assert!((zeros + units as u64).checked_mul(64 << 10).and_then(|n| n.checked_add(from)).is_some());
            } else {
                let is_beyond = [begun, before, from, length].iter().any(|place| *place > PLACE_MOST);
                prop_assert!(is_beyond || zeros > PLACE_MOST >> 16);
            }
        }

        /// Whatever the bytes, reading them ends and never panics.
        #[test]
        fn nonsense_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut records = Records::of(&bytes);
            prop_assert!(records.by_ref().count() <= bytes.len());
            let _ = records.are_whole();
        }
    }
}
