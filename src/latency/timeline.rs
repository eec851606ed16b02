//! The intervals of a run, kept until its end in bounded memory.

use super::{Interval, Kind, Packed};
use std::time::Duration;

/// So many intervals are kept; once there are more, pairs of them become one.
const MOST_ROWS: usize = 512;

/// What happened in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// when it began, from the start of the run
    pub start: Duration,
    /// how long it was
    pub length: Duration,
    /// bytes that were read in it
    pub read_bytes: u64,
    /// bytes that were written in it
    pub write_bytes: u64,
    packed: [Option<Packed>; Kind::ALL.len()],
}

/// The intervals of a run so far, in order. However long it lasts there are at most 512 of them: a
/// long run has longer ones, and loses no sample.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    rows: Vec<Row>,
    /// the last row is of fewer intervals than the others, so many
    open: usize,
    /// a row is of so many intervals
    each: usize,
}

impl Row {
    /// The samples of `kind`, where there are any.
    pub fn get(&self, kind: Kind) -> Option<&Packed> {
        self.packed[kind as usize].as_ref()
    }

    fn add(&mut self, later: &Row) {
        self.length = later.start + later.length - self.start;
        self.read_bytes += later.read_bytes;
        self.write_bytes += later.write_bytes;
        for (mine, other) in self.packed.iter_mut().zip(&later.packed) {
            *mine = match (mine.take(), other) {
                (Some(mine), Some(other)) => Some(mine.merged(other)),
                (mine, other) => mine.or(other.clone()),
            };
        }
    }
}

impl From<&Interval> for Row {
    fn from(interval: &Interval) -> Row {
        let Interval { start, length, read_bytes, write_bytes, .. } = *interval;
        let packed = Kind::ALL.map(|kind| interval.histograms.get(kind).map(Packed::of));
        Row { start, length, read_bytes, write_bytes, packed }
    }
}

impl Timeline {
    /// Adds the next interval.
    pub fn push(&mut self, interval: &Interval) {
        let row = Row::from(interval);
        match self.rows.last_mut() {
            Some(last) if self.open < self.each => {
                last.add(&row);
                self.open += 1;
            }
            _ => {
                if self.rows.len() == MOST_ROWS {
                    self.halve();
                }
                self.rows.push(row);
                self.open = 1;
            }
        }
        self.each = self.each.max(1);
    }

    fn halve(&mut self) {
        let pairs = self.rows.chunks(2).map(|pair| {
            let mut row = pair[0].clone();
            pair[1..].iter().for_each(|later| row.add(later));
            row
        });
        self.rows = pairs.collect();
        self.each *= 2;
    }

    /// All of them.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Recorder;

    #[test]
    fn a_long_run_has_longer_intervals_and_every_sample() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(second));
        let mut timeline = Timeline::default();
        let long = 5_000;
        for nth in 0..long {
            recorder.record(Kind::Write, second * nth, u64::from(nth) + 1);
            recorder.moved(Kind::Write, second * nth, 10);
            while let Some(interval) = recorder.take_interval(second * (nth + 1)) {
                timeline.push(&interval);
            }
        }
        let rows = timeline.rows();
        assert!((MOST_ROWS / 2..=MOST_ROWS).contains(&rows.len()), "{}", rows.len());
        let mut start = Duration::ZERO;
        for (nth, row) in rows.iter().enumerate() {
            let is_last = nth + 1 == rows.len();
            assert_eq!(row.start, start);
            assert!(row.length == 16 * second || is_last && row.length < 16 * second, "{row:?}");
            start += row.length;
        }
        assert_eq!(start, second * long);
        let samples: u64 =
            rows.iter().flat_map(|row| row.get(Kind::Write).unwrap().iter()).map(|s| s.1).sum();
        assert_eq!((samples, rows.iter().map(|row| row.write_bytes).sum()), (u64::from(long), 50_000_u64));
        assert!(rows.iter().all(|row| row.get(Kind::Read).is_none()));
    }
}
