//! Each planted bug must be found, or the checks are blind.

use crate::company::{self, Company};
use crate::plan::Plan;
use crate::run;
use crate::subject::Bug;

const SEEDS: u64 = 2_000;

#[test]
fn every_planted_bug_is_found() {
    let found = Bug::ALL.map(|bug| {
        let first =
            (0..SEEDS).find_map(|seed| Some((seed, run(&Plan::of_seed(seed), Some(bug), false).0.err()?)));
        println!("{bug:?}: {first:?}");
        (bug, first.is_some())
    });
    let missed: Vec<Bug> = found.iter().filter(|(_, found)| !found).map(|(bug, _)| *bug).collect();
    assert_eq!(missed, [], "planted, and not found in {SEEDS} seeds");
}

#[test]
fn every_planted_bug_is_found_in_company() {
    let find = |bug| {
        (0..SEEDS).find_map(|seed| {
            let found = company::run(&Company::of_seed(seed), Some(bug), false).0.err()?;
            Some((seed, found))
        })
    };
    let missed = company::Bug::ALL.into_iter().filter(|bug| {
        let first = find(*bug);
        println!("{bug:?}: {first:?}");
        first.is_none()
    });
    let missed: Vec<company::Bug> = missed.collect();
    assert_eq!(missed, [], "planted, and not found in {SEEDS} seeds");
}
