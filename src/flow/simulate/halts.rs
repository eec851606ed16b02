//! When a device stands still: nothing it does goes on meanwhile, nor is anything completed.
//!
//! ```text
//! stall=2s@10s, work of 3 s that begins at 9 s:   9 ##10....12####14
//! ```

use std::time::Duration;

use super::draw::Draw;
use super::spec::Stall;

/// Its stalls, one after the other. Questions are about later and later times, but for what lies
/// between the last two of them.
#[derive(Clone, Debug)]
pub(super) struct Halts {
    stall: Option<Stall>,
    draw: Draw,
    next: Halt,
}

#[derive(Clone, Copy, Debug)]
struct Halt {
    nth: u64,
    start: Duration,
    end: Duration,
}

/// Of work that takes longer than so many of them, at random, no more are counted: nobody waits so long.
const MOST: u32 = 100_000;

impl Halts {
    pub fn new(stall: Option<Stall>, draw: Draw) -> Halts {
        let mut halts =
            Halts { stall, draw, next: Halt { nth: 0, start: Duration::ZERO, end: Duration::ZERO } };
        if let Some(stall) = stall {
            halts.next = halts.following(halts.next, stall);
        }
        halts
    }

    fn following(&self, last: Halt, stall: Stall) -> Halt {
        let start = match stall.is_random {
            false => stall.every.saturating_mul(u32::try_from(last.nth + 1).unwrap_or(u32::MAX)),
            true => {
                // What comes at any time with the same chance is exponentially far away.
                let far = -(1.0 - self.draw.with(last.nth).fraction()).ln();
                last.end.saturating_add((stall.every - stall.length).mul_f64(far))
            }
        };
        Halt { nth: last.nth + 1, start, end: start.saturating_add(stall.length) }
    }

    /// Nothing before `now` is asked about any more.
    pub fn pass(&mut self, now: Duration) {
        let Some(stall) = self.stall else { return };
        while self.next.end <= now && self.next.end < Duration::MAX {
            self.next = self.following(self.next, stall);
        }
    }

    /// When work that begins at `from` and takes so long is done.
    pub fn after(&self, from: Duration, work: Duration) -> Duration {
        let Some(stall) = self.stall else { return from.saturating_add(work) };
        let (mut at, mut left, mut halt) = (from, work, self.next);
        for _ in 0..MOST {
            let until = halt.start.saturating_sub(at);
            // What is done just as it begins to stand still is done.
            if at < halt.start && left <= until {
                break;
            }
            if at < halt.end {
                left = left.saturating_sub(until);
                at = halt.end;
                if !stall.is_random {
                    return periodic(at, left, stall);
                }
            }
            halt = self.following(halt, stall);
        }
        at.saturating_add(left)
    }
}

/// When work is done that goes on at the end of a stall, where all are alike.
fn periodic(from: Duration, work: Duration, stall: Stall) -> Duration {
    let works = (stall.every - stall.length).as_nanos();
    let stalls = work.as_nanos().saturating_sub(1) / works;
    let stands = u64::try_from(stalls * stall.length.as_nanos()).unwrap_or(u64::MAX);
    from.saturating_add(work).saturating_add(Duration::from_nanos(stands))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn halts(is_random: bool) -> Halts {
        Halts::new(Some(Stall { length: s(2), every: s(10), is_random }), Draw::new(1))
    }

    #[test]
    fn work_rests_while_it_stands_still() {
        let halts = halts(false);
        let cases = [
            (0, 1, 1),
            (9, 1, 10),
            (9, 3, 14),
            (11, 0, 12),
            (10, 1, 13),
            (0, 10, 10),
            (0, 26, 30),
            (12, 0, 12),
        ];
        for (from, work, done) in cases {
            assert_eq!(halts.after(s(from), s(work)), s(done), "{from} {work}");
        }
        let none = Halts::new(None, Draw::new(1));
        assert_eq!(none.after(s(9), s(3)), s(12));
    }

    #[test]
    fn what_has_passed_changes_nothing() {
        for is_random in [false, true] {
            let (all, mut later) = (halts(is_random), halts(is_random));
            later.pass(s(1000));
            for from in 1000..1100 {
                assert_eq!(all.after(s(from), s(1)), later.after(s(from), s(1)));
            }
        }
    }

    #[test]
    fn random_stalls_come_as_often_as_was_said() {
        let halts = halts(true);
        let worked = s(80_000);
        let took = halts.after(Duration::ZERO, worked).as_secs_f64();
        assert!((took / 100_000.0 - 1.0).abs() < 0.03, "{took}");
        let other = Halts::new(halts.stall, Draw::new(2));
        assert_ne!(other.after(s(0), worked), halts.after(s(0), worked));
    }

    #[test]
    fn endless_work_is_told_at_once() {
        let stall =
            Stall { length: Duration::from_millis(9), every: Duration::from_millis(10), is_random: false };
        let halts = Halts::new(Some(stall), Draw::new(1));
        assert!(halts.after(s(1), Duration::MAX) > s(1 << 40));
    }
}
