//! A histogram as text: HdrHistogram's V2 encoding, deflated, in base64, as its interval logs have it
//! and our JSON reports too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use std::io::Read;

/// `histogram` as text.
pub(super) fn encode(histogram: &Histogram<u64>) -> String {
    let mut encoded = Vec::new();
    let serialized = V2DeflateSerializer::new().serialize(histogram, &mut encoded);
    serialized.expect("a histogram of known bounds fits, and memory takes what is written");
    STANDARD.encode(&encoded)
}

/// What a histogram's counts may take where they are unpacked, in bytes.
const MOST_PAYLOAD: u32 = 4 << 20;
/// Five digits of precision would take 50 MiB.
const MOST_DIGITS: u32 = 4;

/// The histogram that `text` stands for, or None where it stands for none, or for one that is larger than
/// any of ours: the text is somebody's, and says itself how much memory it takes.
pub(super) fn decode(text: &str) -> Option<Histogram<u64>> {
    let encoded = STANDARD.decode(text).ok()?;
    // Behind the outer cookie and length: cookie, length of the counts, offset, digits.
    let mut head = [0; 16];
    ZlibDecoder::new(encoded.get(8..)?).read_exact(&mut head).ok()?;
    let number = |nth: usize| u32::from_be_bytes(head[4 * nth..][..4].try_into().expect("four bytes"));
    if number(1) > MOST_PAYLOAD || number(3) > MOST_DIGITS {
        return None;
    }
    Deserializer::new().deserialize(&mut encoded.as_slice()).ok()
}
