//! Every fault is named rightly, singly and mixed, and nothing else is called one.

use super::*;
use proptest::prelude::*;

const PATTERN: Pattern = Pattern { run: 99, seed: 4 };
const BLOCK: u64 = BLOCK_BYTES as u64;
/// The generation that was written last.
const NEWEST: u64 = 5;

type Block = [u8; BLOCK_BYTES];

fn block(offset: u64, generation: u64) -> Block {
    let mut block = [0; BLOCK_BYTES];
    PATTERN.fill(offset, generation, &mut block);
    block
}

fn judged(offset: u64, expected: Expected, block: &Block) -> Verdict {
    judge(&PATTERN, offset, expected, block, &mut [0; BLOCK_BYTES])
}

/// What a disk can make of a block, by seed.
fn spoiled(fault: Fault, offset: u64, random: &mut fastrand::Rng) -> Block {
    let mut found = block(offset, NEWEST);
    match fault {
        Fault::Lost => match random.u8(0..4) {
            0 => found = [0; BLOCK_BYTES],
            1 => found = [0xff; BLOCK_BYTES],
            2 => random.fill(&mut found),
            _ => Pattern { run: random.u64(100..), ..PATTERN }.fill(offset, NEWEST, &mut found),
        },
        Fault::Stale => found = block(offset, random.u64(1..NEWEST)),
        Fault::Torn => {
            // At any sector, either half, over an earlier generation or over what was there before.
            let before = match random.u8(0..3) {
                0 => [0; BLOCK_BYTES],
                _ => block(offset, random.u64(1..NEWEST)),
            };
            let cut = random.usize(1..8) * SECTOR_BYTES;
            match random.bool() {
                true => found[cut..].copy_from_slice(&before[cut..]),
                false => found[..cut].copy_from_slice(&before[..cut]),
            }
        }
        Fault::Misdirected => {
            let shift = random.u64(1..1 << 20) * BLOCK;
            let elsewhere = if random.bool() { offset + shift } else { offset.saturating_sub(shift) };
            let elsewhere = if elsewhere == offset { offset + shift } else { elsewhere };
            found = block(elsewhere, random.u64(1..=NEWEST));
        }
        Fault::Corrupt => match random.u8(0..3) {
            0 => {
                let bit = random.usize(0..BLOCK_BYTES * 8);
                found[bit / 8] ^= 1 << (bit % 8);
            }
            1 => {
                // A run of bytes within a sector is something else.
                let (sector, len) = (random.usize(0..8), random.usize(1..100));
                let start = sector * SECTOR_BYTES + random.usize(0..SECTOR_BYTES - len);
                let was = found;
                while found == was {
                    random.fill(&mut found[start..start + len]);
                }
            }
            _ => {
                // Of an earlier generation, too.
                found = block(offset, random.u64(1..=NEWEST));
                for _ in 0..random.u32(1..50) {
                    let bit = random.usize(0..SECTOR_BYTES * 8);
                    found[bit / 8] |= 1 << (bit % 8);
                }
                if found == block(offset, NEWEST)
                    || super::super::pattern::whole(found.first_chunk().expect("a block has a sector"))
                        .is_some()
                {
                    found[100] ^= 1;
                }
            }
        },
        Fault::Unreadable => found = [0; BLOCK_BYTES],
    }
    found
}

#[test]
fn a_thousand_faults_of_each_kind_are_named_rightly() {
    for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Unreadable) {
        for seed in 0..1000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let offset = random.u64(0..1 << 30) * BLOCK;
            let found = spoiled(fault, offset, &mut random);
            let verdict = judged(offset, Expected::exactly(NEWEST), &found);
            assert_eq!(verdict, Verdict::Bad(fault), "seed {seed}");
        }
    }
}

/// Faults beside each other over a target: counts and ranges, those that can't be read included.
#[test]
fn mixed_faults_are_counted_and_merged_into_ranges() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut findings = Findings::default();
        let kinds: Vec<Option<Fault>> =
            (0..300).map(|_| Fault::ALL.get(random.usize(0..12)).copied()).collect();
        for (nth, fault) in kinds.iter().enumerate() {
            let offset = nth as u64 * BLOCK;
            let found =
                fault.map_or_else(|| block(offset, NEWEST), |fault| spoiled(fault, offset, &mut random));
            findings.add(offset, judged(offset, Expected::exactly(NEWEST), &found));
        }
        for (nth, _) in kinds.iter().enumerate().filter(|(_, kind)| **kind == Some(Fault::Unreadable)) {
            let offset = nth as u64 * BLOCK;
            findings.unreadable(offset..offset + 512, |_| Verdict::Bad(Fault::Lost));
        }
        let count = |fault| kinds.iter().filter(|kind| **kind == Some(fault)).count() as u64;
        for fault in Fault::ALL {
            assert_eq!(findings.count(fault), count(fault), "{fault:?}, seed {seed}");
        }
        assert_eq!(
            (findings.blocks, findings.good),
            (300, kinds.iter().flatten().count().abs_diff(300) as u64)
        );
        let mut named: Vec<Option<Fault>> = vec![None; 300];
        let mut before = 0;
        for Finding { fault, range } in findings.ranges() {
            assert!(range.start >= before && !range.is_empty(), "ranges are in order and apart");
            before = range.end;
            (range.start / BLOCK..range.end / BLOCK).for_each(|nth| named[nth as usize] = Some(*fault));
        }
        assert_eq!(named, kinds);
        assert_eq!(findings.bad(), kinds.iter().flatten().count() as u64);
    }
}

#[test]
fn neighbours_are_one_range_and_too_many_ranges_are_counted() {
    let mut findings = Findings::default();
    (0..10).for_each(|nth| findings.add(nth * BLOCK, Verdict::Bad(Fault::Lost)));
    assert_eq!(findings.ranges(), [Finding { fault: Fault::Lost, range: 0..10 * BLOCK }]);
    let blocks = 2 * (MOST_FINDINGS as u64 + 10);
    for nth in 10..10 + blocks {
        let verdict = if nth % 2 == 0 { Verdict::Good } else { Verdict::Bad(Fault::Stale) };
        findings.add(nth * BLOCK, verdict);
    }
    assert_eq!((findings.ranges().len(), findings.unlisted_ranges()), (MOST_FINDINGS, 11));
    assert_eq!((findings.count(Fault::Stale), findings.good), (blocks / 2, blocks / 2));
}

#[test]
fn where_a_write_was_under_way_old_and_new_may_be_mixed_and_nothing_else() {
    let under_way = Expected { durable: 4, newest: 5 };
    let mixed = |one: u64, other: u64| {
        let mut mixed = block(0, one);
        mixed[SECTOR_BYTES..].copy_from_slice(&block(0, other)[SECTOR_BYTES..]);
        mixed
    };
    assert_eq!(judged(0, under_way, &block(0, 5)), Verdict::Good);
    assert_eq!(judged(0, under_way, &block(0, 4)), Verdict::Good);
    assert_eq!(judged(0, under_way, &mixed(4, 5)), Verdict::Unsynced);
    assert_eq!(judged(0, under_way, &block(0, 3)), Verdict::Bad(Fault::Stale));
    assert_eq!(judged(0, under_way, &mixed(3, 5)), Verdict::Bad(Fault::Torn));
    assert_eq!(judged(0, under_way, &[0; BLOCK_BYTES]), Verdict::Bad(Fault::Lost));
    assert_eq!(judged(0, under_way, &block(BLOCK, 5)), Verdict::Bad(Fault::Misdirected));
    let first = Expected { durable: 0, newest: 1 };
    assert_eq!(judged(0, first, &[7; BLOCK_BYTES]), Verdict::Unsynced);
    assert_eq!(judged(0, first, &block(0, 1)), Verdict::Good);
    let mut damaged = block(0, 1);
    damaged[777] ^= 1;
    assert_eq!(judged(0, first, &damaged), Verdict::Bad(Fault::Corrupt));
}

proptest! {
    #[test]
    fn what_was_written_is_good(run in any::<u64>(), seed in any::<u64>(), nth in 0..1u64 << 50, newest in 1..u64::MAX) {
        let (pattern, offset) = (Pattern { run, seed }, nth * BLOCK);
        let mut found = [0; BLOCK_BYTES];
        pattern.fill(offset, newest, &mut found);
        let verdict = judge(&pattern, offset, Expected::exactly(newest), &found, &mut [0; BLOCK_BYTES]);
        prop_assert_eq!(verdict, Verdict::Good);
    }
}
