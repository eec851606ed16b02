//! What `highwater bench` does and says: every workload, closed loop and open, what is left behind, and
//! how it ends early.

use std::fs;
use std::time::Duration;

use crate::support::report::{at, number, text, truth};
use crate::support::{Fault, FaultyDisk, Highwater, MIB, On, Scratch, engines};
use serde_json::Value;

fn bench() -> Highwater {
    Highwater::bench().args(["--json", "-", "-q"])
}

#[track_caller]
fn report(command: Highwater, code: i32) -> Value {
    let outcome = command.run();
    outcome.assert_code(code).json()
}

fn entries(directory: &std::path::Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

fn interval_sum(report: &Value, path: &str) -> u64 {
    at(report, "intervals").as_array().unwrap().iter().map(|one| number(one, path)).sum()
}

#[test]
fn every_workload_does_what_its_name_says() {
    let scratch = Scratch::new();
    for engine in engines() {
        for (workload, reads, writes) in [
            ("read", true, false),
            ("write", false, true),
            ("randread", true, false),
            ("mixed:50", true, true),
        ] {
            let args = ["--engine", engine, "--workload", workload, "--for", "300ms", "--size", "8M"];
            let report = report(bench().args(args).args(["--block-size", "64K"]).arg(scratch.dir()), 0);
            let count = |kind: &str| number(&report, &format!("latency.{kind}.count"));
            assert_eq!(
                (count("read") > 0, count("write") > 0, count("sync")),
                (reads, writes, 0),
                "{report}"
            );
            let operations = number(&report, "load.operations");
            assert_eq!(operations, count("read") + count("write"));
            assert_eq!(number(&report, "bytes"), operations * 65536);
            assert_eq!((text(&report, "command"), text(&report, "outcome")), ("bench", "ok"));
            assert_eq!(text(&report, "path.method"), engine);
            assert_eq!(text(&report, "load.workload"), workload);
            assert!(report.get("response").is_none() && report.get("admission").is_none(), "{report}");
            assert!(text(&report, "notes.0").starts_with("closed loop: "), "{report}");
            assert_eq!(entries(&scratch.dir()), 0, "the scratch file is gone");
        }
    }
}

#[test]
fn an_open_loop_submits_what_was_asked_and_tells_of_response_times() {
    let scratch = Scratch::new();
    for (engine, arrival) in engines().into_iter().zip(["fixed", "poisson"]) {
        let args =
            ["--engine", engine, "--rate", "400/s", "--arrival", arrival, "--for", "1s", "--size", "8M"];
        let args = [&args[..], &["--workload", "randwrite", "--sync-every", "50"]].concat();
        let report = report(bench().args(args).arg(scratch.dir()), 0);
        let count = |path: &str| number(&report, path);
        let asked = count("load.operations") + count("load.waiting_operations");
        let expected = if arrival == "fixed" { 400..=400 } else { 320..=480 };
        assert!(expected.contains(&asked), "{report}");
        let syncs = count("latency.sync.count");
        assert_eq!(syncs, count("latency.write.count") / 50, "{report}");
        assert_eq!(count("response.write.count"), asked);
        assert_eq!(count("admission.count"), asked + count("response.sync.count"));
        assert_eq!(text(&report, "load.arrival"), arrival);
        for percentile in ["p50_ns", "p90_ns", "max_ns"] {
            let of = |kind: &str| count(&format!("{kind}.write.{percentile}"));
            assert!(of("response") >= of("latency"), "{report}");
        }
    }
}

#[test]
fn the_marks_hold_operations_back_as_they_hold_a_copys_reads() {
    let scratch = Scratch::new();
    for engine in engines() {
        let run = |args: &[&str]| {
            let common = ["--engine", engine, "--for", "300ms", "--size", "8M", "--block-size", "4K"];
            report(bench().args(common).args(args).arg(scratch.dir()), 0)
        };
        let flow = |report: &Value, name: &str| number(report, &format!("flow.{name}"));
        let marked = run(&["--high-water", "16K"]);
        assert_eq!((number(&marked, "load.depth"), number(&marked, "ring.buffers")), (4, 4));
        assert_eq!((flow(&marked, "high_water_bytes"), flow(&marked, "low_water_bytes")), (16384, 12288));
        assert_eq!(flow(&marked, "peak_in_flight_bytes"), 16384);
        // A thread for each of them asks for no more.
        assert_eq!(flow(&marked, "backpressure_events") > 0, engine == "ring", "{marked}");

        let both = ["--depth", "8", "--high-water", "17K", "--low-water", "0", "--workload", "mixed:50"];
        let drained = run(&[&both[..], &["--buffers", "20"]].concat());
        assert_eq!((number(&drained, "load.depth"), number(&drained, "ring.buffers")), (8, 20));
        assert_eq!((flow(&drained, "high_water_bytes"), flow(&drained, "low_water_bytes")), (17408, 0));
        assert_eq!(flow(&drained, "peak_in_flight_bytes"), 16384);
        let (closed, opened) = (flow(&drained, "backpressure_events"), flow(&drained, "drain_events"));
        assert!(closed > 0 && closed - opened <= 1, "{drained}");
        // Four went in before it closed, and again each time it opened.
        assert!(number(&drained, "load.operations") >= 4 * opened, "{drained}");
        assert!(at(&drained, "flow.paused_s").as_f64().unwrap() > 0.0, "{drained}");
    }
}

#[test]
fn a_limit_on_bytes_a_second_is_not_exceeded() {
    let scratch = Scratch::new();
    for engine in engines() {
        for workload in ["randread", "mixed:50"] {
            let args = ["--engine", engine, "--workload", workload, "--limit-rate", "800K/s", "--depth", "4"];
            let args = [&args[..], &["--for", "500ms", "--size", "8M"]].concat();
            let report = report(bench().args(args).arg(scratch.dir()), 0);
            assert_eq!(number(&report, "load.limit_bytes_per_s"), 800 << 10);
            // 200 blocks a second, a twentieth of them at once, and one more.
            assert!((1..=111).contains(&number(&report, "load.operations")), "{report}");
        }
    }
}

#[test]
fn the_same_seed_writes_the_same_and_nothing_that_compresses() {
    let scratch = Scratch::new();
    let write = |name: &str, seed: &str| {
        let file = scratch.path(name);
        fs::write(&file, vec![0; MIB as usize]).unwrap();
        let args =
            ["--workload", "write", "--destroy-data", "--for", "400ms", "--seed", seed, "--rate", "40/s"];
        let args = [&args[..], &["--block-size", "64K", "--depth", "1"]].concat();
        let report = report(bench().args(args).arg(&file), 0);
        // A busy machine may leave the last of them waiting.
        let written = number(&report, "load.operations") as usize * 65536;
        fs::read(&file).unwrap()[..written].to_vec()
    };
    let (one, again, other) = (write("one", "7"), write("again", "7"), write("other", "8"));
    let both = one.len().min(again.len());
    assert!(both > 0 && one[..both] == again[..both] && one[..65536] != other[..65536]);
    let pages: std::collections::HashSet<&[u8]> = one.chunks(4096).collect();
    assert_eq!(pages.len(), one.len() / 4096, "no two pages are alike");
    let ones: u32 = one.iter().map(|byte| byte.count_ones()).sum();
    let share = f64::from(ones) / (one.len() * 8) as f64;
    assert!((0.49..0.51).contains(&share), "{share}");
}

#[test]
fn intervals_hold_every_operation_the_last_partial_one_too() {
    let scratch = Scratch::new();
    let args = ["--rate", "200/s", "--for", "1250ms", "--interval", "500ms", "--size", "8M"];
    let report = report(bench().args(args).arg(scratch.dir()), 0);
    let intervals = at(&report, "intervals").as_array().unwrap();
    let lengths: Vec<f64> = intervals.iter().map(|one| one["length_s"].as_f64().unwrap()).collect();
    // Three, but for a machine that is late.
    let (last, whole) = lengths.split_last().unwrap();
    assert!(whole.len() >= 2 && whole.iter().all(|length| *length == 0.5), "{lengths:?}");
    assert!((0.0..0.5).contains(last), "{lengths:?}");
    let starts: Vec<f64> = intervals.iter().map(|one| one["start_s"].as_f64().unwrap()).collect();
    assert!(starts.iter().enumerate().all(|(nth, start)| *start == 0.5 * nth as f64), "{starts:?}");
    assert!(starts.last().unwrap() + last >= 1.2, "it lasted for 1.25 s: {starts:?}, {lengths:?}");
    assert_eq!(interval_sum(&report, "latency.read.count"), number(&report, "latency.read.count"));
    assert_eq!(interval_sum(&report, "bytes"), number(&report, "bytes"));
}

#[test]
fn ctrl_c_ends_early_with_a_full_report_and_no_scratch_file() {
    let scratch = Scratch::new();
    for engine in engines() {
        let args = ["--engine", engine, "--for", "60s", "--size", "8M", "--rate", "500/s"];
        let mut running = bench().args(args).arg(scratch.dir()).start();
        running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(1200));
        running.signal(nix::sys::signal::Signal::SIGINT);
        let outcome = running.wait();
        let report = outcome.assert_code(130).json();
        assert_eq!(text(&report, "outcome"), "interrupted");
        assert!(number(&report, "latency.read.count") > 50, "{report}");
        let elapsed = at(&report, "elapsed_s").as_f64().unwrap();
        assert!(elapsed < 5.0, "{report}");
        let said = &outcome.stderr;
        assert!(
            said.contains("stopped by SIGINT after ") && said.contains("the report is of what was measured")
        );
        assert_eq!(entries(&scratch.dir()), 0);
    }
}

#[test]
fn the_table_is_for_people_and_stays_off_an_output_that_is_taken() {
    let scratch = Scratch::new();
    let plain = || Highwater::bench().args(["--for", "200ms", "--size", "8M", "--stall-limit", "0s"]);
    let table = plain().args(["--rate", "100"]).arg(scratch.dir()).run();
    let text = String::from_utf8(table.stdout.clone()).unwrap();
    for line in [
        "randread of 4 KiB, depth 32, open loop of 100/s, fixed, on 8 MiB of a scratch file in '",
        "\nservice time ",
        "\nresponse time ",
        "\nadmission ",
        "\n- too few operations to tell: ",
    ] {
        assert!(text.contains(line), "{text}");
    }
    table.assert_silent();
    let both = plain().args(["--json", "-"]).arg(scratch.dir()).run();
    let report = both.assert_ok().json();
    assert!(truth(&report, "ring.registered") || !engines().contains(&"ring"));
    assert!(both.stderr.contains("\nservice time "), "{}", both.stderr);
}

#[test]
fn a_sweep_raises_the_depth_and_tells_what_is_beyond_the_count() {
    let scratch = Scratch::new();
    let sweep = || Highwater::bench().args(["--sweep", "--depth", "4", "--for", "200ms", "--size", "8M"]);
    let (page, plots) = (scratch.path("page.html"), scratch.path("plots"));
    let command = sweep().args(["-q", "--json", "-", "--goal", "p50=10s"]).arg(scratch.dir());
    let json = command.arg("--html").arg(&page).arg("--svg").arg(&plots).run();
    let report = json.assert_ok().json();
    let drawn = fs::read_to_string(&page).unwrap();
    assert!(drawn.contains("<figure id=\"sweep\">") && plots.join("sweep-wide.svg").exists(), "{drawn}");
    fs::remove_file(&page).unwrap();
    fs::remove_dir_all(&plots).unwrap();
    let steps = at(&report, "sweep.steps").as_array().unwrap();
    assert_eq!(steps.iter().map(|step| number(step, "depth")).collect::<Vec<_>>(), [1, 2, 4]);
    let operations: u64 = steps.iter().map(|step| number(step, "operations")).sum();
    assert_eq!(operations, number(&report, "load.operations"));
    assert!(number(&report, "sweep.knee") < 3 && number(&report, "sweep.best") < 3, "{report}");
    let table = sweep().args(["--goal", "p99.9999=1s"]).arg(scratch.dir()).run();
    let text = String::from_utf8_lossy(&table.assert_ok().stdout).into_owned();
    assert!(text.contains("\nknee: a depth of "), "{text}");
    assert!(text.contains("\ngoal: p99.9999 is not known of any step: too few operations"), "{text}");
    assert_eq!(entries(&scratch.dir()), 0);
}

#[test]
fn a_sweep_raises_the_rate_until_it_is_not_kept_and_names_the_best_that_keeps_the_goal() {
    need_fuse!();
    // One at a time, in 4 ms: 250 a second.
    let slow = Fault::Slow(On::Read, Duration::from_millis(4));
    let disk = FaultyDisk::served_by(1, [slow]);
    disk.put("target", vec![0; MIB as usize]);
    let args = ["-q", "--json", "-", "--sweep", "--rate", "100/s", "--for", "500ms", "--goal", "p50=15ms"];
    let report = Highwater::bench().args(args).arg(disk.path("target")).run().assert_ok().json();
    let steps = at(&report, "sweep.steps").as_array().unwrap();
    let rates: Vec<f64> = steps.iter().map(|step| step["rate_per_s"].as_f64().unwrap()).collect();
    assert!([100.0, 150.0, 225.0, 337.5].starts_with(&rates) && rates.len() >= 2, "{rates:?}");
    let last = steps.last().unwrap();
    assert!(last["operations_per_s"].as_f64().unwrap() < 0.95 * rates.last().unwrap(), "{last}");
    let best = number(&report, "sweep.best") as usize;
    assert!(best + 1 < steps.len(), "{report}");
    assert!(number(&steps[best], "response.read.p50_ns") <= 15_000_000, "{report}");
}

#[test]
fn copies_are_measured_by_copys_own_engine_and_removed() {
    let scratch = Scratch::new();
    let (source, target) = (scratch.path("source"), scratch.path("target"));
    fs::create_dir_all(source.join("below")).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(source.join("below/file"), vec![7; 2 * MIB as usize]).unwrap();
    let workload = format!("copy:{}", source.display());
    let run = |args: &[&str]| {
        let command = Highwater::bench().args(["-q", "--json", "-", "--for", "300ms"]);
        command.args(["--workload", &workload]).args(args).arg(&target).run()
    };
    let report = run(&[]).assert_ok().json();
    let copies = number(&report, "load.operations");
    assert!(copies >= 1, "{report}");
    assert_eq!((text(&report, "command"), text(&report, "load.workload")), ("bench", &workload[..]));
    assert_eq!((number(&report, "files"), number(&report, "bytes")), (copies, copies * 2 * MIB));
    // Between page caches the kernel passes the bytes on, and what it reads is not told apart.
    for kind in ["write", "sync"] {
        assert!(number(&report, &format!("latency.{kind}.count")) >= copies, "{kind}: {report}");
    }
    assert_eq!(entries(&target), 0);
    assert_eq!(interval_sum(&report, "write_bytes"), number(&report, "bytes"));
    let (hlog, csv) = (scratch.path("hlog"), scratch.path("csv"));
    let files = ["--hlog", hlog.to_str().unwrap(), "--csv", csv.to_str().unwrap()];
    let marks = ["--high-water", "256K", "--low-water", "0", "--jobs", "1", "--interval", "10ms"];
    let report = run(&[&files[..], &marks[..], &["--limit-rate", "20M"]].concat()).assert_ok().json();
    assert_eq!(
        (number(&report, "flow.high_water_bytes"), number(&report, "flow.low_water_bytes")),
        (262_144, 0)
    );
    assert_eq!(number(&report, "load.limit_bytes_per_s"), 20 * MIB);
    assert!(number(&report, "flow.peak_in_flight_bytes") <= 262_144, "{report}");
    let intervals = at(&report, "intervals").as_array().unwrap();
    assert!(intervals.len() > 1, "{report}");
    for pair in intervals.windows(2) {
        let [end, start] = [&pair[0], &pair[1]].map(|one| one["start_s"].as_f64().unwrap());
        assert!(end + pair[0]["length_s"].as_f64().unwrap() <= start + 1e-9, "{report}");
    }
    assert_eq!(interval_sum(&report, "latency.write.count"), number(&report, "latency.write.count"));
    let lines = |file: &std::path::Path| fs::read_to_string(file).unwrap().lines().count();
    assert!(lines(&hlog) > intervals.len() && lines(&csv) > intervals.len());
    run(&["--rate", "5"]).assert_usage(&["--rate has no meaning for copies"]);
    let contradiction = run(&["--high-water", "1M", "--low-water", "1M"]);
    contradiction.assert_usage(&["--low-water (1 MiB) must be below --high-water (1 MiB)"]);
    fs::remove_dir_all(&source).unwrap();
    run(&[]).assert_failed(&["cannot stat", "No such file or directory"]);
    assert_eq!(entries(&target), 0);
}
