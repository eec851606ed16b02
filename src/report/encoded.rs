//! A histogram as text: HdrHistogram's V2 encoding, deflated, in base64, as its interval logs have it
//! and our JSON reports too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// `histogram` as text.
pub(super) fn encode(histogram: &Histogram<u64>) -> String {
    let mut encoded = Vec::new();
    let serialized = V2DeflateSerializer::new().serialize(histogram, &mut encoded);
    serialized.expect("a histogram of known bounds fits, and memory takes what is written");
    STANDARD.encode(&encoded)
}

/// The histogram that `text` stands for, or None where it stands for none.
pub(super) fn decode(text: &str) -> Option<Histogram<u64>> {
    let encoded = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut encoded.as_slice()).ok()
}
