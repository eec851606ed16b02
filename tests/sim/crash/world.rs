//! Sources, targets, the journal and whoever writes it, from the first run to the last.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use fastrand::Rng;
use highwater::digest::Digest;
use highwater::flow::{
    Digesting, Extent, Holes, Intake, Length, Marks, Outlet, Patience, Pump, Shape, Side, Transfer,
    Visibility,
};
use highwater::journal::{
    Belief, Claim, FileId, Header, Identity, Interval, Log, Reader, Record, Records, Started, Step, believe,
    key, key_of_file, key_of_path, record_at,
};

use super::disk::Disk;
use super::plan::{Bug, Crash, Plan, Way};
use crate::{Check, ensure};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    None,
    Part,
    Own,
}

/// A file of the target.
struct Inode {
    number: u64,
    disk: Disk,
    /// since the last sync, oldest first; the last one is what is seen
    names: Vec<Name>,
    /// it got its own name from a part's, which it may only once it is recorded as whole
    was_part: bool,
}

impl Inode {
    fn name(&self) -> Name {
        *self.names.last().expect("there always is one")
    }
}

struct Source {
    identity: Identity,
    bytes: Vec<u8>,
    holes: Vec<bool>,
}

/// A file on its way.
enum State {
    Start,
    Copying(Box<Copying>),
    /// its part is to get its own name once this round is recorded
    Waits(u64),
    Done,
}

struct Copying {
    pump: Pump,
    base: usize,
    ops: Vec<(bool, Transfer)>,
    buffers: Vec<u8>,
    /// None: it is said at once when it is complete
    id: Option<FileId>,
    digested: usize,
}

pub struct World {
    plan: Plan,
    bug: Option<Bug>,
    rng: Rng,
    pub steps: u64,
    pub trace: Vec<String>,
    traced: bool,
    now: Duration,
    sources: Vec<Source>,
    targets: Vec<Vec<Inode>>,
    states: Vec<State>,
    journal: Disk,
    log: Log,
    appends: u32,
    /// a sync on its way: what it makes durable, of each inode and of the journal
    syncing: Option<HashMap<u64, (usize, usize)>>,
    next_inode: u64,
}

fn header(plan: &Plan) -> Header {
    Header {
        unit_bytes: plan.unit_bytes as u32,
        options: [0; 32],
        target_existed: false,
        target_is_directory: false,
        target_inode: 0,
        target_bytes: 0,
        target: b"/target".to_vec(),
        sources: vec![],
    }
}

fn digest(unit: &[u8]) -> Digest {
    // Cheap, and as good as any against what chance does.
    let mut digest = [unit.len() as u8; 32];
    digest[..unit.len()].copy_from_slice(unit);
    digest
}

impl World {
    pub fn new(plan: Plan, bug: Option<Bug>, traced: bool) -> World {
        let mut rng = Rng::with_seed(plan.seed.rotate_left(32));
        let interval = World::interval(&plan);
        let (log, _) = Log::begin(&header(&plan), [1; 16], interval).expect("a short header");
        let sources = plan.files.iter().map(|file| Source {
            identity: Identity { inode: 1, size: file.length as u64, modified: (0, 0), changed: (0, 0) },
            bytes: some_bytes(&mut rng, file.length, &file.holes, plan.unit_bytes),
            holes: file.holes.clone(),
        });
        let sources: Vec<Source> = sources.collect();
        let mut world = World {
            bug,
            steps: 0,
            trace: Vec::new(),
            traced,
            now: Duration::ZERO,
            targets: plan.files.iter().map(|_| Vec::new()).collect(),
            states: Vec::new(),
            sources,
            journal: Disk::default(),
            log,
            appends: 0,
            syncing: None,
            next_inode: 1,
            rng,
            plan,
        };
        for nth in 0..world.plan.files.len() {
            if world.plan.files[nth].way == Way::InPlace {
                let old = vec![0xEE; world.plan.files[nth].length];
                world.make(nth, Disk::holding(old), Name::Own);
            }
        }
        world
    }

    fn interval(plan: &Plan) -> Interval {
        Interval { time: Duration::from_nanos(plan.interval_ns), bytes: plan.interval_bytes }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.traced {
            let text = text();
            self.trace.push(format!("{:>6} {text}", self.now.as_nanos()));
        }
    }

    fn make(&mut self, nth: usize, disk: Disk, name: Name) -> u64 {
        let number = self.next_inode;
        self.next_inode += 1;
        self.targets[nth].push(Inode { number, disk, names: vec![name], was_part: false });
        number
    }

    // ---- runs ----

    pub fn run(&mut self) -> Check {
        let crashes = self.plan.crashes.clone();
        for crash in crashes {
            self.begin_run()?;
            let mut left = crash.after_steps;
            while left > 0 && !self.is_done() {
                self.step()?;
                left -= 1;
            }
            if self.is_done() {
                break;
            }
            self.crash(crash)?;
        }
        self.begin_run()?;
        while !self.is_done() {
            self.step()?;
            ensure!(self.steps < 100_000, "no end");
        }
        self.verdict()
    }

    fn is_done(&self) -> bool {
        !self.states.is_empty() && self.states.iter().all(|state| matches!(state, State::Done))
    }

    /// What a resumed command does first.
    fn begin_run(&mut self) -> Check {
        self.states = self.plan.files.iter().map(|_| State::Start).collect();
        (self.syncing, self.appends) = (None, 0);
        let interval = World::interval(&self.plan);
        if self.journal.view.is_empty() {
            let nonce = [self.steps as u8; 16];
            let (log, first) = Log::begin(&header(&self.plan), nonce, interval).expect("a short header");
            self.journal.write(0, &first);
            let mark = self.journal.mark();
            self.journal.synced(mark);
            self.log = log;
            return Ok(());
        }
        let mut reader = match self.open()? {
            Some(reader) => reader,
            None => {
                // Whoever removes a damaged journal begins anew, without what it knew of.
                self.journal = Disk::default();
                for target in &mut self.targets {
                    target.retain(|inode| inode.name() == Name::Own);
                }
                return self.begin_run();
            }
        };
        while reader.next(read(&self.journal.view)).unwrap().unwrap().is_some() {}
        self.log = Log::resume(&header(&self.plan), &reader, interval);
        self.journal.truncate(reader.believed_to() as usize);
        let mark = self.journal.mark();
        self.journal.synced(mark);
        self.note(|| format!("run, {} bytes of journal", reader.believed_to()));
        Ok(())
    }

    /// The journal, where it can be read to its end.
    fn open(&self) -> Result<Option<Reader>, String> {
        let (_, reader) = match Reader::open(read(&self.journal.view)).unwrap() {
            Ok(opened) => opened,
            Err(unfit) if self.plan.lies.1 > 0 => return Ok(Some(unfit).and(None)),
            Err(unfit) => return Err(format!("the journal is {unfit:?}")),
        };
        let mut whole = Reader::open(read(&self.journal.view)).unwrap().expect("it was opened").1;
        loop {
            match whole.next(read(&self.journal.view)).unwrap() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Some(reader)),
                Err(_) if self.plan.lies.1 > 0 => return Ok(None),
                Err(unfit) => return Err(format!("the journal is {unfit:?}")),
            }
        }
    }

    fn crash(&mut self, crash: Crash) -> Check {
        let completed: Vec<u64> = (0..self.states.len()).map(|nth| self.completed(nth)).collect();
        // What is in flight got anywhere.
        for nth in 0..self.states.len() {
            let State::Copying(mut copying) = std::mem::replace(&mut self.states[nth], State::Start) else {
                continue;
            };
            for (is_write, t) in std::mem::take(&mut copying.ops) {
                let n = self.rng.u32(0..=t.len);
                if is_write && n > 0 {
                    self.put(nth, &copying, t, n);
                }
            }
        }
        if self.syncing.is_none()
            && let Step::Append { offset, bytes } = self.log.next(self.now)
        {
            let n = self.rng.usize(0..=bytes.len());
            let torn = bytes[..n].to_vec();
            if n > 0 && self.plan.journal_room.is_none() {
                self.journal.write(offset as usize, &torn);
            }
        }
        self.note(|| format!("{crash:?}"));
        if crash.is_power_cut {
            self.journal.power_cut(&mut self.rng);
            let tail = self.journal.view.len();
            if self.rng.bool() && self.log_end() < tail {
                let size = self.rng.usize(self.log_end()..=tail);
                self.journal.truncate(size);
            }
            for inode in self.targets.iter_mut().flatten() {
                inode.disk.power_cut(&mut self.rng);
                let nth = self.rng.usize(0..inode.names.len());
                inode.names = vec![inode.names[nth]];
            }
        }
        for target in &mut self.targets {
            target.retain(|inode| inode.name() != Name::None);
        }
        self.after_crash(crash, &completed)?;
        if let Some(nth) = crash.source_changes {
            let (length, unit) = (self.sources[nth].bytes.len(), self.plan.unit_bytes);
            let bytes = some_bytes(&mut self.rng, length, &self.sources[nth].holes, unit);
            self.sources[nth].bytes = bytes;
            self.sources[nth].identity.modified.0 += 1;
        }
        if let Some(nth) = crash.target_changes {
            for inode in &mut self.targets[nth] {
                let length = inode.disk.view.len();
                if length > 0 {
                    let at = self.rng.usize(0..length);
                    inode.disk.write(at, &[self.rng.u8(..)]);
                }
            }
        }
        Ok(())
    }

    /// What is on the journal's platter for certain.
    fn log_end(&self) -> usize {
        let mut reader = match Reader::open(read(&self.journal.view)).unwrap() {
            Ok((_, reader)) => reader,
            Err(_) => return self.journal.view.len(),
        };
        while let Ok(Some(_)) = reader.next(read(&self.journal.view)).unwrap() {}
        reader.believed_to() as usize
    }

    /// How far a file had come, in bytes.
    fn completed(&self, nth: usize) -> u64 {
        match &self.states[nth] {
            State::Start => 0,
            State::Copying(copying) => copying.base as u64 + copying.pump.completed_to(),
            State::Waits(_) | State::Done => self.sources[nth].bytes.len() as u64,
        }
    }

    fn after_crash(&mut self, crash: Crash, completed: &[u64]) -> Check {
        let honest = self.plan.is_honest();
        if self.plan.lies != (0, 0) {
            return Ok(());
        }
        let mut lost = 0;
        for (nth, completed) in completed.iter().enumerate() {
            let known = self.known(nth)?;
            for inode in &self.targets[nth] {
                let has_record = known.as_ref().is_some_and(|known| known.inode == inode.number);
                ensure!(inode.name() != Name::Part || has_record, "file {nth}: a part that nobody knows");
                let right = inode.disk.view == self.sources[nth].bytes;
                // Without a journal nothing is waited for.
                let is_final =
                    inode.was_part && inode.name() == Name::Own && self.plan.journal_room.is_none();
                ensure!(!honest || !is_final || right, "file {nth}: it got its name, and is not whole");
            }
            let known = known.filter(|known| known.source == self.sources[nth].identity);
            let believed = match &known {
                Some(known) => {
                    let there = self.targets[nth].iter().any(|inode| inode.number == known.inode);
                    let claimed = self.believe(known, nth, |claim| claim.units())?;
                    let believed = self.believe_seen(known, nth)?;
                    ensure!(
                        !honest || !there || believed.to == claimed.to,
                        "file {nth}: {} bytes are claimed, {} are durable",
                        claimed.to,
                        believed.to
                    );
                    if there { believed.to } else { 0 }
                }
                None => 0,
            };
            lost += self.copied_between(nth, believed as usize, *completed as usize);
        }
        let ring = u64::from(self.plan.block_bytes) * u64::from(self.plan.slots);
        let most =
            self.plan.interval_bytes + (ring + 2 * self.plan.unit_bytes as u64) * completed.len() as u64;
        let counts = honest && !crash.is_power_cut && self.plan.journal_room.is_none();
        ensure!(!counts || lost <= most, "{lost} bytes are to be copied again, of at most {most}");
        Ok(())
    }

    /// Holes are not copied where they can be left out.
    fn copied_between(&self, nth: usize, from: usize, to: usize) -> u64 {
        let (unit, holes) = (self.plan.unit_bytes, &self.sources[nth].holes);
        let skips = self.plan.files[nth].way == Way::New;
        (from..to).filter(|at| !skips || !holes[at / unit]).count() as u64
    }

    fn verdict(&mut self) -> Check {
        for (nth, source) in self.sources.iter().enumerate() {
            let [inode] = &self.targets[nth][..] else {
                return Err(format!("file {nth}: {} of it are left", self.targets[nth].len()));
            };
            ensure!(inode.name() == Name::Own, "file {nth}: its name is {:?}", inode.name());
            let wrong = inode.disk.view.iter().zip(&source.bytes).position(|(a, b)| a != b);
            let same = inode.disk.view.len() == source.bytes.len();
            ensure!(same && wrong.is_none(), "file {nth}: wrong from byte {wrong:?} on");
        }
        Ok(())
    }

    // ---- steps ----

    fn step(&mut self) -> Check {
        self.steps += 1;
        self.now += Duration::from_nanos(self.rng.u64(0..60));
        let actors = self.states.len();
        match self.rng.usize(0..=actors) {
            nth if nth < actors => self.step_of_file(nth),
            _ if self.rng.u32(0..self.plan.journal_pause) > 0 => Ok(()),
            _ => self.step_of_journal(),
        }
    }

    fn step_of_journal(&mut self) -> Check {
        let now = self.now;
        let step = match self.log.next(now) {
            Step::Idle(None) => return Ok(()),
            Step::Idle(Some(at)) => {
                self.now = at.max(self.now);
                return Ok(());
            }
            Step::Append { offset, bytes } => {
                let bytes = bytes.to_vec();
                self.appends += 1;
                if self.plan.journal_room.is_some_and(|room| self.appends > room) {
                    self.note(|| "the journal is full".into());
                    self.log.close();
                    return Ok(());
                }
                self.note(|| format!("append {} bytes at {offset}", bytes.len()));
                self.journal.write(offset as usize, &bytes);
                self.log.done();
                return Ok(());
            }
            Step::Name(ids) => Ok(ids.to_vec()),
            Step::SyncJournal => Err(true),
            Step::SyncTarget => Err(false),
        };
        match step {
            Ok(ids) => {
                ids.into_iter().for_each(|id| self.name_part(id));
                self.log.done();
            }
            Err(is_journal) => self.sync(is_journal),
        }
        // The bugs that swap steps.
        if self.has(Bug::NamedFirst) {
            let ids: Vec<FileId> = self.ids();
            ids.into_iter().for_each(|id| self.name_part(id));
        }
        Ok(())
    }

    fn ids(&self) -> Vec<FileId> {
        let id = |state: &State| if let State::Copying(copying) = state { copying.id } else { None };
        self.states.iter().filter_map(id).collect()
    }

    fn name_part(&mut self, id: FileId) {
        for nth in 0..self.states.len() {
            let State::Copying(copying) = &self.states[nth] else { continue };
            if copying.id == Some(id) && self.plan.files[nth].way == Way::New {
                let inode = self.targets[nth].last_mut().expect("it was made");
                if inode.name() == Name::None {
                    inode.names.push(Name::Part);
                    self.note(|| format!("file {nth} has its part's name"));
                }
            }
        }
        // One that was finished meanwhile waits for its name all the same.
        for nth in 0..self.states.len() {
            if matches!(self.states[nth], State::Waits(_)) {
                let inode = self.targets[nth].last_mut().expect("it was made");
                if inode.name() == Name::None {
                    inode.names.push(Name::Part);
                }
            }
        }
    }

    /// Begins a sync, or ends the one that was begun.
    fn sync(&mut self, is_journal: bool) {
        let lies = if is_journal { self.plan.lies.1 } else { self.plan.lies.0 };
        let skipped = match is_journal {
            true => self.has(Bug::JournalNotSynced),
            false => self.has(Bug::RecordedFirst),
        };
        let Some(marks) = self.syncing.take() else {
            let mark = |inode: &Inode| (inode.number, (inode.disk.mark(), inode.names.len()));
            let mut marks: HashMap<_, _> = self.targets.iter().flatten().map(mark).collect();
            marks.insert(0, (self.journal.mark(), 0));
            self.syncing = Some(marks);
            return;
        };
        if !skipped && self.rng.u32(0..8) >= lies {
            if is_journal {
                self.journal.synced(marks[&0].0);
            } else {
                for inode in self.targets.iter_mut().flatten() {
                    let Some((mark, names)) = marks.get(&inode.number) else { continue };
                    inode.disk.synced(*mark);
                    inode.names.drain(..names - 1);
                }
            }
        }
        self.note(|| format!("synced {}", if is_journal { "the journal" } else { "the target" }));
        self.log.done();
    }

    fn step_of_file(&mut self, nth: usize) -> Check {
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

    // ---- one file ----

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

    fn put(&mut self, nth: usize, copying: &Copying, t: Transfer, n: u32) {
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

    // ---- what the journal knows ----

    /// The last that the journal says of a file.
    fn known(&self, nth: usize) -> Result<Option<Known>, String> {
        let Ok((_, mut reader)) = Reader::open(read(&self.journal.view)).unwrap() else { return Ok(None) };
        let mut found: HashMap<u64, u64> = HashMap::new();
        while let Ok(Some(batch)) = reader.next(read(&self.journal.view)).unwrap() {
            for (at, record) in Records::of(batch.payload) {
                let at = batch.offset + at as u64;
                found.insert(key(at, &record), at);
            }
        }
        let Some(&at) = found.get(&key_of_path(&path(nth))) else { return Ok(None) };
        let record = record_at(&self.journal.view[at as usize..]).ok_or("a record that was read can't be")?.0;
        Ok(match record {
            Record::Begun { source, inode, .. } => {
                let last = found.get(&key_of_file(at)).copied().unwrap_or(at);
                Some(Known { source, inode, begun: Some(at), last })
            }
            Record::Copied { source, inode, .. } => Some(Known { source, inode, begun: None, last: at }),
            _ => None,
        })
    }

    fn believe(
        &self,
        known: &Known,
        nth: usize,
        mut matches: impl FnMut(&Claim<'_>) -> u64,
    ) -> Result<Belief, String> {
        let unit = self.plan.unit_bytes as u64;
        let Some(begun) = known.begun else {
            let record = record_at(&self.journal.view[known.last as usize..]);
            let Some((Record::Copied { length, digests, .. }, _)) = record else {
                return Err(format!("file {nth}: no record of its copy"));
            };
            let claim = Claim { from: 0, zeros: 0, digests, length: Some(length) };
            let good = matches(&claim);
            let is_whole = good == claim.units();
            let to = if is_whole { length } else { good * unit };
            return Ok(Belief { to, before: 0, is_whole, altered: !is_whole });
        };
        let fetch = |at: u64, bytes: &mut Vec<u8>| {
            *bytes = self.journal.view[at as usize..].to_vec();
            Ok::<_, Infallible>(())
        };
        Ok(believe(begun, known.last, unit, fetch, |claim| Ok(matches(claim))).unwrap())
    }

    /// By what the target holds now.
    fn believe_seen(&self, known: &Known, nth: usize) -> Result<Belief, String> {
        let unit = self.plan.unit_bytes;
        let none = Vec::new();
        let inode = self.targets[nth].iter().find(|inode| inode.number == known.inode);
        let view = inode.map_or(&none, |inode| &inode.disk.view);
        self.believe(known, nth, |claim| {
            let is_good = |nth: &u64| {
                let from = (claim.from as usize + *nth as usize * unit).min(view.len());
                let bytes = &view[from..(from + unit).min(view.len())];
                match nth.checked_sub(claim.zeros) {
                    None => bytes.iter().all(|byte| *byte == 0),
                    Some(nth) => digest(bytes)[..] == claim.digests[nth as usize * 32..][..32],
                }
            };
            (0..claim.units()).take_while(is_good).count() as u64
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    source: Identity,
    inode: u64,
    begun: Option<u64>,
    last: u64,
}

fn path(nth: usize) -> Vec<u8> {
    format!("file {nth}").into_bytes()
}

fn some_bytes(rng: &mut Rng, length: usize, holes: &[bool], unit: usize) -> Vec<u8> {
    (0..length).map(|at| if holes[at / unit] { 0 } else { rng.u8(1..) }).collect()
}

fn read(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<usize, Infallible> + '_ {
    |offset, buffer| {
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}
