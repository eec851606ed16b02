//! A histogram of nanoseconds as small as its samples allow: some bytes for each value that occurs,
//! where the whole array of one takes 304 KiB. So a run can keep one for each of its intervals.

use super::histograms::{new_histogram, record_times};
use hdrhistogram::Histogram;
use std::cmp::Ordering;

/// Values and counts, ascending; each value as its distance from the one before, all numbers in
/// LEB128.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// The same samples, to the resolution of `histogram`.
    pub fn of(histogram: &Histogram<u64>) -> Packed {
        let mut writer = Writer::default();
        for step in histogram.iter_recorded() {
            // The lowest value of a bucket falls into the same one again, the highest too; the latter
            // is what percentiles report.
            writer.push(step.value_iterated_to(), step.count_at_value());
        }
        writer.finish()
    }

    /// The samples of both.
    pub fn merged(&self, other: &Packed) -> Packed {
        let (mut mine, mut others) = (self.iter().peekable(), other.iter().peekable());
        let mut writer = Writer::default();
        while let Some(&(value, _)) = mine.peek().into_iter().chain(others.peek()).min() {
            let mut count = 0;
            for side in [&mut mine as &mut dyn PeekNext, &mut others] {
                count += side.take_at(value);
            }
            writer.push(value, count);
        }
        writer.finish()
    }

    /// As a histogram again.
    pub fn unpack(&self) -> Histogram<u64> {
        let mut histogram = new_histogram();
        self.iter().for_each(|(value, count)| record_times(&mut histogram, value, count));
        histogram
    }

    /// Values and their counts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut bytes = self.0.iter();
        let mut value = 0;
        std::iter::from_fn(move || {
            value += number(&mut bytes)?;
            Some((value, number(&mut bytes)?))
        })
    }
}

trait PeekNext {
    /// Takes what stands at `value` next, and its count.
    fn take_at(&mut self, value: u64) -> u64;
}

impl<I: Iterator<Item = (u64, u64)>> PeekNext for std::iter::Peekable<I> {
    fn take_at(&mut self, value: u64) -> u64 {
        self.next_if(|next| next.0.cmp(&value) == Ordering::Equal).map_or(0, |(_, count)| count)
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    value: u64,
}

impl Writer {
    fn push(&mut self, value: u64, count: u64) {
        self.number(value - self.value);
        self.number(count);
        self.value = value;
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn finish(self) -> Packed {
        Packed(self.bytes.into_boxed_slice())
    }
}

fn number<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram<u64> {
        let mut histogram = new_histogram();
        values.iter().for_each(|&value| record_times(&mut histogram, value, 1));
        histogram
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(
            one in prop::collection::vec(prop_oneof![1..3_000_u64, 1..80_000_000_000_000_u64], 0..200),
            two in prop::collection::vec(prop_oneof![1..3_000_u64, 1..80_000_000_000_000_u64], 0..200),
        ) {
            let (first, second) = (Packed::of(&of(&one)), Packed::of(&of(&two)));
            prop_assert_eq!(first.unpack(), of(&one));
            let both: Vec<u64> = one.iter().chain(&two).copied().collect();
            prop_assert_eq!(first.merged(&second).unpack(), of(&both));
            prop_assert_eq!(second.merged(&first), first.merged(&second));
        }
    }

    #[test]
    fn it_takes_some_bytes_a_value() {
        let values: Vec<u64> = (0..10_000).map(|nth| 80_000 + nth * 37 % 40_000).collect();
        let packed = Packed::of(&of(&values));
        assert!(packed.0.len() < 3_000, "{}", packed.0.len());
    }
}
