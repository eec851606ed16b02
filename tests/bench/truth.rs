//! Known answers: what bench says of a target whose every delay is known, by the target's own log.
//!
//! Other load may delay any thread, so that a run is held to what it can't change. An operation took no
//! less than the target had it for, and no more than from the last moment before which it wasn't begun to
//! the first by which it was seen complete. At depth N such a moment is each one at which the target has N
//! requests at once: then all that it has answered was seen, and what reaches it later was not begun.
//! These bounds are some tens of microseconds apart on an idle machine, and give way on a busy one.
//!
//! `HIGHWATER_STRICT_TIMES=1` asks for what an idle machine alone keeps, and prints a table:
//! `scripts/bench-truth.sh`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support;
use crate::support::report::{at, number};
use crate::support::{Fault, FaultyDisk, Highwater, LoopDevice, MIB, On, Throttle, Tmpfs, Transfer};
use highwater::latency::Kind;
use highwater::report::Recorded;
use serde_json::Value;

const PERCENTILES: [(&str, f64); 4] =
    [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p99_9_ns", 0.999)];

/// The least value that so much of them does not exceed, as HdrHistogram counts.
fn quantile(sorted: &[Duration], q: f64) -> Duration {
    sorted[((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len()) - 1]
}

/// A disk of which reads take these times in turn, and a file on it.
struct Target {
    disk: FaultyDisk,
    file: PathBuf,
    times: Arc<[Duration]>,
}

impl Target {
    fn new(times: impl Into<Arc<[Duration]>>) -> Target {
        let disk = FaultyDisk::served_by(16, []);
        disk.put("target", vec![7; MIB as usize]);
        let file = disk.path("target");
        Target { disk, file, times: times.into() }
    }

    /// One run of bench, and what the disk knows of it, in the order of arrival.
    fn run(&self, faults: impl Into<Vec<Fault>>, args: &[&str]) -> (Value, Vec<Transfer>) {
        self.disk.set_faults(faults);
        self.disk.take_log();
        let bench = Highwater::bench().args(["--json", "-", "-q"]).args(args).arg(&self.file);
        let report = bench.run().assert_ok().json();
        let mut log = self.disk.take_log();
        log.sort_by_key(|request| request.arrived);
        assert_eq!(log.len() as u64, number(&report, "latency.read.count"));
        (report, log)
    }

    fn slow(&self) -> [Fault; 1] {
        [Fault::Varied(On::Read, Arc::clone(&self.times))]
    }
}

// ---- what holds whatever else the machine does ----

/// A run during which the target is never left with fewer than `depth` requests for long.
struct Saturated {
    report: Value,
    log: Vec<Transfer>,
    /// when it began at the earliest, and was over at the latest
    span: (Instant, Instant),
    /// from when to when the target had as many requests as there can be
    full: Vec<(Instant, Instant)>,
}

impl Saturated {
    fn run(target: &Target, depth: usize, args: &[&str]) -> Saturated {
        let (report, log) = target.run(target.slow(), &[args, &["--depth", &depth.to_string()]].concat());
        // From its beginning, before the first operation, to its last completion.
        let elapsed = elapsed(&report);
        let (first, last) = (log[0].arrived, log.iter().map(|request| request.answered).max().unwrap());
        assert!(last - first <= elapsed, "{:?} of {elapsed:?}", last - first);
        let span = (last - elapsed, first + elapsed);
        let full = full(&log, depth);
        Saturated { report, log, span, full }
    }

    /// When an operation was begun at the earliest.
    fn begun(&self, request: &Transfer) -> Instant {
        let before = self.full.partition_point(|(_, end)| *end < request.arrived);
        before.checked_sub(1).map_or(self.span.0, |nth| self.full[nth].1).max(self.span.0)
    }

    /// When it was seen complete at the latest.
    fn seen(&self, request: &Transfer) -> Instant {
        let after = self.full.partition_point(|(start, _)| *start < request.answered);
        self.full.get(after).map_or(self.span.1, |(start, _)| *start).min(self.span.1)
    }

    /// What service times are between.
    fn service(&self) -> Bounds {
        let least = self.log.iter().map(|request| request.answered - request.arrived);
        let most = self.log.iter().map(|request| self.seen(request) - self.begun(request));
        Bounds::new(least.collect(), most.collect())
    }

    /// What response times are between, at depth 1 of an open loop: the nth to arrive was meant to start n
    /// times a gap after the beginning. What was never begun has waited to the end.
    fn response(&self, gap: Duration, length: Duration) -> Bounds {
        let began = (self.span.0, self.log[0].arrived);
        let since =
            |from: Instant, to: Instant, nth: usize| to.saturating_duration_since(from + gap * nth as u32);
        let (mut least, mut most) = (vec![], vec![]);
        for (nth, request) in self.log.iter().enumerate() {
            least.push(since(began.1, request.answered, nth));
            most.push(since(began.0, self.seen(request), nth));
        }
        let arrived = length.div_duration_f64(gap).ceil() as usize;
        for nth in self.log.len()..arrived {
            least.push(length - gap * nth as u32);
            most.push(elapsed(&self.report) - gap * nth as u32);
        }
        assert_eq!(number(&self.report, "load.waiting_operations"), (arrived - self.log.len()) as u64);
        Bounds::new(least, most)
    }
}

fn elapsed(report: &Value) -> Duration {
    // Written with fewer digits than it has.
    Duration::from_secs_f64(at(report, "elapsed_s").as_f64().unwrap()) + Duration::from_micros(1)
}

/// From when to when there were `depth` requests at once.
fn full(log: &[Transfer], depth: usize) -> Vec<(Instant, Instant)> {
    let arrivals = log.iter().map(|request| (request.arrived, true));
    let answers = log.iter().map(|request| (request.answered, false));
    let mut events: Vec<(Instant, bool)> = arrivals.chain(answers).collect();
    events.sort();
    let (mut there, mut since, mut full) = (0, None, vec![]);
    for (now, arrives) in events {
        if let Some(since) = since.take() {
            full.push((since, now));
        }
        there = if arrives { there + 1 } else { there - 1 };
        assert!(there <= depth, "{there} at once at depth {depth}");
        since = (there == depth).then_some(now);
    }
    full
}

/// Times of which each is known to be between two others, as two sorted lists.
struct Bounds {
    least: Vec<Duration>,
    most: Vec<Duration>,
}

impl Bounds {
    fn new(mut least: Vec<Duration>, mut most: Vec<Duration>) -> Bounds {
        least.sort();
        most.sort();
        Bounds { least, most }
    }

    /// Asserts that a latency of the report is of such times.
    #[track_caller]
    fn assert_hold(&self, report: &Value, path: &str) {
        let latency = at(report, path);
        assert_eq!(number(latency, "count"), self.least.len() as u64, "{latency}");
        let mean = |times: &[Duration]| times.iter().sum::<Duration>() / times.len() as u32;
        let ends = [("min_ns", 0.0), ("max_ns", 1.0)];
        let of = |q: f64| (quantile(&self.least, q), quantile(&self.most, q));
        let mut expected: Vec<(&str, (Duration, Duration))> =
            PERCENTILES.into_iter().chain(ends).map(|(name, q)| (name, of(q))).collect();
        expected.push(("mean_ns", (mean(&self.least), mean(&self.most))));
        for (name, (least, most)) in expected {
            // Null: not to be told of so few.
            let Some(measured) = latency[name].as_f64() else { continue };
            let measured = Duration::from_nanos(measured as u64);
            // A histogram has three digits.
            let fits = measured >= least.mul_f64(0.999) && measured <= most.mul_f64(1.001);
            println!("{path}.{name}: {measured:?} of {least:?} to {most:?}");
            assert!(fits, "{path}.{name}: {measured:?} is not of {least:?} to {most:?}");
        }
    }
}

#[test]
fn constant_delays_are_measured_as_they_are() {
    need_fuse!();
    let target = Target::new([Duration::from_millis(5)]);
    for engine in support::engines() {
        let run = Saturated::run(&target, 4, &["--for", "2s", "--engine", engine]);
        run.service().assert_hold(&run.report, "latency.read");
    }
    let open = ["--for", "4s", "--rate", "400"];
    strictly("5 ms, open loop", &target, &open, &open);
    // Four at a time that take 5 ms.
    let (closed, way) = (["--for", "2s", "--depth", "4"], ["--for", "2s", "--depth", "4", "--rate", "780"]);
    strictly("5 ms, closed loop", &target, &closed, &way);
    let plain = ["--engine", "plain"];
    strictly(
        "5 ms, closed loop, plain",
        &target,
        &[&closed[..], &plain].concat(),
        &[&way[..], &plain].concat(),
    );
}

#[test]
fn a_target_that_is_too_slow_for_its_load_is_in_all_response_times() {
    need_fuse!();
    let target = Target::new([Duration::from_millis(5)]);
    for engine in support::engines() {
        // Twice as many arrive as can be served.
        let run = Saturated::run(&target, 1, &["--for", "2s", "--rate", "400", "--engine", engine]);
        run.service().assert_hold(&run.report, "latency.read");
        let bounds = run.response(Duration::from_micros(2500), Duration::from_secs(2));
        bounds.assert_hold(&run.report, "response.read");
    }
}

#[test]
fn a_lognormal_delay_has_its_percentiles() {
    need_fuse!();
    let mut random = fastrand::Rng::with_seed(5);
    // Box and Muller: median 5 ms, sigma 0.8.
    let mut draw = || {
        let (u, v) = (1.0 - random.f64(), random.f64());
        let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
        Duration::from_secs_f64(0.005 * (0.8 * normal).exp())
    };
    let target = Target::new((0..1200).map(|_| draw()).collect::<Vec<_>>());
    let load = ["--for", "2s", "--rate", "2000", "--arrival", "poisson"];
    let run = Saturated::run(&target, 4, &load);
    run.service().assert_hold(&run.report, "latency.read");
    let open = ["--for", "4s", "--rate", "300", "--arrival", "poisson"];
    strictly("lognormal, open loop", &target, &open, &open);
}

#[test]
fn three_in_a_hundred_that_are_slow_show_at_the_99th_percentile() {
    need_fuse!();
    let time = |nth| Duration::from_millis(if nth % 100 < 3 { 100 } else { 2 });
    let target = Target::new((0..100).map(time).collect::<Vec<_>>());
    let run = Saturated::run(&target, 4, &["--for", "2s"]);
    run.service().assert_hold(&run.report, "latency.read");
    assert!(number(&run.report, "latency.read.p99_ns") >= 100_000_000);
    let open = ["--for", "4s", "--rate", "300"];
    strictly("3 % at 100 ms, open loop", &target, &open, &open);
}

// ---- what an idle machine keeps ----

fn is_strict() -> bool {
    std::env::var_os("HIGHWATER_STRICT_TIMES").is_some_and(|value| value == "1")
}

/// Where that is asked for: percentiles are those of the log and of the way to it, together, within 2 % or
/// 50 us. Something else may disturb a run: one of three has to be right. `way` is a load as heavy as this
/// one is, where that is a closed loop: without delays it would be another.
fn strictly(what: &str, target: &Target, load: &[&str], way: &[&str]) {
    if !is_strict() {
        return;
    }
    let wrong: Vec<String> = (0..3).map_while(|_| attempt(what, target, load, way).err()).collect();
    assert!(wrong.len() < 3, "{what}:\n{}", wrong.join("\n"));
}

fn attempt(what: &str, target: &Target, load: &[&str], way: &[&str]) -> Result<(), String> {
    // The way is what it is while this lasts: measured before and after.
    let before = target.run([], way).0;
    let (report, log) = target.run(target.slow(), load);
    let after = target.run([], way).0;
    let way = [points(&before), points(&after)].concat();
    let delays: Vec<Duration> = log.iter().map(|request| request.answered - request.arrived).collect();
    let mut sums: Vec<Duration> =
        delays.iter().flat_map(|delay| way.iter().map(move |way| *delay + *way)).collect();
    sums.sort();
    let mut way = way;
    way.sort();
    let mut cells =
        vec![what.to_owned(), format!("{:.0?}, {:.0?}", quantile(&way, 0.5), quantile(&way, 0.99))];
    let mut wrong = Vec::new();
    for (name, q) in PERCENTILES {
        let Some(measured) = at(&report, &format!("latency.read.{name}")).as_u64() else {
            cells.push("-".into());
            continue;
        };
        let (measured, expected) = (Duration::from_nanos(measured), quantile(&sums, q));
        let off = (measured.as_secs_f64() / expected.as_secs_f64() - 1.0) * 100.0;
        cells.push(format!("{measured:.2?} ({off:+.1} %)"));
        if measured.abs_diff(expected) > (expected / 50).max(Duration::from_micros(50)) {
            wrong.push(name);
        }
    }
    let row = format!("| {} |", cells.join(" | "));
    if wrong.is_empty() {
        println!("\n{row}");
        return Ok(());
    }
    println!("\nnot within: {}: {row}", wrong.join(", "));
    Err(row)
}

/// The times of a run's reads: a thousand that stand for all of them.
fn points(report: &Value) -> Vec<Duration> {
    let recorded = Recorded::read(report.to_string().as_bytes()).unwrap();
    let histogram = recorded[0].histogram(Kind::Read).expect("it has read");
    let point = |nth| histogram.value_at_quantile((f64::from(nth) + 0.5) / 1000.0);
    (0..1000).map(|nth| Duration::from_nanos(point(nth))).collect()
}

// ---- a stall ----

#[test]
fn a_stall_is_in_the_response_times_of_all_that_had_to_wait() {
    need!(support::needs::loop_devices());
    need_cgroup!("blkio");
    const PER_S: f64 = 500.0;
    // What else is done on the machine's disks has no part in this one.
    let memory = Tmpfs::new(33 * MIB);
    let image = memory.path("image");
    std::fs::File::create(&image).unwrap().set_len(32 * MIB).unwrap();
    let device = LoopDevice::over(&image);
    let throttle = Throttle::new(&device.number(), 0);
    let bench = Highwater::bench()
        .inside(throttle.group())
        .args(["--json", "-", "-q", "--workload", "randwrite", "--destroy-data", "--depth", "32"])
        .args(["--rate", "500/s", "--for", "8s", "--direct", "always"])
        .arg(device.path())
        .start();
    std::thread::sleep(Duration::from_secs(3));
    let set = |bytes_per_s| {
        let before = Instant::now();
        throttle.set(bytes_per_s);
        (before, Instant::now())
    };
    let stops = set(1);
    std::thread::sleep(Duration::from_secs(2));
    let goes_on = set(0);
    let outcome = bench.wait();
    let report = outcome.assert_ok().json();
    assert_eq!(number(&report, "response.write.count"), 4000);

    let stall = (goes_on.0 - stops.1, goes_on.1 - stops.0);
    // A disk is through with what has waited for it soon, how soon depends on what else is done; and who
    // submits may be late.
    let slack = if is_strict() { 0.03 } else { 0.5 };
    let between = |path: &str, least: f64, most: f64| {
        let time = at(&report, path).as_u64().unwrap() as f64 / 1e9;
        println!("{path}: {time} of {least} to {most}, the stall was {stall:?}");
        assert!((least..most).contains(&time), "{path}: {time} is not of {least} to {most}: {report}");
    };
    // Of all that were meant to start during the stall, some a second, each had to wait for its end: so many
    // waited longer than those of which a percentile is one.
    for (path, above) in [("max", 0.0), ("p90", 400.0), ("p99", 40.0)] {
        let (least, most) = (stall.0.as_secs_f64(), stall.1.as_secs_f64());
        let (least, most) = (least - (above + 2.0) / PER_S, most - above / PER_S);
        between(&format!("response.write.{path}_ns"), least, most * (1.0 + 2.0 * slack));
    }
    // The service time shows it of what was in flight alone.
    let length = (stall.0.as_secs_f64() * (1.0 - slack), stall.1.as_secs_f64() * (1.0 + 2.0 * slack));
    between("latency.write.max_ns", length.0, length.1);
    between("latency.write.p90_ns", 0.0, if is_strict() { 0.1 } else { 0.6 });
    if is_strict() {
        between("latency.write.p99_ns", 0.0, 0.1);
    }
    let waiting = number(&report, "load.most_waiting_operations") as f64;
    assert!((length.0 * PER_S - 32.0..length.1 * PER_S).contains(&waiting), "{}", at(&report, "load"));
    let stalls = at(&report, "stalls").as_array().unwrap().iter();
    let told = stalls.map(|stall| (stall["length_s"].as_f64().unwrap(), &stall["op"]));
    let (longest, op) = told.max_by(|one, other| one.0.total_cmp(&other.0)).expect("a stall");
    assert!((length.0..length.1).contains(&longest) && op == "write", "{}", at(&report, "stalls"));
    assert!(outcome.stderr.contains("highwater: no write of '"), "{}", outcome.stderr);
}
