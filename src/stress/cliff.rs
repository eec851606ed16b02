//! Cliffs: a lasting fall of throughput, found in how much was written in each interval.
//!
//! **Where.** Binary segmentation (A. J. Scott and M. Knott, Biometrics 30, 1974): a series is cut where
//! the sum of squares within both parts is least, and each part is cut again. The values are logarithms
//! of rates, so that falling from 100 to 50 weighs the same as from 20 to 10, cut off at a quarter of the
//! lower quartile and at four times the upper one, of intervals in which something was written, so that a
//! stall weighs no more than a slow interval, however long it is.
//!
//! **Whether.** A cut counts only where its parts differ by more than noise does: of 999 random orders
//! of the same values none may have a cut that divides them as well (a permutation test at 0.1 %). The
//! random numbers are always the same, and so is the answer.
//!
//! **Limits.** It rather misses a cliff than invents one. Where one interval in ten is a stall it may miss it
//! in some tens of intervals, or date it too early where stalls come just before it.
//!
//! **What of it is a cliff.** The first cut behind which nothing comes back: the median of each part
//! behind it is at least [`LEAST_FALL`] below the median of all before it, and there are enough
//! intervals on both sides.

use std::time::Duration;

use super::pattern::mix;

/// What was written in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// when it began
    pub start: Duration,
    /// how long it was
    pub length: Duration,
    /// how much was written in it
    pub bytes: u64,
}

/// A lasting fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cliff {
    /// when it came
    pub at: Duration,
    /// after so many bytes
    pub after_bytes: u64,
    /// median before it, in bytes a second
    pub before_bytes_per_s: f64,
    /// median from then on
    pub after_bytes_per_s: f64,
}

/// A fall by less is none.
pub const LEAST_FALL: f64 = 0.3;
/// A part of fewer intervals is none.
const FEWEST_BEFORE: usize = 3;
/// Behind a cliff there are as many, or this share of all, whichever is more.
const FEWEST_BEHIND: usize = 5;
const SHARE_BEHIND: f64 = 0.1;
/// More values are taken together, as many as make them fewer: the test's work grows with them.
const MOST_VALUES: usize = 2048;
const ORDERS: u32 = 999;
/// No series is cut into more than 2^this parts.
const DEEPEST: u32 = 5;

/// The cliff in `steps`, which follow each other; None where there is none, or too little to tell.
pub fn find(steps: &[Step]) -> Option<Cliff> {
    let steps = even(steps);
    let rates: Vec<f64> = steps.iter().map(rate).collect();
    let moving: Vec<f64> = rates.iter().copied().filter(|rate| *rate > 0.0).collect();
    let (least, most) = (quantile(&moving, 0.25) / 4.0, quantile(&moving, 0.75) * 4.0);
    if moving.is_empty() {
        return None;
    }
    let values: Vec<f64> = rates.iter().map(|rate| rate.clamp(least, most).ln()).collect();
    let mut cuts = Vec::new();
    segment(&values, 0, DEEPEST, &mut cuts);
    cuts.sort_unstable();
    let fewest = FEWEST_BEHIND.max((rates.len() as f64 * SHARE_BEHIND) as usize);
    let nth = (0..cuts.len()).find(|&nth| {
        let at = cuts[nth];
        let ends = cuts[nth + 1..].iter().copied().chain([rates.len()]);
        let mut parts = cuts[nth..].iter().copied().zip(ends);
        let before = median(&rates[..at]);
        let falls = |(start, end): (usize, usize)| median(&rates[start..end]) <= before * (1.0 - LEAST_FALL);
        rates.len() - at >= fewest && parts.all(falls)
    })?;
    let at = cuts[nth];
    Some(Cliff {
        at: steps[at].start,
        after_bytes: steps[..at].iter().map(|step| step.bytes).sum(),
        before_bytes_per_s: median(&rates[..at]),
        after_bytes_per_s: median(&rates[at..]),
    })
}

fn rate(step: &Step) -> f64 {
    step.bytes as f64 / step.length.as_secs_f64().max(1e-9)
}

/// Without a last one that was cut short, and no more than are looked at.
fn even(steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    if let [.., usual, last] = steps[..]
        && last.length < usual.length / 2
    {
        steps.pop();
    }
    let together = steps.len().div_ceil(MOST_VALUES).max(1);
    let sum = |some: &[Step]| Step {
        start: some[0].start,
        length: some.iter().map(|step| step.length).sum(),
        bytes: some.iter().map(|step| step.bytes).sum(),
    };
    steps.chunks(together).map(sum).collect()
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of them lies, between two where it is between them; 0 of none.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, above) = (sorted[place as usize], sorted[(place.ceil() as usize).min(last)]);
    below + (above - below) * place.fract()
}

/// Adds the cuts of `values`, which begin at `from`.
fn segment(values: &[f64], from: usize, deepest: u32, cuts: &mut Vec<usize>) {
    let Some((at, gain)) = best_cut(values).filter(|_| deepest > 0) else { return };
    if !is_more_than_noise(values, gain) {
        return;
    }
    cuts.push(from + at);
    segment(&values[..at], from, deepest - 1, cuts);
    segment(&values[at..], from + at, deepest - 1, cuts);
}

/// Where both parts differ most, and by how much the sum of squares falls; of equal ones the first.
fn best_cut(values: &[f64]) -> Option<(usize, f64)> {
    let total: f64 = values.iter().sum();
    let n = values.len() as f64;
    let mut sum = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for (nth, value) in values.iter().enumerate() {
        if nth >= FEWEST_BEFORE && values.len() - nth >= FEWEST_BEFORE {
            let k = nth as f64;
            let difference = sum / k - (total - sum) / (n - k);
            let gain = k * (n - k) / n * difference * difference;
            if best.is_none_or(|(_, most)| gain > most) {
                best = Some((nth, gain));
            }
        }
        sum += value;
    }
    best.filter(|(_, gain)| *gain > 1e-9)
}

fn is_more_than_noise(values: &[f64], gain: f64) -> bool {
    let mut shuffled = values.to_vec();
    let mut state = values.len() as u64;
    let mut random = |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((u128::from(mix(state)) * below as u128) >> 64) as usize
    };
    (0..ORDERS).all(|_| {
        for nth in (1..shuffled.len()).rev() {
            shuffled.swap(nth, random(nth + 1));
        }
        // An order with the very same parts does not speak against the cut.
        best_cut(&shuffled).is_none_or(|(_, other)| other < gain * (1.0 - 1e-9))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = (1 << 20) as f64;

    fn series(rates: impl IntoIterator<Item = f64>) -> Vec<Step> {
        let step = |(nth, rate): (usize, f64)| Step {
            start: Duration::from_secs(nth as u64),
            length: Duration::from_secs(1),
            bytes: (rate * MIB) as u64,
        };
        rates.into_iter().enumerate().map(step).collect()
    }

    /// Noise that disks make: even, with outliers of either kind, in waves.
    fn noise(kind: u8, seed: u64, n: usize) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut wave = 0.0;
        (0..n)
            .map(|nth| match kind {
                0 => 1.0 + 0.1 * (random.f64() - 0.5),
                1 => 0.5 + random.f64(),
                2 => (0.3 * (0..12).map(|_| random.f64() - 0.5).sum::<f64>()).exp(),
                3 if random.u8(0..10) == 0 => random.f64() * 0.1,
                3 => 1.0 + 0.1 * random.f64(),
                4 if nth % 7 == 6 => 0.3,
                4 => 1.0 + 0.05 * random.f64(),
                5 if random.u8(0..20) == 0 => 5.0,
                5 => 1.0 + 0.2 * random.f64(),
                _ => {
                    wave = 0.7 * wave + 0.1 * (random.f64() - 0.5);
                    1.0 + wave
                }
            })
            .collect()
    }

    #[test]
    fn a_fall_from_100_to_20_is_dated_and_measured() {
        let steps = series((0..30).map(|nth| if nth < 12 { 100.0 } else { 20.0 }));
        let cliff = find(&steps).unwrap();
        assert_eq!(cliff.at, Duration::from_secs(12));
        assert_eq!(cliff.after_bytes, 1200 << 20);
        assert_eq!((cliff.before_bytes_per_s, cliff.after_bytes_per_s), (100.0 * MIB, 20.0 * MIB));
    }

    /// As a disk did whose throttle was changed while the machine was busy.
    #[test]
    fn a_cliff_that_begins_with_a_long_stall_is_found() {
        let parts = [(8, 100.0), (8, 0.0), (1, 30.0), (5, 0.0), (17, 20.0)];
        let rates = parts.into_iter().flat_map(|(n, rate)| std::iter::repeat_n(rate, n));
        assert_eq!(find(&series(rates)).unwrap().at, Duration::from_secs(8));
    }

    #[test]
    fn what_comes_back_or_rises_or_is_too_short_is_no_cliff() {
        let level = |parts: &[(usize, f64)]| {
            let jitter = |nth: usize| 1.0 + (mix(nth as u64) % 100) as f64 / 1000.0;
            let rates = parts.iter().flat_map(|(n, rate)| std::iter::repeat_n(*rate, *n));
            find(&series(rates.enumerate().map(|(nth, rate)| rate * jitter(nth))))
        };
        assert_eq!(level(&[(20, 100.0), (10, 20.0), (20, 100.0)]), None);
        assert_eq!(level(&[(20, 20.0), (20, 100.0)]), None);
        assert_eq!(level(&[(40, 100.0), (3, 20.0)]), None);
        assert_eq!(level(&[(20, 100.0), (20, 85.0)]), None);
        assert_eq!(level(&[(2, 100.0)]), None);
        assert_eq!(level(&[]), None);
        assert_eq!(find(&series([0.0; 30])), None);
        // Slow at first, then fast, then slow for good.
        let cliff = level(&[(5, 50.0), (20, 100.0), (30, 10.0)]).unwrap();
        assert_eq!(cliff.at, Duration::from_secs(25));
        // In two falls: the first is the cliff.
        assert_eq!(level(&[(20, 100.0), (20, 50.0), (20, 10.0)]).unwrap().at, Duration::from_secs(20));
    }

    #[test]
    fn a_stall_is_no_cliff() {
        let steps =
            series((0..40).map(|nth| if (20..22).contains(&nth) { 0.0 } else { 80.0 + (nth % 5) as f64 }));
        assert_eq!(find(&steps), None);
    }

    #[test]
    fn a_long_run_is_looked_at_in_fewer_pieces() {
        let steps = series((0..10_000).map(|nth| if nth < 5_000 { 100.0 } else { 20.0 }));
        let at = find(&steps).unwrap().at.as_secs();
        assert!((4_990..=5_010).contains(&at), "{at}");
    }

    /// The same seeds each time: a property of all noise can't be claimed, only that it is rare.
    fn noises() -> impl Iterator<Item = (u8, u64, fastrand::Rng)> {
        (0..7).flat_map(|kind| (0..40).map(move |seed| (kind, seed, fastrand::Rng::with_seed(seed + 1000))))
    }

    #[test]
    fn noise_is_no_cliff() {
        for (kind, seed, mut random) in noises() {
            let noise = noise(kind, seed, random.usize(0..200));
            let found = find(&series(noise.iter().map(|noise| 100.0 * noise)));
            assert_eq!(found, None, "kind {kind}, seed {seed}");
        }
    }

    #[test]
    fn a_cliff_in_noise_is_dated_within_two_intervals() {
        for (kind, seed, mut random) in noises() {
            let (before, behind) = (random.usize(15..80), random.usize(15..80));
            let level = |nth: usize| if nth < before { 100.0 } else { 20.0 };
            let noise = noise(kind, seed, before + behind);
            let found = find(&series(noise.iter().enumerate().map(|(nth, noise)| level(nth) * noise)));
            // See the limits above: one interval in ten is a stall, or one in twenty a burst.
            let (has_stalls, has_bursts) = (kind == 3, kind == 5);
            let Some(cliff) = found else {
                assert!(
                    has_stalls || has_bursts && before.min(behind) < 30,
                    "kind {kind}, seed {seed}: none"
                );
                continue;
            };
            let (at, most) = (cliff.at.as_secs() as usize, if has_bursts { 6 } else { 2 });
            let is_dated = has_stalls || at.abs_diff(before) <= most;
            assert!(is_dated, "kind {kind}, seed {seed}: {at} instead of {before}");
        }
    }
}
