//! Distributions of latencies.

use std::fmt;
use std::time::Duration;

use super::draw::Draw;
use super::spec::Latency;

/// No operation takes longer, whatever is drawn.
const LONGEST: Duration = Duration::from_secs(3600);

/// A log as it is replayed: which latencies were recorded, interval by interval. Behind its end it
/// begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// intervals with samples, in order
    intervals: Vec<Stretch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    end: Duration,
    samples: Vec<Sample>,
}

/// So many operations took so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// how long
    pub latency: Duration,
    /// how many took that long or less, in their interval
    pub up_to: u64,
}

/// Why something can't be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// there is nothing in it
    Empty,
    /// there is too much in it
    TooLong,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Empty => write!(out, "no latencies of this kind are in it"),
            ReplayError::TooLong => write!(out, "it has more than {MOST_SAMPLES} latencies that differ"),
        }
    }
}

/// An hour of intervals of a second, of some seventy different latencies each: 6 MiB.
const MOST_SAMPLES: usize = 1 << 18;

impl Replay {
    /// Adds an interval, the latencies of which are in order, from the shortest on.
    ///
    /// # Errors
    /// Where there would be too many samples.
    pub fn add(&mut self, end: Duration, samples: Vec<Sample>) -> Result<(), ReplayError> {
        let held: usize = self.intervals.iter().map(|interval| interval.samples.len()).sum();
        if held + samples.len() > MOST_SAMPLES {
            return Err(ReplayError::TooLong);
        }
        if samples.last().is_some_and(|last| last.up_to > 0) {
            self.intervals.push(Stretch { end, samples });
        }
        Ok(())
    }

    /// The same, if there is anything in it.
    pub fn check(self) -> Result<Replay, ReplayError> {
        match self.intervals.last() {
            Some(last) if last.end > Duration::ZERO => Ok(self),
            _ => Err(ReplayError::Empty),
        }
    }

    /// When each interval ends, and what is in it.
    pub fn intervals(&self) -> impl Iterator<Item = (Duration, &[Sample])> {
        self.intervals.iter().map(|interval| (interval.end, &interval.samples[..]))
    }

    fn draw(&self, draw: Draw, at: Duration) -> Duration {
        let Some(last) = self.intervals.last() else { return Duration::ZERO };
        let into = Duration::from_nanos((at.as_nanos() % last.end.as_nanos().max(1)) as u64);
        let nth = self.intervals.partition_point(|interval| interval.end <= into);
        let samples = &self.intervals[nth.min(self.intervals.len() - 1)].samples;
        let which = draw.below(samples.last().map_or(0, |last| last.up_to));
        let nth = samples.partition_point(|sample| sample.up_to <= which);
        samples.get(nth).map_or(Duration::ZERO, |sample| sample.latency)
    }
}

/// What latencies are drawn from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    None,
    Constant(Duration),
    Uniform(Duration, Duration),
    Lognormal(Duration, f64),
    Replay(Replay),
}

impl Source {
    /// `replay` gives the log of a name.
    pub fn new(latency: Option<&Latency>, replay: impl FnOnce(&str) -> Replay) -> Source {
        match latency {
            None => Source::None,
            Some(Latency::Constant(constant)) => Source::Constant(*constant),
            Some(Latency::Uniform(from, to)) => Source::Uniform(*from, *to),
            Some(Latency::Lognormal(median, sigma)) => Source::Lognormal(*median, f64::from(*sigma) / 1000.0),
            Some(Latency::Replay(name)) => Source::Replay(replay(name)),
        }
    }

    /// How long an operation takes that begins at `at`.
    pub fn draw(&self, draw: Draw, at: Duration) -> Duration {
        match self {
            Source::None => Duration::ZERO,
            Source::Constant(constant) => *constant,
            Source::Uniform(from, to) => *from + (*to - *from).mul_f64(draw.fraction()),
            Source::Lognormal(median, sigma) => {
                let longest = LONGEST.as_secs_f64();
                let seconds = median.as_secs_f64() * (sigma * draw.normal()).exp();
                Duration::from_secs_f64(seconds.min(longest))
            }
            Source::Replay(replay) => replay.draw(draw, at).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn drawn(source: &Source, at: Duration) -> Vec<Duration> {
        let mut drawn: Vec<_> = (0..20_000).map(|nth| source.draw(Draw::new(5).with(nth), at)).collect();
        drawn.sort();
        drawn
    }

    fn is_near(is: Duration, should: Duration) -> bool {
        (is.as_secs_f64() / should.as_secs_f64() - 1.0).abs() < 0.03
    }

    #[test]
    fn latencies_are_distributed_as_was_asked_for() {
        let none = |_: &str| Replay::default();
        let uniform = drawn(&Source::new(Some(&Latency::Uniform(ms(1), ms(5))), none), ms(0));
        assert!(uniform[0] >= ms(1) && uniform[19_999] <= ms(5));
        assert!(is_near(uniform[10_000], ms(3)) && is_near(uniform[5_000], ms(2)));
        let lognormal = drawn(&Source::new(Some(&Latency::Lognormal(ms(5), 800)), none), ms(0));
        assert!(is_near(lognormal[10_000], ms(5)), "{:?}", lognormal[10_000]);
        // One deviation up: e^0.8 times the median.
        assert!(is_near(lognormal[16_827], ms(5).mul_f64(0.8f64.exp())), "{:?}", lognormal[16_827]);
        assert_eq!(drawn(&Source::new(Some(&Latency::Constant(ms(7))), none), ms(0))[19_999], ms(7));
        assert_eq!(drawn(&Source::new(None, none), ms(0))[19_999], ms(0));
    }

    #[test]
    fn a_log_is_replayed_interval_by_interval_and_from_its_start_again() {
        let mut replay = Replay::default();
        let sample = |latency, up_to| Sample { latency, up_to };
        replay.add(ms(1000), vec![sample(ms(1), 90), sample(ms(50), 100)]).unwrap();
        replay.add(ms(2000), vec![]).unwrap();
        replay.add(ms(3000), vec![sample(ms(9), 1)]).unwrap();
        let source = Source::new(Some(&Latency::Replay("a.hlog".into())), |_| replay.check().unwrap());
        for at in [ms(0), ms(999), ms(3000), ms(3999)] {
            let drawn = drawn(&source, at);
            let slow = drawn.iter().filter(|drawn| **drawn == ms(50)).count();
            assert!((1_900..2_100).contains(&slow), "{slow}");
            assert_eq!(drawn[0], ms(1));
        }
        // Without samples of its own an interval is like the next one.
        for at in [ms(1000), ms(1500), ms(2999), ms(5000)] {
            assert_eq!(drawn(&source, at)[0], ms(9));
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(Replay::default().check(), Err(ReplayError::Empty));
        let mut replay = Replay::default();
        let samples = vec![Sample { latency: ms(1), up_to: 1 }; MOST_SAMPLES];
        assert_eq!(replay.add(ms(1), samples), Ok(()));
        assert_eq!(replay.add(ms(2), vec![Sample { latency: ms(1), up_to: 1 }]), Err(ReplayError::TooLong));
    }
}
