//! A load allocates nothing for an operation: counted by an allocator of this test's own.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highwater::bench::{Bench, Options, Typed, Witness, Workload};
use highwater::engine::{Choice, Direct, News, load};
use highwater::flow::load::Arrival;
use highwater::latency::Interval;
use highwater::sys::cancel::Cancel;
use support::{MIB, Scratch, engines};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all is done by the system's allocator; counting touches no memory of its.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Deaf;

impl load::Witness for Deaf {
    fn interval(&mut self, _: &Interval) {}
    fn news(&mut self, _: &News) {}
}

impl Witness for Deaf {
    fn laying_out(&mut self, _: u64) {}
}

#[test]
fn no_operation_allocates() {
    let scratch = Scratch::new();
    for engine in engines() {
        let workload = Workload::Mixed { read_percent: 50 };
        let size = Typed { block_bytes: Some(4096), ..Typed::default() };
        let options = |length| Options {
            workload,
            size: size.resolve(workload, 8).unwrap(),
            arrival: Arrival::Closed,
            limit_bytes_per_s: None,
            length,
            size_bytes: Some(8 * MIB),
            sync_every: None,
            seed: 1,
            destroy_data: false,
            direct: Direct::Auto,
            simulated: None,
            engine: if engine == "ring" { Choice::Ring } else { Choice::Plain },
            interval: None,
            stall_limit: Duration::ZERO,
            patience: Duration::from_secs(10),
        };
        // What a run costs, and what more of the same adds.
        let [short, long] = [200, 1000].map(|ms| {
            let cancel = Cancel::new().unwrap();
            let bench = Bench::open(&scratch.dir(), options(Duration::from_millis(ms)), &mut Deaf, &cancel);
            let bench = bench.unwrap().unwrap();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let outcome = bench.measure(&mut Deaf, &cancel).unwrap();
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            bench.close().unwrap();
            (outcome.operations, allocations)
        });
        let (operations, allocations) = (long.0 - short.0, long.1.saturating_sub(short.1));
        assert!(operations > 1000, "{engine}: {short:?} {long:?}");
        assert!(allocations < operations / 100, "{engine}: {short:?} {long:?}");
    }
}
