//! A pump between a simulated source and a simulated target, with real buffers: questions are
//! asked, operations are in flight, completions are told, and after each the checks look at it all.

use std::ops::Range;
use std::time::Duration;

use highwater::flow::{Intake, Length, Outlet, Transfer, Visibility};

use crate::model::Model;
use crate::op::{Asked, Kind, Op};
use crate::plan::Plan;
use crate::source::Source;
use crate::subject::Subject;
use crate::target::Target;
use crate::{Check, ensure};

#[derive(Clone)]
pub struct World {
    pub subject: Subject,
    pub source: Source,
    pub target: Target,
    pub model: Model,
    pub ops: Vec<Op>,
    pub now_ns: u64,
    pub steps: u64,
    /// what happened, where it is asked for
    pub trace: Option<Vec<String>>,
    pub block_bytes: usize,
    pub buffers: Vec<u8>,
    pub grain_bytes: u32,
    pub taken_by_caller: bool,
    /// the length that a killed copy must not show too early, where it is known
    pub guarded: Option<u64>,
    /// how often a transfer had to wait before it was tried again
    pub pauses: u64,
    step_bytes: u64,
    completed_to: u64,
}

const NOWHERE: Transfer = Transfer { slot: 0, offset: 0, at: 0, len: 0, direct: false };

impl World {
    pub fn new(plan: &Plan, subject: Subject) -> World {
        let shape = &plan.shape;
        let ring = usize::from(shape.slots) * shape.block_bytes as usize;
        World {
            subject,
            source: Source::of_plan(plan),
            target: Target::of_plan(plan),
            model: Model::of_shape(shape),
            ops: Vec::with_capacity(usize::from(shape.slots) + 4),
            now_ns: 0,
            steps: 0,
            trace: None,
            block_bytes: shape.block_bytes as usize,
            buffers: vec![0; ring],
            grain_bytes: plan.grain_bytes,
            taken_by_caller: plan.taken_by_caller,
            guarded: match shape.length {
                Length::Exact(n) | Length::Expected(n) if n > 0 => Some(n),
                _ => None,
            },
            pauses: 0,
            step_bytes: match shape.visibility {
                Visibility::Ahead { step } => step,
                Visibility::ByWrites | Visibility::Fixed => 0,
            },
            completed_to: 0,
        }
    }

    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns)
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10} ns  {}", self.now_ns, text()));
        }
    }

    /// What is wrong, after all that happened where that was noted.
    pub fn tell(&self, wrong: String) -> String {
        self.trace.iter().flatten().chain([&wrong]).map(|line| format!("{line}\n")).collect()
    }

    pub fn buffer(&mut self, slot: u16, range: Range<u32>) -> &mut [u8] {
        let start = usize::from(slot) * self.block_bytes;
        &mut self.buffers[start + range.start as usize..start + range.end as usize]
    }

    fn begin(&mut self, kind: Kind, transfer: Transfer) -> Asked {
        self.ops.push(Op { kind, transfer, due_ns: 0, applied: 0 });
        Asked::Begun
    }

    pub fn ask_read(&mut self) -> Result<Asked, String> {
        self.steps += 1;
        let intake = self.subject.next_read(self.now());
        self.note(|| format!("read?  {intake:?}"));
        let asked = match intake {
            Intake::Idle => return Ok(Asked::Idle),
            Intake::Wait(at) => return Ok(Asked::Until(at.as_nanos() as u64)),
            Intake::Map { from } => self.begin(Kind::Map { from }, NOWHERE),
            Intake::Read(t) => {
                self.is_due(t)?;
                self.model.read_begins(t, false)?;
                self.begin(Kind::Read, t)
            }
            Intake::Zero(t) => {
                self.model.read_begins(t, true)?;
                self.begin(Kind::Zero, t)
            }
        };
        self.check()?;
        Ok(asked)
    }

    pub fn ask_write(&mut self) -> Result<Asked, String> {
        self.steps += 1;
        let outlet = match self.taken_by_caller {
            true => self.subject.take(),
            false => self.subject.next_write(self.now()),
        };
        self.note(|| format!("write? {outlet:?}"));
        let asked = match outlet {
            Outlet::Idle => return Ok(Asked::Idle),
            Outlet::Wait(at) => return Ok(Asked::Until(at.as_nanos() as u64)),
            Outlet::Extend { size } => {
                ensure!(size > self.target.visible, "{outlet:?}, and {} are visible", self.target.visible);
                self.begin(Kind::Extend { size }, NOWHERE)
            }
            Outlet::Search { slot, at, len } => {
                self.model.search_begins(slot, at, len)?;
                self.begin(Kind::Search { slot, at, len }, NOWHERE)
            }
            Outlet::Write(t) => {
                self.is_due(t)?;
                self.model.write_begins(t, self.target.cursor, self.taken_by_caller)?;
                self.target.cursor += u64::from(if self.taken_by_caller { t.len } else { 0 });
                self.begin(Kind::Write, t)
            }
        };
        self.check()?;
        Ok(asked)
    }

    /// Somebody looks at a block, where one is to be looked at.
    pub fn ask_digest(&mut self) -> Result<Asked, String> {
        self.steps += 1;
        let Some(t) = self.subject.next_digest() else { return Ok(Asked::Idle) };
        self.note(|| format!("digest {t:?}"));
        self.model.digest_begins(t)?;
        self.begin(Kind::Digest, t);
        self.check()?;
        Ok(Asked::Begun)
    }

    fn is_due(&self, t: Transfer) -> Check {
        let not_before_ns = self.model.slots[usize::from(t.slot)].not_before_ns;
        ensure!(not_before_ns <= self.now_ns, "{t:?}: tried again before {not_before_ns} ns");
        Ok(())
    }

    /// A write gets so far before it completes.
    pub fn apply(&mut self, nth: usize, to: u32) -> Check {
        let Op { transfer: t, applied, .. } = self.ops[nth];
        if to <= applied {
            return Ok(());
        }
        self.ops[nth].applied = to;
        let start = usize::from(t.slot) * self.block_bytes;
        let data = &self.buffers[start + (t.at + applied) as usize..start + (t.at + to) as usize];
        self.target.apply(t.offset + u64::from(applied), data, &self.source.bytes)?;
        self.target.killed_here(self.guarded, &self.source.bytes)
    }

    pub fn cancel(&mut self) {
        self.note(|| "cancel".into());
        self.model.cancelled = true;
        self.subject.cancel();
    }

    /// The caller puts up to `most` bytes into the ring; how many went in.
    pub fn fill(&mut self, most: u64) -> Result<u32, String> {
        self.steps += 1;
        let Some(place) = self.subject.pump.room() else { return Ok(0) };
        self.model.room(place)?;
        let n = most.min(u64::from(place.len)) as u32;
        let (offset, now) = (self.model.position(), self.now());
        let start = usize::from(place.slot) * self.block_bytes + place.at as usize;
        assert_eq!(self.source.read(offset, &mut self.buffers[start..start + n as usize]), n);
        self.model.fill(place, n)?;
        self.subject.pump.fill(place, n, now);
        self.note(|| format!("fill   {n} into {place:?}"));
        self.check()?;
        Ok(n)
    }

    /// What must hold after every step.
    pub fn check(&mut self) -> Check {
        let (pump, model) = (&self.subject.pump, &self.model);
        let (level, in_flight) = (pump.progress().level_bytes, pump.in_flight());
        ensure!(level == model.level, "the level is {level} bytes, {} are on their way", model.level);
        let handed_out = model.reads + model.writes + model.digests;
        ensure!(in_flight == handed_out, "{in_flight} operations counted, {handed_out} are in flight");
        let completed = pump.completed_to();
        if completed != self.completed_to {
            ensure!(completed > self.completed_to, "complete to {}, then {completed}", self.completed_to);
            self.target.is_right(self.completed_to, completed, &self.source.bytes)?;
            model.is_digested_to(completed)?;
            self.completed_to = completed;
        }
        let (visible, written) = (self.target.visible, self.model.written_to);
        ensure!(
            visible <= written.max(completed + self.step_bytes),
            "{visible} bytes visible, {completed} complete, written up to {written}"
        );
        Ok(())
    }
}
