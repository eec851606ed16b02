//! Stalls: nothing of a kind has completed for longer than a limit.
//!
//! Knows what was seen at each look and when; must not know who looks, nor what is told of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Op;

use super::post::{Lane, Wait};

/// Something that hangs, or hung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// which operation
    pub op: Op,
    /// on what
    pub path: PathBuf,
    /// where, in bytes, of reads and writes
    pub offset: Option<u64>,
    /// since the run began
    pub start: Duration,
    /// how long, until now or in all
    pub length: Duration,
}

/// What a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// it hangs, or still does: told at the limit, at twice the limit, at four times it and so on
    Hangs(Stall),
    /// something has completed
    GoesOn(Stall),
}

/// So many are kept; more are counted.
const MOST_KEPT: usize = 1000;

/// All looks so far.
pub struct Stalls {
    limit: Duration,
    waits: HashMap<(usize, Lane), Seen>,
    kept: Vec<Stall>,
}

struct Seen {
    turn: u64,
    since: Duration,
    /// told from this length on
    next: Duration,
    stall: Option<Stall>,
}

impl Stalls {
    /// None so far.
    pub fn new(limit: Duration) -> Stalls {
        Stalls { limit, waits: HashMap::new(), kept: Vec::new() }
    }

    /// What is waited for at `now`, by post; `what` tells which operation that is and on what.
    pub fn look(
        &mut self,
        now: Duration,
        waits: impl Iterator<Item = (usize, Wait)>,
        what: impl Fn(usize, Lane) -> (Op, PathBuf),
    ) -> Vec<News> {
        let mut news = Vec::new();
        let mut before = std::mem::take(&mut self.waits);
        for (post, wait) in waits {
            let key = (post, wait.lane);
            let new = Seen { turn: wait.turn, since: now, next: self.limit, stall: None };
            let mut seen = match before.remove(&key) {
                Some(seen) if seen.turn == wait.turn => seen,
                Some(ended) => {
                    news.extend(self.end(ended, now).map(News::GoesOn));
                    new
                }
                None => new,
            };
            let length = now - seen.since;
            if length >= seen.next {
                let stall = seen.stall.get_or_insert_with(|| {
                    let (op, path) = what(post, wait.lane);
                    let offset = (wait.lane != Lane::Call).then_some(wait.offset);
                    Stall { op, path, offset, start: seen.since, length }
                });
                stall.length = length;
                news.push(News::Hangs(stall.clone()));
                while seen.next <= length {
                    seen.next *= 2;
                }
            }
            self.waits.insert(key, seen);
        }
        for seen in before.into_values() {
            news.extend(self.end(seen, now).map(News::GoesOn));
        }
        news
    }

    fn end(&mut self, seen: Seen, now: Duration) -> Option<Stall> {
        let stall = Stall { length: now - seen.since, ..seen.stall? };
        if self.kept.len() < MOST_KEPT {
            self.kept.push(stall.clone());
        }
        Some(stall)
    }

    /// The run is over: all that were, those that still last included.
    pub fn finish(mut self, now: Duration) -> Vec<Stall> {
        for seen in std::mem::take(&mut self.waits).into_values() {
            self.end(seen, now);
        }
        self.kept.sort_by_key(|stall| stall.start);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn wait(turn: u64) -> [(usize, Wait); 1] {
        [(3, Wait { lane: Lane::Write, turn, offset: 4096 })]
    }

    fn look(stalls: &mut Stalls, second: u32, waits: &[(usize, Wait)]) -> Vec<News> {
        stalls.look(second * SECOND, waits.iter().copied(), |_, _| (Op::Write, "t".into()))
    }

    #[test]
    fn a_stall_is_told_at_growing_intervals_and_when_it_ends() {
        let mut stalls = Stalls::new(2 * SECOND);
        let stall = |length: u32| Stall {
            op: Op::Write,
            path: "t".into(),
            offset: Some(4096),
            start: 1 * SECOND,
            length: length * SECOND,
        };
        let told: Vec<Vec<News>> = (1..=10).map(|second| look(&mut stalls, second, &wait(1))).collect();
        let hangs = |length| vec![News::Hangs(stall(length))];
        let mut expected = vec![vec![]; 10];
        (expected[2], expected[4], expected[8]) = (hangs(2), hangs(4), hangs(8));
        assert_eq!(told, expected);
        assert_eq!(look(&mut stalls, 11, &wait(3)), [News::GoesOn(stall(10))]);
        assert_eq!(look(&mut stalls, 12, &wait(5)), []);
        assert_eq!(look(&mut stalls, 13, &[]), [], "what moves is no stall");
        assert_eq!(stalls.finish(14 * SECOND), [stall(10)]);
    }

    #[test]
    fn a_stall_that_lasts_to_the_end_is_in_the_report() {
        let mut stalls = Stalls::new(SECOND);
        look(&mut stalls, 0, &wait(1));
        assert_eq!(look(&mut stalls, 1, &wait(1)).len(), 1);
        let kept = stalls.finish(5 * SECOND);
        assert_eq!(kept.iter().map(|stall| stall.length).collect::<Vec<_>>(), [5 * SECOND]);
    }
}
