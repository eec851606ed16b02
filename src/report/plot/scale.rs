//! Scales: from values to places on an axis, and which values are written beside it.

/// From values to 0.0 ..= 1.0 along an axis.
#[derive(Clone, Copy, Debug)]
pub enum Scale {
    /// evenly, from 0 to a value above 0
    Linear {
        /// what stands at 1.0
        to: f64,
    },
    /// by decades, both ends above 0
    Log {
        /// what stands at 0.0
        from: f64,
        /// what stands at 1.0
        to: f64,
    },
}

impl Scale {
    /// One that begins at 0 and ends with the first round step at or above `most`; steps are 1, 2 or 5
    /// times a power of ten, of bytes (`base` 1024) within KiB, MiB and so on.
    pub fn linear(most: f64, base: f64) -> Scale {
        let step = step(most, base, 5.0);
        Scale::Linear { to: step * (most / step).ceil().max(1.0) }
    }

    /// One that holds `least` and `most`, and at least a factor of two around them.
    pub fn log(least: f64, most: f64) -> Scale {
        let (least, most) = (least.max(1.0), most.max(least).max(1.0));
        let margin = if most / least < 2.0 { 1.6 } else { 1.1 };
        Scale::Log { from: least / margin, to: most * margin }
    }

    /// Where `value` stands.
    pub fn place(&self, value: f64) -> f64 {
        match *self {
            Scale::Linear { to } => value / to,
            Scale::Log { from, to } => (value.max(from) / from).ln() / (to / from).ln(),
        }
    }

    /// The values that are written beside the axis, some `wanted` of them, ascending. Where a linear
    /// axis counts bytes, `base` is 1024.
    pub fn ticks(&self, wanted: usize, base: f64) -> Vec<f64> {
        match *self {
            Scale::Linear { to } => {
                let step = step(to, base, wanted as f64);
                (0..).map(|nth| f64::from(nth) * step).take_while(|&tick| tick <= to * 1.000_001).collect()
            }
            Scale::Log { from, to } => {
                let decades = (from.log10().floor() as i32)..=(to.log10().ceil() as i32);
                let of = |digits: &[f64]| -> Vec<f64> {
                    let powers = decades.clone().map(|decade| 10_f64.powi(decade));
                    let all = powers.flat_map(|power| digits.iter().map(move |digit| digit * power));
                    all.filter(|tick| (from..=to).contains(tick)).collect()
                };
                let candidates = [&[1.0, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0]].map(of);
                let enough = candidates.iter().position(|ticks| ticks.len() <= wanted).unwrap_or(2);
                let mut ticks = candidates[enough].clone();
                let every = ticks.len().div_ceil(wanted.max(1)).max(1);
                ticks = ticks.into_iter().step_by(every).collect();
                ticks
            }
        }
    }
}

/// The power of `base` that `most` is counted in: MiB of 230 MiB.
pub fn unit(most: f64, base: f64) -> f64 {
    if most < 1.0 || !most.is_finite() { 1.0 } else { base.powf((most.ln() / base.ln() + 1e-9).floor()) }
}

/// The round step that divides `most` into about `parts`: 1, 2 or 5 times a power of ten of its unit.
fn step(most: f64, base: f64, parts: f64) -> f64 {
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let unit = unit(most, base);
    let rough = most / parts / unit;
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= rough * 0.999_999);
    unit * digit.unwrap_or(10.0) * power
}

/// Percentiles by nines: 0 is the least value, 1 the 90th percentile, 2 the 99th, 3 the 99.9th ...
///
/// The quantile of so many nines; those that reports name exactly as they are computed there, as a
/// count is cut off at them.
pub fn quantile(nines: f64) -> f64 {
    const EXACT: [f64; 8] = [0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999, 0.9999999];
    let whole = nines.round();
    match EXACT.get(whole as usize) {
        Some(&exact) if (nines - whole).abs() < 1e-9 => exact,
        _ if (nines - nines_of(0.5)).abs() < 1e-9 => 0.5,
        _ => 1.0 - 10_f64.powf(-nines),
    }
}

/// How many nines a quantile below 1 has.
pub fn nines_of(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// A percentile by its nines, as it is written: `p50`, `p99.9`, `p99.37`.
pub fn percentile_name(nines: f64) -> String {
    let decimals = (nines + 1e-9).floor().max(1.0) as usize;
    let text = format!("{:.decimals$}", quantile(nines) * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: f64 = (1 << 20) as f64;

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::linear(87.0, 10.0).ticks(5, 10.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let rates = Scale::linear(230.0 * MIB, 1024.0).ticks(5, 1024.0);
        assert_eq!(rates, [0.0, 50.0, 100.0, 150.0, 200.0, 250.0].map(|tick| tick * MIB));
        assert_eq!(Scale::log(3e4, 4e6).ticks(5, 10.0), [1e5, 1e6]);
        assert_eq!(Scale::log(3e4, 1.2e5).ticks(6, 10.0), [3e4, 5e4, 7e4, 1e5]);
    }

    #[test]
    fn percentiles_have_the_names_of_reports() {
        let names = [0.0, nines_of(0.5), 1.0, 1.5, 2.0, 2.2, 3.0, 6.0].map(percentile_name);
        assert_eq!(names, ["p0", "p50", "p90", "p96.8", "p99", "p99.37", "p99.9", "p99.9999"]);
        assert_eq!([1.0, 4.0, 6.0].map(quantile), [0.9, 0.9999, 0.999999]);
    }

    proptest! {
        #[test]
        fn ticks_lie_on_the_axis_and_rise(least in 1.0..1e13_f64, factor in 1.0..1e9_f64, wanted in 2..9_usize) {
            let most = least * factor;
            for (scale, base) in [
                (Scale::log(least, most), 10.0), (Scale::linear(most, 10.0), 10.0), (Scale::linear(most, 1024.0), 1024.0),
            ] {
                let ticks = scale.ticks(wanted, base);
                prop_assert!(!ticks.is_empty() && ticks.len() <= 2 * wanted + 1, "{ticks:?}");
                prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(ticks.iter().all(|&tick| (-1e-6..=1.000_01).contains(&scale.place(tick))), "{ticks:?}");
                prop_assert!((0.0..=1.0).contains(&scale.place(most)));
            }
        }
    }
}
