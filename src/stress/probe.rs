//! Fake capacity: a device that says it is larger than it is, found without writing all of it.
//!
//! Such devices (sold as flash drives and cards) either **wrap**, so that what goes beyond some size ends
//! up at the beginning again, or **drop** what is written beyond it. The idea of writing here and there
//! and looking what became of it is f3probe's (M. Machado, "f3"); the steps are other ones, so that any
//! size is found, not only powers of two:
//!
//! 1. The first blocks are written, a **run** of `m` blocks in a row.
//! 2. Every `m`th block behind them is read, and the last one, and none is written. Where a device wraps after `r` blocks, one
//!    of these reads lies in `r..r + m` and so brings a block of the run, say number `b`, from position
//!    `p`: then `r = p - b`, exactly. (Baby steps and giant steps: D. Shanks, 1971.)
//! 3. What lies before that, or before the end, is searched for the first place that doesn't keep what is
//!    written there: [`SAMPLES`] blocks over what is uncertain are written, then the run once more, which
//!    is more than caches inside such devices hold, and read back; between the last sample that was kept
//!    and the first that was not it is searched on.
//!
//! It takes a device for one that keeps all before some place and nothing behind it.

use super::pattern::{BLOCK_BYTES, Pattern, SECTOR_BYTES, whole};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// So many blocks are looked at in each step of the search.
pub const SAMPLES: u64 = 64;
/// The longest run, in blocks: 64 MiB.
const LONGEST_RUN: u64 = 16_384;
/// The run is written in pieces of so many blocks.
const PIECE: u64 = 128;

/// A device that can be written to and read, each transfer a multiple of a block. Past all caches of
/// this machine.
pub trait Medium {
    /// Writes at an offset. Fails with an errno.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), i32>;
    /// Reads at an offset.
    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), i32>;
    /// What was written is with the device.
    fn sync(&mut self) -> Result<(), i32>;
    /// Whether to stop now.
    fn is_cancelled(&self) -> bool;
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// what it says it has, in bytes
    pub announced_bytes: u64,
    /// what it keeps, in bytes
    pub real_bytes: u64,
    /// after so many bytes it begins anew
    pub wraps_after_bytes: Option<u64>,
}

/// Why it could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// the beginning of the device can't be written, at this offset with this errno
    Write(u64, i32),
    /// nor made durable
    Sync(i32),
    /// somebody stopped it
    Cancelled,
}

impl Probed {
    /// Whether it has what it says.
    pub fn is_genuine(&self) -> bool {
        self.real_bytes == self.announced_bytes
    }
}

/// Finds out what `medium`, which says that it has `bytes`, keeps. Overwrites parts of it with blocks of
/// `pattern`, which is to be another one each time.
pub fn probe(medium: &mut dyn Medium, bytes: u64, pattern: Pattern) -> Result<Probed, Failed> {
    let blocks = bytes / BLOCK;
    let run = (blocks / 16).clamp(1, LONGEST_RUN);
    let mut probe = Probe { medium, pattern, run, round: 0, buffer: Aligned::new() };
    probe.write_run()?;
    let wraps = probe.find_wrap(blocks)?;
    let kept = probe.find_end(wraps.unwrap_or(blocks))?;
    let real_bytes = if kept == blocks { bytes } else { kept * BLOCK };
    Ok(Probed { announced_bytes: bytes, real_bytes, wraps_after_bytes: wraps.map(|blocks| blocks * BLOCK) })
}

/// Blocks on a page's border, as direct I/O wants them.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new() -> Aligned {
        let bytes = vec![0; (PIECE as usize + 1) * BLOCK_BYTES];
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES);
        Aligned { bytes, start }
    }

    fn blocks(&mut self, count: u64) -> &mut [u8] {
        &mut self.bytes[self.start..][..count as usize * BLOCK_BYTES]
    }
}

struct Probe<'m> {
    medium: &'m mut dyn Medium,
    pattern: Pattern,
    /// in blocks
    run: u64,
    /// the generation that was written last
    round: u64,
    buffer: Aligned,
}

impl Probe<'_> {
    /// Writes the run, in a new generation, and makes all that was written durable.
    fn write_run(&mut self) -> Result<(), Failed> {
        self.round += 1;
        let mut at = 0;
        while at < self.run {
            self.go_on()?;
            let count = PIECE.min(self.run - at);
            let bytes = self.buffer.blocks(count);
            self.pattern.fill(at * BLOCK, self.round, bytes);
            self.medium.write(at * BLOCK, bytes).map_err(|errno| Failed::Write(at * BLOCK, errno))?;
            at += count;
        }
        self.medium.sync().map_err(Failed::Sync)
    }

    fn go_on(&self) -> Result<(), Failed> {
        if self.medium.is_cancelled() { Err(Failed::Cancelled) } else { Ok(()) }
    }

    /// Which block of this probe is read at `block`, and of which round.
    fn look(&mut self, block: u64) -> Option<(u64, u64)> {
        let bytes = self.buffer.blocks(1);
        bytes.fill(0);
        self.medium.read(block * BLOCK, bytes).ok()?;
        let head = whole(bytes.first_chunk::<SECTOR_BYTES>()?)?;
        (head.pattern == self.pattern).then_some((head.offset / BLOCK, head.generation))
    }

    fn find_wrap(&mut self, blocks: u64) -> Result<Option<u64>, Failed> {
        // The last block, too: the device may end before the step behind its real end.
        for at in (self.run..blocks).step_by(self.run as usize).chain(blocks.checked_sub(1)) {
            self.go_on()?;
            if let Some((found, round)) = self.look(at)
                && round == self.round
                && found < self.run
                && found < at
            {
                return Ok(Some(at - found));
            }
        }
        Ok(None)
    }

    /// How many blocks are kept, of so many that may be.
    fn find_end(&mut self, blocks: u64) -> Result<u64, Failed> {
        // All before `kept` is; if not all is, then nothing from `lost` on.
        let (mut kept, mut lost) = (self.run.min(blocks), blocks);
        while kept < lost {
            let between = lost - kept;
            let samples = SAMPLES.min(between);
            // The last one is the last block of all that is uncertain.
            let place = |nth: u64| {
                kept + (u128::from(nth + 1) * u128::from(between) / u128::from(samples)) as u64 - 1
            };
            for nth in 0..samples {
                self.go_on()?;
                self.write(place(nth));
            }
            self.write_run()?;
            let Some(nth) = (0..samples).find(|nth| !self.keeps(place(*nth))) else { return Ok(lost) };
            lost = place(nth);
            if nth > 0 {
                kept = place(nth - 1) + 1;
            }
        }
        Ok(kept)
    }

    /// Writes one block, of the generation that the run will have next.
    fn write(&mut self, block: u64) {
        let bytes = self.buffer.blocks(1);
        self.pattern.fill(block * BLOCK, self.round + 1, bytes);
        // Where it can't be written it will not be there.
        let _ = self.medium.write(block * BLOCK, bytes);
    }

    fn keeps(&mut self, block: u64) -> bool {
        self.look(block) == Some((block, self.round))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, VecDeque};

    /// A device of `real` blocks that says it has more.
    struct Fake {
        real: u64,
        wraps: Option<u64>,
        kept: HashMap<u64, Vec<u8>>,
        /// what was written last is answered from here, wherever it went
        cache: VecDeque<(u64, Vec<u8>)>,
        cached: usize,
        written: u64,
    }

    impl Fake {
        fn new(real: u64, wraps: Option<u64>, cached: usize) -> Fake {
            Fake { real, wraps, kept: HashMap::new(), cache: VecDeque::new(), cached, written: 0 }
        }

        fn place(&self, block: u64) -> u64 {
            self.wraps.map_or(block, |wraps| block % wraps)
        }
    }

    impl Medium for Fake {
        fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), i32> {
            for (nth, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
                let at = self.place(offset / BLOCK + nth as u64);
                self.cache.push_back((at, block.to_vec()));
                while self.cache.len() > self.cached {
                    let (at, block) = self.cache.pop_front().unwrap();
                    if at < self.real {
                        self.kept.insert(at, block);
                    }
                }
                self.written += 1;
            }
            Ok(())
        }

        fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), i32> {
            let at = self.place(offset / BLOCK);
            let cached = self.cache.iter().rev().find(|(place, _)| *place == at).map(|(_, block)| block);
            if let Some(block) = cached.or_else(|| self.kept.get(&at)) {
                bytes.copy_from_slice(block);
            }
            Ok(())
        }

        fn sync(&mut self) -> Result<(), i32> {
            Ok(())
        }

        fn is_cancelled(&self) -> bool {
            false
        }
    }

    fn probed(fake: &mut Fake, announced: u64) -> (u64, Option<u64>) {
        let found = probe(fake, announced * BLOCK, Pattern { run: 5, seed: 6 }).unwrap();
        assert_eq!(found.announced_bytes, announced * BLOCK);
        (found.real_bytes / BLOCK, found.wraps_after_bytes.map(|bytes| bytes / BLOCK))
    }

    #[test]
    fn a_fake_of_a_terabyte_is_found_out_by_little_writing() {
        let announced = 1 << 28;
        let mut fake = Fake::new(2_000_003, None, 1000);
        assert_eq!(probed(&mut fake, announced), (2_000_003, None));
        assert!(fake.written * BLOCK < 512 << 20, "{}", fake.written);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn what_is_genuine_is_called_so(blocks in 16..50_000u64, cached in 0..100usize) {
            let cached = cached.min(blocks as usize / 32);
            prop_assert_eq!(probed(&mut Fake::new(blocks, None, cached), blocks), (blocks, None));
        }

        #[test]
        fn what_drops_is_found_to_the_block(announced in 1000..50_000u64, share in 0.1..0.999f64, cached in 0..30usize) {
            let real = (announced as f64 * share) as u64;
            prop_assert_eq!(probed(&mut Fake::new(real, None, cached), announced), (real, None));
        }

        #[test]
        fn what_wraps_is_found_to_the_block(announced in 1000..50_000u64, share in 0.1..0.999f64) {
            let real = (announced as f64 * share) as u64;
            prop_assert_eq!(probed(&mut Fake::new(real, Some(real), 0), announced), (real, Some(real)));
        }

        /// As f3probe's model has it: addresses wrap at some size, and less than that is kept.
        #[test]
        fn what_wraps_and_drops_is_found_to_the_block(announced in 2000..50_000u64, share in 0.3..0.9f64) {
            let wraps = announced / 2;
            let real = (wraps as f64 * share) as u64;
            prop_assert_eq!(probed(&mut Fake::new(real, Some(wraps), 0), announced), (real, Some(wraps)));
        }
    }
}
