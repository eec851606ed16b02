//! What is found in the place of a block, against what was written there; and where it was not that.

use std::ops::Range;

use super::pattern::{BLOCK_BYTES, Pattern, SECTOR_BYTES, Sector};

/// What a block should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// this generation is durable there; 0: nothing of the run is
    pub durable: u64,
    /// up to this one anything may have been written since. The same, where nothing was
    pub newest: u64,
}

impl Expected {
    /// Exactly what `generation` wrote.
    pub fn exactly(generation: u64) -> Expected {
        Expected { durable: generation, newest: generation }
    }
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// nothing of this run is there
    Lost,
    /// an earlier generation of the run is there
    Stale,
    /// sectors of several generations, or some of this run and some not
    Torn,
    /// what belongs elsewhere, at least in part
    Misdirected,
    /// other bits than were written, at least in part
    Corrupt,
    /// it can't be read
    Unreadable,
}

impl Fault {
    /// All of them, in the order of reports.
    pub const ALL: [Fault; 6] =
        [Fault::Lost, Fault::Stale, Fault::Torn, Fault::Misdirected, Fault::Corrupt, Fault::Unreadable];

    /// The stable name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Lost => "lost",
            Fault::Stale => "stale",
            Fault::Torn => "torn",
            Fault::Misdirected => "misdirected",
            Fault::Corrupt => "corrupt",
            Fault::Unreadable => "unreadable",
        }
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// what should be there
    Good,
    /// a write was under way and nobody promised anything: parts of what it wrote and of what is durable
    /// there, or anything where nothing is
    Unsynced,
    /// something else
    Bad(Fault),
}

/// Judges `block`, found at `offset`. Of several faults the one is told that says most: corrupt before
/// misdirected before torn.
pub fn judge(
    pattern: &Pattern,
    offset: u64,
    expected: Expected,
    block: &[u8; BLOCK_BYTES],
    made: &mut [u8; BLOCK_BYTES],
) -> Verdict {
    pattern.fill(offset, expected.newest, made);
    match block == made {
        true => Verdict::Good,
        false => judge_sectors(pattern, offset, expected, block),
    }
}

fn judge_sectors(pattern: &Pattern, offset: u64, expected: Expected, block: &[u8; BLOCK_BYTES]) -> Verdict {
    let (mut misdirected, mut foreign) = (false, false);
    let mut generations: Option<(u64, u64)> = None;
    let (sectors, _) = block.as_chunks::<SECTOR_BYTES>();
    for (nth, sector) in sectors.iter().enumerate() {
        let at = offset + (nth * SECTOR_BYTES) as u64;
        match pattern.look_at(at, expected.newest, sector) {
            Sector::Damaged => return Verdict::Bad(Fault::Corrupt),
            Sector::Foreign => foreign = true,
            Sector::Whole(head) if head.offset != at => misdirected = true,
            Sector::Whole(head) => {
                let (least, most) = generations.unwrap_or((head.generation, head.generation));
                generations = Some((least.min(head.generation), most.max(head.generation)));
            }
        }
    }
    let Expected { durable, newest } = expected;
    match generations {
        _ if misdirected => Verdict::Bad(Fault::Misdirected),
        // What was there before the first generation may be anything.
        _ if durable == 0 => Verdict::Unsynced,
        None => Verdict::Bad(Fault::Lost),
        // It was not written to since it was durable, or all of it was.
        Some((least, most)) if !foreign && least == most && (durable..=newest).contains(&least) => {
            Verdict::Good
        }
        Some((least, most)) if !foreign && least >= durable && most <= newest => Verdict::Unsynced,
        Some((least, most)) if !foreign && least == most => Verdict::Bad(Fault::Stale),
        Some(_) => Verdict::Bad(Fault::Torn),
    }
}

/// Blocks side by side with the same fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// which
    pub fault: Fault,
    /// where, in bytes of the target
    pub range: Range<u64>,
}

impl Finding {
    /// How many blocks.
    pub fn blocks(&self) -> u64 {
        (self.range.end - self.range.start) / BLOCK_BYTES as u64
    }
}

/// So many ranges are kept, which is 3 MiB at most; the counts are exact also where there are more.
pub const MOST_FINDINGS: usize = 1 << 16;

/// What all blocks came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// looked at, good and bad
    pub blocks: u64,
    /// as they should be
    pub good: u64,
    /// something else, where nothing was promised yet
    pub unsynced: u64,
    faults: [u64; Fault::ALL.len()],
    found: Vec<Finding>,
    unlisted_ranges: u64,
}

impl Findings {
    /// Adds the block at `offset`; blocks come in the order of their offsets.
    pub fn add(&mut self, offset: u64, verdict: Verdict) {
        self.blocks += 1;
        match verdict {
            Verdict::Good => self.good += 1,
            Verdict::Unsynced => self.unsynced += 1,
            Verdict::Bad(fault) => self.add_bad(fault, offset..offset + BLOCK_BYTES as u64),
        }
    }

    fn add_bad(&mut self, fault: Fault, range: Range<u64>) {
        self.faults[fault as usize] += (range.end - range.start) / BLOCK_BYTES as u64;
        let is_full = self.found.len() >= MOST_FINDINGS;
        match self.found.last_mut() {
            Some(last) if last.fault == fault && last.range.end == range.start => last.range.end = range.end,
            _ if is_full => self.unlisted_ranges += 1,
            _ => self.found.push(Finding { fault, range }),
        }
    }

    /// So many bytes could not be read: what was added for blocks that touch them was zeros in their
    /// place. `judged` is what zeros there were taken for.
    pub fn unreadable(&mut self, range: Range<u64>, mut judged: impl FnMut(u64) -> Verdict) {
        const BLOCK: u64 = BLOCK_BYTES as u64;
        let range = range.start / BLOCK * BLOCK..range.end.next_multiple_of(BLOCK);
        let mut at = range.start;
        while at < range.end {
            match judged(at) {
                Verdict::Good => self.good -= 1,
                Verdict::Unsynced => self.unsynced -= 1,
                Verdict::Bad(fault) => self.faults[fault as usize] -= 1,
            }
            at += BLOCK;
        }
        self.faults[Fault::Unreadable as usize] += (range.end - range.start) / BLOCK;
        self.replace(Finding { fault: Fault::Unreadable, range });
    }

    /// Puts a finding in the place of what was found in its range.
    fn replace(&mut self, new: Finding) {
        let mut found = Vec::with_capacity(self.found.len() + 2);
        let mut new = Some(new);
        for finding in std::mem::take(&mut self.found) {
            let Finding { fault, range } = &finding;
            match &new {
                Some(next) if next.range.end <= range.start => found.extend(new.take()),
                _ => {}
            }
            match &new {
                Some(next) if next.range.start < range.end => {
                    let (before, behind) = (range.start..next.range.start, next.range.end..range.end);
                    if !before.is_empty() {
                        found.push(Finding { fault: *fault, range: before });
                    }
                    if !behind.is_empty() {
                        found.extend(new.take());
                        found.push(Finding { fault: *fault, range: behind });
                    }
                }
                _ => found.push(finding),
            }
        }
        found.extend(new);
        self.unlisted_ranges += found.len().saturating_sub(MOST_FINDINGS) as u64;
        found.truncate(MOST_FINDINGS);
        self.found = found;
    }

    /// How many blocks have this fault.
    pub fn count(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    /// How many blocks have any.
    pub fn bad(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// Where they are, in order.
    pub fn ranges(&self) -> &[Finding] {
        &self.found
    }

    /// So many more ranges were found than are kept.
    pub fn unlisted_ranges(&self) -> u64 {
        self.unlisted_ranges
    }
}

#[cfg(test)]
mod tests;
