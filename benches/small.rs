//! What a small file costs beside its calls: a flow of its own under a shared level, driven on the
//! caller's thread, against a bare read, write and read of the end. Both files are in memory, and
//! the target is overwritten, so that nothing is measured but calls and what is around them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use highwater::engine::{Choice, Edge, End, Engine, Flow, Ledger, Meter, Typed};
use highwater::flow::{
    Digesting, Holes, Intake, Length, Marks, Outlet, Patience, Pump, Shape, SharedLevel, Side, Visibility,
};
use highwater::sys::cancel::Cancel;
use nix::sys::memfd::{MFdFlags, memfd_create};

mod machine;

const FILE_BYTES: u64 = 4096;
/// As in a copy of a tree.
const BLOCK: u64 = 512 << 10;
const HIGH: u64 = 8 * BLOCK;
const NOW: Duration = Duration::ZERO;

fn main() {
    eprintln!("machine: {}", machine::description());
    eprintln!("work: a file of {FILE_BYTES} bytes, memory to memory, not made durable");
    let mut criterion = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let marks = Marks::new(HIGH, None, BLOCK, HIGH).expect("the marks agree");
    let (source, target) = (file(), file());
    let mut group = criterion.benchmark_group("small file");
    let mut buffer = vec![0; FILE_BYTES as usize];
    group.bench_function("bare", |bencher| {
        bencher.iter(|| {
            let n = source.read_at(&mut buffer, 0).expect("a read");
            target.write_all_at(&buffer[..n], 0).expect("a write");
            assert_eq!(source.read_at(&mut buffer, n as u64).expect("a read"), 0);
        });
    });
    let level = SharedLevel::new(marks);
    group.bench_function("pump alone", |bencher| bencher.iter(|| decide(&level, marks)));
    group.bench_function("flow", |bencher| bencher.iter_custom(flows(marks, &source, &target)));
    group.finish();
    criterion.final_summary();
}

fn file() -> File {
    let file = File::from(memfd_create(c"small", MFdFlags::MFD_CLOEXEC).expect("a file in memory"));
    file.write_all_at(&[7; FILE_BYTES as usize], 0).expect("room for it");
    file
}

/// All questions, and no I/O.
fn decide(level: &Arc<SharedLevel>, marks: Marks) {
    let mut pump = Pump::under(shape(marks), Arc::clone(level));
    while !pump.is_finished() {
        if let Outlet::Write(transfer) = pump.next_write(NOW) {
            pump.wrote(transfer, transfer.len, NOW);
        } else if let Intake::Read(transfer) = pump.next_read(NOW) {
            let n = FILE_BYTES.saturating_sub(transfer.offset).min(transfer.len.into());
            pump.read(transfer, n as u32, NOW);
        }
        level.take_opened();
    }
    pump.leave(NOW);
}

fn flows(marks: Marks, source: &File, target: &File) -> impl FnMut(u64) -> Duration + use<> {
    let typed = Typed { block_bytes: Some(BLOCK), buffers: Some(1), ..Typed::default() };
    let engine = Engine::open(Choice::Plain, typed.resolve().expect("sizes")).expect("memory");
    let cancel = Cancel::new().expect("a descriptor");
    let ledger = Ledger::new(marks, &Arc::new(Meter::default()), None);
    let edge = |file: &File| Edge::of_file(file.try_clone().expect("a descriptor").into());
    let (source, target) = (edge(source), End::Edge(edge(target)));
    move |times| {
        let began = std::time::Instant::now();
        for _ in 0..times {
            let pump = Pump::under(shape(marks), ledger.level());
            let flow = Flow::new(pump, engine.arena(), &cancel, &ledger);
            engine.run_here(&flow, &source, &target);
            assert_eq!(flow.finish().completed_to, FILE_BYTES);
        }
        began.elapsed()
    }
}

fn shape(marks: Marks) -> Shape {
    Shape {
        block_bytes: BLOCK as u32,
        slots: 1,
        marks,
        source: Side::SEEKABLE,
        target: Side::SEEKABLE,
        length: Length::Expected(FILE_BYTES),
        sparse: false,
        holes: Holes::Skip,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::ByWrites,
        digesting: Digesting::Off,
        limit_bytes_per_s: None,
        patience: Patience::default(),
    }
}
