//! Sizes, rates and durations: as people type them, and as people read them.
//!
//! Knows GNU's suffixes and the SI and IEC names. Must not know which option a value came from, nor
//! which values are sensible there.

mod format;

pub use format::{format_bytes, format_duration, format_ns, format_rate};

use std::time::Duration;

/// Why a size, a rate or a duration was not understood, and where. Characters count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Nothing was given.
    #[error("a number is missing at character 1")]
    Empty,
    /// Something stands where a digit belongs.
    #[error("a digit is missing at character {at}")]
    NoDigit {
        /// where
        at: usize,
    },
    /// The number stands alone and needs a unit.
    #[error("a unit is missing at character {at}")]
    NoUnit {
        /// where
        at: usize,
    },
    /// There is no such unit.
    #[error("unknown unit '{unit}' at character {at}")]
    UnknownUnit {
        /// where it begins
        at: usize,
        /// as typed
        unit: String,
    },
    /// A fraction without a unit it could be a fraction of.
    #[error("a fraction of a byte at character {at}")]
    FractionOfByte {
        /// where the decimal point is
        at: usize,
    },
    /// More than can be counted: 2^64 bytes or 2^64 seconds.
    #[error("too large a number at character {at}")]
    TooLarge {
        /// where the number begins
        at: usize,
    },
}

impl UnitError {
    /// The same of a text that begins behind so many characters of a longer one.
    pub fn behind(mut self, characters: usize) -> UnitError {
        match &mut self {
            UnitError::Empty => return UnitError::NoDigit { at: 1 + characters },
            UnitError::NoDigit { at }
            | UnitError::NoUnit { at }
            | UnitError::UnknownUnit { at, .. }
            | UnitError::FractionOfByte { at }
            | UnitError::TooLarge { at } => *at += characters,
        }
        self
    }

    /// The character that it is about.
    pub fn at(&self) -> usize {
        match self {
            UnitError::Empty => 1,
            UnitError::NoDigit { at }
            | UnitError::NoUnit { at }
            | UnitError::UnknownUnit { at, .. }
            | UnitError::FractionOfByte { at }
            | UnitError::TooLarge { at } => *at,
        }
    }
}

/// Bytes from a size as GNU means it: `4096`, `64K`, `1.5 MiB` (powers of 1024), `1MB` (powers of
/// 1000), `12B`. A fraction is cut to whole bytes.
///
/// # Errors
/// What is wrong and at which character.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let (whole, rest) = digits(text);
    if whole.is_empty() {
        return Err(UnitError::NoDigit { at: 1 });
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    let point_at = whole.len() + 1;
    if fraction.is_empty() && text[whole.len()..].starts_with('.') {
        return Err(UnitError::NoDigit { at: point_at + 1 });
    }
    let unit = rest.strip_prefix(' ').filter(|unit| !unit.is_empty()).unwrap_or(rest);
    let unit_at = text.len() - unit.len() + 1;
    let unit_bytes =
        unit_bytes(unit).ok_or_else(|| UnitError::UnknownUnit { at: unit_at, unit: unit.to_owned() })?;
    if unit_bytes == 1 && !fraction.is_empty() {
        return Err(UnitError::FractionOfByte { at: point_at });
    }
    scale(whole, fraction, unit_bytes).ok_or(UnitError::TooLarge { at: 1 })
}

/// Bytes a second from a size with an optional `/s`.
///
/// # Errors
/// As [`parse_size`].
pub fn parse_rate(text: &str) -> Result<u64, UnitError> {
    parse_size(text.strip_suffix("/s").unwrap_or(text))
}

/// A duration such as `500ms`, `2s`, `1m`, `1h 30m`, or a bare `0`. Any other number needs a unit.
///
/// # Errors
/// What is wrong and at which character.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    use humantime::DurationError;
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let character = |byte: usize| text.char_indices().take_while(|&(start, _)| start < byte).count() + 1;
    humantime::parse_duration(text).map_err(|error| match error {
        DurationError::Empty => UnitError::Empty,
        DurationError::NumberExpected(byte) => UnitError::NoDigit { at: character(byte) },
        DurationError::InvalidCharacter(byte) => {
            let unit = text[byte..].to_owned();
            UnitError::UnknownUnit { at: character(byte), unit }
        }
        DurationError::UnknownUnit { start, unit, .. } if unit.is_empty() => {
            UnitError::NoUnit { at: character(start) }
        }
        DurationError::UnknownUnit { start, unit, .. } => {
            UnitError::UnknownUnit { at: character(start), unit }
        }
        DurationError::NumberOverflow => UnitError::TooLarge { at: 1 },
    })
}

/// The leading ASCII digits and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// How many bytes one `unit` is, or `None` where there is no such unit.
fn unit_bytes(unit: &str) -> Option<u64> {
    if matches!(unit, "" | "B") {
        return Some(1);
    }
    let (letter, rest) = unit.split_at_checked(1)?;
    let power = match (letter, rest) {
        ("K", _) | ("k", "" | "B") => 1,
        ("M", _) | ("m", "") => 2,
        ("G", _) | ("g", "") => 3,
        ("T", _) => 4,
        ("P", _) => 5,
        ("E", _) => 6,
        _ => return None,
    };
    match rest {
        "" | "iB" => Some(1024_u64.pow(power)),
        "B" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

/// `whole.fraction` units in bytes, cut to whole bytes, or `None` past 2^64 - 1.
fn scale(whole: &str, fraction: &str, unit_bytes: u64) -> Option<u64> {
    // The digits past the nineteenth are less than a byte even of an EiB.
    let fraction = &fraction[..fraction.len().min(19)];
    let part = match fraction {
        "" => 0,
        _ => fraction.parse::<u128>().ok()? * u128::from(unit_bytes) / 10_u128.pow(fraction.len() as u32),
    };
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit_bytes)?;
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIB: u64 = 1024;

    #[test]
    fn sizes_are_read_as_gnu_reads_them() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("12B", 12),
            ("64K", 64 * KIB),
            ("64k", 64 * KIB),
            ("64KiB", 64 * KIB),
            ("64 KiB", 64 * KIB),
            ("64KB", 64_000),
            ("64kB", 64_000),
            ("1m", KIB * KIB),
            ("1.5M", 3 * KIB * KIB / 2),
            ("1.5 MB", 1_500_000),
            ("2g", 2 * KIB.pow(3)),
            ("1T", KIB.pow(4)),
            ("1P", KIB.pow(5)),
            ("15E", 15 * KIB.pow(6)),
            ("15.9999999999999999999999E", 15 * KIB.pow(6) + (KIB.pow(6) - 1)),
            ("0.1K", 102),
            ("1.0000000001K", 1024),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_wrong_size_says_what_and_where() {
        let cases = [
            ("", "a number is missing at character 1"),
            ("-1", "a digit is missing at character 1"),
            (" 1", "a digit is missing at character 1"),
            (".5M", "a digit is missing at character 1"),
            ("1.M", "a digit is missing at character 3"),
            ("1.", "a digit is missing at character 3"),
            ("5 MiBB", "unknown unit 'MiBB' at character 3"),
            ("5  M", "unknown unit ' M' at character 3"),
            ("5 ", "unknown unit ' ' at character 2"),
            ("5Mi", "unknown unit 'Mi' at character 2"),
            ("5mB", "unknown unit 'mB' at character 2"),
            ("5é", "unknown unit 'é' at character 2"),
            ("1e6", "unknown unit 'e6' at character 2"),
            ("1.5", "a fraction of a byte at character 2"),
            ("1.5 B", "a fraction of a byte at character 2"),
            ("16E", "too large a number at character 1"),
            ("18446744073709551616", "too large a number at character 1"),
            ("99999999999999999999999999999999999999999", "too large a number at character 1"),
        ];
        for (text, message) in cases {
            assert_eq!(parse_size(text).map_err(|e| e.to_string()), Err(message.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_rate_may_say_per_second() {
        assert_eq!(parse_rate("20MiB/s"), Ok(20 * KIB * KIB));
        assert_eq!(parse_rate("20 M"), Ok(20 * KIB * KIB));
        assert_eq!(parse_rate("/s"), Err(UnitError::Empty));
        assert_eq!(parse_rate("5M/h"), Err(UnitError::UnknownUnit { at: 2, unit: "M/h".into() }));
    }

    #[test]
    fn durations_need_a_unit_unless_they_are_zero() {
        let cases = [("0", 0), ("500ms", 500), ("2s", 2_000), ("1m", 60_000), ("1m 30s", 90_000)];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        let cases = [
            ("", "a number is missing at character 1"),
            ("5", "a unit is missing at character 2"),
            ("5 parsecs", "unknown unit 'parsecs' at character 3"),
            ("-1s", "a digit is missing at character 1"),
            ("ms", "a digit is missing at character 1"),
            ("99999999999999999999s", "too large a number at character 1"),
        ];
        for (text, message) in cases {
            assert_eq!(parse_duration(text).map_err(|e| e.to_string()), Err(message.to_owned()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_takes_more_memory_than_it_is_long(
            text in "\\PC{0,12}", number in "[0-9.]{0,40} ?[KMGTPEBikmgs/]{0,4}", long in "[0-9]{0,9}\\PC{0,2000}",
        ) {
            for text in [text, number, long] {
                let read = || drop((parse_size(&text), parse_rate(&text), parse_duration(&text)));
                let ((), peak) = crate::sys::counted::peak_of(read);
                prop_assert!(peak <= 3 * text.len() + 64, "{} bytes for {}", peak, text.len());
            }
        }

        #[test]
        fn bytes_without_a_unit_are_themselves(bytes: u64) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
        }
    }
}
