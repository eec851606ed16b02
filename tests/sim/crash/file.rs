//! One file on its way: begun by what is known of it, copied by a pump, told to the journal, named.

use highwater::digest::Digest;
use highwater::flow::{
    Digesting, Extent, Holes, Intake, Length, Marks, Outlet, Patience, Pump, Shape, Side, Transfer,
    Visibility,
};
use highwater::journal::{FileId, Started};

use super::disk::Disk;
use super::known::{digest, path};
use super::plan::{Bug, Plan, Way};
use super::world::{Copying, Name, State, World};
use crate::Check;

impl World {
    pub fn step_of_file(&mut self, nth: usize) -> Check {
        match std::mem::replace(&mut self.states[nth], State::Done) {
            State::Start => self.states[nth] = self.start(nth)?,
            State::Copying(copying) => self.states[nth] = self.copy(nth, copying)?,
            State::Waits(round) if !self.log.is_recorded(round) && !self.has(Bug::PublishedFirst) => {
                self.states[nth] = State::Waits(round);
            }
            State::Waits(_) => self.publish(nth),
            State::Done => {}
        }
        Ok(())
    }

    fn publish(&mut self, nth: usize) {
        let inode = self.targets[nth].last_mut().expect("it was made");
        inode.was_part |= inode.name() == Name::Part;
        inode.names.push(Name::Own);
        // What had the name before is replaced.
        let number = inode.number;
        self.targets[nth].retain(|inode| inode.number == number);
        self.note(|| format!("file {nth} has its name"));
    }

    /// What a file is to begin with, by what is known of it.
    fn start(&mut self, nth: usize) -> Result<State, String> {
        let way = self.plan.files[nth].way;
        let source = self.sources[nth].identity;
        let known = self.known(nth)?;
        let known = known.filter(|known| known.source == source || self.has(Bug::SourceUnseen));
        if let Some(known) = known
            && let Some(place) = self.targets[nth].iter().position(|inode| inode.number == known.inode)
        {
            let belief = match self.has(Bug::BelievedUnseen) {
                true => self.believe(&known, nth, |claim| claim.units())?,
                false => self.believe_seen(&known, nth)?,
            };
            self.note(|| format!("file {nth}: {known:?}, {belief:?}"));
            let inode = self.targets[nth].remove(place);
            self.targets[nth].push(inode);
            if belief.is_whole {
                self.publish(nth);
                return Ok(State::Done);
            }
            if let Some(begun) = known.begun {
                let mut base = belief.to as usize;
                if self.has(Bug::GoesOnTooFar) && base + self.plan.unit_bytes <= self.sources[nth].bytes.len()
                {
                    base += self.plan.unit_bytes;
                }
                let inode = self.targets[nth].last().expect("it was found");
                let has_part = inode.name() == Name::Part;
                // It is cut to what is believed, so that holes behind it read as zeros again.
                let inode = self.targets[nth].last_mut().expect("it was found");
                let rest = vec![0; inode.disk.view.len() - base];
                inode.disk.write(base, &rest);
                let started = self.started(nth, known.inode, has_part);
                let id = self.log.go_on(started, begun, belief.before, base as u64);
                return Ok(self.copying(nth, base, id));
            }
        }
        // From the beginning. What is left of a part goes.
        self.targets[nth].retain(|inode| inode.name() == Name::Own);
        let length = self.sources[nth].bytes.len();
        let number = match (way, self.targets[nth].last()) {
            (Way::InPlace, Some(inode)) => inode.number,
            (Way::Small, _) => {
                self.targets[nth].clear();
                self.make(nth, Disk::holding(vec![0; length]), Name::Own)
            }
            _ => self.make(nth, Disk::holding(vec![0; length]), Name::None),
        };
        let started = self.started(nth, number, way == Way::New);
        let id = if way == Way::Small { None } else { self.log.start(started) };
        Ok(self.copying(nth, 0, id))
    }

    fn started(&self, nth: usize, inode: u64, has_part: bool) -> Started {
        let part = if has_part { format!("part-{inode}").into_bytes() } else { Vec::new() };
        Started { path: path(nth), source: self.sources[nth].identity, inode, part }
    }

    fn copying(&mut self, nth: usize, base: usize, id: Option<FileId>) -> State {
        let Plan { block_bytes, slots, .. } = self.plan;
        let ring = u64::from(block_bytes) * u64::from(slots);
        let is_sparse = self.plan.files[nth].way == Way::New && self.sources[nth].holes.contains(&true);
        let pump = Pump::new(Shape {
            block_bytes,
            slots,
            marks: Marks::new(ring, None, u64::from(block_bytes), ring).expect("the plan's marks agree"),
            source: Side::SEEKABLE,
            target: Side::SEEKABLE,
            length: Length::Exact((self.sources[nth].bytes.len() - base) as u64),
            sparse: is_sparse,
            holes: Holes::Skip,
            find_zeros: false,
            fill_blocks: true,
            filled_by_caller: false,
            visibility: Visibility::Fixed,
            digesting: Digesting::Off,
            limit_bytes_per_s: None,
            patience: Patience::default(),
        });
        let digested = base / self.plan.unit_bytes;
        let buffers = vec![0; ring as usize];
        State::Copying(Box::new(Copying { pump, base, ops: Vec::new(), buffers, id, digested }))
    }

    fn copy(&mut self, nth: usize, mut copying: Box<Copying>) -> Result<State, String> {
        let now = self.now;
        let waits = self.log.is_full() && !self.has(Bug::NeverWaits);
        let may_begin = !waits && !copying.pump.is_finished();
        if may_begin && self.rng.bool() {
            if self.rng.bool() {
                match copying.pump.next_read(now) {
                    Intake::Map { from } => {
                        copying.pump.mapped(self.extent(nth, copying.base, from as usize))
                    }
                    Intake::Read(t) => copying.ops.push((false, t)),
                    _ => {}
                }
            } else if let Outlet::Write(t) = copying.pump.next_write(now) {
                copying.ops.push((true, t));
                if self.has(Bug::CompleteTooEarly)
                    && let Some(id) = copying.id
                {
                    let to = copying.base + t.offset as usize + t.len as usize;
                    self.tell(nth, &mut copying, id, to);
                }
            }
        } else if !waits && !copying.ops.is_empty() {
            let (is_write, t) = copying.ops.swap_remove(self.rng.usize(0..copying.ops.len()));
            let n = if self.rng.bool() { t.len } else { self.rng.u32(0..=t.len) };
            match is_write {
                _ if n == 0 => copying.pump.retry(t),
                true => {
                    self.put(nth, &copying, t, n);
                    copying.pump.wrote(t, n, now);
                }
                false => {
                    let from = copying.base + t.offset as usize;
                    let start = usize::from(t.slot) * self.plan.block_bytes as usize + t.at as usize;
                    let data = &self.sources[nth].bytes[from..][..n as usize];
                    copying.buffers[start..][..n as usize].copy_from_slice(data);
                    copying.pump.read(t, n, now);
                }
            }
        }
        if let Some(id) = copying.id {
            let to = copying.base + copying.pump.completed_to() as usize;
            self.tell(nth, &mut copying, id, to);
        }
        match copying.pump.is_finished() && !waits {
            true => Ok(self.finish(nth, *copying)),
            false => Ok(State::Copying(copying)),
        }
    }

    /// Where the source has data or a hole, of a copy that begins at `base`.
    fn extent(&self, nth: usize, base: usize, from: usize) -> Extent {
        let (unit, holes) = (self.plan.unit_bytes, &self.sources[nth].holes);
        let first = (base + from) / unit;
        let units = holes[first..].iter().take_while(|hole| **hole == holes[first]).count();
        let range = from as u64..((first + units) * unit - base) as u64;
        if holes[first] { Extent::Hole(range) } else { Extent::Data(range) }
    }

    pub fn put(&mut self, nth: usize, copying: &Copying, t: Transfer, n: u32) {
        let start = usize::from(t.slot) * self.plan.block_bytes as usize + t.at as usize;
        let data = &copying.buffers[start..][..n as usize];
        let inode = self.targets[nth].last_mut().expect("it was made");
        inode.disk.write(copying.base + t.offset as usize, data);
    }

    /// Tells the log of all whole units before `to`.
    fn tell(&mut self, nth: usize, copying: &mut Copying, id: FileId, to: usize) {
        let unit = self.plan.unit_bytes;
        while (copying.digested + 1) * unit <= to {
            self.tell_unit(nth, copying, id);
        }
        self.log.completed(id, to as u64, self.now);
    }

    fn tell_unit(&mut self, nth: usize, copying: &mut Copying, id: FileId) {
        let unit = self.plan.unit_bytes;
        let source = &self.sources[nth];
        let bytes = &source.bytes[copying.digested * unit..];
        match source.holes[copying.digested] {
            true => self.log.zeros(id, 1),
            false => self.log.digested(id, &[digest(&bytes[..unit.min(bytes.len())])]),
        }
        copying.digested += 1;
    }

    fn finish(&mut self, nth: usize, mut copying: Copying) -> State {
        let length = self.sources[nth].bytes.len();
        let Some(id) = copying.id else {
            let number = self.targets[nth].last().expect("it was made").number;
            let started = self.started(nth, number, false);
            let digests: Vec<Digest> =
                self.sources[nth].bytes.chunks(self.plan.unit_bytes).map(digest).collect();
            self.log.copied(&started, length as u64, &digests, self.now);
            return State::Done;
        };
        while copying.digested < length.div_ceil(self.plan.unit_bytes) {
            self.tell_unit(nth, &mut copying, id);
        }
        let waits = self.log.finish(id);
        if !waits {
            self.publish(nth);
        }
        let round = self.log.whole(id, length as u64, self.now);
        if waits {
            self.log.hurry();
            return State::Waits(round);
        }
        State::Done
    }
}
