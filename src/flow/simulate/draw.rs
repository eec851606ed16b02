//! Chance that can be had again: a number for each thing that is to be decided, from what it is.

use super::spec::Share;

/// What a decision depends on so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(0).with(seed)
    }

    /// On this as well.
    pub fn with(self, what: u64) -> Draw {
        Draw(mix(self.0 ^ mix(what.wrapping_add(0x9E37_79B9_7F4A_7C15))))
    }

    /// At least 0, less than `bound`.
    pub fn below(self, bound: u64) -> u64 {
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }

    /// At least 0, less than 1.
    pub fn fraction(self) -> f64 {
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether what happens in this share of all cases happens in this one.
    pub fn hits(self, share: Share) -> bool {
        self.below(Share::WHOLE.into()) < share.billionths().into()
    }

    /// From the normal distribution of mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal(self) -> f64 {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.with(1).fraction()).cos()
    }
}

/// Each bit of the result depends on each of `x`: the finaliser of SplitMix64 (Steele, Lea and Flood,
/// "Fast Splittable Pseudorandom Number Generators", 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly_whatever_they_depend_on() {
        let of = |nth: u64| [Draw::new(nth), Draw::new(7).with(nth), Draw::new(7).with(nth * 4096).with(1)];
        for which in 0..3 {
            let mut tenths = [0; 10];
            (0..100_000).for_each(|nth| tenths[of(nth)[which].below(10) as usize] += 1);
            assert!(tenths.iter().all(|n| (9_700..10_300).contains(n)), "{which}: {tenths:?}");
        }
    }

    #[test]
    fn normal_draws_have_mean_0_and_deviation_1() {
        let draws: Vec<f64> = (0..100_000).map(|nth| Draw::new(3).with(nth).normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
