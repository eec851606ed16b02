//! Bytes that the kernel passes from one file to another without anybody seeing them: they are what reads
//! and writes would have made, whatever the source does meanwhile and whatever is refused.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use highwater::engine::{Choice, Edge, End, Engine, Finished, Flow, Ledger, Meter, Typed};
use highwater::flow::{
    Digesting, Failure, Holes, Length, Marks, Patience, Pump, Reason, Shape, Side, Visibility,
};
use highwater::sys::cancel::Cancel;

const BLOCK: u64 = 64 << 10;

/// What became of a source that had `length` bytes when it was looked at.
struct Passed {
    finished: Finished,
    /// bytes that nobody saw
    unseen: u64,
    may_be_longer: bool,
    peak: u64,
}

fn pass(source: &File, target: &File, length: Length, has_holes: bool) -> Passed {
    pass_to(source, target, None, length, has_holes)
}

/// The same where it is known at which `position` the target stands.
fn pass_to(source: &File, target: &File, position: Option<u64>, length: Length, has_holes: bool) -> Passed {
    let typed = Typed { block_bytes: Some(BLOCK), buffers: Some(1), ..Typed::default() };
    let engine = Engine::open(Choice::Plain, typed.resolve().unwrap()).unwrap();
    let marks = Marks::new(BLOCK, None, BLOCK, BLOCK).unwrap();
    let ledger = Ledger::new(marks, &Arc::new(Meter::default()), None);
    let shape = Shape {
        block_bytes: BLOCK as u32,
        slots: 1,
        marks,
        source: Side::SEEKABLE,
        target: Side::SEEKABLE,
        length,
        sparse: has_holes,
        holes: Holes::Skip,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::ByWrites,
        digesting: Digesting::Off,
        limit_bytes_per_s: None,
        patience: Patience::default(),
    };
    let cancel = Cancel::new().unwrap();
    let flow = Flow::new(Pump::under(shape, ledger.level()), engine.arena(), &cancel, &ledger);
    let edge = |file: &File| Edge::of_file(file.as_fd().try_clone_to_owned().unwrap());
    let mut from = edge(source);
    from.has_holes = has_holes;
    let highwater::engine::Passed { bytes: unseen, may_be_longer } =
        engine.pass_here(&flow, &from, &End::Edge(edge(target)), position);
    let finished = flow.finish();
    Passed { finished, unseen, may_be_longer, peak: ledger.finish().level.peak_bytes }
}

fn random(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    fastrand::Rng::with_seed(len).fill(&mut bytes);
    bytes
}

fn source(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn every_length_arrives_unseen_and_under_the_mark() {
    for len in [1, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 77] {
        for position in [None, Some(0)] {
            let bytes = random(len);
            let target = tempfile::tempfile().unwrap();
            let passed = pass_to(&source(&bytes), &target, position, Length::Expected(len), false);
            assert_eq!((passed.finished.failure, passed.finished.completed_to), (None, len));
            assert_eq!((passed.unseen, passed.peak, passed.may_be_longer), (len, len.min(BLOCK), false));
            assert!(content(&target) == bytes, "{len} bytes");
        }
    }
}

/// The position that a descriptor was left at, by an earlier call or by whoever has it too, is no place
/// to write at.
#[test]
fn bytes_go_where_they_belong_wherever_the_target_stands() {
    let bytes = random(2 * BLOCK + 5);
    let mut target = tempfile::tempfile().unwrap();
    target.seek(SeekFrom::Start(12_345)).unwrap();
    let passed = pass(&source(&bytes), &target, Length::Expected(bytes.len() as u64), false);
    assert_eq!(passed.unseen, bytes.len() as u64);
    assert!(content(&target) == bytes);
}

#[test]
fn a_source_that_has_grown_is_copied_to_its_end() {
    for (expected, len) in [(100, 101), (100, BLOCK), (BLOCK, BLOCK + 1), (BLOCK - 1, 3 * BLOCK + 9)] {
        let bytes = random(len);
        let target = tempfile::tempfile().unwrap();
        let passed = pass(&source(&bytes), &target, Length::Expected(expected), false);
        assert_eq!((passed.finished.failure, passed.finished.completed_to), (None, len));
        assert_eq!(passed.unseen, expected);
        // A whole block has no room to look on.
        assert_eq!(passed.may_be_longer, expected % BLOCK != 0);
        assert!(content(&target) == bytes, "{expected} bytes were expected, {len} were there");
    }
}

#[test]
fn a_source_that_has_shrunk_is_a_failure_where_it_ends() {
    for (expected, len) in [(100, 99), (BLOCK, 1), (3 * BLOCK, BLOCK), (3 * BLOCK, 2 * BLOCK - 1), (9, 0)] {
        let bytes = random(len);
        let target = tempfile::tempfile().unwrap();
        let passed = pass(&source(&bytes), &target, Length::Expected(expected), false);
        let shrank = Failure { offset: len, reason: Reason::Shrank };
        assert_eq!((passed.finished.failure, passed.finished.completed_to), (Some(shrank), len));
        assert!(content(&target) == bytes);
    }
}

#[test]
fn holes_stay_holes_between_what_is_passed() {
    let bytes = random(BLOCK + 4096);
    let holed = source(&bytes);
    let behind = 5 * BLOCK;
    holed.write_all_at(&bytes, behind).unwrap();
    let target = tempfile::tempfile().unwrap();
    let len = behind + bytes.len() as u64;
    let passed = pass(&holed, &target, Length::Expected(len), true);
    assert_eq!((passed.finished.failure, passed.finished.completed_to), (None, len));
    assert!(passed.unseen >= 2 * bytes.len() as u64 && passed.unseen < len, "{} unseen", passed.unseen);
    assert!(content(&target) == content(&holed));
}

/// sendfile(2) has no word on what it refuses; reads and writes have.
#[test]
fn what_is_refused_is_read_and_written() {
    let bytes = random(BLOCK + 1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("appended");
    let target = File::options().read(true).append(true).create(true).open(path).unwrap();
    let passed = pass(&source(&bytes), &target, Length::Expected(BLOCK + 1), false);
    assert_eq!((passed.finished.failure, passed.unseen), (None, 0));
    assert!(content(&target) == bytes);
}

#[test]
fn a_target_without_room_fails_as_a_write() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let passed = pass(&source(&random(100)), &full, Length::Expected(100), false);
    let failure = Failure { offset: 0, reason: Reason::Write(libc::ENOSPC) };
    assert_eq!((passed.finished.failure, passed.unseen), (Some(failure), 0));
}
