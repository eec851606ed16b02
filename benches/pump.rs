//! The pump alone: what deciding costs, for each block, while nothing is read or written.
//!
//! A turn asks for all that may be read, completes it, asks for all that may be written and
//! completes that, so the ring is as full as it can be at every question. Completions come in the
//! order of submission or in reverse. The shape is that of a copy to a new file: the target's size
//! is stepped ahead of the writes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use highwater::flow::{
    Digesting, Holes, Intake, Length, Marks, Outlet, Patience, Pump, Shape, Side, Transfer, Visibility,
};

mod machine;

const KIB: u32 = 1 << 10;
/// The length of the stream: many times the largest ring.
const BLOCKS: u64 = 4096;
/// As in `copy`.
const SIZE_STEP: u64 = 16 << 20;
/// The pump knows no clock, and without a limit on the rate the time decides nothing.
const NOW: Duration = Duration::ZERO;

#[derive(Clone, Copy, Debug)]
enum Completions {
    InOrder,
    Reversed,
}

fn main() {
    eprintln!("machine: {}", machine::description());
    eprintln!("work: {BLOCKS} blocks through a pump, no I/O");
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    for completions in [Completions::InOrder, Completions::Reversed] {
        let mut group = criterion.benchmark_group(format!("pump/{completions:?}"));
        group.throughput(Throughput::Elements(BLOCKS));
        for block_bytes in [64 * KIB, 256 * KIB, 1024 * KIB] {
            for slots in [4, 16, 256] {
                let id = BenchmarkId::new(format!("{} KiB", block_bytes / KIB), format!("{slots} slots"));
                let shape = shape(block_bytes, slots);
                group.bench_function(id, |bencher| bencher.iter(|| run(black_box(&shape), completions)));
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

fn shape(block_bytes: u32, slots: u16) -> Shape {
    let block = u64::from(block_bytes);
    let ring = u64::from(slots) * block;
    Shape {
        block_bytes,
        slots,
        marks: Marks::new(ring, None, block, ring).expect("the mark is the ring"),
        source: Side::SEEKABLE,
        target: Side::SEEKABLE,
        length: Length::Exact(BLOCKS * block),
        sparse: false,
        holes: Holes::Skip,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::Ahead { step: SIZE_STEP },
        digesting: Digesting::Off,
        limit_bytes_per_s: None,
        patience: Patience::default(),
    }
}

fn run(shape: &Shape, completions: Completions) -> Pump {
    let mut pump = Pump::new(shape.clone());
    let mut submitted = Vec::with_capacity(usize::from(shape.slots));
    while !pump.is_finished() {
        while let Intake::Read(transfer) = pump.next_read(NOW) {
            submitted.push(transfer);
        }
        complete(&mut submitted, completions, |transfer| pump.read(transfer, transfer.len, NOW));
        loop {
            match pump.next_write(NOW) {
                Outlet::Write(transfer) => submitted.push(transfer),
                Outlet::Extend { .. } => {}
                Outlet::Search { .. } | Outlet::Wait(_) | Outlet::Idle => break,
            }
        }
        complete(&mut submitted, completions, |transfer| pump.wrote(transfer, transfer.len, NOW));
    }
    assert_eq!(pump.completed_to(), BLOCKS * u64::from(shape.block_bytes), "the whole stream went through");
    pump
}

fn complete(submitted: &mut Vec<Transfer>, completions: Completions, tell: impl FnMut(Transfer)) {
    match completions {
        Completions::InOrder => submitted.drain(..).for_each(tell),
        Completions::Reversed => submitted.drain(..).rev().for_each(tell),
    }
}
