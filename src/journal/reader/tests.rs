use std::convert::Infallible;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::journal::{Claim, Identity, Interval, Log, Record, Started, Step, believe, record_at};
use crate::sys::counted::peak_of;

fn read(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<usize, Infallible> + '_ {
    move |offset, buffer| {
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        // Short reads are continued.
        let n = rest.len().min(buffer.len()).min(1000);
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

fn header() -> Header {
    Header {
        unit_bytes: 16,
        options: [3; 32],
        target_existed: true,
        target_is_directory: false,
        target_inode: 7,
        target_bytes: 0,
        target: b"/t".to_vec(),
        sources: vec![b"/a".to_vec(), b"/b".to_vec()],
    }
}

const IDENTITY: Identity = Identity { inode: 1, size: 2, modified: (3, 4), changed: (5, 6) };

/// A journal in which a file grows by one unit a round, and where each of its batches begins.
fn journal(rounds: u64) -> (Vec<u8>, Vec<usize>) {
    let (mut log, mut bytes) = Log::begin(&header(), [9; 16], Interval::default()).unwrap();
    let mut starts = vec![0];
    let file = Started { path: b"path".to_vec(), source: IDENTITY, inode: 8, part: vec![] };
    let id = log.start(file).unwrap();
    for round in 1..=rounds {
        let now = Duration::from_secs(round);
        log.digested(id, &[[round as u8; 32]]);
        log.completed(id, round * 16, now);
        log.hurry();
        loop {
            match log.next(now) {
                Step::Idle(_) => break,
                Step::Append { offset, bytes: batch } => {
                    assert_eq!(offset, bytes.len() as u64);
                    starts.push(bytes.len());
                    bytes.extend(batch);
                }
                Step::SyncJournal | Step::SyncTarget | Step::Name(_) => {}
            }
            log.done();
        }
    }
    (bytes, starts)
}

/// How many batches are believed, and how the reading ended.
fn walk(bytes: &[u8]) -> (usize, Result<u64, Unfit>) {
    let mut reader = match Reader::open(read(bytes)).unwrap() {
        Ok((_, reader)) => reader,
        Err(unfit) => return (0, Err(unfit)),
    };
    let mut batches = 1;
    loop {
        match reader.next(read(bytes)).unwrap() {
            Ok(Some(_)) => batches += 1,
            Ok(None) => return (batches, Ok(reader.believed_to())),
            Err(unfit) => return (batches, Err(unfit)),
        }
    }
}

#[test]
fn what_was_written_is_read() {
    let (bytes, starts) = journal(3);
    let (read_header, mut reader) = Reader::open(read(&bytes)).unwrap().unwrap();
    assert_eq!((read_header, starts.len()), (header(), 4));
    let mut units = Vec::new();
    while let Some(batch) = reader.next(read(&bytes)).unwrap().unwrap() {
        for (_, record) in Records::of(batch.payload) {
            if let Record::Durable { from, digests, zeros: 0, .. } = record {
                units.push((from, digests.to_vec()));
            }
        }
    }
    assert_eq!(units, [(0, vec![1; 32]), (16, vec![2; 32]), (32, vec![3; 32])]);
    assert_eq!((reader.believed_to(), reader.number()), (bytes.len() as u64, 3));
}

#[test]
fn a_torn_end_is_not_believed_and_damage_before_it_is_told() {
    let (bytes, starts) = journal(3);
    let end = bytes.len();
    assert_eq!(walk(&bytes), (4, Ok(end as u64)));
    assert_eq!(walk(&bytes[..starts[3] + 60]), (3, Ok(starts[3] as u64)), "cut in the last batch");
    let with = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        walk(&bytes)
    };
    assert_eq!(with(starts[3] + 50), (3, Ok(starts[3] as u64)), "torn");
    assert_eq!(with(starts[2] + 50), (2, Err(Unfit::Damaged(starts[2] as u64))));
    assert_eq!(with(starts[1] + 5), (1, Err(Unfit::Damaged(starts[1] as u64))), "a length");
    assert_eq!(with(starts[1] + 20), (1, Err(Unfit::Damaged(starts[1] as u64))), "a nonce");
    assert_eq!(with(20), (0, Err(Unfit::Damaged(0))));
    assert_eq!(with(9), (0, Err(Unfit::Version(1 + (4 << 8)))));
    assert_eq!(with(3), (0, Err(Unfit::Foreign)));
    assert_eq!(walk(&bytes[..30]), (0, Err(Unfit::CutShort)));
    assert_eq!(walk(&bytes[..70]), (0, Err(Unfit::CutShort)));
    assert_eq!(walk(b""), (0, Err(Unfit::Foreign)));
    assert_eq!(
        walk(b"some file of the user's that is no journal, and longer than its head"),
        (0, Err(Unfit::Foreign))
    );
}

#[test]
fn batches_of_another_journal_are_not_believed() {
    let (bytes, starts) = journal(2);
    let (mut other, _) = Log::begin(&header(), [8; 16], Interval::default()).unwrap();
    other.made(b"x", 1, Duration::ZERO);
    other.hurry();
    other.next(Duration::ZERO);
    other.done();
    let Step::Append { bytes: foreign, .. } = other.next(Duration::ZERO) else {
        panic!("it is to be written")
    };
    let joined = [&bytes[..starts[1]], foreign].concat();
    assert_eq!(walk(&joined), (1, Ok(starts[1] as u64)));
}

/// What it needs beside a payload: what it searches for later batches with, and the header's strings.
const MEMORY: usize = 66 << 10;

/// Follows the records from each of them back, as whoever goes on with a copy does.
fn follow(bytes: &[u8]) {
    let Ok(Ok((_, mut reader))) = Reader::open(read(bytes)) else { return };
    let mut begun = Vec::new();
    while let Ok(Ok(Some(batch))) = reader.next(read(bytes)) {
        for (at, record) in Records::of(batch.payload) {
            let at = batch.offset + at as u64;
            match record {
                Record::Begun { .. } => begun.push((at, at)),
                Record::Durable { begun: first, .. } | Record::Whole { begun: first, .. } => {
                    begun.push((first, at));
                }
                _ => {}
            }
        }
    }
    for (first, last) in begun {
        let fetch = |at: u64, record: &mut Vec<u8>| {
            let rest = bytes.get(at as usize..).unwrap_or_default();
            record.clear();
            record.extend(&rest[..record_at(rest).map_or(0, |(_, length)| length)]);
            Ok::<_, Infallible>(())
        };
        let _ = believe(first, last, 16, fetch, |claim: &Claim<'_>| Ok(claim.units()));
    }
}

proptest! {
    /// Records that say anything, in batches that are whole: whoever follows them comes to an end.
    #[test]
    fn records_that_lead_anywhere_are_followed_to_an_end(
        records in proptest::collection::vec(
            (0u64..600, 0u64..600, prop_oneof![0u64..8, 0u64..1 << 58], prop_oneof![0u64..4, 0u64..1 << 47], any::<bool>()),
            1..12),
    ) {
        let (mut bytes, starts) = journal(1);
        bytes.truncate(starts[1]);
        let nonce = Reader::open(read(&bytes)).unwrap().unwrap().1.nonce();
        let mut batch = vec![0; HEAD_BYTES];
        for (begun, before, from, zeros, is_whole) in records {
            let (from, digests) = (from * 16, &[0; 64][..]);
            let record = match is_whole {
                true => Record::Whole { begun, before, from, zeros, length: from + 40, digests },
                false => Record::Durable { begun, before, from, zeros, digests },
            };
            record.write(&mut batch);
        }
        crate::journal::batch::frame(&mut batch, 1, nonce);
        bytes.extend(batch);
        prop_assert_eq!(walk(&bytes), (2, Ok(bytes.len() as u64)));
        let ((), peak) = peak_of(|| follow(&bytes));
        prop_assert!(peak <= MEMORY + 8 * bytes.len(), "{} bytes for {}", peak, bytes.len());
    }

    /// Whatever is done to a journal, reading it ends, panics never, takes no more memory than a
    /// payload may have, and believes no batch that was not written so.
    #[test]
    fn a_changed_journal_is_never_believed(
        rounds in 1u64..6, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(), is_cut in any::<bool>(),
    ) {
        let (mut bytes, starts) = journal(rounds);
        let whole = bytes.clone();
        if is_cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        for (at, value) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        let same = starts.iter().zip(starts[1..].iter().chain([&whole.len()]))
            .take_while(|(from, to)| bytes.get(**from..**to) == Some(&whole[**from..**to])).count();
        // Of a batch that was changed only the zeros behind it may be.
        let ((believed, _), peak) = peak_of(|| walk(&bytes));
        prop_assert!(peak <= MEMORY + 2 * bytes.len(), "{} bytes for {}", peak, bytes.len());
        let padded = believed > same;
        prop_assert!(believed >= same, "{} of {} whole batches", believed, same);
        if padded {
            for nth in same..believed {
                let head = 48 + u32::from_le_bytes(
                    whole[starts[nth] + if nth == 0 { 12 } else { 4 }..][..4].try_into().unwrap()) as usize;
                prop_assert_eq!(&bytes[starts[nth]..starts[nth] + head], &whole[starts[nth]..starts[nth] + head]);
            }
        }
    }

    /// Any bytes, with or without a journal's beginning.
    #[test]
    fn any_file_may_be_offered(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000), begins in any::<bool>(), length in any::<u32>(),
    ) {
        let mut bytes = bytes;
        if begins && bytes.len() > 16 {
            bytes[..8].copy_from_slice(b"HWJOURNL");
            bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
            bytes[12..16].copy_from_slice(&length.to_le_bytes());
        }
        let most = std::cell::Cell::new(0);
        let mut inner = read(&bytes);
        let mut reading = |offset: u64, buffer: &mut [u8]| {
            most.set(most.get().max(buffer.len()));
            inner(offset, buffer)
        };
        let ((), peak) = peak_of(|| {
            if let Ok(Ok((_, mut reader))) = Reader::open(&mut reading) {
                while let Ok(Ok(Some(_))) = reader.next(&mut reading) {}
            }
        });
        prop_assert!(peak <= MEMORY + 2 * bytes.len(), "{} bytes for {}", peak, bytes.len());
        prop_assert!(most.get() <= 4 << 20 && most.get() <= bytes.len().max(64 << 10));
    }
}
