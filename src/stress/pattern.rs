//! What a stress run writes: blocks that say where they belong, which round and which run they are of.
//!
//! A block is 4 KiB, eight sectors of 512 bytes, which is the least that a disk writes as a whole. Each
//! sector stands for itself, so that a block of which only a part was written shows it. All numbers are
//! little-endian.
//!
//! | bytes of a sector | |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 8 | the run |
//! | 8 | its seed |
//! | 8 | offset of this sector in the target, in bytes |
//! | 8 | generation: the round that wrote it, from 1 on |
//! | 8 | checksum over the other 504 bytes |
//! | 464 | body: 58 words of pseudo-random bits |
//!
//! The body follows from the five numbers before it and from nothing else: a sector can be made, and
//! checked, from its head alone.
//!
//! - **Body**: word `i` is `fold(key + (i + 1) * A, that ^ B)`, where `fold` is the upper half of the
//!   128-bit product xor its lower half, and A and B are the odd constants of wyrand (Wang Yi, wyhash
//!   4.2, public domain), which this is with a counter for its state. `key` is [`mix`] (splitmix64's
//!   finalizer: Steele, Lea and Flood, OOPSLA 2014) over run, seed, offset and generation, one after the
//!   other.
//! - **Checksum**: the sum of all 63 other words, each times an odd number of its own, `2 i + 1` for the
//!   word at `8 i`, modulo 2^64. A change within one word always changes it, as does exchanging two
//!   words that differ in their lower halves.

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 4096;
/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 512;
/// What a sector begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"HWstres\x01";

const WORDS: usize = SECTOR_BYTES / 8;
const CHECKSUM_WORD: usize = 5;
const BODY_WORD: usize = 6;
const A: u64 = 0x2d35_8dcc_aa6c_78a5;
const B: u64 = 0x8bb8_4b93_962e_acc9;

/// A number that no other run is likely to have.
pub fn fresh() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The hasher's keys are random, and others each time.
    mix(RandomState::new().hash_one(std::process::id()))
}

/// Which run's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// a random number, another one for each run
    pub run: u64,
    /// what the bodies are made from
    pub seed: u64,
}

/// What a sector that is whole says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// whose it is
    pub pattern: Pattern,
    /// where it belongs, in bytes
    pub offset: u64,
    /// the round that wrote it
    pub generation: u64,
}

/// What is found in the place of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sector {
    /// one that is as it was made
    Whole(Head),
    /// one of the same run, with other bits than it was made with
    Damaged,
    /// nothing of this run
    Foreign,
}

impl Pattern {
    /// Fills `blocks`, whole blocks, with those of `generation` that belong at `offset`, a multiple of a
    /// block.
    pub fn fill(&self, offset: u64, generation: u64, blocks: &mut [u8]) {
        let (sectors, rest) = blocks.as_chunks_mut::<SECTOR_BYTES>();
        assert!(rest.is_empty() && offset.is_multiple_of(BLOCK_BYTES as u64), "blocks are made as a whole");
        let mut at = offset;
        for sector in sectors {
            self.fill_sector(at, generation, sector);
            at += SECTOR_BYTES as u64;
        }
    }

    fn fill_sector(&self, offset: u64, generation: u64, sector: &mut [u8; SECTOR_BYTES]) {
        let (words, _) = sector.as_chunks_mut::<8>();
        let mut sum = 0u64;
        let mut put = |at: usize, word: u64| {
            words[at] = word.to_le_bytes();
            sum = sum.wrapping_add(word.wrapping_mul(2 * at as u64 + 1));
        };
        put(0, u64::from_le_bytes(MAGIC));
        put(1, self.run);
        put(2, self.seed);
        put(3, offset);
        put(4, generation);
        let mut counter = self.key(offset, generation);
        for at in BODY_WORD..WORDS {
            counter = counter.wrapping_add(A);
            put(at, fold(counter, counter ^ B));
        }
        words[CHECKSUM_WORD] = sum.to_le_bytes();
    }

    fn key(&self, offset: u64, generation: u64) -> u64 {
        let numbers = [self.seed, offset, generation];
        numbers.iter().fold(mix(self.run), |key, number| mix(key ^ number.wrapping_mul(A)))
    }

    /// What stands in the place of the sector that `generation` wrote at `offset`.
    pub fn look_at(&self, offset: u64, generation: u64, found: &[u8; SECTOR_BYTES]) -> Sector {
        if let Some(head) = whole(found) {
            return if head.pattern == *self { Sector::Whole(head) } else { Sector::Foreign };
        }
        if found.iter().all(|byte| *byte == found[0]) {
            return Sector::Foreign;
        }
        // Damage may have hit the head itself: then the bits must tell.
        let head = head_of(found);
        let is_of = |offset, generation| {
            let mut made = [0; SECTOR_BYTES];
            self.fill_sector(offset, generation, &mut made);
            differing_bits(&made, found) <= MOST_DAMAGED_BITS
        };
        let claims = found[..8] == MAGIC && head.pattern == *self;
        let mut last = (0..LAST_GENERATIONS).map_while(|back| generation.checked_sub(back));
        match claims || is_of(offset, head.generation) || last.any(|generation| is_of(offset, generation)) {
            true => Sector::Damaged,
            false => Sector::Foreign,
        }
    }
}

/// Sectors that have nothing to do with each other differ in half of their 4096 bits, give or take 32;
/// what differs in less than a quarter of them is a damaged copy.
const MOST_DAMAGED_BITS: u32 = SECTOR_BYTES as u32 * 8 / 4;

/// Where a damaged sector neither names its run nor its generation, it is compared with these.
const LAST_GENERATIONS: u64 = 8;

fn differing_bits(one: &[u8; SECTOR_BYTES], other: &[u8; SECTOR_BYTES]) -> u32 {
    one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
}

/// What a sector says of itself, where its checksum holds.
pub fn whole(sector: &[u8; SECTOR_BYTES]) -> Option<Head> {
    if sector[..8] != MAGIC {
        return None;
    }
    let (words, _) = sector.as_chunks::<8>();
    let mut sum = 0u64;
    for (at, word) in words.iter().enumerate().filter(|(at, _)| *at != CHECKSUM_WORD) {
        sum = sum.wrapping_add(u64::from_le_bytes(*word).wrapping_mul(2 * at as u64 + 1));
    }
    (sum == u64::from_le_bytes(words[CHECKSUM_WORD])).then(|| head_of(sector))
}

fn head_of(sector: &[u8; SECTOR_BYTES]) -> Head {
    let (words, _) = sector.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    let pattern = Pattern { run: word(1), seed: word(2) };
    Head { pattern, offset: word(3), generation: word(4) }
}

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product >> 64) as u64 ^ product as u64
}

/// splitmix64's finalizer: a bijection in which every bit of the result depends on every bit of `x`.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATTERN: Pattern = Pattern { run: 0x0123_4567_89ab_cdef, seed: 7 };

    fn sector(pattern: Pattern, offset: u64, generation: u64) -> [u8; SECTOR_BYTES] {
        let mut sector = [0; SECTOR_BYTES];
        pattern.fill_sector(offset, generation, &mut sector);
        sector
    }

    /// The format is a promise: a state file of one version is checked by another.
    #[test]
    fn a_block_is_what_the_format_says() {
        let mut block = vec![0; BLOCK_BYTES];
        PATTERN.fill(8192, 3, &mut block);
        let (sectors, _) = block.as_chunks::<SECTOR_BYTES>();
        for (nth, found) in sectors.iter().enumerate() {
            let offset = 8192 + 512 * nth as u64;
            assert_eq!(whole(found), Some(Head { pattern: PATTERN, offset, generation: 3 }));
            assert_eq!(*found, sector(PATTERN, offset, 3));
        }
        assert_eq!(blake3::hash(&block).to_hex().as_str(), GOLDEN);
    }

    const GOLDEN: &str = "c183f2346d2ceb5abf24b3d844d2a6f5efcb7951d287495e42377031bf0d80d6";

    #[test]
    fn bodies_can_not_be_compressed_and_never_repeat() {
        let mut blocks = vec![0; 256 * BLOCK_BYTES];
        PATTERN.fill(0, 1, &mut blocks);
        let (words, _) = blocks.as_chunks::<8>();
        let mut bodies: Vec<u64> = words
            .iter()
            .enumerate()
            .filter(|(at, _)| at % WORDS >= CHECKSUM_WORD)
            .map(|(_, word)| u64::from_le_bytes(*word))
            .collect();
        let ones: u64 = bodies.iter().map(|word| u64::from(word.count_ones())).sum();
        let share = ones as f64 / (bodies.len() * 64) as f64;
        assert!((share - 0.5).abs() < 0.001, "{share}");
        let mut counts = [0u32; 256];
        bodies.iter().flat_map(|word| word.to_le_bytes()).for_each(|byte| counts[usize::from(byte)] += 1);
        let total: u32 = counts.iter().sum();
        let entropy: f64 = counts
            .iter()
            .map(|count| f64::from(*count) / f64::from(total))
            .map(|share| -share * share.log2())
            .sum();
        assert!(entropy > 7.999, "{entropy} bits a byte");
        let all = bodies.len();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), all);
    }

    proptest! {
        #[test]
        fn whatever_differs_makes_another_body(a in any::<[u64; 4]>(), b in any::<[u64; 4]>()) {
            prop_assume!(a != b);
            let body = |[run, seed, offset, generation]: [u64; 4]| {
                sector(Pattern { run, seed }, offset, generation)[8 * BODY_WORD..].to_vec()
            };
            prop_assert_ne!(body(a), body(b));
        }

        #[test]
        fn up_to_a_quarter_of_the_bits_is_damage_wherever_they_are(
            bits in prop::collection::vec(0..SECTOR_BYTES * 8, 1..900), generation in 1..9u64,
        ) {
            let made = sector(PATTERN, 4096, generation);
            let mut damaged = made;
            bits.iter().for_each(|bit| damaged[bit / 8] ^= 1 << (bit % 8));
            prop_assume!(damaged != made);
            prop_assert_eq!(PATTERN.look_at(4096, generation, &damaged), Sector::Damaged);
        }

        #[test]
        fn what_is_not_of_this_run_is_foreign(bytes in any::<u64>(), other in any::<u64>()) {
            prop_assume!(other != PATTERN.run);
            let mut noise = [0; SECTOR_BYTES];
            let mut at = bytes;
            noise.as_chunks_mut::<8>().0.iter_mut().for_each(|word| {
                at = mix(at.wrapping_add(A));
                *word = at.to_le_bytes();
            });
            prop_assert_eq!(PATTERN.look_at(0, 1, &noise), Sector::Foreign);
            prop_assert_eq!(PATTERN.look_at(0, 1, &[bytes as u8; SECTOR_BYTES]), Sector::Foreign);
            let theirs = sector(Pattern { run: other, ..PATTERN }, 0, 1);
            prop_assert_eq!(PATTERN.look_at(0, 1, &theirs), Sector::Foreign);
        }
    }
}
