//! The simulator: the pump of production between a simulated source and a simulated target.
//!
//! # Fault model
//!
//! **The source** is bytes with data and holes. A read may come back short by any number of bytes,
//! be interrupted (EINTR, EAGAIN) before it moved anything, be refused for being direct (EINVAL) or
//! fail: once (EIO), for good (ENXIO), or wherever it touches a bad range (EIO, or short up to there);
//! until it completes its buffer may hold anything. The source may shrink or
//! grow at any step, and may have been longer or shorter than told from the beginning. What was
//! data keeps its bytes.
//!
//! **The target** is bytes and a visible size, over what was there before. Writes may come back
//! short, stopping inside a sector, be interrupted, refused for being direct, take nothing, or fail
//! (EIO; ENOSPC and EFBIG from a certain byte on, after a short one up to it; room may come). Part of a write may
//! have reached the target long before its completion, and where it fails. Setting the size may fail.
//!
//! **Time** is virtual. Operations complete in any order and after any delay, one at a time on a
//! side that is ordered. Questions are asked as one ring does or as two threads might, where
//! finding an extent, searching for zeros, setting a size and digesting take time as well. The copy may be
//! cancelled, or killed, at any moment.
//!
//! **Company:** two or three such pumps may stand under one level, each with a source, a target and a
//! clock of its own, so that any order among them can come. A pump that was refused asks again after
//! a completion of its own or once it is told that admission has opened; whoever tells may be late.
//!
//! The mark above them may move at any time.
//!
//! **Speed** is modelled in `tuning` only, without faults: devices with their queues, and how fast the
//! pump is between them.
//!
//! **Not modelled:** memory or a device that lies about a completed operation, a source whose bytes
//! change under the copy, lost power (sync is the engine's, not the pump's).
//!
//! # Checks
//!
//! [`model`] keeps its own account of every slot and holds each transfer against it; [`world`] looks
//! at level, operations and completed bytes after every step; [`target`] compares each byte that
//! arrives with the source's and is killed at every step; [`trials`] judges what the pump makes of
//! failures, so that zeros stand for what was refused and for nothing else; [`verdict`] judges the end. Where pumps
//! share a level, [`company`] adds them up after every step and lets nobody wait for ever.
//!
//! `HIGHWATER_SIM_SEEDS=N` runs N seeds, `HIGHWATER_SIM_SEED=S` replays one and tells every event.

mod account;
mod canary;
mod company;

mod completion;
mod crash;
mod driver;
mod model;
mod model_digests;
mod model_writes;
mod op;
mod orders;
mod plan;
mod source;
mod subject;
mod target;
mod trials;
mod tuning;
mod verdict;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use driver::Driver;
use plan::Plan;
use subject::Bug;

/// What a check found, in words.
pub type Check = Result<(), String>;

/// Tells what is wrong unless it is right.
#[macro_export]
macro_rules! ensure {
    ($right:expr, $($words:tt)*) => { if !$right { return Err(format!($($words)*)); } };
}

/// Steps taken, or what was found wrong, the pump's own assertions included.
fn run(plan: &Plan, bug: Option<Bug>, traced: bool) -> (Result<u64, String>, Vec<String>) {
    let mut driver = Driver::new(plan, bug, traced);
    let outcome = caught(|| driver.run());
    (outcome.map(|()| driver.world.steps), driver.world.trace.take().unwrap_or_default())
}

fn caught(work: impl FnOnce() -> Check) -> Check {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    })
}

fn explain(seed: u64) -> String {
    let plan = Plan::of_seed(seed);
    let (outcome, trace) = run(&plan, None, true);
    format!("{plan:#?}\n{}\nseed {seed}: {outcome:?}", trace.join("\n"))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn seeds() {
    every_seed(|seed| run(&Plan::of_seed(seed), None, false).0, explain);
}

/// Replays the seed that is asked for, or runs as many as are, and tells what goes wrong.
fn every_seed(run: impl Fn(u64) -> Result<u64, String>, explain: impl Fn(u64) -> String) {
    if let Some(seed) = number("HIGHWATER_SIM_SEED") {
        println!("{}", explain(seed));
        assert!(run(seed).is_ok(), "seed {seed}");
        return;
    }
    let seeds = number("HIGHWATER_SIM_SEEDS").unwrap_or(if cfg!(debug_assertions) { 5_000 } else { 20_000 });
    let (began, mut steps) = (Instant::now(), 0);
    for seed in 0..seeds {
        match run(seed) {
            Ok(taken) => steps += taken,
            Err(_) => panic!("{}", explain(seed)),
        }
    }
    let elapsed_s = began.elapsed().as_secs_f64();
    println!("{seeds} seeds, {steps} steps, {elapsed_s:.2} s, {:.0} steps/s", steps as f64 / elapsed_s);
}
