//! The level over time: what many looks at it have seen, kept in bounded memory.
//!
//! Knows what was seen at each look and when; must not know who looks.

use std::time::Duration;

/// So many stretches are kept; once there are more, pairs of them become one.
const MOST_KEPT: usize = 512;

/// The in-flight bytes in a stretch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSpan {
    /// when it began, since the run did
    pub start: Duration,
    /// how long it was
    pub length: Duration,
    /// in-flight bytes on average of all looks
    pub mean_bytes: u64,
    /// the most that a look has seen
    pub most_bytes: u64,
}

/// All looks so far.
pub struct Levels {
    every: Duration,
    spans: Vec<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    start: Duration,
    looks: u64,
    sum_bytes: u128,
    most_bytes: u64,
}

impl Levels {
    /// None so far. Stretches are `every` long to begin with, and longer in a long run.
    pub fn new(every: Duration) -> Levels {
        Levels { every, spans: Vec::new() }
    }

    /// So many bytes are in flight at `now`.
    pub fn look(&mut self, now: Duration, bytes: u64) {
        let look = Span { start: now, looks: 1, sum_bytes: bytes.into(), most_bytes: bytes };
        match self.spans.last_mut() {
            Some(last) if now.saturating_sub(last.start) < self.every => last.add(&look),
            _ => {
                if self.spans.len() == MOST_KEPT {
                    self.spans = self.spans.chunks(2).map(together).collect();
                    self.every *= 2;
                }
                self.spans.push(look);
            }
        }
    }

    /// The run is over: how the level was from its start to its end.
    pub fn finish(self, now: Duration) -> Vec<LevelSpan> {
        let ends = self.spans.iter().skip(1).map(|next| next.start).chain([now]);
        let span = |(span, end): (&Span, Duration)| LevelSpan {
            start: span.start,
            length: end.saturating_sub(span.start),
            mean_bytes: (span.sum_bytes / u128::from(span.looks)) as u64,
            most_bytes: span.most_bytes,
        };
        self.spans.iter().zip(ends).map(span).collect()
    }
}

impl Span {
    fn add(&mut self, later: &Span) {
        self.looks += later.looks;
        self.sum_bytes += later.sum_bytes;
        self.most_bytes = self.most_bytes.max(later.most_bytes);
    }
}

fn together(pair: &[Span]) -> Span {
    let mut span = pair[0];
    pair[1..].iter().for_each(|later| span.add(later));
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    #[test]
    fn stretches_have_the_mean_and_the_most_of_their_looks() {
        let mut levels = Levels::new(2 * TENTH);
        for (nth, bytes) in [100, 300, 0, 50, 7].into_iter().enumerate() {
            levels.look(nth as u32 * TENTH, bytes);
        }
        let span = |start: u32, length: u32, mean_bytes, most_bytes| LevelSpan {
            start: start * TENTH,
            length: length * TENTH,
            mean_bytes,
            most_bytes,
        };
        assert_eq!(levels.finish(5 * TENTH), [span(0, 2, 200, 300), span(2, 2, 25, 50), span(4, 1, 7, 7)]);
    }

    #[test]
    fn a_long_run_has_longer_stretches_and_no_gap() {
        let mut levels = Levels::new(TENTH);
        let looks = 10_000;
        for nth in 0..looks {
            levels.look(nth * TENTH, u64::from(nth));
        }
        let spans = levels.finish(looks * TENTH);
        assert!((MOST_KEPT / 2..=MOST_KEPT).contains(&spans.len()), "{}", spans.len());
        assert!(spans.windows(2).all(|pair| pair[0].start + pair[0].length == pair[1].start));
        assert_eq!(
            spans.last().map(|span| (span.start + span.length, span.most_bytes)),
            Some((looks * TENTH, 9_999))
        );
    }
}
