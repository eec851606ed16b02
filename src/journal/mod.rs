//! The journal of a copy that can be resumed: what is known to be durable in the target, and when
//! that is written down.
//!
//! Pure: it makes and reads bytes, time is an argument, and whoever drives it does the I/O.
//!
//! # The order
//!
//! [`Log`] decides, a driver carries out: make the target durable, then append what is known of it,
//! then make the journal durable. So the journal never claims more than is durable, and a crash at
//! any moment costs at most what came since the last time.
//!
//! # The file
//!
//! All numbers are little-endian. The file is a row of **batches**, each beginning at a multiple of
//! 512 bytes with zeros between them; the records of one batch were written by one write and made
//! durable together, before the next batch was begun. So of a journal that nobody has damaged only
//! the last batch can be torn, and a batch that isn't whole with a whole one behind it is damage.
//!
//! | bytes | the header, which is batch 0 |
//! |---|---|
//! | 8 | `HWJOURNL` |
//! | 4 | version, [`VERSION`] |
//! | 4 | length of the payload |
//! | 16 | nonce: random, the same in all batches of a file, and in no other file |
//! | 16 | the first bytes of BLAKE3 over all before and over the payload |
//! | | payload: [`Header`] |
//!
//! | bytes | every other batch |
//! |---|---|
//! | 4 | `HWJb` |
//! | 4 | length of the payload, at most [`PAYLOAD_MOST`] |
//! | 8 | its number, from 1 on |
//! | 16 | nonce |
//! | 16 | the first bytes of BLAKE3 over all before and over the payload |
//! | | payload: [`Record`]s, each a byte that says which, the length of the rest in 4 bytes, the rest |
//!
//! A string of bytes (a path) is its length in 4 bytes and the bytes; a time is seconds since 1970
//! in 8 bytes (signed) and nanoseconds in 4. The fields of header and records stand in the order of
//! their declarations.

mod batch;
mod belief;
mod log;
mod reader;
mod record;

pub use batch::{Header, Nonce, PAYLOAD_MOST, PLACE_BYTES, VERSION};
pub use belief::{Belief, Claim, believe, key, key_of_file, key_of_path, key_of_source};
pub use log::{FileId, Interval, Log, Started, Step};
pub use reader::{Batch, Reader, Unfit};
pub use record::{Identity, Moment, PATH_MOST, Record, Records, record_at};
