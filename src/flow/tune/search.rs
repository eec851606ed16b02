//! The search for the knee: the smallest mark above which the rate rises no more, to speak of.
//!
//! Knows marks, in blocks, and the rates that trials found under them. Must not know bytes, time or
//! latencies.
//!
//! One mark is the base, known to be enough; `low` is the largest that is known not to be. A trial of
//! another mark tells the elasticity between it and the base: by how many percent the rate rises where
//! the mark does by one. It is 1 while each block more is used and 0 where blocks only wait in a longer
//! queue, and falls from the one to the other as the mark rises, however soft the knee is. Where it
//! is above [`KNEE`], the lower of the two marks is not enough.
//!
//! Once it is at rest the mark moves within a quarter by one answer, and farther only by two or where the world
//! has changed for all to see: chance is not to make it wander.
//!
//! ```text
//! rise:   4, 8, 16    8 brings 90 % over 4, 16 nothing over 8: the knee is in 4..8
//! bisect: 6, 7        6 takes 11 %, 7 takes nothing: 7, until something changes
//! cruise: 7 8 7 6 7   now and then a quarter more, a quarter less
//! ```

use super::mean::{MOST_TRIALS, Mean};

/// By how many percent one percent more of mark must raise the rate.
const KNEE: f64 = 0.03;
/// How the mark grows while that pays.
const STRIDE: u32 = 2;
/// A bracket so narrow is good enough, and probes at rest go no farther.
const FINE: f64 = 1.25;
/// What is between two results must be so many times what chance makes of them.
const CONFIDENCE: f64 = 2.0;
/// While the knee is looked for, a mean of so many has to do.
const MOST_SEARCHING: u32 = 4;
/// Of rates in a row, as logarithms, before anything is known of it.
const FIRST_NOISE: f64 = 0.01;
const LEAST_NOISE: f64 = 0.003;
/// Another rate under the same mark, so much another, is another world, where it comes so often in a row.
const CHANGE: f64 = 0.1;
const STRAYS: u32 = 2;
/// At rest, so many times as many bytes go by under the base as in a probe.
const REST: u64 = 12;
/// After one upwards so many: its longer queue is to be that of fewer than one block in a hundred.
const REST_ABOVE: u64 = 200;
/// And so many where a block more is half as long a queue again.
const LONG_REST: u64 = 400;
const FEW_BLOCKS: u32 = 2;
/// So often a mark far from the rest must be the better one.
const STEPS: i32 = 2;

/// Within a quarter, or a block.
fn is_near(one: u32, other: u32) -> bool {
    4 * one <= 5 * other.max(4) && 5 * one + 5 >= 4 * other
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// larger marks are tried while they bring more
    Rise,
    /// smaller ones while they bring no less
    Fall,
    /// between one that is not enough and one that is
    Bisect,
    /// at the knee
    Cruise,
}

#[derive(Clone, Debug)]
pub(super) struct Search {
    least: u32,
    most: u32,
    base: u32,
    /// 0 where none is known
    low: u32,
    /// what is on trial
    mark: u32,
    phase: Phase,
    /// logarithm of the rate under the base
    rate: Mean,
    last_rate: Option<f64>,
    noise: f64,
    /// rates that were off, and agree with each other
    strays: Mean,
    /// answers in a row that can't be
    wonders: u32,
    /// a mark that is not enough was on trial: what the device has saved up meanwhile is spent first
    recovers: bool,
    /// the knee has been looked for long enough
    is_late: bool,
    /// logarithm of what the larger mark brought over the smaller one
    above: Mean,
    below: Mean,
    /// in which direction the next probe at rest goes
    probes: u32,
    /// where it came to rest
    anchor: u32,
    /// wanted at rest, upwards or downwards, one after the other, too far from there
    steps: i32,
    rest: u64,
}

impl Search {
    pub fn new(least: u32, most: u32, start: u32) -> Search {
        Search {
            least,
            most,
            base: start,
            low: 0,
            mark: start,
            phase: Phase::Rise,
            rate: Mean::default(),
            last_rate: None,
            noise: FIRST_NOISE,
            strays: Mean::default(),
            wonders: 0,
            recovers: false,
            is_late: false,
            above: Mean::default(),
            below: Mean::default(),
            probes: 0,
            anchor: start,
            steps: 0,
            rest: 0,
        }
    }

    /// On trial.
    pub fn mark(&self) -> u32 {
        self.mark
    }

    /// Whether no larger mark can be had.
    pub fn is_at_most(&self) -> bool {
        self.base == self.most
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Bytes a second under the base; 0 before anything is known.
    pub fn rate(&self) -> f64 {
        if self.rate.count == 0 { 0.0 } else { self.rate.value.exp() }
    }

    /// The mark on trial had no part in the rate: the source had. Nothing is learnt, but that more came
    /// under a larger mark, if it did.
    pub fn unbound(&mut self, rate: f64, bytes: u64) -> u32 {
        let gain = rate.ln() - self.rate.value;
        let least = KNEE * (f64::from(self.mark) / f64::from(self.base)).ln();
        match self.mark > self.base && gain > least + CHANGE {
            true => self.found(rate, bytes),
            false => {
                self.rest = self.rest.max(REST * bytes);
                self.hold()
            }
        }
    }

    /// The knee has been looked for long enough, or not: from then on one answer has to do.
    pub fn set_late(&mut self, is_late: bool) {
        self.is_late = is_late;
    }

    /// Nothing is known yet, but that `enough` is: whether that is less than the mark.
    pub fn begin_below(&mut self, enough: u32) -> bool {
        let enough = enough.max(self.least);
        let is_less = self.rate.count == 0 && enough < self.base;
        if is_less {
            (self.base, self.mark) = (enough, enough);
        }
        is_less
    }

    /// What the mark on trial brought, in bytes and bytes a second. The mark to try next.
    pub fn found(&mut self, rate: f64, bytes: u64) -> u32 {
        let rate = rate.ln();
        match self.mark == self.base {
            true => self.held(rate, bytes),
            false => {
                if !self.probed(rate, bytes) {
                    return self.hold();
                }
            }
        }
        self.next()
    }

    fn hold(&mut self) -> u32 {
        self.mark = self.base;
        self.mark
    }

    /// A rate under the base.
    fn held(&mut self, rate: f64, bytes: u64) {
        self.rest = self.rest.saturating_sub(bytes);
        if self.rate.count == 0 {
            (self.rate, self.last_rate) = (Mean::of(rate), Some(rate));
            return;
        }
        if std::mem::take(&mut self.recovers) {
            return;
        }
        let limit = CHANGE.max(4.0 * self.noise);
        if (rate - self.rate.value).abs() > limit {
            match (rate - self.strays.value).abs() > limit {
                true => self.strays = Mean::of(rate),
                false => self.strays.add(rate),
            }
            if self.strays.count >= STRAYS {
                self.restart(self.strays.value);
            }
            return;
        }
        self.strays = Mean::default();
        if self.phase == Phase::Cruise && rate - self.rate.value > limit / 2.0 {
            // Perhaps there is more to be had now: a larger mark tells.
            (self.rest, self.probes) = (0, self.probes | 1);
        }
        if let Some(last) = self.last_rate {
            let variance = self.noise * self.noise;
            let seen = (rate - last) * (rate - last) / 2.0;
            self.noise = (variance + (seen - variance) / 8.0).sqrt().max(LEAST_NOISE);
        }
        self.last_rate = Some(rate);
        self.rate.add(rate);
    }

    fn restart(&mut self, rate: f64) {
        self.move_to(self.base, rate);
        (self.low, self.phase, self.rest) = (0, Phase::Rise, 0);
    }

    fn move_to(&mut self, base: u32, rate: f64) {
        self.base = base;
        (self.rate, self.last_rate, self.strays) = (Mean::of(rate), None, Mean::default());
        (self.above, self.below) = (Mean::default(), Mean::default());
    }

    /// A rate under another mark; whether another question may be asked.
    fn probed(&mut self, rate: f64, bytes: u64) -> bool {
        let is_above = self.mark > self.base;
        let (evidence, gain) = match is_above {
            true => (&mut self.above, rate - self.rate.value),
            false => (&mut self.below, self.rate.value - rate),
        };
        let span = (f64::from(self.mark) / f64::from(self.base)).ln().abs();
        // No mark brings more than its share, or less than a smaller one: the world has changed meanwhile,
        // and the base will tell.
        if self.phase == Phase::Cruise && !(-CHANGE..span + CHANGE).contains(&gain) && self.wonders < STRAYS {
            self.wonders += 1;
            return false;
        }
        self.wonders = 0;
        evidence.add(gain);
        let margin = evidence.value - KNEE * span;
        let chance = self.noise * (1.0 / f64::from(evidence.count) + 1.0 / f64::from(self.rate.count)).sqrt();
        let is_at_rest = self.phase == Phase::Cruise;
        let is_sure = margin.abs() >= CONFIDENCE * chance;
        let is_enough = evidence.count >= if is_at_rest { MOST_TRIALS } else { MOST_SEARCHING };
        let is_answered = is_sure || is_enough || self.is_late && !is_at_rest;
        if is_answered {
            *evidence = Mean::default();
        }
        self.rest = match (is_above, self.base <= FEW_BLOCKS) {
            (true, true) => LONG_REST,
            (true, false) => REST_ABOVE,
            (false, _) => REST,
        } * bytes;
        if !is_answered {
            self.recovers = !is_above && margin > 0.0;
            return false;
        }
        // The world is another where each block more is used again.
        let is_another = is_above && gain > span / 2.0;
        let is_taken = is_above == (margin > 0.0) && (is_sure || !is_at_rest);
        match (is_taken, is_at_rest) {
            (true, true) => return self.step(rate, is_above, is_another),
            (true, false) if is_above => {
                self.low = self.base;
                self.move_to(self.mark, rate);
            }
            (true, false) => self.move_to(self.mark, rate),
            (false, _) if is_above => {
                self.steps = self.steps.min(0);
                if self.phase == Phase::Rise {
                    self.risen();
                    self.forget_rate();
                    return false;
                }
            }
            (false, _) => {
                self.steps = self.steps.max(0);
                self.low = self.mark;
                if self.phase == Phase::Fall {
                    self.phase = Phase::Bisect;
                }
                self.recovers = true;
            }
        }
        !self.recovers
    }

    /// The mark on trial is better than the one at rest. Near by it is taken; farther away that may be
    /// chance, and has to be seen again, after which the knee is looked for anew. Whether another
    /// question may be asked.
    fn step(&mut self, rate: f64, is_above: bool, is_another: bool) -> bool {
        let one = if is_above { 1 } else { -1 };
        let is_far = !is_near(self.mark, self.anchor);
        self.steps = if self.steps.signum() == one { self.steps + one } else { one };
        if is_far && !is_another && self.steps.abs() < STEPS {
            self.rest = 0;
            return false;
        }
        if is_above {
            self.low = self.base;
        }
        self.move_to(self.mark, rate);
        if is_far || is_another {
            self.steps = 0;
            (self.phase, self.low) = match is_above {
                true => (Phase::Rise, self.low),
                false => (Phase::Fall, 0),
            };
        }
        if is_above {
            self.forget_rate();
        }
        !is_above
    }

    /// No larger mark brings more.
    fn risen(&mut self) {
        self.phase = if self.low == 0 { Phase::Fall } else { Phase::Bisect };
    }

    /// Under the mark before, the device may have saved up what it spent under this one: how fast it is
    /// is still to be seen.
    fn forget_rate(&mut self) {
        (self.rate, self.last_rate) = (Mean::default(), None);
    }

    fn next(&mut self) -> u32 {
        if self.phase == Phase::Rise && self.base == self.most {
            self.risen();
        }
        let before = self.phase;
        if self.phase == Phase::Fall && self.base == self.least {
            self.phase = Phase::Cruise;
        }
        let is_narrow = |low: u32, base: u32| base <= low + 1 || f64::from(base) <= FINE * f64::from(low);
        if self.phase == Phase::Bisect && is_narrow(self.low, self.base) {
            self.phase = Phase::Cruise;
        }
        if before != Phase::Cruise && self.phase == Phase::Cruise {
            (self.anchor, self.steps) = (self.base, 0);
        }
        self.mark = match self.phase {
            Phase::Rise => (self.base.saturating_mul(STRIDE)).min(self.most),
            Phase::Fall => (self.base / STRIDE).max(self.least),
            Phase::Bisect => {
                let middle = (f64::from(self.low) * f64::from(self.base)).sqrt().round() as u32;
                middle.clamp(self.low + 1, self.base - 1)
            }
            Phase::Cruise => self.probe(),
        };
        self.mark
    }

    /// Now and then a quarter more or less, or a block.
    fn probe(&mut self) -> u32 {
        if self.rest > 0 {
            return self.base;
        }
        self.probes = self.probes.wrapping_add(1);
        let base = f64::from(self.base);
        let larger = ((base * FINE) as u32).max(self.base + 1).min(self.most);
        let smaller = ((base / FINE).ceil() as u32).min(self.base.saturating_sub(1)).max(self.least);
        match self.steps.signum() {
            1 if larger > self.base => larger,
            -1 if smaller < self.base => smaller,
            _ if self.probes.is_multiple_of(2) && larger > self.base => larger,
            _ => smaller,
        }
    }
}
