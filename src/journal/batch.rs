//! Batches: records with what tells that they are whole and belong to this journal.

use std::ops::Range;

use crate::digest::Digest;

use super::record::{Fields, put_bytes};

/// Of the format. A journal of any other is refused.
pub const VERSION: u32 = 1;

/// A batch begins at a multiple of so many bytes: the smallest sector there is.
pub const PLACE_BYTES: u64 = 512;

/// A payload has at most so many bytes, the header's included: no reader needs more memory.
pub const PAYLOAD_MOST: u32 = 4 << 20;

/// Random; tells the batches of one journal from those of any other.
pub type Nonce = [u8; 16];

const HEADER_MAGIC: &[u8; 8] = b"HWJOURNL";
const MAGIC: &[u8; 4] = b"HWJb";
const SEAL: Range<usize> = 32..48;
/// Before the payload.
pub(super) const HEAD_BYTES: usize = SEAL.end;

/// Which copy a journal is of. A command means what it meant the first time, whatever is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// each digest is of so many bytes of a file
    pub unit_bytes: u32,
    /// of all options that matter to the result
    pub options: Digest,
    /// TARGET was there before the copy began
    pub target_existed: bool,
    /// and was a directory to copy into
    pub target_is_directory: bool,
    /// its inode then, or 0; of a device 0
    pub target_inode: u64,
    /// its size, where it is a device
    pub target_bytes: u64,
    /// TARGET: its name where the journal is beside it, else its absolute path
    pub target: Vec<u8>,
    /// every SOURCE, absolute
    pub sources: Vec<Vec<u8>>,
}

impl Header {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.unit_bytes.to_le_bytes());
        out.extend(self.options);
        out.extend([u8::from(self.target_existed), u8::from(self.target_is_directory)]);
        out.extend(self.target_inode.to_le_bytes());
        out.extend(self.target_bytes.to_le_bytes());
        put_bytes(out, &self.target);
        out.extend((self.sources.len() as u32).to_le_bytes());
        self.sources.iter().for_each(|source| put_bytes(out, source));
    }

    pub(super) fn read(payload: &[u8]) -> Option<Header> {
        let mut fields = Fields(payload);
        let mut header = Header {
            unit_bytes: fields.u32().filter(|bytes| *bytes > 0)?,
            options: fields.digest()?,
            target_existed: fields.u8()? != 0,
            target_is_directory: fields.u8()? != 0,
            target_inode: fields.u64()?,
            target_bytes: fields.u64()?,
            target: fields.bytes()?.to_vec(),
            sources: Vec::new(),
        };
        for _ in 0..fields.u32()? {
            header.sources.push(fields.bytes()?.to_vec());
        }
        fields.0.is_empty().then_some(header)
    }

    /// The first batch of a file; None where that would be too large.
    pub(super) fn batch(&self, nonce: Nonce) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEAD_BYTES];
        self.write(&mut bytes);
        let length = u32::try_from(bytes.len() - HEAD_BYTES).ok().filter(|length| *length <= PAYLOAD_MOST)?;
        bytes[..8].copy_from_slice(HEADER_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        bytes[16..32].copy_from_slice(&nonce);
        seal(&mut bytes);
        Some(bytes)
    }
}

/// A batch around a payload that stands behind [`HEAD_BYTES`] bytes of `bytes`.
pub(super) fn frame(bytes: &mut Vec<u8>, number: u64, nonce: Nonce) {
    let length = (bytes.len() - HEAD_BYTES) as u32;
    assert!(length <= PAYLOAD_MOST, "a batch is no larger than its reader allows");
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..32].copy_from_slice(&nonce);
    seal(bytes);
}

fn seal(bytes: &mut Vec<u8>) {
    let digest = digest(&bytes[..SEAL.start], &bytes[HEAD_BYTES..]);
    bytes[SEAL].copy_from_slice(&digest);
    let padded = (bytes.len() as u64).next_multiple_of(PLACE_BYTES);
    bytes.resize(padded as usize, 0);
}

fn digest(head: &[u8], payload: &[u8]) -> [u8; 16] {
    let digest = blake3::Hasher::new().update(head).update(payload).finalize();
    *digest.as_bytes().first_chunk().expect("it has 32 bytes")
}

/// What stands before a payload.
pub(super) struct Head {
    bytes: [u8; HEAD_BYTES],
    /// of a batch; 0 of the header
    pub number: u64,
    pub nonce: Nonce,
    pub length: u32,
}

/// Why the head of a header is none.
pub(super) enum NoHead {
    Foreign,
    Version(u32),
    Damaged,
}

impl Head {
    /// Of the header.
    pub fn of_header(bytes: [u8; HEAD_BYTES]) -> Result<Head, NoHead> {
        let mut fields = Fields(&bytes[8..]);
        if &bytes[..8] != HEADER_MAGIC {
            return Err(NoHead::Foreign);
        }
        match fields.u32() {
            Some(VERSION) => {}
            other => return Err(NoHead::Version(other.unwrap_or(0))),
        }
        let length = fields.u32().filter(|length| *length <= PAYLOAD_MOST).ok_or(NoHead::Damaged)?;
        Ok(Head { bytes, number: 0, nonce: nonce(&bytes), length })
    }

    /// Of any other batch, whole or not.
    pub fn of_batch(bytes: [u8; HEAD_BYTES]) -> Option<Head> {
        let mut fields = Fields(bytes.strip_prefix(MAGIC)?);
        let length = fields.u32().filter(|length| *length <= PAYLOAD_MOST)?;
        Some(Head { bytes, number: fields.u64()?, nonce: nonce(&bytes), length })
    }

    /// Whether `payload` is the one that it was made for.
    pub fn fits(&self, payload: &[u8]) -> bool {
        self.bytes[SEAL] == digest(&self.bytes[..SEAL.start], payload)
    }

    /// Of the batch, in bytes, with the zeros behind it.
    pub fn batch_bytes(&self) -> u64 {
        (HEAD_BYTES as u64 + u64::from(self.length)).next_multiple_of(PLACE_BYTES)
    }
}

fn nonce(bytes: &[u8; HEAD_BYTES]) -> Nonce {
    *bytes[16..].first_chunk().expect("a head has more bytes")
}
