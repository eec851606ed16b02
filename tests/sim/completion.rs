//! Completions: an operation does its work on the simulated source or target, and the pump and its
//! account are told.

use std::ops::Range;

use highwater::flow::{Digesting, Failure, Reason, Transfer, Trouble, Verdict};

use crate::op::{Kind, Outcome};
use crate::subject::Bug;
use crate::trials::trouble;
use crate::world::World;
use crate::{Check, ensure};

/// What a read that got anywhere leaves where it didn't bring the source's bytes.
const POISON: u8 = 0xDD;

impl World {
    /// The nth operation in flight completes.
    pub fn complete(&mut self, nth: usize, outcome: Outcome) -> Check {
        self.steps += 1;
        let op = self.ops.swap_remove(nth);
        self.note(|| format!("done   {:?} {:?}: {outcome:?}", op.kind, op.transfer));
        match op.kind {
            Kind::Read => self.complete_read(op.transfer, outcome)?,
            Kind::Zero => {
                let (t, now) = (op.transfer, self.now());
                let zero = if self.subject.has(Bug::LostNotZeroed) { POISON } else { 0 };
                self.buffer(t.slot, t.at..t.at + t.len).fill(zero);
                self.model.read_done(t, t.len);
                self.subject.read(t, t.len, now);
            }
            Kind::Digest => self.complete_digest(op.transfer)?,
            Kind::Write => {
                self.ops.push(op);
                self.complete_write(outcome)?;
            }
            Kind::Map { from } => {
                let extent = self.source.extent(from);
                self.model.mapped(&extent);
                self.subject.pump.mapped(extent);
            }
            Kind::Search { slot, at, len } => {
                let run = self.first_data(slot, at, len);
                self.model.searched(slot, run.clone());
                let now = self.now();
                self.subject.searched(slot, run, now);
            }
            Kind::Extend { size } => match outcome {
                Outcome::Fails(errno) => {
                    let failure = Failure { offset: size, reason: Reason::Extend(errno) };
                    self.model.fails(failure);
                    self.subject.pump.fail(failure);
                }
                _ => {
                    self.target.set_size(size);
                    self.target.killed_here(self.guarded, &self.source.bytes)?;
                }
            },
        }
        self.check()
    }

    /// Whoever looks at the bytes sees the source's, and where there is no target has them.
    fn complete_digest(&mut self, t: Transfer) -> Check {
        let now = self.now();
        let (from, to) = (t.offset as usize, t.offset as usize + t.len as usize);
        let start = usize::from(t.slot) * self.block_bytes;
        let seen = &self.buffers[start..start + t.len as usize];
        ensure!(
            self.source.bytes.get(from..to) == Some(seen),
            "{t:?}: other bytes than the source's digested"
        );
        if self.model.shape.digesting == Digesting::InsteadOfWrite {
            self.target.apply(t.offset, seen, &self.source.bytes)?;
        }
        self.model.digested(t);
        self.subject.digested(t, now);
        Ok(())
    }

    /// What was lost is zeros from now on, for the checks as well.
    fn fails(&mut self, t: Transfer, reason: Reason, trouble: Trouble) -> Check {
        let verdict = self.subject.troubled(t, reason, trouble, self.now());
        self.note(|| format!("judged {verdict:?}"));
        self.pauses += u64::from(matches!(verdict, Verdict::Again { .. }));
        self.model.judged(t, reason, &verdict, self.now_ns)?;
        if let Verdict::Lost(range) = verdict {
            // A source that was told to be longer than it is may be bad where it ends.
            let bytes = &mut self.source.bytes;
            bytes.resize(bytes.len().max(range.end as usize), 0);
            bytes[range.start as usize..range.end as usize].fill(0);
        }
        Ok(())
    }

    fn complete_read(&mut self, t: Transfer, outcome: Outcome) -> Check {
        let now = self.now();
        if !matches!(outcome, Outcome::Interrupted | Outcome::DirectRefused) {
            self.buffer(t.slot, t.at..t.at + t.len).fill(POISON);
        }
        match outcome {
            Outcome::Interrupted => {
                self.model.again(t, false);
                self.subject.retry(t, false, now);
            }
            Outcome::DirectRefused => {
                self.model.again(t, true);
                assert!(self.subject.pump.retry_buffered(t), "a direct read can fall back");
            }
            Outcome::Fails(errno) => {
                return self.fails(t, Reason::Read(errno), trouble(errno));
            }
            Outcome::Full | Outcome::Short(_) | Outcome::Nothing => {
                let most = if let Outcome::Short(n) = outcome { n } else { t.len };
                let start = usize::from(t.slot) * self.block_bytes + t.at as usize;
                let n = self.source.read(t.offset, &mut self.buffers[start..start + most as usize]);
                if n > 0 && self.subject.has(Bug::ByteLeftOver) {
                    self.buffers[start + n as usize - 1] = POISON;
                }
                self.model.read_done(t, n);
                self.subject.read(t, n, now);
            }
        }
        Ok(())
    }

    /// Of the last operation in the list, which it leaves.
    fn complete_write(&mut self, outcome: Outcome) -> Check {
        let nth = self.ops.len() - 1;
        let (t, now) = (self.ops[nth].transfer, self.now());
        let n = match outcome {
            Outcome::Full => t.len,
            Outcome::Short(n) => n.clamp(1, t.len).max(self.ops[nth].applied),
            _ => 0,
        };
        self.apply(nth, n)?;
        self.ops.pop();
        match outcome {
            Outcome::Full | Outcome::Short(_) => {
                if self.model.target_is_ordered() && !self.taken_by_caller {
                    self.target.cursor += u64::from(n);
                }
                self.model.wrote(t, n);
                self.subject.wrote(t, n, now);
            }
            Outcome::Interrupted => {
                self.model.again(t, false);
                self.subject.retry(t, true, now);
            }
            Outcome::DirectRefused => {
                self.model.again(t, true);
                assert!(self.subject.pump.retry_buffered(t), "a direct write can fall back");
            }
            Outcome::Fails(errno) => {
                self.fails(t, Reason::Write(errno), trouble(errno))?;
            }
            Outcome::Nothing => {
                self.model.failed(t, Reason::WriteZero);
                self.subject.wrote(t, 0, now);
            }
        }
        Ok(())
    }

    fn first_data(&mut self, slot: u16, at: u32, len: u32) -> Option<Range<u32>> {
        let grain = self.grain_bytes as usize;
        let end = at + len;
        let units = self.buffer(slot, at..end).chunks(grain).map(|unit| unit.iter().any(|byte| *byte != 0));
        let units: Vec<bool> = units.collect();
        let first = units.iter().position(|data| *data)?;
        let run = units[first..].iter().take_while(|data| **data).count();
        let start = at + (first * grain) as u32;
        Some(start..(start + (run * grain) as u32).min(end))
    }
}
