//! What is written: bytes that no device can compress, and no two blocks of them alike.

use crate::flow::load::Random;
use crate::ring::Arena;
use std::sync::Arc;

/// Each piece of so many bytes has a stamp of its own.
const PIECE: usize = 4096;

/// Fills every buffer with random bytes, once.
pub(super) fn fill(arena: &Arc<Arena>, seed: u64) {
    let mut random = Random::new(!seed);
    for slot in 0..arena.buffers() {
        let mut buffer = arena.buffer(slot);
        for bytes in buffer.chunks_mut(8) {
            bytes.copy_from_slice(&random.draw().to_le_bytes()[..bytes.len()]);
        }
    }
}

/// Begins each 4 KiB with the seed and a number of its own: no device can share a block with another.
pub(super) fn stamp(block: &mut [u8], seed: u64, number: u64) {
    for (nth, piece) in block.chunks_mut(PIECE).enumerate() {
        let own = number << 16 | nth as u64 & 0xFFFF;
        for (bytes, value) in piece.chunks_exact_mut(8).zip([seed, own]) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pieces_are_alike() {
        let arena = Arena::new(16384, 2).unwrap();
        fill(&arena, 7);
        let mut seen = std::collections::HashSet::new();
        for number in 0..100 {
            let mut buffer = arena.buffer((number % 2) as u16);
            stamp(&mut buffer[..], 7, number);
            buffer.chunks(PIECE).for_each(|piece| assert!(seen.insert(piece.to_vec())));
        }
        let mut random = 0_u32;
        arena.buffer(0)[16..4096].iter().for_each(|byte| random += byte.count_ones());
        assert!((15_500..17_200).contains(&random), "{random} of 32,640 bits");
    }
}
