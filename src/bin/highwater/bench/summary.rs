//! A finished bench as reports show it.

use highwater::bench::{Options, Seen};
use highwater::engine::Note;
use highwater::engine::load::Outcome;
use highwater::error::strerror;
use highwater::flow::load::{Arrival, MOST_WAITING};
use highwater::latency::{Kind, Timeline};
use highwater::report::{self, Load, Run};
use highwater::scratch::Origin;
use highwater::sys::process;

use crate::summary::about;

/// The run of which `outcome` tells.
pub fn summary(outcome: &Outcome, options: &Options, seen: Seen, timeline: &Timeline) -> Run {
    let used = process::usage();
    let is_open = options.arrival != Arrival::Closed;
    let bytes = outcome.read_bytes + outcome.write_bytes;
    Run {
        schema: report::SCHEMA,
        command: report::Command::Bench,
        about: about(outcome.elapsed),
        outcome: match outcome {
            _ if outcome.interrupted => report::Outcome::Interrupted,
            _ if outcome.failures > 0 || outcome.outstanding.count > 0 => report::Outcome::Failed,
            _ => report::Outcome::Ok,
        },
        bytes,
        files: 0,
        directories: 0,
        skipped: 0,
        deleted: 0,
        failures: outcome.failures,
        retries: 0,
        elapsed_s: outcome.elapsed.as_secs_f64(),
        throughput_bytes_per_s: report::throughput_bytes_per_s(bytes, outcome.elapsed),
        ring: report::Ring {
            block_bytes: options.size.block_bytes.into(),
            buffers: outcome.buffers.into(),
            registered: outcome.registered,
        },
        flow: report::Flow::new(Some(outcome.marks), &outcome.level),
        tuner: None,
        path: report::Path {
            method: if outcome.is_ring { report::Method::Ring } else { report::Method::Plain },
            source_direct: seen.direct,
            target_direct: seen.direct,
        },
        simulated: options
            .simulated
            .as_ref()
            .map(|device| report::Simulated { spec: device.spec().to_string() }),
        resumed: None,
        load: Some(load(outcome, options, seen)),
        sweep: None,
        latency: report::Latency::service(&outcome.latency),
        response: is_open.then(|| report::Latency::response(&outcome.latency)),
        admission: is_open.then(|| outcome.latency.summary(Kind::Admission)),
        intervals: report::intervals(timeline, report::Command::Bench, is_open),
        process: report::Process {
            peak_rss_bytes: used.peak_rss_bytes,
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
        },
        verified: None,
        errors: outcome.errors.iter().map(report::Failure::from).collect(),
        stalls: outcome.stalls.iter().map(report::Stall::from).collect(),
        cliff: None,
        check: None,
        stress: None,
        notes: notes(outcome, options, seen),
    }
}

fn load(outcome: &Outcome, options: &Options, seen: Seen) -> Load {
    let arrival = match options.arrival {
        Arrival::Closed => None,
        Arrival::Fixed { .. } => Some("fixed".to_owned()),
        Arrival::Poisson { .. } => Some("poisson".to_owned()),
    };
    let ground = match seen.origin {
        Origin::Scratch => "scratch",
        Origin::File => "file",
        Origin::Device => "device",
    };
    Load {
        workload: options.workload.name(),
        ground: ground.to_owned(),
        size_bytes: seen.size_bytes,
        block_bytes: options.size.block_bytes.into(),
        depth: options.size.depth.into(),
        rate_per_s: options.arrival.per_s(),
        arrival,
        length_s: options.length.as_secs_f64(),
        sync_every: options.sync_every,
        seed: options.seed,
        limit_bytes_per_s: options.limit_bytes_per_s,
        operations: outcome.operations,
        operations_per_s: report::throughput_bytes_per_s(outcome.operations, outcome.elapsed),
        short_operations: outcome.short,
        outstanding_operations: outcome.outstanding.count,
        outstanding_oldest_s: outcome.outstanding.oldest.as_secs_f64(),
        waiting_operations: outcome.waiting,
        most_waiting_operations: outcome.most_waiting,
    }
}

/// What has to be known to read the numbers rightly.
fn notes(outcome: &Outcome, options: &Options, seen: Seen) -> Vec<String> {
    let mut notes = Vec::new();
    if options.arrival == Arrival::Closed {
        notes.push(
            "closed loop: an operation starts when another has completed, so nothing is known of those that \
             would have come meanwhile, and there are service times alone; --rate N/s shows response times"
                .to_owned(),
        );
    }
    if outcome.waiting > 0 {
        notes.push(format!(
            "{} operations were waiting for a place at the end: they count in response time and admission with \
             their age, a lower bound",
            outcome.waiting
        ));
    }
    if outcome.overrun {
        notes.push(format!(
            "ended early, as {MOST_WAITING} operations waited: the target is too slow for this rate"
        ));
    }
    if outcome.outstanding.count > 0 {
        notes.push(format!(
            "{} operations had not completed when nobody waited any longer: they count with their age, a lower \
             bound",
            outcome.outstanding.count
        ));
    }
    if outcome.short > 0 {
        notes.push(format!("{} operations moved less than a block", outcome.short));
    }
    if !seen.direct {
        notes
            .push("through the page cache: times are those of memory as far as it holds the data".to_owned());
    }
    notes.extend(outcome.notes.iter().map(|note| match note {
        Note::NoRing(errno) => {
            format!("io_uring is refused ({}): pread and pwrite did the work", strerror(*errno))
        }
        Note::Unregistered(errno) => format!("buffers are not registered: {}", strerror(*errno)),
    }));
    notes
}
