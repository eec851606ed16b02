//! Which blocks of a target a disk lies about, and so what a checker should call each of them. A seed decides.

use std::collections::BTreeMap;

use crate::support::report::{number, text};
use serde_json::Value;

pub const BLOCK: u64 = 4096;

/// What a disk does to a block that it says it has written; or it can't read it.
const KINDS: [&str; 6] = ["lost", "stale", "torn", "corrupt", "misdirected", "unreadable"];

/// How many rounds are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// over nothing: what is not written is lost
    One,
    /// over earlier ones, all of which but the first are lied about: what is not written is stale
    Many,
}

impl Rounds {
    /// What a block is called over which nothing was written.
    fn not_written(self) -> &'static str {
        match self {
            Rounds::One => "lost",
            Rounds::Many => "stale",
        }
    }

    /// The kinds that there can be.
    pub fn kinds(self) -> Vec<&'static str> {
        let others = [self.not_written(), "torn", "corrupt", "misdirected", "unreadable"];
        KINDS.into_iter().filter(|kind| others.contains(kind)).collect()
    }
}

/// A target of some blocks, `count` of which are done each of some kinds of fault.
pub struct Plan {
    pub rounds: Rounds,
    /// how many blocks
    pub blocks: u64,
    /// what is misdirected goes so many blocks back
    pub apart: u64,
    /// by the number of the block that is written, or read
    pub faults: BTreeMap<u64, &'static str>,
    /// by the number of the block, what should be found
    expected: Vec<Option<&'static str>>,
    what: String,
}

impl Plan {
    /// More than what is in flight has to be `apart`: no block that is overwritten by another one's is to be
    /// written after that.
    pub fn new(rounds: Rounds, kinds: &[&'static str], count: usize, apart: u64, seed: u64) -> Plan {
        let blocks = 2 * apart + 4 * (count * kinds.len()) as u64;
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut faults, mut expected) = (BTreeMap::new(), vec![None; blocks as usize]);
        for kind in kinds {
            assert!(rounds.kinds().contains(kind), "{kind}, {rounds:?}");
            let mut done = 0;
            while done < count {
                let block = random.u64(0..blocks);
                let found = match *kind {
                    "misdirected" if block < apart => continue,
                    "misdirected" => [(block, rounds.not_written()), (block - apart, "misdirected")].to_vec(),
                    kind => [(block, kind)].to_vec(),
                };
                if found.iter().all(|(block, _)| expected[*block as usize].is_none()) {
                    found.iter().for_each(|(block, fault)| expected[*block as usize] = Some(*fault));
                    faults.insert(block, *kind);
                    done += 1;
                }
            }
        }
        let what = format!("{rounds:?}, {count} of each of {kinds:?}, seed {seed}");
        Plan { rounds, blocks, apart, faults, expected, what }
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// What `run` reports that is told to last so many seconds: one round, or so long that there are three or
    /// more. A machine that is busy gets more time.
    pub fn reported(&self, run: impl Fn(Option<u64>) -> Value, blocks_per_s: u64) -> Value {
        if self.rounds == Rounds::One {
            return run(None);
        }
        let mut lasts_s = 4 * self.blocks / blocks_per_s + 1;
        loop {
            let report = run(Some(lasts_s));
            if number(&report, "stress.rounds") > 2 {
                return report;
            }
            lasts_s *= 2;
        }
    }

    /// The report of a run that was told so, names these blocks as they should be, and no others. Says how
    /// many.
    #[track_caller]
    pub fn assert_named(&self, report: &Value, by: &str) {
        let what = format!("{by}: {}", self.what);
        let expected = self.expected_after(number(report, "bytes"));
        let named = named(report, self.blocks);
        let pairs = named.iter().map(|name| name.as_deref()).zip(&expected).enumerate();
        let wrong: Vec<_> = pairs.filter(|(_, (named, expected))| named != *expected).collect();
        assert!(wrong.is_empty(), "{what}: {} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
        let mut counts = vec![];
        for fault in KINDS {
            let count = expected.iter().filter(|expected| **expected == Some(fault)).count() as u64;
            assert_eq!(number(report, &format!("check.{fault}")), count, "{what}: {fault}");
            counts.push(format!("{count} {fault}"));
        }
        eprintln!("{what}: all named, and no others: {}", counts.join(", "));
    }

    /// What should be found once so many bytes have been written: where the last round was cut off between a
    /// block and what was to go to its place, that place was written and not overwritten any more.
    fn expected_after(&self, written_bytes: u64) -> Vec<Option<&'static str>> {
        let mut expected = self.expected.clone();
        let reached = written_bytes / BLOCK % self.blocks;
        for (from, _) in self.faults.iter().filter(|(_, kind)| **kind == "misdirected") {
            let to = from - self.apart;
            if to < reached && reached <= *from {
                expected[to as usize] = None;
            }
        }
        expected
    }
}

/// What a report says of each block.
fn named(report: &Value, blocks: u64) -> Vec<Option<String>> {
    let mut named = vec![None; blocks as usize];
    for range in report["check"]["ranges"].as_array().unwrap() {
        let start = number(range, "offset") / BLOCK;
        let end = start + number(range, "length") / BLOCK;
        (start..end).for_each(|block| named[block as usize] = Some(text(range, "fault").to_owned()));
    }
    named
}
