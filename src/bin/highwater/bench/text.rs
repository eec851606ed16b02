//! A finished bench as a table for people.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use highwater::latency::{Kind, Summary};
use highwater::report::{Latency, Load, Method, Run, write_rows};
use highwater::units::{format_bytes, format_rate};

use crate::quote::quote;

/// Shows it on standard output, or on standard error where that is taken.
pub fn show(run: &Run, target: &Path, to_stderr: bool) {
    print(&text(run, target), to_stderr);
}

/// Text that was asked for.
pub fn print(text: &str, to_stderr: bool) {
    // Whoever closed it wants nothing more; files that were asked for are written all the same.
    let _ = match to_stderr {
        true => io::stderr().write_all(text.as_bytes()),
        false => io::stdout().write_all(text.as_bytes()),
    };
}

fn text(run: &Run, target: &Path) -> String {
    let load = run.load.as_ref().expect("a bench has a load");
    let mut text = String::new();
    let pace = match (load.rate_per_s, load.arrival.as_deref()) {
        (Some(rate), Some(arrival)) => format!("open loop of {rate}/s, {arrival}"),
        _ => "closed loop".to_owned(),
    };
    let _ = writeln!(
        text,
        "{} of {}, depth {}{}, {pace}, on {} of {}",
        load.workload,
        format_bytes(load.block_bytes),
        load.depth,
        held(run, load),
        format_bytes(load.size_bytes),
        match load.ground.as_str() {
            "scratch" => format!("a scratch file in {}", quote(target)),
            _ => quote(target),
        }
    );
    let _ = writeln!(
        text,
        "{}, {}",
        match run.path.method {
            Method::Ring => "io_uring",
            _ => "pread and pwrite",
        },
        if run.path.source_direct { "around the page cache" } else { "through the page cache" }
    );
    let _ = writeln!(
        text,
        "{} operations in {:.2} s: {:.0}/s, {}\n",
        load.operations,
        run.elapsed_s,
        load.operations_per_s,
        format_rate(run.throughput_bytes_per_s)
    );
    table(&mut text, "service time", &run.latency, None);
    if let Some(response) = &run.response {
        text.push('\n');
        table(&mut text, "response time", response, run.admission.as_ref());
    }
    text.push('\n');
    let times = run.latency.each().into_iter().chain(run.response.iter().flat_map(Latency::each));
    if times.chain(&run.admission).any(|times| times.count > 0 && times.p99_99_ns.is_none()) {
        let _ =
            writeln!(text, "- too few operations to tell: it takes 100 for p99, 1000 for p99.9 and so on");
    }
    for stall in &run.stalls {
        let _ = writeln!(
            text,
            "stall: no {} completed for {:.2} s, from {:.2} s on",
            stall.op, stall.length_s, stall.start_s
        );
    }
    for note in &run.notes {
        let _ = writeln!(text, "{note}");
    }
    text
}

/// The marks and the limit that hold operations back, where they are others than the depth makes.
fn held(run: &Run, load: &Load) -> String {
    let (high, low) = (run.flow.high_water_bytes, run.flow.low_water_bytes);
    let mut text = String::new();
    if high != load.depth * load.block_bytes {
        text += &format!(", at most {} in flight", format_bytes(high));
    }
    if low != high.saturating_sub(load.block_bytes) {
        text += &format!(", once full down to {}", format_bytes(low));
    }
    if let Some(limit) = load.limit_bytes_per_s {
        text += &format!(", at most {}", format_rate(limit as f64));
    }
    text
}

/// Kinds of which there is nothing have no row.
fn table(text: &mut String, title: &str, latency: &Latency, admission: Option<&Summary>) {
    let names = Kind::SERVICE.map(Kind::name);
    let rows: Vec<(&str, &Summary)> = names
        .into_iter()
        .zip(latency.each())
        .chain(admission.map(|admission| ("admission", admission)))
        .filter(|(_, summary)| summary.count > 0)
        .collect();
    let mut table = Vec::new();
    write_rows(&mut table, title, &rows).expect("memory takes all that is written");
    text.push_str(&String::from_utf8_lossy(&table));
}
