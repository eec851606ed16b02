//! Copies that crash and are resumed: pumps, the journal's log and its reader run together over
//! simulated disks.
//!
//! # Fault model
//!
//! **Disks** have volatile caches. A write goes to the cache; until a sync that began after it has
//! ended, any part of it (sectors of 8 bytes) may have reached the platter or not, whatever came
//! before or after it: old content comes back stale. So it is with names, which may be what they
//! were at the last sync or at any moment since, and with the journal, whose end may be cut or read
//! as zeros. What is in flight when it happens may have got anywhere.
//!
//! **A crash** may come at any step: the program is killed, and what was written stays; or the power
//! is cut, and caches are lost. In some worlds a sync is answered and not carried out: the disk lies.
//! Between two runs the source may change (and then says so by its identity), and any byte of the
//! target.
//!
//! **The journal** may get no byte more from a certain moment on (its disk is full), and its log is
//! then closed.
//!
//! # Checks
//!
//! In an honest world all that the journal claims is on the platter after every crash, and a file
//! is believed as far as it is claimed. After a kill no more has to be copied again than the ring and
//! one interval. A part name is never there without a record of it. In the end, whatever happened, every
//! file has its name and the source's bytes, and no part is left.
//!
//! `HIGHWATER_SIM_SEEDS=N` and `HIGHWATER_SIM_SEED=S` as for the pump alone.

mod checks;
mod crashes;
mod disk;
mod file;
mod known;
mod plan;
mod world;
mod writer;

use crate::{caught, every_seed};
use plan::{Bug, Plan};
use world::World;

/// Steps taken, or what was found wrong, and what happened where that was asked for.
fn run(seed: u64, bug: Option<Bug>, traced: bool) -> (Result<u64, String>, Vec<String>) {
    let mut world = World::new(Plan::of_seed(seed), bug, traced);
    let outcome = caught(|| world.run());
    (outcome.map(|()| world.steps), world.trace)
}

fn explain(seed: u64) -> String {
    let (outcome, trace) = run(seed, None, true);
    format!("{:#?}\n{}\nseed {seed}: {outcome:?}", Plan::of_seed(seed), trace.join("\n"))
}

#[test]
fn seeds_with_crashes() {
    every_seed(|seed| run(seed, None, false).0, explain);
}

#[test]
fn every_planted_bug_of_a_journal_is_found() {
    const SEEDS: u64 = 3_000;
    let missed = Bug::ALL.into_iter().filter(|bug| {
        let first = (0..SEEDS).find_map(|seed| Some((seed, run(seed, Some(*bug), false).0.err()?)));
        println!("{bug:?}: {first:?}");
        first.is_none()
    });
    let missed: Vec<Bug> = missed.collect();
    assert_eq!(missed, [], "planted, and not found in {SEEDS} seeds");
}
