//! The page, in a browser: it draws, wide and narrow, light and dark; it has no error and asks for
//! nothing; its numbers are those of the JSON report, also those shown on pointing at a place.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::command::BINARY;
use crate::support::recorded::recorded;
use crate::support::report::at;
use crate::support::*;
use highwater::units::format_ns;
use serde_json::{Value, json};

/// Looks around in a page once it has been loaded, and leaves what it has seen in it.
const PROBE: &str = r##"<script>
addEventListener("load", () => {
  const shown = (element) => getComputedStyle(element).display !== "none";
  const plots = [...document.querySelectorAll("figure > svg")].filter(shown).map((svg) => ({
    figure: svg.parentElement.id, width: svg.getBoundingClientRect().width, right: svg.getBoundingClientRect().right,
    class: svg.getAttribute("class"),
    drawn: [...svg.querySelectorAll("path")].filter((path) => path.getBBox().width > 0).length,
    outside: [...svg.querySelectorAll("text")].filter((text) => {
      const box = text.getBBox();
      return box.x < 0 || box.x + box.width > svg.viewBox.baseVal.width;
    }).map((text) => text.textContent),
    stroke: getComputedStyle(svg.querySelector("path.line, line.axis")).stroke,
    hints: [...svg.querySelectorAll(".hint")].map((hint) => hint.dataset.text),
  }));
  const hint = [...document.querySelectorAll("figure > svg")].find(shown)?.querySelectorAll(".hint")[3];
  const tip = document.getElementById("tip");
  let told = null;
  if (hint) {
    hint.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 100, clientY: 300 }));
    told = { text: tip.textContent, hidden: tip.hidden, left: tip.getBoundingClientRect().left };
  }
  const cells = [...document.querySelectorAll("table.latency td[data-field]")].map((cell) => ({
    run: cell.parentElement.dataset.run, kind: cell.parentElement.dataset.kind, field: cell.dataset.field,
    value: cell.dataset.value ?? null, shown: cell.textContent, title: cell.title,
  }));
  const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
  const seen = { plots, told, cells, asked, width: document.documentElement.scrollWidth, inner: innerWidth,
    paper: getComputedStyle(document.body).backgroundColor,
    cards: [...document.querySelectorAll("dd")].map((card) => [card.dataset.field, card.dataset.value]) };
  const out = document.createElement("script");
  out.type = "application/json";
  out.id = "seen";
  out.textContent = JSON.stringify(seen).replaceAll("<", "\\u003c");
  document.body.append(out);
});
</script>"##;

/// What a browser makes of a page.
struct Seen {
    /// what the probe saw
    page: Value,
    /// what stands on the console
    console: Vec<String>,
}

/// Opens `page`, with the probe in it and whatever `more` is, `width` pixels wide.
fn open(dir: &Scratch, page: &str, more: &str, width: u32, dark: bool) -> Seen {
    let html = fs::read_to_string(dir.path(page)).unwrap();
    let path = dir.path(&format!("probed-{width}-{dark}.html"));
    fs::write(&path, html.replace("</body>", &format!("{more}{PROBE}</body>"))).unwrap();
    let (dom, log) = chromium(&path, &dir.path("profile"), width, dark);
    let start = dom.find("id=\"seen\">").unwrap_or_else(|| panic!("the probe saw nothing: {log}\n{dom}"));
    let text = &dom[start + "id=\"seen\">".len()..];
    let page = serde_json::from_str(&text[..text.find("</script>").unwrap()]).unwrap();
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    Seen { page, console }
}

/// The page as it is once it has been loaded, and what the browser says.
fn chromium(page: &Path, profile: &Path, width: u32, dark: bool) -> (String, String) {
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-sync",
        "--dump-dom",
    ]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
    ]);
    command.args(["--enable-logging=stderr", "--virtual-time-budget=2000"]);
    command.arg(format!("--window-size={width},900"));
    command.arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg(format!("file://{}", page.display()));
    let files = ["dom", "log"].map(|ending| page.with_extension(ending));
    let [dom, log] = files.each_ref().map(|file| fs::File::create(file).unwrap());
    let mut browser = command.stdout(dom).stderr(log).spawn().unwrap();
    let began = Instant::now();
    while browser.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            browser.kill().unwrap();
            browser.wait().unwrap();
            panic!("the browser hangs: {}", fs::read_to_string(&files[1]).unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let [dom, log] = files.map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned());
    (dom, log)
}

/// A copy, its JSON report, and its page by `--html`.
fn copied(dir: &Scratch) -> Value {
    write_file(&dir.path("source"), 1, 3 * MIB);
    let options = ["--reflink=never", "--block-size", "4K", "--limit-rate", "6MiB/s", "--interval", "20ms"];
    let outputs = ["--json", "run.json", "--html", "run.html", "--svg", "plots"];
    let copy = Highwater::copy().args(options).args(outputs).args(["source", "target"]);
    copy.current_dir(dir.dir()).run().assert_silent();
    serde_json::from_slice(&fs::read(dir.path("run.json")).unwrap()).unwrap()
}

/// Every cell of the table has the JSON report's number, and so has what is shown.
#[track_caller]
fn assert_numbers(seen: &Value, reports: &[&Value]) {
    let cells = at(seen, "cells").as_array().unwrap();
    assert!(cells.len() >= 9, "{seen}");
    for cell in cells {
        let text = |name: &str| at(cell, name).as_str().unwrap_or_default();
        let report = reports[text("run").parse::<usize>().unwrap()];
        let (group, kind) = match text("kind").split_once('-') {
            Some((_, kind)) => ("response.", kind),
            None if text("kind") == "admission" => ("", "admission"),
            None => ("latency.", text("kind")),
        };
        let wanted = at(report, &format!("{group}{kind}.{}", text("field"))).as_f64();
        assert_eq!(text("value").parse::<f64>().ok(), wanted, "{cell}");
        let shown = match (text("field"), wanted) {
            (_, None) => "–".to_owned(),
            ("count", Some(count)) => count.to_string(),
            (_, Some(ns)) => format_ns(ns),
        };
        assert_eq!(
            (text("shown"), wanted.is_none()),
            (shown.as_str(), text("title") == "too few samples"),
            "{cell}"
        );
    }
}

/// All plots are drawn at the size that is to be seen, and nothing sticks out.
#[track_caller]
fn assert_drawn(seen: &Seen, figures: &[&str], class: &str) {
    assert_eq!(seen.console, [""; 0]);
    let page = &seen.page;
    assert_eq!(at(page, "asked"), &json!([]));
    let plots = at(page, "plots").as_array().unwrap();
    let names: Vec<&str> = plots.iter().map(|plot| at(plot, "figure").as_str().unwrap()).collect();
    assert_eq!(names, figures);
    for plot in plots {
        assert_eq!(at(plot, "class"), class);
        assert!(at(plot, "drawn").as_u64().unwrap() >= 1, "{plot}");
        assert!(at(plot, "width").as_f64().unwrap() >= 300.0, "{plot}");
        assert!(at(plot, "right").as_f64().unwrap() <= at(page, "inner").as_f64().unwrap(), "{plot}");
        assert_eq!(at(plot, "outside"), &json!([]), "{plot}");
        assert!(at(plot, "hints").as_array().unwrap().len() >= 5, "{plot}");
    }
    assert!(
        at(page, "width").as_f64() <= at(page, "inner").as_f64(),
        "nothing is to be scrolled aside: {page}"
    );
    let told = at(page, "told");
    assert_eq!((at(told, "hidden"), at(told, "text")), (&json!(false), &at(&plots[0], "hints")[3]));
    assert!(at(told, "left").as_f64().unwrap() >= 0.0);
}

const FIGURES: [&str; 4] = ["percentiles", "throughput", "latency-read", "latency-write"];

#[test]
fn a_copys_page_draws_wide_and_narrow_light_and_dark_and_has_its_reports_numbers() {
    need_tool!("chromium");
    let dir = Scratch::new();
    let report = copied(&dir);
    let wide = open(&dir, "run.html", "", 1000, false);
    assert_drawn(&wide, &FIGURES, "wide");
    assert_numbers(&wide.page, &[&report]);
    let cards = at(&wide.page, "cards").as_array().unwrap();
    for (card, pointer) in
        cards.iter().zip(["throughput_bytes_per_s", "bytes", "elapsed_s", "flow.peak_in_flight_bytes"])
    {
        let (value, wanted) =
            (card[1].as_str().unwrap().parse::<f64>().unwrap(), at(&report, pointer).as_f64().unwrap());
        assert!((value - wanted).abs() <= wanted * 1e-12, "{card} {wanted}");
    }
    for (name, field) in [("p50", "p50_ns"), ("p99", "p99_ns")] {
        let hints = at(&wide.page, "plots.0.hints").as_array().unwrap();
        let hint =
            hints.iter().find(|hint| hint.as_str().unwrap().starts_with(&format!("{name}\n"))).expect(name);
        for kind in ["read", "write"] {
            let ns = at(&report, &format!("latency.{kind}.{field}")).as_f64().unwrap();
            let line = format!("\n{kind}, service time  {}", format_ns(ns));
            assert!(hint.as_str().unwrap().contains(&line), "{line}: {hint}");
        }
    }
    let narrow = open(&dir, "run.html", "", 380, true);
    assert_drawn(&narrow, &FIGURES, "narrow");
    assert_numbers(&narrow.page, &[&report]);
    assert_eq!(at(&wide.page, "paper"), "rgb(255, 255, 255)");
    assert_eq!(at(&narrow.page, "paper"), "rgb(13, 17, 23)");
    assert_ne!(at(&wide.page, "plots.0.stroke"), at(&narrow.page, "plots.0.stroke"));
}

#[test]
fn a_page_drawn_from_the_report_is_the_page_of_the_run() {
    let dir = Scratch::new();
    copied(&dir);
    let args = ["report", "run.json", "--html", "again.html", "--svg", "plots-again"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    let figures = |page: &str| {
        let html = fs::read_to_string(dir.path(page)).unwrap();
        html[html.find("<h2>Latency").unwrap()..html.find("<h2>Run").unwrap()].to_owned()
    };
    assert_eq!(figures("run.html"), figures("again.html"));
    let plots = names(&dir.path("plots"));
    assert_eq!(plots, names(&dir.path("plots-again")));
    let wanted = ["latency-read-narrow.svg", "latency-read-wide.svg", "latency-write-narrow.svg"];
    assert_eq!(plots[..3], wanted);
    for plot in plots {
        let [one, other] =
            ["plots", "plots-again"].map(|folder| fs::read(dir.path(folder).join(&plot)).unwrap());
        assert!(one == other && one.starts_with(b"<svg xmlns"), "{plot:?}");
    }
    let html = fs::read_to_string(dir.path("run.html")).unwrap();
    assert!(!html.replace("http://www.w3.org/2000/svg", "").contains("://"), "a page names no address");
}

/// An open loop of 30 s with a stall of 2 s in it, and a cliff.
fn stalled() -> Value {
    let quick = |n: u64| vec![1_000_000 + 1_000 * (n % 17); 500];
    let service = (0..30).map(|s| if (10..12).contains(&s) { vec![] } else { quick(s) }).collect();
    let late = |s: u64| if s == 12 { (0..1_000).map(|n| 2_000_000 * (n + 1)).collect() } else { quick(s) };
    let response = (0..30).map(|s| if (10..12).contains(&s) { vec![] } else { late(s) }).collect();
    let mut run = recorded("bench", &[("write", service), ("response-write", response)]);
    run["stalls"] =
        json!([{"op": "write", "path": "/dev/sdz", "offset": 4096, "start_s": 10.0, "length_s": 2.0}]);
    run["cliff"] =
        json!({"at_s": 20.0, "after_bytes": 20 << 20, "before_bytes_per_s": 2e6, "after_bytes_per_s": 1e6});
    run["about"] =
        json!({"host": "</script><script>alert(1)</script>", "arguments": ["bench", "it's a \"name\""]});
    run
}

#[test]
fn an_open_loop_shows_both_times_its_stall_and_its_cliff_and_names_are_never_markup() {
    need_tool!("chromium");
    let dir = Scratch::new();
    let report = stalled();
    fs::write(dir.path("run.json"), report.to_string()).unwrap();
    let args = ["report", "run.json", "--html", "run.html"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    let seen = open(&dir, "run.html", "", 1000, true);
    assert_drawn(&seen, &["percentiles", "throughput", "latency-write", "latency-response-write"], "wide");
    assert_numbers(&seen.page, &[&report]);
    let hints = at(&seen.page, "plots.3.hints").as_array().unwrap();
    let stalled: Vec<_> =
        hints.iter().filter(|hint| hint.as_str().unwrap().contains("stall: write took 2 s")).collect();
    assert_eq!(stalled.len(), 2, "{hints:?}");
    assert!(stalled[0].as_str().unwrap().contains("10 s to 11 s\nnothing completed"), "{stalled:?}");
    let html = fs::read_to_string(dir.path("run.html")).unwrap();
    assert!(html.contains("class=\"stall\"") && html.contains("class=\"cliff\""));
    assert!(html.contains("Stall at 10.0 s: write of /dev/sdz took 2.0 s."));
    assert!(html.contains("Write, response time") && html.contains("coordinated omission"));
}

/// Of stress: under a mark of 4 MiB, held by a stall, and with three kinds of faults on 64 MiB.
fn leant_on() -> Value {
    let mut run = recorded("stress", &[("write", (0..20).map(|s| vec![1_000_000 + s; 600]).collect())]);
    run["flow"] = json!({"high_water_bytes": 4 << 20, "peak_in_flight_bytes": 4 << 20});
    run["stalls"] = json!([{"op": "write", "path": "f", "offset": 0, "start_s": 10.0, "length_s": 2.0}]);
    let level = |s: u64| {
        let mean = if (10..12).contains(&s) { 4 << 20 } else { 3 << 20 };
        json!({"start_s": s, "length_s": 1.0, "mean_bytes": mean, "most_bytes": 4 << 20})
    };
    let levels: Vec<Value> = (0..20).map(level).collect();
    run["stress"] = json!({"to_check_bytes": 64 << 20, "levels": levels});
    let range =
        |fault: &str, offset: u64, length: u64| json!({"fault": fault, "offset": offset, "length": length});
    let ranges =
        [range("lost", 1 << 20, 4096), range("torn", 32 << 20, 8192), range("lost", 63 << 20, 1 << 20)];
    run["check"] = json!({"blocks": 16384, "good": 16125, "lost": 257, "torn": 2, "ranges": ranges});
    run
}

#[test]
fn a_stress_run_shows_its_level_against_the_mark_and_its_faults_over_the_surface() {
    need_tool!("chromium");
    let dir = Scratch::new();
    let report = leant_on();
    fs::write(dir.path("run.json"), report.to_string()).unwrap();
    let args = ["report", "run.json", "--html", "run.html"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    let figures = ["percentiles", "throughput", "level", "latency-write", "surface"];
    for (width, class) in [(1000, "wide"), (380, "narrow")] {
        let seen = open(&dir, "run.html", "", width, width == 380);
        assert_drawn(&seen, &figures, class);
        assert_numbers(&seen.page, &[&report]);
        let hints = |plot: u32| -> Vec<String> {
            let hints = at(&seen.page, &format!("plots.{plot}.hints")).as_array().unwrap().iter();
            hints.map(|hint| hint.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(hints(2)[3], "3 s to 4 s\non average  3 MiB\nat most  4 MiB of 4 MiB");
        assert!(hints(2)[10].ends_with("\nstall: write took 2 s"), "{}", hints(2)[10]);
        let (of_surface, parts) = (hints(4), hints(4).len() as u64);
        let told = |bytes: u64| &of_surface[(bytes * parts / (64 << 20)) as usize];
        assert!(told(1 << 20).ends_with("\nlost  4 KiB"), "{}", told(1 << 20));
        assert!(told(40 << 20).ends_with("\nall good"), "{}", told(40 << 20));
        assert!(of_surface.iter().any(|hint| hint.ends_with("\ntorn  8 KiB")), "{of_surface:?}");
        assert!(told((64 << 20) - 1).contains("\nlost  "), "{of_surface:?}");
    }
    let html = fs::read_to_string(dir.path("run.html")).unwrap();
    assert!(html.contains("lost: 1 MiB") && html.contains("torn: 8 KiB"), "the legend has the sums");
}

#[test]
fn a_mark_that_found_itself_is_drawn_and_told() {
    need_tool!("chromium");
    let dir = Scratch::new();
    let mut report = recorded("copy", &[("write", (0..20).map(|s| vec![1_000_000 + s; 600]).collect())]);
    report["flow"] = json!({"high_water_bytes": 4 << 20, "peak_in_flight_bytes": 4 << 20});
    let mark = |at_s: f64, mib: u64| json!({"at_s": at_s, "high_water_bytes": mib << 20});
    report["tuner"] = json!({"bound_by": "devices", "high_water_bytes": 2 << 20, "rate_bytes_per_s": 1e8,
        "unloaded_latency_ns": 1_000_000, "buffers_wanted": null, "changes": 4,
        "marks": [mark(0.0, 4), mark(5.0, 1), mark(8.0, 3), mark(9.0, 1), mark(12.0, 2)]});
    fs::write(dir.path("run.json"), report.to_string()).unwrap();
    let args = ["report", "run.json", "--html", "run.html"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    let seen = open(&dir, "run.html", "", 1000, false);
    assert_drawn(&seen, &["percentiles", "throughput", "level", "latency-write"], "wide");
    assert_numbers(&seen.page, &[&report]);
    let hints = at(&seen.page, "plots.2.hints").as_array().unwrap();
    assert_eq!(hints.len(), 5, "{hints:?}");
    assert_eq!(hints[1], "5 s to 8 s\nhigh-water mark  1 MiB");
    let html = fs::read_to_string(dir.path("run.html")).unwrap();
    assert!(html.contains("<td>2 MiB after 4 changes: more would bring no more</td>"), "{html}");
}

/// A sweep of an open loop of which every number is known: from the 6th step on it falls behind.
fn swept() -> Value {
    let mut run = recorded(
        "bench",
        &[("read", vec![vec![100_000; 2_000]]), ("response-read", vec![vec![200_000; 2_000]])],
    );
    run["intervals"] = json!([]);
    let steps: Vec<Value> = (1..=8_u64)
        .map(|nth| {
            let ns = 100_000 * nth + if nth > 5 { 3_000_000 * (nth - 5) } else { 0 };
            let times =
                json!({"count": 5_000, "p50_ns": ns, "p99_ns": 2 * ns, "p99_9_ns": 5 * ns, "max_ns": 9 * ns});
            let none = json!({"count": 0});
            let kinds = json!({"read": times, "write": none, "sync": none});
            json!({"depth": 32, "rate_per_s": 1_000.0 * nth as f64, "operations": 5_000, "steady": true,
                "operations_per_s": 1_000.0 * nth.min(6) as f64 + nth as f64,
                "latency": kinds, "response": kinds})
        })
        .collect();
    run["sweep"] =
        json!({"steps": steps, "knee": 4, "best": 5, "goal": {"percentile": "p99", "limit_ns": 8_000_000}});
    run
}

#[test]
fn a_sweep_is_drawn_as_latency_against_throughput_with_its_knee_and_its_goal() {
    need_tool!("chromium");
    let dir = Scratch::new();
    let report = swept();
    for name in ["run.json", "again.json"] {
        fs::write(dir.path(name), report.to_string()).unwrap();
    }
    let args = ["report", "run.json", "--html", "run.html", "--svg", "plots"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    for (width, class) in [(1000, "wide"), (380, "narrow")] {
        let seen = open(&dir, "run.html", "", width, width == 380);
        assert_drawn(&seen, &["sweep"], class);
        assert_numbers(&seen.page, &[&report]);
        let hints = at(&seen.page, "plots.0.hints").as_array().unwrap();
        let step = |nth: usize| at(&report, &format!("sweep.steps.{nth}.response.read"));
        let times = |nth: usize| {
            let shown = |(name, field): (&str, &str)| {
                format!("\n{name}, response time  {}", format_ns(step(nth)[field].as_f64().unwrap()))
            };
            [("p50", "p50_ns"), ("p99", "p99_ns"), ("p99.9", "p99_9_ns")].map(shown).concat()
        };
        assert_eq!(hints[2], format!("rate 3000/s: 3003/s{}", times(2)));
        assert!(
            hints[5].as_str().unwrap().contains(&format!("rate 8000/s: 6008/s{}", times(7))),
            "{hints:?}"
        );
        let card = |name: &str| {
            let cards = at(&seen.page, "cards").as_array().unwrap();
            cards.iter().find(|card| card[0] == name).unwrap_or_else(|| panic!("{name}: {cards:?}"))[1]
                .clone()
        };
        assert_eq!((card("knee"), card("best")), (json!("5005"), json!("6006")));
    }
    assert_eq!(names(&dir.path("plots")), ["sweep-narrow.svg", "sweep-wide.svg"]);
    let svg = fs::read_to_string(dir.path("plots/sweep-wide.svg")).unwrap();
    for mark in ["class=\"knee\"", "class=\"goal\"", ">goal: p99 of 8.00 ms<", ">keeps the goal<"] {
        assert!(svg.contains(mark), "{mark}: {svg}");
    }
    let args = ["report", "run.json", "again.json", "--html", "both.html"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    assert_drawn(
        &open(&dir, "both.html", "", 1000, false),
        &["sweep-p50", "sweep-p99", "sweep-p99.9"],
        "wide",
    );
}

#[test]
fn eight_runs_lie_over_each_other_and_their_names_tell_them_apart() {
    need_tool!("chromium");
    let dir = Scratch::new();
    let mut args = vec!["report".to_owned(), "--html".to_owned(), "run.html".to_owned()];
    let mut reports = vec![];
    for nth in 0..8_u64 {
        let intervals = (0..20).map(|s| (1..60).map(|n| (nth + 1) * (n * 10_000 + s)).collect()).collect();
        let report = recorded("stress", &[("write", intervals)]);
        fs::write(dir.path(&format!("run{nth}.json")), report.to_string()).unwrap();
        args.push(format!("run{nth}.json"));
        reports.push(report);
    }
    Highwater::binary(BINARY).args(&args).current_dir(dir.dir()).run().assert_silent();
    let seen = open(&dir, "run.html", "", 380, false);
    let maps: Vec<String> = (1..=8).map(|nth| format!("latency-write-{nth}")).collect();
    let figures: Vec<&str> =
        ["percentiles-write", "throughput"].into_iter().chain(maps.iter().map(String::as_str)).collect();
    assert_drawn(&seen, &figures, "narrow");
    assert_numbers(&seen.page, &reports.iter().collect::<Vec<_>>());
    let hint = at(&seen.page, "plots.0.hints.6").as_str().unwrap();
    assert!((0..8).all(|nth| hint.contains(&format!("\nrun{nth}  "))), "{hint}");
}

#[test]
fn a_page_that_errs_or_asks_the_network_would_be_caught() {
    need_tool!("chromium");
    let dir = Scratch::new();
    fs::write(dir.path("run.json"), stalled().to_string()).unwrap();
    let args = ["report", "run.json", "--html", "run.html"];
    Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run().assert_silent();
    let page = fs::read_to_string(dir.path("run.html")).unwrap();
    let open_to_all = page.replace("http-equiv=\"Content-Security-Policy\"", "name=\"no-policy\"");
    fs::write(dir.path("run.html"), open_to_all).unwrap();
    let more = "<img src=\"http://127.0.0.1:9/x.png\"><script>undefinedCall()</script>";
    let seen = open(&dir, "run.html", more, 1000, false);
    assert!(
        seen.console.iter().any(|line| line.contains("undefinedCall is not defined")),
        "{:?}",
        seen.console
    );
    assert_eq!(at(&seen.page, "asked"), &json!(["http://127.0.0.1:9/x.png"]));
}
