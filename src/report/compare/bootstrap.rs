//! How far the ratio of two runs can be trusted: a bootstrap over their intervals. Pure statistics: it
//! knows counts of values, and neither kinds nor reports.
//!
//! **Blocks.** Intervals that follow each other are alike, so not single ones are drawn but blocks of
//! them, from a circle in which the first follows the last: the circular block bootstrap (D. N. Politis
//! and J. P. Romano, "A circular block-resampling procedure for stationary data", in R. LePage and
//! L. Billard, Exploring the Limits of Bootstrap, 1992). A block is of n^(1/3) intervals, the order that
//! is best for a variance (P. Hall, J. L. Horowitz and B.-Y. Jing, Biometrika 82, 1995).
//!
//! **Interval.** Both runs are drawn anew 4,000 times, and what lies between the outer percentiles of the
//! logarithm of the ratio is the interval. Of few blocks that is too narrow, as a normal distribution is
//! beside Student's: so it is widened around the ratio by t/z * sqrt(k/(k - 1)) of k blocks (T. C.
//! Hesterberg, The American Statistician 69, 2015, section 4.3, where it is done by other percentiles).
//!
//! **Several at once.** Of m intervals each is made at 1 - 5 %/m, so that all of them hold together at
//! 95 % (Bonferroni).
//!
//! The numbers are drawn from a seed, so that two reports always compare the same.

/// So many times both runs are drawn anew.
pub const DRAWS: usize = 4_000;

/// A run's intervals, over values that both runs share.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// for each interval, how often each of the values occurred
    pub counts: Vec<Vec<u64>>,
    /// for each interval, how much was moved
    pub bytes: Vec<u64>,
    /// for each interval, how long it was, in seconds
    pub seconds: Vec<f64>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// arithmetic mean of the values
    Mean,
    /// the value at a quantile
    Quantile(f64),
    /// bytes a second
    Throughput,
}

/// A ratio and the interval in which it lies, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// of the second run to the first
    pub ratio: f64,
    /// the lower end of the interval
    pub low: f64,
    /// its upper end
    pub high: f64,
}

/// How many intervals of a run of so many are drawn together.
pub fn block_length(intervals: usize) -> usize {
    (intervals as f64).cbrt().round().max(1.0) as usize
}

/// The ratios of `second` to `first`, a `statistic` each, such that all their intervals hold together at
/// a confidence of `1 - error`, of `family` intervals of which these are some. `values` ascend, and are
/// those of both series' counts. None where a statistic can't be had of both.
pub fn ratios(
    values: &[f64],
    [first, second]: [&Series; 2],
    statistics: &[Statistic],
    family: usize,
    error: f64,
    seed: u64,
) -> Vec<Option<Ratio>> {
    let runs = [first, second].map(Drawer::new);
    let of = |pooled: [&Pool; 2], statistic: Statistic| -> Option<f64> {
        let [first, second] = pooled.map(|pool| pool.statistic(values, statistic));
        Some((second? / first?).ln()).filter(|log| log.is_finite())
    };
    let wholes = runs.each_ref().map(Drawer::whole);
    let estimates: Vec<Option<f64>> = statistics.iter().map(|&s| of(wholes.each_ref(), s)).collect();
    let mut draws: Vec<Vec<f64>> = vec![Vec::with_capacity(DRAWS); statistics.len()];
    let mut random = Random(seed);
    let mut pools = wholes.clone();
    for _ in 0..DRAWS {
        for (run, pool) in runs.iter().zip(&mut pools) {
            run.draw(&mut random, pool);
        }
        for (&statistic, draws) in statistics.iter().zip(&mut draws) {
            draws.extend(of(pools.each_ref(), statistic));
        }
    }
    let tail = error / family.max(1) as f64 / 2.0;
    let blocks = runs.iter().map(Drawer::blocks).min().unwrap_or(1);
    let widening = widening(blocks, tail);
    estimates.iter().zip(draws).map(|(&estimate, draws)| interval(estimate?, draws, tail, widening)).collect()
}

fn interval(estimate: f64, mut draws: Vec<f64>, tail: f64, widening: f64) -> Option<Ratio> {
    // A statistic that some draws don't have is not one to rely on.
    if draws.len() < DRAWS * 9 / 10 {
        return None;
    }
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws[((share * draws.len() as f64) as usize).min(draws.len() - 1)];
    let (low, high) = (at(tail).min(estimate), at(1.0 - tail).max(estimate));
    Some(Ratio {
        ratio: estimate.exp(),
        low: (estimate - (estimate - low) * widening).exp(),
        high: (estimate + (high - estimate) * widening).exp(),
    })
}

/// By how much an interval of few blocks is too narrow.
fn widening(blocks: usize, tail: f64) -> f64 {
    if blocks < 2 {
        return f64::INFINITY;
    }
    let k = blocks as f64;
    student_quantile(1.0 - tail, k - 1.0) / normal_quantile(1.0 - tail) * (k / (k - 1.0)).sqrt()
}

/// Some intervals of a run, taken together.
#[derive(Clone, Debug)]
struct Pool {
    counts: Vec<u64>,
    bytes: u64,
    seconds: f64,
}

impl Pool {
    fn add(&mut self, other: &Pool) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, other)| *mine += other);
        self.bytes += other.bytes;
        self.seconds += other.seconds;
    }

    fn clear(&mut self) {
        self.counts.fill(0);
        (self.bytes, self.seconds) = (0, 0.0);
    }

    fn statistic(&self, values: &[f64], statistic: Statistic) -> Option<f64> {
        let count: u64 = self.counts.iter().sum();
        match statistic {
            Statistic::Throughput => (self.seconds > 0.0).then(|| self.bytes as f64 / self.seconds),
            _ if count == 0 => None,
            Statistic::Mean => {
                let sum: f64 =
                    self.counts.iter().zip(values).map(|(&count, value)| count as f64 * value).sum();
                Some(sum / count as f64)
            }
            Statistic::Quantile(quantile) => {
                let rank = ((quantile * count as f64).ceil() as u64).clamp(1, count);
                let mut below = 0;
                let nth = self.counts.iter().position(|&count| {
                    below += count;
                    below >= rank
                })?;
                Some(values[nth])
            }
        }
    }
}

/// Draws blocks of a run's intervals. The sum of each block that there can be is made once.
struct Drawer {
    blocks: Vec<Pool>,
    intervals: Vec<Pool>,
    length: usize,
}

impl Drawer {
    fn new(series: &Series) -> Drawer {
        let n = series.counts.len();
        let length = block_length(n);
        let intervals: Vec<Pool> = (0..n)
            .map(|nth| Pool {
                counts: series.counts[nth].clone(),
                bytes: series.bytes[nth],
                seconds: series.seconds[nth],
            })
            .collect();
        let block = |start: usize| {
            let mut sum = intervals[start].clone();
            (1..length).for_each(|further| sum.add(&intervals[(start + further) % n]));
            sum
        };
        Drawer { blocks: (0..n).map(block).collect(), intervals, length }
    }

    /// How many blocks are drawn: together they are about as long as the run.
    fn blocks(&self) -> usize {
        (self.intervals.len() as f64 / self.length as f64).round().max(1.0) as usize
    }

    fn whole(&self) -> Pool {
        let mut whole = self.intervals[0].clone();
        self.intervals[1..].iter().for_each(|interval| whole.add(interval));
        whole
    }

    fn draw(&self, random: &mut Random, pool: &mut Pool) {
        pool.clear();
        for _ in 0..self.blocks() {
            pool.add(&self.blocks[random.below(self.blocks.len())]);
        }
    }
}

/// SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

/// The quantile of the standard normal distribution, to 4.5e-4: M. Abramowitz and I. A. Stegun, Handbook
/// of Mathematical Functions, 26.2.23. `p` is above one half.
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).ln()).sqrt();
    t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}

/// The quantile of Student's distribution: the same, 26.7.5 (Cornish and Fisher's expansion).
fn student_quantile(p: f64, freedom: f64) -> f64 {
    let x = normal_quantile(p);
    let (x3, x5, x7, x9) = (x.powi(3), x.powi(5), x.powi(7), x.powi(9));
    let g1 = (x3 + x) / 4.0;
    let g2 = (5.0 * x5 + 16.0 * x3 + 3.0 * x) / 96.0;
    let g3 = (3.0 * x7 + 19.0 * x5 + 17.0 * x3 - 15.0 * x) / 384.0;
    let g4 = (79.0 * x9 + 776.0 * x7 + 1482.0 * x5 - 1920.0 * x3 - 945.0 * x) / 92160.0;
    x + g1 / freedom + g2 / freedom.powi(2) + g3 / freedom.powi(3) + g4 / freedom.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATISTICS: [Statistic; 5] = [
        Statistic::Mean,
        Statistic::Quantile(0.5),
        Statistic::Quantile(0.9),
        Statistic::Quantile(0.99),
        Statistic::Throughput,
    ];
    const VALUES: usize = 100;

    fn values() -> Vec<f64> {
        (0..VALUES).map(|nth| 100.0 * 1.04_f64.powi(nth as i32)).collect()
    }

    /// A run whose level wanders: each interval's logarithm is `alike` of the one before and noise.
    fn run(random: &mut Random, intervals: usize, alike: f64, slower: f64) -> Series {
        let mut unit = || random.next() as f64 / u64::MAX as f64;
        let mut normal = || (0..12).map(|_| unit()).sum::<f64>() - 6.0;
        let mut series = Series::default();
        let mut level = 0.05 * normal();
        for _ in 0..intervals {
            level = alike * level + (1.0 - alike * alike).sqrt() * 0.05 * normal();
            let mut counts = vec![0; VALUES];
            for _ in 0..200 {
                // Lognormal around 1,000, 4 % a step.
                let log = 10.0_f64.ln() + level + slower.ln() + 0.3 * normal();
                counts[((log / 1.04_f64.ln()) as usize).min(VALUES - 1)] += 1;
            }
            series.counts.push(counts);
            series.bytes.push((1e6 / (slower * level.exp())) as u64);
            series.seconds.push(1.0);
        }
        series
    }

    /// In how many of 100 the ratio's interval of each statistic, and any of them, leaves out 1.
    fn alarms(intervals: usize, alike: f64, slower: f64) -> (Vec<usize>, usize) {
        let values = values();
        let (mut each, mut any) = (vec![0; STATISTICS.len()], 0);
        for seed in 0..100 {
            let mut random = Random(seed * 7919 + 1);
            let first = run(&mut random, intervals, alike, 1.0);
            let second = run(&mut random, intervals, alike, slower);
            let ratios = ratios(&values, [&first, &second], &STATISTICS, STATISTICS.len(), 0.05, seed);
            let told: Vec<bool> =
                ratios.iter().map(|ratio| ratio.is_some_and(|r| r.low > 1.0 || r.high < 1.0)).collect();
            told.iter().zip(&mut each).for_each(|(told, count)| *count += usize::from(*told));
            any += usize::from(told.contains(&true));
        }
        (each, any)
    }

    #[test]
    fn runs_of_the_same_kind_are_seldom_told_apart() {
        // 5 of 100 is what is promised.
        for (intervals, alike, most) in [(12, 0.0, 5), (40, 0.3, 5), (120, 0.5, 5)] {
            let (each, any) = alarms(intervals, alike, 1.0);
            assert!(any <= most, "{intervals} intervals, {alike} alike: {any} of 100, {each:?}");
        }
    }

    #[test]
    fn a_tenth_slower_is_told() {
        let (each, _) = alarms(60, 0.3, 1.1);
        assert!(each[..3].iter().all(|&told| told >= 90), "{each:?}");
        assert!(each[4] >= 90, "{each:?}");
    }

    #[test]
    fn the_interval_lies_around_the_ratio_and_the_same_seed_gives_the_same() {
        let mut random = Random(1);
        let (first, second) = (run(&mut random, 30, 0.2, 1.0), run(&mut random, 30, 0.2, 2.0));
        let compare = |seed| ratios(&values(), [&first, &second], &STATISTICS, 5, 0.05, seed);
        let told = compare(3);
        assert_eq!(told, compare(3));
        for (ratio, wanted) in told.iter().zip([2.0, 2.0, 2.0, 2.0, 0.5]) {
            let Ratio { ratio, low, high } = ratio.unwrap();
            assert!(low <= ratio && ratio <= high, "{low} {ratio} {high}");
            assert!(low <= wanted && wanted <= high, "{low} {ratio} {high}: {wanted}");
        }
    }

    #[test]
    fn what_has_no_samples_has_no_ratio() {
        let mut random = Random(1);
        let first = run(&mut random, 12, 0.0, 1.0);
        let mut second = first.clone();
        second.counts.iter_mut().for_each(|counts| counts.fill(0));
        let told = ratios(&values(), [&first, &second], &STATISTICS, 5, 0.05, 1);
        assert_eq!(told[..4], [None; 4]);
        assert_eq!(told[4].map(|ratio| ratio.ratio), Some(1.0));
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let near = |one: f64, other: f64| assert!((one - other).abs() < 0.01 * other, "{one} {other}");
        near(normal_quantile(0.975), 1.960);
        near(normal_quantile(0.9995), 3.291);
        near(student_quantile(0.975, 5.0), 2.571);
        near(student_quantile(0.995, 9.0), 3.250);
        near(student_quantile(0.995, 30.0), 2.750);
    }
}
