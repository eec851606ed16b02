//! The intervals of copies that were made one after the other, as those of one run.
//!
//! Each copy counts from its own start. Here it begins where the one before it ended, what is done between
//! copies takes no time, and intervals of short copies are put together until they are as long as was asked.

use std::time::Duration;

use highwater::latency::Interval;

/// See the module.
pub struct Joined {
    /// how long an interval is at least
    length: Duration,
    /// when the copy that is made now began
    began: Duration,
    open: Option<Interval>,
}

impl Joined {
    /// Of no copy yet.
    pub fn new(length: Duration) -> Joined {
        Joined { length, began: Duration::ZERO, open: None }
    }

    /// Adds one of the copy that is made now; gives one that is long enough.
    pub fn add(&mut self, of_copy: &Interval) -> Option<Interval> {
        let end = self.began + of_copy.start + of_copy.length;
        let open = match &mut self.open {
            Some(open) => {
                open.length = end.saturating_sub(open.start);
                open.read_bytes += of_copy.read_bytes;
                open.write_bytes += of_copy.write_bytes;
                open.histograms.merge(&of_copy.histograms);
                open
            }
            open => open.insert(Interval { start: self.began + of_copy.start, ..of_copy.clone() }),
        };
        if open.length >= self.length { self.open.take() } else { None }
    }

    /// The copy has ended after `elapsed`; the next one begins.
    pub fn next(&mut self, elapsed: Duration) {
        self.began += elapsed;
    }

    /// When the copy that is made now began.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// No more copies: the last interval, which may be shorter.
    pub fn finish(&mut self) -> Option<Interval> {
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater::latency::{Kind, Recorder};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// A copy of `length` ms that wrote once in each 100 ms, in intervals of 1 s.
    fn copy(joined: &mut Joined, length: u64) -> Vec<Interval> {
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(1000)));
        let mut told = Vec::new();
        for at in (0..length).step_by(100) {
            told.extend(std::iter::from_fn(|| recorder.take_interval(MS(at))));
            recorder.record(Kind::Write, MS(at), 1_000);
            recorder.moved(Kind::Write, MS(at), 10);
        }
        told.extend(recorder.finish(MS(length)).1);
        let given = told.iter().filter_map(|interval| joined.add(interval)).collect();
        joined.next(MS(length));
        given
    }

    fn outline(interval: &Interval) -> (u128, u128, u64, u64) {
        let writes = interval.histograms.summary(Kind::Write).count;
        (interval.start.as_millis(), interval.length.as_millis(), interval.write_bytes, writes)
    }

    #[test]
    fn short_copies_share_an_interval_and_long_ones_have_many() {
        let mut joined = Joined::new(MS(1000));
        let mut given: Vec<Interval> = [400, 500, 300, 2500].map(|ms| copy(&mut joined, ms)).concat();
        given.extend(joined.finish());
        let outlines: Vec<_> = given.iter().map(outline).collect();
        let expected = [(0, 1200, 120, 12), (1200, 1000, 100, 10), (2200, 1000, 100, 10), (3200, 500, 50, 5)];
        assert_eq!(outlines, expected);
        assert_eq!(joined.began(), MS(3700));
    }
}
