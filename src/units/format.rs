//! Sizes, rates and times as people read them.

use std::fmt::Write as _;
use std::time::Duration;

/// A size for people, in powers of 1024 with at most three digits that mean something: `512 MiB`,
/// `1.5 GiB`, `12 B`.
pub fn format_bytes(bytes: u64) -> String {
    let (number, unit) = in_unit(bytes as f64, 1024.0, &BINARY_UNITS);
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number} {unit}")
}

/// A rate in bytes a second for people, always three digits, so that a line of progress keeps its
/// width: `1.50 GiB/s`. `-` where there is no rate (not finite, or below zero).
pub fn format_rate(bytes_per_s: f64) -> String {
    format_measure(bytes_per_s, 1024.0, &BINARY_UNITS, "/s")
}

/// A time in nanoseconds for people, three digits: `850 ns`, `12.3 us`, `4.56 ms`, `2.10 s`. `-`
/// where there is no time (not finite, or below zero).
pub fn format_ns(ns: f64) -> String {
    format_measure(ns, 1000.0, &["ns", "us", "ms", "s"], "")
}

/// A time that somebody waits, for people: `100 ms`, `1.5 s`, `30 s`, `2 min 5 s`, `1 h 3 min`.
pub fn format_duration(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..10 if !tenths.is_multiple_of(10) => format!("{}.{} s", tenths / 10, tenths % 10),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

const BINARY_UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

fn format_measure(value: f64, step: f64, units: &[&'static str], suffix: &str) -> String {
    if !value.is_finite() || value < 0.0 {
        return "-".to_owned();
    }
    let (mut text, unit) = in_unit(value, step, units);
    // Writing to a String cannot fail.
    let _ = write!(text, " {unit}{suffix}");
    text
}

/// `value` as a number of three digits in the largest of `units` (each `step` times the one before)
/// that leaves it at 1 or above; whole in the first unit.
fn in_unit(mut value: f64, step: f64, units: &[&'static str]) -> (String, &'static str) {
    let mut at = 0;
    // Half below the step, because that rounds up to it: 1023.6 KiB reads as 1 MiB.
    while value >= step - 0.5 && at + 1 < units.len() {
        value /= step;
        at += 1;
    }
    let decimals = match value {
        _ if at == 0 => 0,
        99.95.. => 0,
        9.995.. => 1,
        _ => 2,
    };
    (format!("{value:.decimals$}"), units[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_waited_for_read_well() {
        let read = [100, 999, 1000, 1500, 9_990, 30_400, 125_000, 3_780_000].map(Duration::from_millis);
        let read = read.map(format_duration);
        assert_eq!(read, ["100 ms", "999 ms", "1 s", "1.5 s", "9 s", "30 s", "2 min 5 s", "1 h 3 min"]);
    }
    use crate::units::parse_size;
    use proptest::prelude::*;

    const KIB: u64 = 1024;

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (12, "12 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (600 * KIB, "600 KiB"),
            (1000 * KIB, "1000 KiB"),
            (KIB * KIB - 1, "1 MiB"),
            (512 * KIB * KIB, "512 MiB"),
            (3 * KIB.pow(3) / 2, "1.5 GiB"),
            (100 * KIB.pow(3), "100 GiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(format_bytes(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn rates_and_times_keep_three_digits() {
        let gib = KIB.pow(3) as f64;
        for (rate, text) in [
            (0.0, "0 B/s"),
            (1.234 * gib, "1.23 GiB/s"),
            (1.5 * gib, "1.50 GiB/s"),
            (f64::NAN, "-"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(format_rate(rate), text, "{rate}");
        }
        for (ns, text) in [
            (0.0, "0 ns"),
            (850.0, "850 ns"),
            (999.6, "1.00 us"),
            (12_340.0, "12.3 us"),
            (99_960.0, "100 us"),
            (4_560_000.0, "4.56 ms"),
            (2.1e9, "2.10 s"),
            (3.6e12, "3600 s"),
            (-1.0, "-"),
        ] {
            assert_eq!(format_ns(ns), text, "{ns}");
        }
    }

    proptest! {
        #[test]
        fn a_written_size_reads_back_within_half_a_percent(bytes: u64) {
            let text = format_bytes(bytes);
            // The one size that rounds up to what 64 bits cannot hold.
            prop_assume!(text != "16 EiB");
            let read = parse_size(&text).unwrap();
            prop_assert!(read.abs_diff(bytes) as f64 <= bytes as f64 * 0.005 + 1.0, "{} {}", text, read);
        }
    }
}
