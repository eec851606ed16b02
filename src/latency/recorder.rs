//! The recorder: takes every time that is measured and keeps the whole run and the open interval.

use super::Kind;
use super::histograms::{Histograms, PerKind, new_histogram, record};
use std::iter;
use std::time::Duration;

/// Records times of some kinds, for the whole run and, where wanted, for one interval after another.
///
/// A sample is written once: into the open interval where there is one, whose samples join those of the
/// run when it is taken.
///
/// Its memory is 0.3 MiB a kind, twice that with intervals. A kind's first sample takes it, so that a
/// short run pays for no more than it records; or [`Recorder::at_hand`] takes all of it before.
#[derive(Debug)]
pub struct Recorder {
    kinds: [bool; Kind::ALL.len()],
    run: PerKind,
    intervals: Option<Intervals>,
}

/// What was recorded from `start` to `start + length`, both counted from the start of the run.
#[derive(Clone, Debug)]
pub struct Interval {
    /// when it began
    pub start: Duration,
    /// how long it was
    pub length: Duration,
    /// bytes that were read in it
    pub read_bytes: u64,
    /// bytes that were written in it
    pub write_bytes: u64,
    /// what was recorded in it; empty where nothing was
    pub histograms: Histograms,
}

#[derive(Debug)]
struct Intervals {
    step: Duration,
    start: Duration,
    end: Duration,
    read_bytes: u64,
    write_bytes: u64,
    open: PerKind,
}

impl Recorder {
    /// A recorder of `kinds`, over the whole run and, where `interval` is given, over each stretch of
    /// that length.
    ///
    /// # Panics
    /// Where `interval` is zero.
    pub fn new(kinds: &[Kind], interval: Option<Duration>) -> Recorder {
        let kinds = Kind::ALL.map(|kind| kinds.contains(&kind));
        Recorder { kinds, run: PerKind::default(), intervals: interval.map(Intervals::new) }
    }

    /// The same with its memory taken now: no operation waits for that.
    pub fn at_hand(mut self) -> Recorder {
        let open = self.intervals.as_mut().map(|intervals| &mut intervals.open);
        for kinds in iter::once(&mut self.run).chain(open) {
            let wanted = kinds.iter_mut().zip(self.kinds).filter(|(_, wanted)| *wanted);
            wanted.for_each(|(kind, _)| *kind = Some(new_histogram()));
        }
        self
    }

    /// Adds an operation that completed at `now`, counted from the start of the run, after `ns`. None is
    /// lost: 0 ns counts as 1 ns, more than 24 h as 24 h.
    ///
    /// An interval that has ended and was not yet taken grows by whole steps until it holds `now`,
    /// so that what an interval says of itself stays true however late it is taken.
    ///
    /// # Panics
    /// Where `kind` is none of those that are recorded.
    pub fn record(&mut self, kind: Kind, now: Duration, ns: u64) {
        assert!(self.kinds[kind as usize], "only what was asked for is recorded");
        let into = match &mut self.intervals {
            Some(intervals) => {
                intervals.reach(now);
                &mut intervals.open
            }
            None => &mut self.run,
        };
        record(into[kind as usize].get_or_insert_with(new_histogram), ns);
    }

    /// Adds `bytes` that a read or a write, of which the time is recorded beside this, has moved by `now`.
    pub fn moved(&mut self, kind: Kind, now: Duration, bytes: u64) {
        if let Some(intervals) = &mut self.intervals {
            intervals.reach(now);
            match kind {
                Kind::Read => intervals.read_bytes += bytes,
                Kind::Write => intervals.write_bytes += bytes,
                _ => {}
            }
        }
    }

    /// The interval that ended first and was not yet taken, or `None` where none has ended at `now`.
    ///
    /// Call it until it gives `None`, before recording what is later. A quiet interval comes as an
    /// empty one and costs nothing.
    pub fn take_interval(&mut self, now: Duration) -> Option<Interval> {
        let intervals = self.intervals.as_mut().filter(|intervals| intervals.end <= now)?;
        let taken = intervals.take();
        taken.histograms.add_to(&mut self.run);
        Some(taken)
    }

    /// Ends the run at `now`: its totals, and what the open interval holds, cut at `now`. `None` in
    /// its place where no intervals were wanted or the last one has no length and no samples.
    pub fn finish(mut self, now: Duration) -> (Histograms, Option<Interval>) {
        let last = self.intervals.and_then(|intervals| intervals.finish(now));
        if let Some(last) = &last {
            last.histograms.add_to(&mut self.run);
        }
        (Histograms::of(self.run), last)
    }
}

impl Intervals {
    fn new(step: Duration) -> Intervals {
        assert!(!step.is_zero(), "an interval has a length");
        let (start, end) = (Duration::ZERO, step);
        Intervals { step, start, end, read_bytes: 0, write_bytes: 0, open: PerKind::default() }
    }

    /// Lets the open interval grow by whole steps until `now` lies in it.
    fn reach(&mut self, now: Duration) {
        if now < self.end {
            return;
        }
        let beyond_ns = (now - self.end).as_nanos() % self.step.as_nanos();
        // Nanoseconds of a run fit 64 bits for 584 years.
        self.end = now - Duration::from_nanos(beyond_ns as u64) + self.step;
    }

    fn take(&mut self) -> Interval {
        let (start, length) = (self.start, self.end - self.start);
        let (read_bytes, write_bytes) = (self.read_bytes, self.write_bytes);
        let histograms = Histograms::take(&mut self.open);
        let taken = Interval { start, length, read_bytes, write_bytes, histograms };
        (self.read_bytes, self.write_bytes) = (0, 0);
        self.start = self.end;
        self.end += self.step;
        taken
    }

    fn finish(self, now: Duration) -> Option<Interval> {
        let length = now.saturating_sub(self.start);
        let histograms = Histograms::of(self.open);
        let nothing = length.is_zero() && histograms.is_empty();
        let Intervals { start, read_bytes, write_bytes, .. } = self;
        (!nothing).then_some(Interval { start, length, read_bytes, write_bytes, histograms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Start and length in ms, and the number of reads.
    fn outline(interval: &Interval) -> (u128, u128, u64) {
        let reads = interval.histograms.summary(Kind::Read).count;
        (interval.start.as_millis(), interval.length.as_millis(), reads)
    }

    #[test]
    fn without_intervals_only_the_run_is_kept() {
        let mut recorder = Recorder::new(&Kind::SERVICE, None);
        recorder.record(Kind::Write, MS(5), 1_000);
        assert!(recorder.intervals.is_none());
        assert!(recorder.take_interval(MS(60_000)).is_none());
        let (totals, last) = recorder.finish(MS(60_000));
        assert_eq!(Kind::SERVICE.map(|kind| totals.summary(kind).count), [0, 1, 0]);
        assert!(last.is_none());
    }

    #[test]
    fn intervals_follow_each_other_and_the_last_is_cut() {
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(100)));
        recorder.record(Kind::Read, MS(0), 10);
        recorder.record(Kind::Read, MS(99), 20);
        recorder.moved(Kind::Read, MS(99), 4096);
        assert!(recorder.take_interval(MS(99)).is_none());
        let first = recorder.take_interval(MS(100)).unwrap();
        assert_eq!((outline(&first), first.read_bytes, first.write_bytes), ((0, 100, 2), 4096, 0));
        recorder.record(Kind::Read, MS(100), 30);
        assert!(recorder.take_interval(MS(150)).is_none());
        let (totals, last) = recorder.finish(MS(150));
        let last = last.unwrap();
        assert_eq!((outline(&last), last.read_bytes), ((100, 50, 1), 0));
        assert_eq!(totals.summary(Kind::Read).count, 3);
    }

    #[test]
    fn quiet_intervals_come_empty_one_by_one() {
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(10)));
        let quiet: Vec<_> = std::iter::from_fn(|| recorder.take_interval(MS(35))).collect();
        assert_eq!(quiet.iter().map(outline).collect::<Vec<_>>(), [(0, 10, 0), (10, 10, 0), (20, 10, 0)]);
        assert!(quiet.iter().all(|interval| interval.histograms.is_empty()));
    }

    #[test]
    fn an_interval_taken_late_says_how_long_it_was() {
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(10)));
        recorder.record(Kind::Read, MS(5), 1);
        recorder.record(Kind::Read, MS(30), 1);
        assert!(recorder.take_interval(MS(39)).is_none());
        assert_eq!(outline(&recorder.take_interval(MS(40)).unwrap()), (0, 40, 2));
    }

    #[test]
    fn a_run_that_ends_with_an_interval_has_no_more() {
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(10)));
        recorder.record(Kind::Sync, MS(1), 1);
        assert!(recorder.take_interval(MS(10)).is_some());
        assert!(recorder.finish(MS(10)).1.is_none());
    }

    #[test]
    fn memory_is_taken_for_what_is_recorded_or_for_all_that_is_wanted() {
        let kinds = |kinds: &PerKind| Kind::ALL.map(|kind| kinds[kind as usize].is_some());
        let wanted = Kind::ALL.map(|kind| Kind::SERVICE.contains(&kind));
        let written = Kind::ALL.map(|kind| kind == Kind::Write);
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(10)));
        recorder.record(Kind::Write, MS(5), 1_000);
        let taken = recorder.take_interval(MS(10)).unwrap();
        assert_eq!((kinds(&recorder.run), taken.histograms.summary(Kind::Write).count), (written, 1));
        assert_eq!(kinds(&recorder.intervals.unwrap().open), written);
        let recorder = Recorder::new(&Kind::SERVICE, Some(MS(10))).at_hand();
        assert_eq!((kinds(&recorder.run), kinds(&recorder.intervals.unwrap().open)), (wanted, wanted));
    }

    #[test]
    #[should_panic(expected = "only what was asked for")]
    fn what_is_not_wanted_is_not_recorded() {
        Recorder::new(&[Kind::Read], None).record(Kind::Write, MS(5), 1_000);
    }

    proptest! {
        #[test]
        fn every_sample_lies_in_one_interval_that_holds_its_time(
            gaps_ms in prop::collection::vec(0..50_u64, 0..40), step_ms in 1..30_u64, take_every in 1..5_usize,
        ) {
            let mut recorder = Recorder::new(&Kind::SERVICE, Some(MS(step_ms)));
            let (mut now, mut times, mut taken) = (Duration::ZERO, vec![], vec![]);
            for (index, gap) in gaps_ms.iter().enumerate() {
                now += MS(*gap);
                if index % take_every == 0 {
                    taken.extend(std::iter::from_fn(|| recorder.take_interval(now)));
                }
                recorder.record(Kind::Read, now, 1);
                times.push(now);
            }
            let (totals, last) = recorder.finish(now + MS(1));
            taken.extend(last);
            prop_assert_eq!(totals.summary(Kind::Read).count, times.len() as u64);
            let mut start = Duration::ZERO;
            for interval in taken {
                prop_assert_eq!(interval.start, start);
                start += interval.length;
                let held = times.iter().filter(|time| (interval.start..start).contains(time)).count();
                prop_assert_eq!(interval.histograms.summary(Kind::Read).count, held as u64);
            }
            prop_assert_eq!(start, now + MS(1));
        }
    }
}
