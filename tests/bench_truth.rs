//! Known answers: what bench says of a target whose every delay is known, by the target's own log.

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use support::report::{at, number};
use support::{Fault, FaultyDisk, Highwater, LoopDevice, MIB, On, Throttle};

/// Times are measured here: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const PERCENTILES: [(&str, f64); 4] =
    [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p99_9_ns", 0.999)];

#[track_caller]
fn run(args: &[&str], target: &Path) -> Value {
    Highwater::bench().args(["--json", "-", "-q"]).args(args).arg(target).run().assert_ok().json()
}

/// The least value that so much of them does not exceed, as HdrHistogram counts.
fn quantile(sorted: &[Duration], q: f64) -> Duration {
    sorted[((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len()) - 1]
}

/// Measures a disk with these delays, and compares with its log and the cost of the way to it. What the
/// machine does besides may disturb a run: one of three has to be right.
#[track_caller]
fn check(what: &str, times: Vec<Duration>, args: &[&str]) {
    let disk = FaultyDisk::served_by(16, []);
    disk.put("target", vec![7; MIB as usize]);
    let target = disk.path("target");
    let times: Arc<[Duration]> = times.into();
    let wrong: Vec<String> = (0..3).map_while(|_| attempt(&disk, &target, &times, args).err()).collect();
    assert!(wrong.len() < 3, "{what}:\n{}", wrong.join("\n"));
}

fn attempt(disk: &FaultyDisk, target: &Path, times: &Arc<[Duration]>, args: &[&str]) -> Result<(), String> {
    disk.set_faults([]);
    let bare = run(&["--for", "500ms", "--rate", "400"], target);
    let bare = Duration::from_nanos(number(&bare, "latency.read.p50_ns"));
    disk.set_faults([Fault::Varied(On::Read, Arc::clone(times))]);
    disk.take_log();
    let report = run(args, target);
    let mut log = disk.take_log();
    log.sort();
    assert_eq!(log.len() as u64, number(&report, "latency.read.count"));
    for (name, q) in PERCENTILES {
        let Some(measured) = at(&report, &format!("latency.read.{name}")).as_u64() else { continue };
        let (measured, expected) = (Duration::from_nanos(measured), quantile(&log, q) + bare);
        let allowed = (expected / 50).max(Duration::from_micros(50)) + TURBULENCE;
        if measured.abs_diff(expected) > allowed {
            return Err(format!("{name}: {measured:?} for {expected:?} with a bare path of {bare:?}"));
        }
    }
    Ok(())
}

/// What other tests on the same two cores may add.
const TURBULENCE: Duration = Duration::from_micros(300);

#[test]
fn constant_delays_are_measured_as_they_are() {
    need_fuse!();
    let _alone = alone();
    let ms = Duration::from_millis;
    check("5 ms, open", vec![ms(5)], &["--for", "2s", "--rate", "400"]);
    check("5 ms, closed", vec![ms(5)], &["--for", "2s", "--depth", "4"]);
    check("5 ms, plain", vec![ms(5)], &["--for", "2s", "--depth", "4", "--engine", "plain"]);
}

#[test]
fn a_lognormal_delay_has_its_percentiles() {
    need_fuse!();
    let _alone = alone();
    let mut random = fastrand::Rng::with_seed(5);
    // Box and Muller: median 5 ms, sigma 0.8.
    let mut draw = || {
        let (u, v) = (1.0 - random.f64(), random.f64());
        let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
        Duration::from_secs_f64(0.005 * (0.8 * normal).exp())
    };
    let times = (0..1200).map(|_| draw()).collect();
    check("lognormal", times, &["--for", "4s", "--rate", "300", "--arrival", "poisson"]);
}

#[test]
fn three_in_a_hundred_that_are_slow_show_at_the_99th_percentile() {
    need_fuse!();
    let _alone = alone();
    let time = |nth| Duration::from_millis(if nth % 100 < 3 { 100 } else { 2 });
    check("3 % at 100 ms", (0..100).map(time).collect(), &["--for", "4s", "--rate", "300"]);
}

#[test]
fn a_stall_is_in_the_response_times_of_all_that_had_to_wait() {
    need!(support::needs::loop_devices());
    need_cgroup!("blkio");
    let _alone = alone();
    let device = LoopDevice::new(64 * MIB);
    let throttle = Arc::new(Throttle::new(&device.number(), 0));
    let bench = Highwater::bench()
        .inside(throttle.group())
        .args(["--json", "-", "-q", "--workload", "randwrite", "--destroy-data", "--depth", "32"])
        .args(["--rate", "500/s", "--for", "8s", "--direct", "always"])
        .arg(device.path())
        .start();
    std::thread::sleep(Duration::from_secs(3));
    throttle.set(1);
    std::thread::sleep(Duration::from_secs(2));
    throttle.set(0);
    let outcome = bench.wait();
    let report = outcome.assert_ok().json();
    assert_eq!(number(&report, "response.write.count"), 4000);
    let seconds = |path: &str| number(&report, path) as f64 / 1e9;
    let near = |path: &str, expected: f64| {
        let time = seconds(path);
        assert!(
            (time / expected - 1.0).abs() < 0.03,
            "{path}: {time} for {expected}\n{}",
            at(&report, "response")
        );
    };
    near("response.write.max_ns", 2.0);
    near("latency.write.max_ns", 2.0);
    near("response.write.p90_ns", 1.2);
    near("response.write.p99_ns", 1.92);
    assert!(seconds("latency.write.p99_ns") < 0.1, "{}", at(&report, "latency"));
    assert!(
        (900..=1000).contains(&number(&report, "load.most_waiting_operations")),
        "{}",
        at(&report, "load")
    );
    let stall = &at(&report, "stalls")[0];
    assert_eq!(stall["op"], "write");
    assert!((stall["length_s"].as_f64().unwrap() - 2.0).abs() < 0.1, "{stall}");
    assert!(outcome.stderr.contains("highwater: no write of '"), "{}", outcome.stderr);
}
