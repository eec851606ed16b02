//! What recording costs a load: the same loop over a queue with its times taken and recorded, and without,
//! in turn, on a file in memory and on the disk that holds the build. Prints pairs' ratios, not criterion's
//! statistics: what else a machine does comes and goes, and hits one of a pair as often as the other.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater::flow::load::{Action, Arrival, Load, Next, Plan};
use highwater::latency::{Kind, Recorder};
use highwater::ring::{Arena, Completed, Queue};
use highwater::sys;
use nix::sys::memfd::{MFdFlags, memfd_create};

mod machine;

const BLOCK: u32 = 4096;
const DEPTH: u16 = 32;
const FILE_BYTES: u64 = 64 << 20;
const PAIRS: usize = 15;
/// As in the load's own driver.
const AT_ONCE: usize = 4;
const NAP: Duration = Duration::from_millis(50);
const INTERVAL: Duration = Duration::from_secs(1);

fn main() {
    eprintln!("machine: {}", machine::description());
    eprintln!(
        "work: random reads of {BLOCK} bytes, depth {DEPTH}, {PAIRS} pairs of with and without, in turn"
    );
    let memory = File::from(memfd_create(c"record", MFdFlags::MFD_CLOEXEC).expect("a file in memory"));
    compare("a file in memory", &filled(memory), 1_000_000);
    let disk = tempfile::tempfile_in("target").expect("a file beside the build");
    let disk = filled(disk);
    let stat = sys::stat::of(disk.as_fd()).expect("it is open");
    match highwater::engine::open_direct(disk.as_fd(), &stat, nix::fcntl::OFlag::O_RDONLY) {
        Some((direct, _)) => compare("a disk, around the page cache", &Arc::new(direct), 150_000),
        None => eprintln!("this file system has no direct I/O"),
    }
}

fn filled(mut file: File) -> Arc<OwnedFd> {
    let block = vec![7; 1 << 20];
    (0..FILE_BYTES >> 20).for_each(|_| file.write_all(&block).expect("room for it"));
    file.sync_all().expect("it can be synced");
    Arc::new(file.into())
}

/// Time and CPU time of one operation, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    time: f64,
    cpu: f64,
}

fn compare(what: &str, file: &Arc<OwnedFd>, operations: u64) {
    run(file, operations / 10, true);
    let mut costs = [Vec::new(), Vec::new()];
    for nth in 0..PAIRS {
        for records in [nth % 2 == 0, nth % 2 == 1] {
            costs[usize::from(records)].push(run(file, operations, records));
        }
    }
    let [without, with] = &costs;
    let show = |name: &str, of: fn(&Cost) -> f64| {
        let mut ratios: Vec<f64> =
            with.iter().zip(without).map(|(with, without)| of(with) / of(without)).collect();
        let (with, without) = (median(with.iter().map(of)), median(without.iter().map(of)));
        ratios.sort_by(f64::total_cmp);
        println!(
            "{what}: {name} an operation {with:.0} ns with, {without:.0} ns without; ratio {:.3} ({:.3} to {:.3})",
            ratios[PAIRS / 2],
            ratios[0],
            ratios[PAIRS - 1]
        );
    };
    show("time of", |cost| cost.time);
    show("CPU time of", |cost| cost.cpu);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn run(file: &Arc<OwnedFd>, operations: u64, records: bool) -> Cost {
    let arena = Arena::new(BLOCK, DEPTH).expect("memory");
    let mut queue = Queue::new(DEPTH).expect("io_uring");
    queue.register(&arena).expect("memory that may be locked");
    let mut load = Load::new(plan(operations));
    let mut recorder = Recorder::new(&Kind::SERVICE, Some(INTERVAL)).at_hand();
    let mut started = [Duration::ZERO; DEPTH as usize];
    let mut free: Vec<u16> = (0..DEPTH).collect();
    let (before, began) = (cpu(), Instant::now());
    loop {
        let found: [Option<Completed>; AT_ONCE] = std::array::from_fn(|_| queue.completed());
        let now = if records { began.elapsed() } else { Duration::ZERO };
        if records {
            while recorder.take_interval(now).is_some() {}
        }
        for done in found.into_iter().flatten() {
            assert_eq!(done.result, Ok(BLOCK));
            load.completed(Action::Read, now);
            if records {
                let ns = now.saturating_sub(started[usize::from(done.place)]).as_nanos() as u64;
                recorder.record(Kind::Read, now, ns);
                recorder.moved(Kind::Read, now, BLOCK.into());
            }
            free.push(done.place);
        }
        loop {
            match load.next(now) {
                Next::Start(operation) => {
                    let place = free.pop().expect("a place for each in flight");
                    started[usize::from(place)] = now;
                    queue.read(place, file, arena.buffer(place), BLOCK, operation.offset);
                }
                Next::Done if queue.in_flight() == 0 => {
                    let each = |time: Duration| time.as_nanos() as f64 / operations as f64;
                    return Cost { time: each(began.elapsed()), cpu: each(cpu() - before) };
                }
                _ => break,
            }
        }
        queue.wait(NAP).expect("it can be waited for");
    }
}

fn plan(operations: u64) -> Plan {
    Plan {
        read_percent: 100,
        random: true,
        block_bytes: BLOCK,
        blocks: FILE_BYTES / u64::from(BLOCK),
        depth: DEPTH,
        high_water_bytes: u64::MAX,
        low_water_bytes: None,
        limit_bytes_per_s: None,
        arrival: Arrival::Closed,
        length: Duration::from_secs(3600),
        operations,
        sync_every: None,
        seed: 1,
    }
}

fn cpu() -> Duration {
    let used = sys::process::usage();
    used.user + used.system
}
