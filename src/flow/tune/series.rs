//! A bounded series of what a mark has been.

use std::time::Duration;

/// So many changes are kept.
const MOST: usize = 256;

/// Changes of a number over time. Once there are too many, each second one goes, and what comes sooner
/// after another than they lie apart is left out: the last one always stays.
#[derive(Clone, Debug, Default)]
pub(in crate::flow) struct Series {
    kept: Vec<(Duration, u64)>,
    last: Option<(Duration, u64)>,
    apart: Duration,
    changes: u64,
}

impl Series {
    pub fn add(&mut self, at: Duration, value: u64) {
        self.changes += 1;
        self.last = Some((at, value));
        let is_apart = self.kept.last().is_none_or(|(before, _)| at.saturating_sub(*before) >= self.apart);
        if !is_apart {
            return;
        }
        if self.kept.len() == MOST {
            let mut nth = 0;
            self.kept.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            let (first, last) = (self.kept[0].0, self.kept[self.kept.len() - 1].0);
            self.apart = last.saturating_sub(first) / (MOST / 2) as u32;
        }
        self.kept.push((at, value));
    }

    /// How many there were.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    pub fn points(&self) -> Vec<(Duration, u64)> {
        let is_kept = self.kept.last() == self.last.as_ref();
        let last = self.last.filter(|_| !is_kept);
        self.kept.iter().copied().chain(last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_thinned_out_and_keeps_its_ends() {
        let mut series = Series::default();
        let count = 100_000;
        for n in 0..count {
            series.add(Duration::from_millis(n), n);
        }
        let points = series.points();
        assert!((MOST / 2..=MOST + 1).contains(&points.len()) && points.is_sorted(), "{}", points.len());
        assert_eq!((points[0].1, points[points.len() - 1].1, series.changes()), (0, count - 1, count));
    }
}
