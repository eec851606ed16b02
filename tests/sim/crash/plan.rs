//! A seed becomes a plan: which files, how they are copied, what becomes of them.

use fastrand::Rng;

/// What the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// recorded before the target is durable
    RecordedFirst,
    /// the journal's sync is left out
    JournalNotSynced,
    /// a part gets its name before that is recorded
    NamedFirst,
    /// a file gets its own name before it is recorded as whole
    PublishedFirst,
    /// digests are not looked at
    BelievedUnseen,
    /// goes on one unit behind what is believed
    GoesOnTooFar,
    /// a write is complete when it is submitted
    CompleteTooEarly,
    /// copies don't wait where too much is not recorded
    NeverWaits,
    /// the source's identity is not looked at
    SourceUnseen,
}

impl Bug {
    pub const ALL: [Bug; 9] = [
        Bug::RecordedFirst,
        Bug::JournalNotSynced,
        Bug::NamedFirst,
        Bug::PublishedFirst,
        Bug::BelievedUnseen,
        Bug::GoesOnTooFar,
        Bug::CompleteTooEarly,
        Bug::NeverWaits,
        Bug::SourceUnseen,
    ];
}

/// How a file comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// made at once under its own name
    Small,
    /// without a name, then with a part's, then with its own
    New,
    /// over what is there: a device, or a file that keeps its inode
    InPlace,
}

#[derive(Clone, Debug)]
pub struct FilePlan {
    pub way: Way,
    pub length: usize,
    /// units that are zeros, which are left out where nothing is there before
    pub holes: Vec<bool>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub unit_bytes: usize,
    pub block_bytes: u32,
    pub slots: u16,
    pub files: Vec<FilePlan>,
    pub interval_ns: u64,
    pub interval_bytes: u64,
    /// one of so many of the journal's steps is taken: disks may be slow
    pub journal_pause: u32,
    /// after so many steps each
    pub crashes: Vec<Crash>,
    /// syncs of target and journal are not carried out, so often of 8
    pub lies: (u32, u32),
    /// the journal takes no more after so many appends
    pub journal_room: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub after_steps: u64,
    pub is_power_cut: bool,
    /// then the source of this file is another
    pub source_changes: Option<usize>,
    /// then a byte of this file's target is
    pub target_changes: Option<usize>,
}

impl Plan {
    pub fn of_seed(seed: u64) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let unit_bytes = 8 * rng.usize(1..=4);
        let files = rng.usize(1..=3);
        let files: Vec<FilePlan> = (0..files).map(|_| FilePlan::some(&mut rng, unit_bytes)).collect();
        let honest = rng.u32(0..3) > 0;
        let crashes = (0..rng.usize(0..=5)).map(|_| Crash::some(&mut rng, files.len(), honest)).collect();
        let lies = |rng: &mut Rng| if !honest && rng.bool() { rng.u32(1..=8) } else { 0 };
        Plan {
            seed,
            unit_bytes,
            block_bytes: if rng.bool() { rng.u32(1..=64) } else { rng.u32(1..=16) },
            slots: rng.u16(1..=4),
            interval_ns: if rng.bool() { 50 } else { rng.u64(1..2_000) },
            interval_bytes: if rng.bool() { rng.u64(32..200) } else { 1 << 20 },
            journal_pause: [1, 1, 4, 16][rng.usize(0..4)],
            crashes,
            lies: (lies(&mut rng), lies(&mut rng)),
            journal_room: (rng.u32(0..10) == 0).then(|| rng.u32(0..12)),
            files,
        }
    }

    /// Nothing lies, and nobody changes anything meanwhile.
    pub fn is_honest(&self) -> bool {
        let changes = |crash: &Crash| crash.source_changes.is_some() || crash.target_changes.is_some();
        self.lies == (0, 0) && !self.crashes.iter().any(changes)
    }
}

impl FilePlan {
    fn some(rng: &mut Rng, unit_bytes: usize) -> FilePlan {
        let way = [Way::Small, Way::New, Way::New, Way::InPlace][rng.usize(0..4)];
        let length = match way {
            Way::Small => rng.usize(0..3 * unit_bytes),
            _ => rng.usize(0..=24) * unit_bytes + if rng.bool() { rng.usize(0..unit_bytes) } else { 0 },
        };
        let holes = rng.u32(0..3) == 0;
        let units = length.div_ceil(unit_bytes);
        FilePlan { way, length, holes: (0..units).map(|_| holes && rng.u32(0..3) == 0).collect() }
    }
}

impl Crash {
    fn some(rng: &mut Rng, files: usize, honest: bool) -> Crash {
        let mut some = || (!honest && rng.u32(0..4) == 0).then(|| rng.usize(0..files));
        let (source_changes, target_changes) = (some(), some());
        Crash {
            after_steps: if rng.bool() { rng.u64(0..60) } else { rng.u64(0..400) },
            is_power_cut: rng.bool(),
            source_changes,
            target_changes,
        }
    }
}
