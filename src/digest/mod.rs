//! BLAKE3 of a file's content, in units of 64 KiB.
//!
//! BLAKE3 is a tree (section 2.1 of its paper): each aligned unit has a chaining value of its own,
//! computed from nothing but its bytes and its place, and the values of all units together give the
//! file's hash, the same that b3sum prints. So one and the same value serves the comparison of two
//! files piece by piece, a list of what is safe, and a manifest.
//!
//! Pure: bytes come as pieces in the order of the stream, and what is missing between them is a
//! hole, which reads as zeros. A unit of which nothing came has no value until somebody needs one:
//! a sparse file costs what its data costs.

mod collector;
mod root;

pub use collector::Collector;
pub use root::Root;

use blake3::Hasher;
use blake3::hazmat::HasherExt;

/// What one value stands for, in bytes: 64 chunks of BLAKE3, enough for all that a CPU hashes at
/// once. Only the last unit of a file may be shorter.
pub const UNIT_BYTES: u64 = 64 << 10;

/// A chaining value or a hash of BLAKE3.
pub type Digest = [u8; 32];

/// One unit of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// counted from the file's start: it begins at `index * UNIT_BYTES`
    pub index: u64,
    /// its chaining value
    pub digest: Digest,
    /// the file's hash, should this be all of the file; of the first unit only
    pub alone: Option<Digest>,
}

/// The unit that these bytes are, from its first one on: all of it, or what a file ends with.
pub fn unit(index: u64, bytes: &[u8]) -> Unit {
    assert!(bytes.len() as u64 <= UNIT_BYTES, "a unit is no longer than all of it");
    closed(index, hasher(index).update(bytes))
}

/// A unit of `len` zeros, 1 to [`UNIT_BYTES`].
pub fn zeros(index: u64, len: u64) -> Unit {
    static ZEROS: [u8; UNIT_BYTES as usize] = [0; UNIT_BYTES as usize];
    unit(index, &ZEROS[..len as usize])
}

fn hasher(index: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(index * UNIT_BYTES);
    hasher
}

fn closed(index: u64, hasher: &Hasher) -> Unit {
    let alone = (index == 0).then(|| *hasher.finalize().as_bytes());
    Unit { index, digest: hasher.finalize_non_root(), alone }
}
