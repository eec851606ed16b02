//! A file that the page cache holds, copied by highwater's two drivers and by a raw ring: what the
//! pump, the runtime and the records cost on top of io_uring.
//!
//! All three move the same bytes between the same descriptors, with the same block size, number of
//! buffers and kind of memory; both rings register their buffers and have the same setup flags.
//! The target has its full size and all its pages before the first copy, and is written over in
//! place.
//!
//! criterion measures one rival after the other, and a machine that others use too drifts meanwhile:
//! its numbers are for comparing one rival with itself. The rivals are compared in turn, in rounds,
//! by the median of their ratios.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use highwater::engine::{Choice, Edge, End, Engine, Flow, Ledger, Meter, Moved, Typed};
use highwater::flow::{Digesting, Holes, Length, Marks, Patience, Pump, Shape, Side, Visibility};
use highwater::ring::{Arena, Buffer};
use highwater::sys::{self, cancel::Cancel};
use io_uring::{IoUring, cqueue, opcode, squeue, types};

mod machine;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const FILE_BYTES: u64 = 128 * MIB;
/// Two rings of it fit into the 8 MiB that a plain user may lock.
const RING_BYTES: u64 = 3 * MIB;
/// The kernel counts a ring's memory as locked for a while after the ring is gone.
const RELEASE: Duration = Duration::from_millis(300);
/// In which the rivals run in turn.
const ROUNDS: usize = 15;

type Rival = (&'static str, Box<dyn FnMut()>);

fn main() {
    sys::memlock::raise_to_hard();
    eprintln!("machine: {}", machine::description());
    eprintln!("work: {} MiB, buffers of {} MiB in all", FILE_BYTES / MIB, RING_BYTES / MIB);
    eprintln!("durability: none, nothing is synced within the time taken");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    let memory = Path::new("/dev/shm");
    let memory = if memory.is_dir() { ("shm", memory.into()) } else { ("temp", std::env::temp_dir()) };
    for (name, directory) in [memory, ("target", PathBuf::from(env!("CARGO_TARGET_TMPDIR")))] {
        let files = Files::new(&directory).expect("room for two files");
        eprintln!("{name}: {}", files.description(&directory));
        let mut group = criterion.benchmark_group(format!("copy/{name}"));
        group.throughput(Throughput::Bytes(FILE_BYTES));
        group.sampling_mode(SamplingMode::Flat);
        for block in [64 * KIB, 256 * KIB, MIB] {
            let mut rivals: [Rival; 3] = [
                ("raw ring", Box::new(raw(block, &files))),
                ("highwater ring", Box::new(highwater(Choice::Ring, block, &files))),
                ("highwater plain", Box::new(highwater(Choice::Plain, block, &files))),
            ];
            for (rival, copy) in &mut rivals {
                files.clear_target().expect("the target is written to");
                copy();
                assert!(files.are_equal().expect("both files are read"), "{rival} copies every byte");
            }
            eprintln!("{name}, {} KiB, in turn: {}", block / KIB, in_turn(&mut rivals));
            for (rival, copy) in &mut rivals {
                let id = BenchmarkId::new(*rival, format!("{} KiB", block / KIB));
                group.bench_function(id, |bencher| bencher.iter(&mut *copy));
            }
            drop(rivals);
            sleep(RELEASE);
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Medians of the times, and of the ratios to the time of the first rival in the same round.
fn in_turn(rivals: &mut [Rival; 3]) -> String {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push(rivals.each_mut().map(|(_, copy)| {
            let started = Instant::now();
            copy();
            started.elapsed().as_secs_f64()
        }));
    }
    let words = rivals.iter().enumerate().map(|(nth, (rival, _))| {
        let time = median(rounds.iter().map(|times| times[nth]));
        let ratio = median(rounds.iter().map(|times| times[nth] / times[0]));
        format!("{rival} {:.1} ms ({ratio:.2})", time * 1e3)
    });
    words.collect::<Vec<_>>().join(", ")
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

// ---- the files ----

/// Source and target, in the page cache and without names: nothing is left behind, however this
/// ends.
struct Files {
    source: File,
    target: File,
}

impl Files {
    fn new(directory: &Path) -> io::Result<Files> {
        let source = tempfile::tempfile_in(directory)?;
        let target = tempfile::tempfile_in(directory)?;
        sys::space::preallocate(target.as_fd(), 0, FILE_BYTES)?;
        let mut random = fastrand::Rng::with_seed(1);
        let mut bytes = vec![0; MIB as usize];
        for offset in (0..FILE_BYTES).step_by(bytes.len()) {
            random.fill(&mut bytes);
            source.write_all_at(&bytes, offset)?;
        }
        let files = Files { source, target };
        files.clear_target()?;
        // What is written back now does not disturb the first rival.
        files.source.sync_all()?;
        files.target.sync_all()?;
        Ok(files)
    }

    fn clear_target(&self) -> io::Result<()> {
        let zeros = vec![0; MIB as usize];
        (0..FILE_BYTES).step_by(zeros.len()).try_for_each(|offset| self.target.write_all_at(&zeros, offset))
    }

    fn are_equal(&self) -> io::Result<bool> {
        let (mut left, mut right) = (vec![0; MIB as usize], vec![0; MIB as usize]);
        for offset in (0..FILE_BYTES).step_by(left.len()) {
            self.source.read_exact_at(&mut left, offset)?;
            self.target.read_exact_at(&mut right, offset)?;
            if left != right {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn description(&self, directory: &Path) -> String {
        let cached = |file: &File| match sys::cache::cached_bytes(file.as_fd()) {
            Ok(bytes) => format!("{} of {} MiB cached", bytes / MIB, FILE_BYTES / MIB),
            Err(errno) => format!("unknown whether cached ({errno})"),
        };
        let (source, target) = (cached(&self.source), cached(&self.target));
        format!("{}, source {source}, target preallocated and {target}", mount(directory))
    }
}

/// Device, mount point, file system and options, as the kernel lists what `directory` lies in.
fn mount(directory: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let inside = |line: &&str| line.split(' ').nth(1).is_some_and(|point| directory.starts_with(point));
    let point_length = |line: &&str| line.split(' ').nth(1).map_or(0, str::len);
    // The last of equals: it was mounted over the others.
    let found = mounts.lines().filter(inside).max_by_key(point_length);
    found.map_or("unknown file system".into(), |line| line.trim_end_matches(" 0 0").to_owned())
}

// ---- highwater ----

fn highwater(choice: Choice, block: u64, files: &Files) -> impl FnMut() + use<> {
    let typed = Typed {
        block_bytes: Some(block),
        buffers: Some(RING_BYTES / block),
        high_water: None,
        low_water: None,
        moved: Moved::Never,
    };
    let size = typed.resolve().expect("sizes that fit each other");
    let engine = Engine::open(choice, size).expect("the engine that was asked for");
    assert_eq!(engine.notes(), [], "buffers are registered (see RLIMIT_MEMLOCK)");
    let marks = size.marks(size.buffers.into()).expect("the mark is the ring");
    let shape = shape(size.block_bytes, size.buffers, marks);
    let (source, target) = (end(&files.source), end(&files.target));
    let cancel = Cancel::new().expect("a descriptor");
    let ledger = Ledger::new(marks, &Arc::new(Meter::default()), None);
    move || {
        let flow = Flow::new(Pump::new(shape.clone()), engine.arena(), &cancel, &ledger);
        engine.run(&flow, &source, &target);
        let finished = flow.finish();
        assert_eq!((finished.failure, finished.completed_to), (None, FILE_BYTES));
    }
}

fn end(file: &File) -> End {
    let stat = sys::stat::of(file.as_fd()).expect("statx of an open file");
    End::Edge(Edge::new(file.try_clone().expect("a descriptor").into(), Some(0), &stat))
}

/// The target's size never moves, and each side may use all buffers: as the raw ring does.
fn shape(block_bytes: u32, slots: u16, marks: Marks) -> Shape {
    Shape {
        block_bytes,
        slots,
        marks,
        source: Side::SEEKABLE,
        target: Side::SEEKABLE,
        length: Length::Exact(FILE_BYTES),
        sparse: false,
        holes: Holes::Skip,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::Fixed,
        digesting: Digesting::Off,
        limit_bytes_per_s: None,
        patience: Patience::default(),
    }
}

// ---- the raw ring ----

/// The least that copies a file of whole blocks: each buffer is read into, written from, and used
/// again for the next block. No short transfers, no errors, no records.
struct Raw {
    // Declared before the buffers, so that it is gone before they are.
    ring: IoUring,
    buffers: Vec<Buffer>,
    source: File,
    target: File,
    completed: Vec<cqueue::Entry>,
}

fn raw(block: u64, files: &Files) -> impl FnMut() + use<> {
    let (source, target) = (files.source.try_clone(), files.target.try_clone());
    let (source, target) = (source.expect("a descriptor"), target.expect("a descriptor"));
    let mut raw = Raw::new(block as u32, source, target).expect("io_uring with registered buffers");
    move || raw.copy().expect("io_uring_enter")
}

impl Raw {
    fn new(block_bytes: u32, source: File, target: File) -> io::Result<Raw> {
        let slots = (RING_BYTES / u64::from(block_bytes)) as u16;
        let arena = Arena::new(block_bytes, slots)?;
        let mut buffers: Vec<Buffer> = (0..slots).map(|slot| arena.buffer(slot)).collect();
        let entries = u32::from(slots).next_power_of_two();
        let mut tuned = IoUring::builder();
        tuned.setup_coop_taskrun().setup_single_issuer();
        let ring = tuned.build(entries).or_else(|_| IoUring::new(entries))?;
        let part =
            |buffer: &mut Buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let parts: Vec<_> = buffers.iter_mut().map(part).collect();
        // SAFETY: each part is a live buffer of the arena, which `Raw` keeps until the ring is gone.
        unsafe { ring.submitter().register_buffers(&parts) }?;
        Ok(Raw { ring, buffers, source, target, completed: Vec::with_capacity(usize::from(slots)) })
    }

    fn copy(&mut self) -> io::Result<()> {
        let block = self.buffers[0].len();
        let mut to_read = (0..FILE_BYTES).step_by(block);
        let mut offsets = vec![0; self.buffers.len()];
        let mut in_flight = 0;
        for (slot, offset) in (0..self.buffers.len()).zip(to_read.by_ref()) {
            offsets[slot] = offset;
            self.read(slot, offset);
            in_flight += 1;
        }
        while in_flight > 0 {
            self.ring.submit_and_wait(1)?;
            let mut completed = std::mem::take(&mut self.completed);
            completed.extend(self.ring.completion());
            for entry in completed.drain(..) {
                assert_eq!(entry.result(), block as i32, "a whole block is moved");
                let (slot, was_read) = (entry.user_data() as usize / 2, entry.user_data() % 2 == 0);
                if was_read {
                    self.write(slot, offsets[slot]);
                } else if let Some(offset) = to_read.next() {
                    offsets[slot] = offset;
                    self.read(slot, offset);
                } else {
                    in_flight -= 1;
                }
            }
            self.completed = completed;
        }
        Ok(())
    }

    fn read(&mut self, slot: usize, offset: u64) {
        let (source, buffer) = (types::Fd(self.source.as_raw_fd()), &mut self.buffers[slot]);
        let entry = opcode::ReadFixed::new(source, buffer.as_mut_ptr(), buffer.len() as u32, slot as u16)
            .offset(offset);
        self.push(entry.build().user_data(slot as u64 * 2));
    }

    fn write(&mut self, slot: usize, offset: u64) {
        let (target, buffer) = (types::Fd(self.target.as_raw_fd()), &self.buffers[slot]);
        let entry =
            opcode::WriteFixed::new(target, buffer.as_ptr(), buffer.len() as u32, slot as u16).offset(offset);
        self.push(entry.build().user_data(slot as u64 * 2 + 1));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: descriptors and buffers live as long as the ring. A slot has one operation at a
        // time, and nobody else looks at its buffer meanwhile.
        unsafe { self.ring.submission().push(&entry) }.expect("an entry for every slot");
    }
}
