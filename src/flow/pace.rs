//! The token bucket behind `--limit-rate`.
//!
//! A bucket fills with `rate` bytes a second up to one burst. A block starts while the bucket is
//! not in debt and may put it into debt, so a block larger than the burst still moves and the
//! long-run rate is exact.

use std::time::Duration;

/// A limit on bytes a second. Time is a `Duration` since any fixed moment, never going back.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_s: u64,
    burst_bytes: u64,
    /// in bytes times 1e9, so that a nanosecond at 1 byte/s is 1
    credit: i128,
    filled_at: Duration,
}

const NS: i128 = 1_000_000_000;

impl Pace {
    /// At most `bytes_per_s` (at least 1) in the long run, and at most 1/20 s of it in one burst.
    pub fn new(bytes_per_s: u64) -> Pace {
        let bytes_per_s = bytes_per_s.max(1);
        Pace { bytes_per_s, burst_bytes: bytes_per_s / 20, credit: 0, filled_at: Duration::ZERO }
    }

    /// Ok where a block may start at `now`, else when to ask again.
    pub fn ready(&mut self, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.filled_at).as_nanos() as i128;
        self.filled_at = self.filled_at.max(now);
        let full = i128::from(self.burst_bytes) * NS;
        self.credit = (self.credit + passed * i128::from(self.bytes_per_s)).min(full);
        if self.credit >= 0 {
            return Ok(());
        }
        let rate = i128::from(self.bytes_per_s);
        let wait_ns = (-self.credit + rate - 1) / rate;
        Err(now + Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(u64::MAX)))
    }

    /// Spends `bytes` that were started.
    pub fn spend(&mut self, bytes: u64) {
        self.credit -= i128::from(bytes) * NS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Asking exactly when told, N blocks take as long as the rate says, and no stretch of
        /// time sees more than the rate, a burst and a block.
        #[test]
        fn the_long_run_rate_is_exact(rate in 1u64..1 << 40, block in 1u64..1 << 24, blocks in 2u64..200) {
            let mut pace = Pace::new(rate);
            let mut now = Duration::ZERO;
            for _ in 0..blocks {
                if let Err(at) = pace.ready(now) {
                    prop_assert!(at > now);
                    now = at;
                    prop_assert_eq!(pace.ready(now), Ok(()));
                }
                pace.spend(block);
            }
            let least = (blocks - 1) as f64 * block as f64 / rate as f64;
            let slack = 1e-9 * blocks as f64 + 1e-9 * least;
            prop_assert!(now.as_secs_f64() >= least - slack, "{} < {}", now.as_secs_f64(), least);
            prop_assert!(now.as_secs_f64() <= least + slack, "{} > {}", now.as_secs_f64(), least);
        }

        /// After idling, no more than one burst and one block comes at once.
        #[test]
        fn idling_saves_up_one_burst(rate in 20u64..1 << 30, idle_s in 0u64..1000) {
            let mut pace = Pace::new(rate);
            let now = Duration::from_secs(idle_s);
            let mut at_once = 0;
            while pace.ready(now).is_ok() {
                pace.spend(1 + rate / 100);
                at_once += 1 + rate / 100;
            }
            prop_assert!(at_once <= rate / 20 + 1 + rate / 100);
        }
    }
}
