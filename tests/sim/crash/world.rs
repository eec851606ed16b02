//! Sources, targets and the journal, from the first run to the last.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use highwater::flow::{Pump, Transfer};
use highwater::journal::{FileId, Header, Identity, Interval, Log, Reader};

use super::disk::Disk;
use super::known::read;
use super::plan::{Bug, Plan, Way};
use crate::{Check, ensure};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    None,
    Part,
    Own,
}

/// A file of the target.
pub struct Inode {
    pub number: u64,
    pub disk: Disk,
    /// since the last sync, oldest first; the last one is what is seen
    pub names: Vec<Name>,
    /// it got its own name from a part's, which it may only once it is recorded as whole
    pub was_part: bool,
}

impl Inode {
    pub fn name(&self) -> Name {
        *self.names.last().expect("there always is one")
    }
}

pub struct Source {
    pub identity: Identity,
    pub bytes: Vec<u8>,
    pub holes: Vec<bool>,
}

/// A file on its way.
pub enum State {
    Start,
    Copying(Box<Copying>),
    /// its part is to get its own name once this round is recorded
    Waits(u64),
    Done,
}

pub struct Copying {
    pub pump: Pump,
    pub base: usize,
    pub ops: Vec<(bool, Transfer)>,
    pub buffers: Vec<u8>,
    /// None: it is said at once when it is complete
    pub id: Option<FileId>,
    pub digested: usize,
}

pub struct World {
    pub plan: Plan,
    pub bug: Option<Bug>,
    pub rng: Rng,
    pub steps: u64,
    pub trace: Vec<String>,
    pub traced: bool,
    pub now: Duration,
    pub sources: Vec<Source>,
    pub targets: Vec<Vec<Inode>>,
    pub states: Vec<State>,
    pub journal: Disk,
    pub log: Log,
    pub appends: u32,
    /// a sync on its way: what it makes durable, of each inode and of the journal
    pub syncing: Option<HashMap<u64, (usize, usize)>>,
    pub next_inode: u64,
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

    pub fn interval(plan: &Plan) -> Interval {
        Interval { time: Duration::from_nanos(plan.interval_ns), bytes: plan.interval_bytes }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if self.traced {
            let text = text();
            self.trace.push(format!("{:>6} {text}", self.now.as_nanos()));
        }
    }

    pub fn make(&mut self, nth: usize, disk: Disk, name: Name) -> u64 {
        let number = self.next_inode;
        self.next_inode += 1;
        self.targets[nth].push(Inode { number, disk, names: vec![name], was_part: false });
        number
    }

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
}

pub fn some_bytes(rng: &mut Rng, length: usize, holes: &[bool], unit: usize) -> Vec<u8> {
    (0..length).map(|at| if holes[at / unit] { 0 } else { rng.u8(1..) }).collect()
}
