//! Pumps in company: two or three under one level, each in a world of its own, interleaved by the
//! seed. Their drivers wait as those in production do, and tell each other no more than those.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use highwater::flow::{Marks, SharedLevel};

use crate::driver::Driver;
use crate::plan::{Interleaving, Plan};
use crate::{Check, caught, ensure, every_seed};

/// Who stands under which marks.
#[derive(Clone, Debug)]
pub struct Company {
    seed: u64,
    marks: Marks,
    /// the high-water mark moves between this and where it begins
    moves_to: Option<u64>,
    plans: Vec<Plan>,
}

/// What the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// nobody asks whether admission has opened
    NobodyTold,
    /// one of those that were refused is told, the others are not
    OneTold,
    /// a pump that ended early keeps what it has of the level
    LeaveForgotten,
    /// pumps are admitted past the mark
    AdmittedPastTheMark,
    /// the mark is raised, and nobody is told
    RaisedInSecret,
}

impl Bug {
    pub const ALL: [Bug; 5] =
        [Bug::NobodyTold, Bug::OneTold, Bug::LeaveForgotten, Bug::AdmittedPastTheMark, Bug::RaisedInSecret];
}

impl Company {
    pub fn of_seed(seed: u64) -> Company {
        let mut rng = Rng::with_seed(seed.rotate_left(16));
        let count = rng.usize(2..=3);
        let mut plans: Vec<Plan> = (0..count).map(|_| Plan::of_seed(rng.u64(..))).collect();
        let blocks = || plans.iter().map(|plan| u64::from(plan.shape.block_bytes));
        let largest = blocks().max().expect("there are pumps");
        // Mostly so low that they starve each other.
        let high = match rng.u32(0..4) {
            0 => largest,
            1 => rng.u64(largest..=8 * largest),
            _ => rng.u64(largest..=2 * largest),
        };
        let low = match rng.u32(0..4) {
            0 => Some(0),
            1 => Some(rng.u64(0..high)),
            _ => None,
        };
        // Where admission opens for less than the largest block, that one is refused again.
        let block = if rng.bool() { largest } else { blocks().min().expect("there are pumps") };
        let marks = Marks::new(high, low, block, high).expect("the marks agree");
        for shape in plans.iter_mut().map(|plan| &mut plan.shape) {
            // A caller that fills blocks is bounded by the ring and told by the mark, not refused.
            (shape.marks, shape.filled_by_caller) = (marks, false);
        }
        let least = largest.max(low.map_or(0, |low| low + 1));
        let moves_to = (block == largest && least < high && rng.bool()).then_some(least);
        Company { seed, marks, moves_to, plans }
    }
}

/// How far a pump has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// it still has what it has of the level
    Ended,
    Left,
}

struct Member<'a> {
    driver: Driver<'a>,
    stage: Stage,
    /// its pump was told something, and it has not asked since whether admission has opened
    is_to_tell: bool,
    /// it was refused, and nothing has happened to it since
    waits: bool,
}

impl Member<'_> {
    fn in_flight_bytes(&self) -> u64 {
        self.driver.world.subject.pump.in_flight_bytes()
    }

    fn is_starved(&self) -> bool {
        self.stage != Stage::Left && self.driver.world.subject.pump.is_starved()
    }

    fn is_refused(&self) -> bool {
        self.driver.world.subject.pump.is_refused()
    }

    fn can_go_on(&self) -> bool {
        let waits = self.stage == Stage::Running && self.driver.is_stuck();
        self.is_to_tell || (self.stage != Stage::Left && !waits)
    }
}

struct Run<'a> {
    company: &'a Company,
    level: Arc<SharedLevel>,
    members: Vec<Member<'a>>,
    rng: Rng,
    bug: Option<Bug>,
    trace: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(company: &'a Company, bug: Option<Bug>, traced: bool) -> Run<'a> {
        let high = company.marks.high_bytes();
        let marks = match bug {
            Some(Bug::AdmittedPastTheMark) => Marks::new(2 * high, None, high, 2 * high).expect("they agree"),
            _ => company.marks,
        };
        let level = SharedLevel::new(marks);
        let member = |plan| {
            let driver = Driver::under(plan, &level, traced);
            Member { driver, stage: Stage::Running, is_to_tell: false, waits: false }
        };
        let members = company.plans.iter().map(member).collect();
        let rng = Rng::with_seed(company.seed.rotate_left(48));
        Run { company, level, members, rng, bug, trace: Vec::new() }
    }

    fn steps(&self) -> u64 {
        self.members.iter().map(|member| member.driver.world.steps).sum()
    }

    fn run(&mut self) -> Check {
        while self.members.iter().any(|member| member.stage != Stage::Left) {
            let able = (0..self.members.len()).filter(|nth| self.members[*nth].can_go_on());
            let able: Vec<usize> = able.collect();
            let nth = *self.rng.choice(&able).ok_or_else(|| self.everybody_waits())?;
            let result = self.go_on(nth);
            self.collect_trace();
            result.map_err(|wrong| format!("pump {nth}: {wrong}"))?;
            self.add_up()?;
            self.everybody_who_waits_has_to()?;
        }
        let left = self.level.in_flight_bytes();
        ensure!(left == 0 && !self.level.is_held(), "all have left, and {left} bytes have not");
        Ok(())
    }

    fn go_on(&mut self, nth: usize) -> Check {
        let steps = self.steps();
        let member = &mut self.members[nth];
        if std::mem::replace(&mut member.is_to_tell, false) {
            self.tell();
            return Ok(());
        }
        member.is_to_tell = true;
        self.move_mark();
        let member = &mut self.members[nth];
        match member.stage {
            Stage::Running => {
                member.driver.time_passes(steps);
                self.turn(nth)
            }
            Stage::Ended | Stage::Left => {
                self.leave(nth);
                Ok(())
            }
        }
    }

    /// As a tuner does: somebody tells afterwards whether that has opened admission.
    fn move_mark(&mut self) {
        let Some(least) = self.company.moves_to.filter(|_| self.rng.u32(0..8) == 0) else { return };
        let now = self.members.iter().map(|member| member.driver.world.now()).max().unwrap_or_default();
        let high = self.rng.u64(least..=self.company.marks.high_bytes());
        self.level.set_high(high, now);
        if self.bug == Some(Bug::RaisedInSecret) {
            self.level.take_opened();
        }
    }

    fn turn(&mut self, nth: usize) -> Check {
        let others_starve = self.others_starve(nth);
        let one_event = self.company.plans[nth].interleaving == Interleaving::Threads;
        let member = &mut self.members[nth];
        if member.driver.world.subject.is_finished() {
            member.stage = Stage::Ended;
            return member.driver.end();
        }
        let (before, was_refused) = (member.in_flight_bytes(), member.is_refused());
        member.driver.turn()?;
        let after = member.in_flight_bytes();
        member.waits =
            member.driver.reader_is_idle() && member.is_refused() && (member.waits || !was_refused);
        let pushed_in = one_event && others_starve && before > 0 && after > before;
        ensure!(!pushed_in, "{before} bytes became {after} while another pump had nothing");
        ensure!(!member.driver.is_stuck() || member.is_starved(), "a deadlock: nobody else can let it go on");
        Ok(())
    }

    fn others_starve(&self, nth: usize) -> bool {
        (0..self.members.len()).any(|other| other != nth && self.members[other].is_starved())
    }

    fn leave(&mut self, nth: usize) {
        let member = &mut self.members[nth];
        (member.stage, member.waits) = (Stage::Left, false);
        let world = &mut member.driver.world;
        world.note(|| "leave".into());
        let now = world.now();
        if self.bug != Some(Bug::LeaveForgotten) {
            world.subject.pump.leave(now);
        }
    }

    /// Where admission has opened, all that were refused ask again, and nobody else.
    fn tell(&mut self) {
        if self.bug == Some(Bug::NobodyTold) || !self.level.take_opened() {
            return;
        }
        let most = if self.bug == Some(Bug::OneTold) { 1 } else { usize::MAX };
        for member in self.members.iter_mut().filter(|member| member.is_refused()).take(most) {
            member.waits = false;
            member.driver.world.note(|| "told that admission has opened".into());
            member.driver.something_changed();
        }
    }

    /// The level is the sum of what the pumps have, and under the mark.
    fn add_up(&self) -> Check {
        let sum: u64 = self.members.iter().map(Member::in_flight_bytes).sum();
        let (level, high) = (self.level.in_flight_bytes(), self.company.marks.high_bytes());
        ensure!(sum <= high, "{sum} bytes in flight, the mark is {high}");
        ensure!(sum == level, "the level is {level} bytes, the pumps have {sum}");
        let peak = self.level.stats(Duration::ZERO).peak_bytes;
        ensure!(peak <= high, "a peak of {peak} bytes under a mark of {high}");
        Ok(())
    }

    /// Once all is told, a pump that waits was refused for a reason that still holds.
    fn everybody_who_waits_has_to(&self) -> Check {
        if self.level.is_held() || self.members.iter().any(|member| member.is_to_tell) {
            return Ok(());
        }
        for (nth, member) in self.members.iter().enumerate() {
            let has_to = member.driver.world.subject.is_finished() || self.others_starve(nth);
            ensure!(!member.waits || has_to, "pump {nth} waits, and could be admitted");
        }
        Ok(())
    }

    fn everybody_waits(&self) -> String {
        let level = self.level.in_flight_bytes();
        let waiting = (0..self.members.len()).filter(|nth| self.members[*nth].stage == Stage::Running);
        let waiting: Vec<usize> = waiting.collect();
        format!("a lost wake-up: pumps {waiting:?} wait for ever, at a level of {level} bytes")
    }

    fn collect_trace(&mut self) {
        for (nth, member) in self.members.iter_mut().enumerate() {
            let lines = member.driver.world.trace.iter_mut().flat_map(|trace| trace.drain(..));
            self.trace.extend(lines.map(|line| format!("pump {nth}: {line}")));
        }
    }
}

/// Steps taken, or what was found wrong, and what happened.
pub fn run(company: &Company, bug: Option<Bug>, traced: bool) -> (Result<u64, String>, Vec<String>) {
    let mut run = Run::new(company, bug, traced);
    let outcome = caught(|| run.run());
    (outcome.map(|()| run.steps()), run.trace)
}

fn explain(seed: u64) -> String {
    let company = Company::of_seed(seed);
    let (outcome, trace) = run(&company, None, true);
    format!("{company:#?}\n{}\nseed {seed}: {outcome:?}", trace.join("\n"))
}

#[test]
fn seeds_of_companies() {
    every_seed(|seed| run(&Company::of_seed(seed), None, false).0, explain);
}
