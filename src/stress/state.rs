//! The state of a run, in a file of its own: what was written where, and what of it is durable, so that
//! it can be checked later, also after a power cut or on another machine.
//!
//! Pure: it makes and reads bytes. Whoever writes them keeps the order: make the target durable, write
//! the state, make that durable. And before a round's first write a state says that the round has begun.
//! So the state never promises more than is durable.
//!
//! # The file
//!
//! Two places of [`PLACE_BYTES`], at 0 and behind it, each with one state; they are written to in turn, so
//! that one of them is always whole. The whole one with the higher number counts. All numbers are
//! little-endian.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `HWSTRESS` |
//! | 4 | version, [`VERSION`] |
//! | 4 | length of the payload |
//! | 16 | the first bytes of BLAKE3 over all before and over the payload |
//! | | payload: the fields of [`State`] in the order of their declarations, a place after the first as 8 bytes each; a path is its length in 4 bytes and the bytes |
//!
//! A run's blocks are described in [`super::pattern`].

use super::checker::Expected;
use super::pattern::Pattern;

/// Of the format. A state of any other is refused.
pub const VERSION: u32 = 1;
/// Of one state, in bytes.
pub const PLACE_BYTES: usize = 8192;
/// A longer path is refused.
pub const PATH_MOST: usize = 4096;

const MAGIC: &[u8; 8] = b"HWSTRESS";
const SEAL: std::ops::Range<usize> = 16..32;
const HEAD_BYTES: usize = SEAL.end;

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// how many states were written before this one
    pub number: u64,
    /// whose blocks
    pub pattern: Pattern,
    /// of the part of the target that is used, from its start, in bytes
    pub size: u64,
    /// the round that was begun last, from 1 on; 0: none was
    pub generation: u64,
    /// bytes of that round that are durable, from the start on; all behind them is as the round before
    /// has left it, or as this one has
    pub synced: u64,
    /// nothing was written that is not durable
    pub is_complete: bool,
    /// the file or device, absolute
    pub target: Vec<u8>,
}

/// Why a file is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// it is none
    Foreign,
    /// it is of another version of the format
    Version(u32),
    /// no state in it is whole
    Damaged,
}

impl State {
    /// What the block at `offset` should hold.
    pub fn expected(&self, offset: u64) -> Expected {
        let newest = self.generation;
        match offset < self.synced {
            true => Expected::exactly(newest),
            // A round that was never begun behind its synced part can't have written there.
            false if self.is_complete => Expected::exactly(newest.saturating_sub(1)),
            false => Expected { durable: newest.saturating_sub(1), newest },
        }
    }

    /// Where what can be checked ends: behind it nothing was ever promised or written.
    pub fn end(&self) -> u64 {
        if self.is_complete && self.generation == 1 { self.synced } else { self.size }
    }

    /// Where in the file it goes, in bytes.
    pub fn place(&self) -> u64 {
        self.number % 2 * PLACE_BYTES as u64
    }

    /// As it is written.
    pub fn bytes(&self) -> [u8; PLACE_BYTES] {
        assert!(self.target.len() <= PATH_MOST, "a path that is too long is refused before");
        let mut payload = Vec::with_capacity(self.target.len() + 64);
        let Pattern { run, seed } = self.pattern;
        for number in
            [self.number, run, seed, self.size, self.generation, self.synced, u64::from(self.is_complete)]
        {
            payload.extend(number.to_le_bytes());
        }
        payload.extend((self.target.len() as u32).to_le_bytes());
        payload.extend(&self.target);
        let mut place = [0; PLACE_BYTES];
        place[..8].copy_from_slice(MAGIC);
        place[8..12].copy_from_slice(&VERSION.to_le_bytes());
        place[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        place[HEAD_BYTES..HEAD_BYTES + payload.len()].copy_from_slice(&payload);
        let seal = seal(&place[..SEAL.start], &payload);
        place[SEAL].copy_from_slice(&seal);
        place
    }

    /// The one that counts in a file that begins with `bytes`.
    pub fn read(bytes: &[u8]) -> Result<State, Unfit> {
        let places =
            [bytes.get(..PLACE_BYTES).unwrap_or(bytes), bytes.get(PLACE_BYTES..).unwrap_or_default()];
        let read = places.map(State::read_place);
        let version = |found: &Result<State, Unfit>| match found {
            Err(Unfit::Version(version)) => Some(*version),
            _ => None,
        };
        if let Some(version) = read.iter().find_map(version) {
            return Err(Unfit::Version(version));
        }
        let is_any = read.iter().any(|found| *found != Err(Unfit::Foreign));
        let whole = read.into_iter().flatten().max_by_key(|state| state.number);
        whole.ok_or(if is_any { Unfit::Damaged } else { Unfit::Foreign })
    }

    fn read_place(place: &[u8]) -> Result<State, Unfit> {
        if place.get(..8) != Some(MAGIC) {
            return Err(Unfit::Foreign);
        }
        let u32_at = |at: usize| place.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        match u32_at(8) {
            Some(VERSION) => {}
            Some(other) => return Err(Unfit::Version(other)),
            None => return Err(Unfit::Damaged),
        }
        let whole = || {
            let length = u32_at(12)? as usize;
            let payload = place.get(HEAD_BYTES..)?.get(..length)?;
            let is_sealed = place.get(SEAL)? == seal(&place[..SEAL.start], payload);
            is_sealed.then(|| State::of_payload(payload)).flatten()
        };
        whole().ok_or(Unfit::Damaged)
    }

    fn of_payload(mut payload: &[u8]) -> Option<State> {
        let mut number = || {
            let (number, rest) = payload.split_first_chunk()?;
            payload = rest;
            Some(u64::from_le_bytes(*number))
        };
        let (count, run, seed) = (number()?, number()?, number()?);
        let (size, generation, synced, complete) = (number()?, number()?, number()?, number()?);
        let (length, path) = payload.split_first_chunk()?;
        (u32::from_le_bytes(*length) as usize == path.len()).then(|| State {
            number: count,
            pattern: Pattern { run, seed },
            size,
            generation,
            synced,
            is_complete: complete != 0,
            target: path.to_vec(),
        })
    }
}

fn seal(head: &[u8], payload: &[u8]) -> [u8; 16] {
    let hash = blake3::Hasher::new().update(head).update(payload).finalize();
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state(number: u64) -> State {
        State {
            number,
            pattern: Pattern { run: 1, seed: 2 },
            size: 1 << 30,
            generation: 3,
            synced: 1 << 20,
            is_complete: false,
            target: b"/mnt/usb/file".to_vec(),
        }
    }

    fn file(states: [&State; 2]) -> Vec<u8> {
        let mut file = vec![0; 2 * PLACE_BYTES];
        for state in states {
            file[state.place() as usize..][..PLACE_BYTES].copy_from_slice(&state.bytes());
        }
        file
    }

    #[test]
    fn the_later_of_two_counts_and_a_torn_one_does_not() {
        let (one, two) = (state(6), state(7));
        let whole = file([&one, &two]);
        assert_eq!(State::read(&whole), Ok(two));
        let mut torn = whole.clone();
        torn[PLACE_BYTES + 100] ^= 1;
        assert_eq!(State::read(&torn), Ok(one.clone()));
        torn[100] ^= 1;
        assert_eq!(State::read(&torn), Err(Unfit::Damaged));
        assert_eq!(State::read(&whole[..PLACE_BYTES]), Ok(one));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        assert_eq!(State::read(b""), Err(Unfit::Foreign));
        assert_eq!(State::read(&[7; 20_000]), Err(Unfit::Foreign));
        assert_eq!(State::read(b"HWSTRESS"), Err(Unfit::Damaged));
        let mut other = file([&state(0), &state(1)]);
        other[8] = 9;
        assert_eq!(State::read(&other), Err(Unfit::Version(9)));
    }

    #[test]
    fn what_is_promised_ends_where_it_is_synced() {
        let state = state(0);
        assert_eq!(state.expected(0), Expected::exactly(3));
        assert_eq!(state.expected((1 << 20) - 4096), Expected::exactly(3));
        assert_eq!(state.expected(1 << 20), Expected { durable: 2, newest: 3 });
        let complete = State { is_complete: true, ..state.clone() };
        assert_eq!(complete.expected(1 << 20), Expected::exactly(2));
        let begun = State { generation: 1, ..state.clone() };
        assert_eq!(begun.expected(1 << 20), Expected { durable: 0, newest: 1 });
        assert_eq!((begun.end(), State { is_complete: true, ..begun }.end()), (1 << 30, 1 << 20));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            numbers in any::<[u64; 6]>(), is_complete in any::<bool>(), target in prop::collection::vec(any::<u8>(), 0..PATH_MOST),
        ) {
            let [number, run, seed, size, generation, synced] = numbers;
            let pattern = Pattern { run, seed };
            let state = State { number, pattern, size, generation, synced, is_complete, target };
            prop_assert_eq!(State::read(&state.bytes()), Ok(state));
        }

        #[test]
        fn nonsense_is_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            let head = state(0).bytes();
            let len = bytes.len().min(20);
            bytes[..len].copy_from_slice(&head[..len]);
            prop_assert!(State::read(&bytes).is_err());
        }
    }
}
