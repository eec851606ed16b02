//! The mark that finds itself, held against every fixed mark, on models of devices.
//!
//! # What is held against what
//!
//! The best throughput is that of the fixed mark with the most bytes a second. Above the knee all
//! marks have nearly the same, so the *best mark* is the smallest that has 98 % of it. From any starting
//! mark, and after a change of the device, auto has two seconds or the time of 200 completions, whichever is
//! longer; blocks that the starting mark let in before anything could be known come
//! through first and are not among the 200. From then on, until the next change:
//!
//! - its throughput is at least 0.95 of the best, its probes included;
//! - 99 of 100 of its blocks take at most 1.5 times what they take under the best mark, from admission
//!   to the target;
//! - the mark stays within a quarter, or a block, of its median.
//!
//! That holds for nineteen of twenty of the runs of these seeds, and none misses it by much; of sixteen seeds one run of
//! 1,231 had 2.2 times the p99.
//!
//! A device that is new to the phase has nothing in its queue. A model's source is an SSD, faster than
//! all targets, where nothing else is said.

mod bench;
mod devices;

use bench::{Done, Mark, Phase, RING, Reading, run};
use devices::{Device, MIB, MS, S, Time, US};
use highwater::flow::{Bound, Side};

const MARKS: [u32; 20] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64, 80, 100, RING];
const STARTS: [u32; 5] = [1, 2, 8, 32, RING];
/// The first of several; `HIGHWATER_TUNING_SEEDS` says how many.
const SEED: u64 = 1;
const SEEDS: u64 = 4;
/// One run in so many may miss a bar: chance decides about probes, and a block more or less of few is much.
/// None may miss that of the rate by more than 0.02, or have more than twice the p99.
const MOST_MISSES: usize = 20;

fn seeds() -> std::ops::Range<u64> {
    let seeds =
        std::env::var("HIGHWATER_TUNING_SEEDS").map(|seeds| seeds.parse().expect("a number of seeds"));
    SEED..SEED + seeds.unwrap_or(SEEDS)
}

fn from_ssd(target: Device, lasts: Time) -> Phase {
    Phase { source: Device::ssd(16, 8000 * MIB, 100 * US), target: Some(target), lasts }
}

/// Bytes a second, and what 99 of 100 blocks took at most.
#[derive(Clone, Copy, Debug)]
struct Score {
    rate: f64,
    p99: Time,
}

fn score(done: &[Done], from: Time, to: Time) -> Score {
    let within = done.iter().filter(|done| (from..to).contains(&done.at));
    let mut latencies: Vec<Time> = within.map(|done| done.latency).collect();
    latencies.sort_unstable();
    let rate = latencies.len() as f64 * bench::BLOCK as f64 * S as f64 / (to - from) as f64;
    Score { rate, p99: latencies[latencies.len() * 99 / 100] }
}

struct Best {
    rate: f64,
    mark: u32,
    p99: Time,
}

/// The best of the fixed marks for a phase, once it is under way.
fn best(phase: &Phase) -> Best {
    // Fast devices show it soon.
    let phase = &Phase { lasts: if phase.lasts > 20 * S { phase.lasts } else { 3 * S }, ..phase.clone() };
    let scores = MARKS.map(|mark| {
        let (done, _) = run(std::slice::from_ref(phase), Reading::FREELY, Mark::Fixed(mark), SEED);
        (mark, score(&done, phase.lasts / 4, phase.lasts))
    });
    let rate = scores.iter().map(|(_, score)| score.rate).fold(0.0, f64::max);
    let (mark, score) = scores.iter().find(|(_, score)| score.rate >= 0.98 * rate).expect("one is the best");
    Best { rate, mark: *mark, p99: score.p99 }
}

/// The least, the median and the largest mark at rest; or what is farther than a quarter, or a block:
/// a rest from the median, a probe from the rest before it.
fn calm(done: &[Done], from: Time, to: Time) -> Result<(u32, u32, u32), String> {
    let is_near = |one: u32, other: u32| 4 * one <= 5 * other.max(4) && 5 * one + 5 >= 4 * other;
    let done: Vec<&Done> = done.iter().filter(|done| (from..to).contains(&done.at)).collect();
    let runs: Vec<&[&Done]> = done.chunk_by(|one, other| one.mark == other.mark).collect();
    // A probe lasts for two or three marks of bytes, or little longer than the shortest trial.
    let rest = |run: &&[&Done]| {
        let lasted = run[run.len() - 1].at - run[0].at;
        (run.len() >= (5 * run[0].mark as usize).max(24) && lasted >= 150 * MS).then_some(run[0].mark)
    };
    let mut near = Ok(());
    for nth in 0..runs.len() {
        let (before, after) = (&runs[..nth], &runs[nth..]);
        let rests = [before.iter().rev().find_map(rest), after.iter().find_map(rest)];
        let mark = runs[nth][0].mark;
        if !rests.iter().flatten().any(|rest| is_near(mark, *rest)) {
            near = Err(format!("{mark} tried between {rests:?}"));
        }
    }
    let mut rests: Vec<u32> = Vec::new();
    for run in runs.iter().filter(|run| rest(run).is_some()) {
        rests.extend(run.iter().map(|done| done.mark));
    }
    rests.sort_unstable();
    let (least, median, most) = (rests[0], rests[rests.len() / 2], rests[rests.len() - 1]);
    if !is_near(least, median) || !is_near(most, median) {
        near = Err(format!("rests at {least} {median} {most}"));
    }
    near.map(|()| (least, median, most))
}

#[track_caller]
fn check(name: &str, phases: &[Phase]) {
    check_against(Bar { completions: 200, rate: 0.95 }, name, phases);
}

/// How soon, and how fast.
#[derive(Clone, Copy)]
struct Bar {
    completions: usize,
    rate: f64,
}

#[track_caller]
fn check_against(bar: Bar, name: &str, phases: &[Phase]) {
    let bests: Vec<Best> = phases.iter().map(best).collect();
    let mut misses = Vec::new();
    for (seed, start) in seeds().flat_map(|seed| STARTS.map(|start| (seed, start))) {
        let (done, _) = run(phases, Reading::FREELY, Mark::Auto(start), seed << 8 | u64::from(start));
        let mut begins = 0;
        for (nth, (phase, best)) in phases.iter().zip(&bests).enumerate() {
            let first = done.partition_point(|done| done.at < begins);
            let admitted = if nth == 0 { start as usize } else { 0 };
            let from = done[first + admitted + bar.completions].at.max(begins + 2 * S);
            let what = format!("{name}, phase {nth}, seed {seed}, from {start}");
            misses.extend(judged(&bar, &what, best, &done, from, begins + phase.lasts).err());
            begins += phase.lasts;
        }
    }
    let runs = seeds().count() * STARTS.len() * phases.len();
    assert!(
        misses.len() <= (runs / MOST_MISSES).max(1),
        "{} misses of {runs}\n{}",
        misses.len(),
        misses.join("\n")
    );
}

fn judged(bar: &Bar, what: &str, best: &Best, done: &[Done], from: Time, to: Time) -> Result<(), String> {
    let score = score(done, from, to);
    let (rate, p99) = (score.rate / best.rate, score.p99 as f64 / best.p99 as f64);
    let (least, median, most) = calm(done, from, to).map_err(|far| format!("{what}: {far}"))?;
    println!(
        "{what}: best mark {} ({:.0} MiB/s, p99 {:.2} ms); {rate:.3} of its rate, {p99:.2} of its p99, marks {least} \
         {median} {most}",
        best.mark,
        best.rate / MIB as f64,
        best.p99 as f64 / MS as f64,
    );
    assert!(rate >= bar.rate - 0.02 && p99 <= 2.0, "{what}: {rate:.3} of the rate, {p99:.2} of the p99");
    match (rate >= bar.rate, p99 <= 1.5) {
        (false, _) => Err(format!("{what}: {rate:.3} of the rate")),
        (_, false) => Err(format!("{what}: {p99:.2} of the p99")),
        _ => Ok(()),
    }
}

#[test]
fn a_disk_needs_two_blocks() {
    check("disk of 120 MiB/s", &[from_ssd(Device::disk(120 * MIB), 30 * S)]);
    check("disk of 20 MiB/s", &[from_ssd(Device::disk(20 * MIB), 60 * S)]);
}

/// Its knee is so soft that nobody finds it in 200 completions, but in 1,500: from 16 blocks to 128 there are 4 % more
/// to gain, each mark of 32 blocks takes 0.2 s, and runs of seeks make rates differ by some percent.
#[test]
fn one_disk_with_seeks_for_both_ends_needs_a_queue_to_sort() {
    check_against(
        Bar { completions: 1500, rate: 0.94 },
        "one disk",
        &[Phase { source: Device::head(150 * MIB, 2 * MS), target: None, lasts: 60 * S }],
    );
}

#[test]
fn an_ssd_needs_a_block_for_each_channel_also_once_its_cache_is_full() {
    let [cached, full] = [1600, 300].map(|mib| from_ssd(Device::ssd(8, mib * MIB, 100 * US), 6 * S));
    check("SSD of 8 channels", &[cached, full]);
    check("SSD of 32 channels", &[from_ssd(Device::ssd(32, 3000 * MIB, 100 * US), 5 * S)]);
}

#[test]
fn a_cloud_volume_has_another_knee_once_its_burst_is_spent() {
    let burst = from_ssd(Device::tokens(1000 * MIB, 16 * MIB, 3 * MS), 7 * S);
    let spent = from_ssd(Device::tokens(125 * MIB, 0, 3 * MS), 10 * S);
    check("cloud volume", &[burst.clone(), spent, burst]);
}

#[test]
fn a_server_needs_its_rate_times_the_round_trip() {
    let [near, far] =
        [(2, 1000), (50, 400)].map(|(ms, mib)| from_ssd(Device::server(ms * MS, mib * MIB), 10 * S));
    check("server", &[near.clone(), far, near]);
}

#[test]
fn a_server_beyond_the_ring_gets_the_ring() {
    check("far server", &[from_ssd(Device::server(50 * MS, 4000 * MIB), 8 * S)]);
}

#[test]
fn a_second_copy_takes_its_half() {
    let [alone, both] = [800, 400].map(|mib| from_ssd(Device::server(10 * MS, mib * MIB), 10 * S));
    check("shared server", &[alone.clone(), both, alone]);
}

#[test]
fn a_stick_that_stalls_is_judged_by_what_it_does_in_between() {
    check("stick", &[from_ssd(Device::stick(), 120 * S)]);
}

/// A mark that isn't reached has no part in the rate.
#[test]
fn a_source_that_holds_the_rate_back_leaves_the_mark_alone() {
    let phase = |source| [Phase { source, target: Some(Device::disk(120 * MIB)), lasts: 10 * S }];
    let slow = phase(Device::disk(30 * MIB));
    let limited = Reading { limit_bytes_per_s: Some(40 * MIB), ..Reading::FREELY };
    let in_order = Reading { side: Side::ORDERED, ..Reading::FREELY };
    for (source, reading) in [(phase(Device::disk(2000 * MIB)), limited), (slow, in_order)] {
        for start in [4, 32] {
            let (done, level) = run(&source, reading, Mark::Auto(start), SEED);
            assert!(done.len() > 500 && done.iter().all(|done| done.mark == start), "from {start}");
            let tuned = level.what_was_tuned().expect("it has a tuner");
            assert_eq!((tuned.bound_by, tuned.changes), (Bound::Source, 0));
        }
    }
}

#[test]
fn it_tells_what_holds_the_rate_back() {
    let told = |device, lasts| {
        let (_, level) = run(&[from_ssd(device, lasts)], Reading::FREELY, Mark::Auto(8), SEED);
        level.what_was_tuned().expect("it has a tuner")
    };
    assert_eq!(told(Device::disk(120 * MIB), 8 * S).bound_by, Bound::Devices);
    let far = told(Device::server(50 * MS, 4000 * MIB), 8 * S);
    assert_eq!(far.bound_by, Bound::Ring);
    assert!(far.unloaded_latency.is_some_and(|least| (50..52).contains(&least.as_millis())), "{far:?}");
    assert!((far.rate_bytes_per_s / MIB as f64 - 1250.0).abs() < 50.0, "{far:?}");
    assert!(far.marks.len() <= 257 && far.changes >= far.marks.len() as u64 - 1);
}
