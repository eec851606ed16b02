//! GNU ddrescue's map of a rescue: which bytes of a source are with the target, and what became of the
//! others.
//!
//! The format is that of the manual of GNU ddrescue 1.27, "Mapfile structure": lines of comments, a
//! line with the current position, status and pass, then a line for each block: its position and its
//! size, in C's notation, and its status. Blocks follow each other without a gap.
//!
//! Knows text and ranges; must not know how a rescue goes on. Whatever is read, it takes no more memory
//! than a bound.

use std::io::{self, BufRead, Read, Write};
use std::ops::Range;

use crate::error::MapFault;

/// What became of a block, in the format's own letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::copy) enum Status {
    /// `?`
    NonTried,
    /// `*`: it failed, and its edges were not looked for
    NonTrimmed,
    /// `/`: it failed, and was not read sector by sector
    NonScraped,
    /// `-`: its sectors are bad
    Bad,
    /// `+`: it is with the target
    Rescued,
}

impl Status {
    fn of(letter: &str) -> Option<Status> {
        Some(match letter {
            "?" => Status::NonTried,
            "*" => Status::NonTrimmed,
            "/" => Status::NonScraped,
            "-" => Status::Bad,
            "+" => Status::Rescued,
            _ => return None,
        })
    }

    fn letter(self) -> char {
        match self {
            Status::NonTried => '?',
            Status::NonTrimmed => '*',
            Status::NonScraped => '/',
            Status::Bad => '-',
            Status::Rescued => '+',
        }
    }
}

/// A range and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::copy) struct Block {
    pub range: Range<u64>,
    pub status: Status,
}

/// Blocks that follow each other, from byte 0 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::copy) struct Map {
    blocks: Vec<Block>,
}

/// More blocks than this are no map of ours, nor one that anybody has waited for: 6 MiB of memory.
const MOST_BLOCKS: usize = 1 << 18;
/// A line is longer only as a comment, which may hold a command line.
const MOST_LINE_BYTES: u64 = 64 << 10;

impl Map {
    /// Nothing of `length` bytes was tried.
    pub fn of_length(length: u64) -> Map {
        let mut map = Map::default();
        map.add(0..length, Status::NonTried);
        map
    }

    /// Reads one; its length is not checked.
    pub fn read(input: &mut impl BufRead) -> Result<Map, MapFault> {
        let mut map = Map::default();
        let mut has_status_line = false;
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let read = input.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|error| MapFault::Errno(crate::error::errno_of(&error)))? == 0 {
                break;
            }
            let bad = MapFault::Line { number };
            let text = std::str::from_utf8(&line).ok().or_else(|| line.starts_with(b"#").then_some("#"));
            let text = text.ok_or(bad)?.trim();
            if text.is_empty() || text.starts_with('#') {
                // The rest of a comment that is too long would be taken for something else.
                let is_cut = !line.ends_with(b"\n") && line.len() as u64 == MOST_LINE_BYTES;
                if is_cut {
                    return Err(bad);
                }
                continue;
            }
            let mut words = text.split_ascii_whitespace();
            let first = words.next().and_then(number_of).ok_or(bad)?;
            if !has_status_line {
                let status = words.next().ok_or(bad)?;
                let known = status.len() == 1 && "?*/-FG+".contains(status);
                let pass = words.next().map(number_of);
                if !known || pass == Some(None) || words.next().is_some() {
                    return Err(bad);
                }
                has_status_line = true;
                continue;
            }
            let size = words.next().and_then(number_of).ok_or(bad)?;
            let status = words.next().and_then(Status::of).ok_or(bad)?;
            let end = first.checked_add(size).ok_or(bad)?;
            if first != map.length() || size == 0 || words.next().is_some() {
                return Err(bad);
            }
            if map.blocks.len() >= MOST_BLOCKS {
                return Err(MapFault::TooManyBlocks);
            }
            map.add(first..end, status);
        }
        if map.blocks.is_empty() { Err(MapFault::Empty) } else { Ok(map) }
    }

    /// Adds a range behind the last one.
    pub fn add(&mut self, range: Range<u64>, status: Status) {
        debug_assert_eq!(range.start, self.length(), "blocks follow each other");
        match self.blocks.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.status == status => last.range.end = range.end,
            _ => self.blocks.push(Block { range, status }),
        }
    }

    /// Where the last block ends.
    pub fn length(&self) -> u64 {
        self.blocks.last().map_or(0, |last| last.range.end)
    }

    /// In order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Where the last of what is rescued ends: the target has to be as long.
    pub fn rescued_to(&self) -> u64 {
        let rescued = self.blocks.iter().rev().find(|block| block.status == Status::Rescued);
        rescued.map_or(0, |block| block.range.end)
    }

    /// Writes it, with the position that a rescue stopped at, if it did.
    pub fn write(&self, out: &mut impl Write, stopped_at: Option<u64>) -> io::Result<()> {
        writeln!(out, "# Mapfile of highwater {}, as GNU ddrescue has them", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "# current_pos  current_status  current_pass")?;
        let status = if stopped_at.is_some() { '?' } else { '+' };
        writeln!(out, "0x{:08X}     {status}               1", stopped_at.unwrap_or(0))?;
        writeln!(out, "#      pos        size  status")?;
        for Block { range, status } in &self.blocks {
            let size = range.end - range.start;
            writeln!(out, "0x{:08X}  0x{size:08X}  {}", range.start, status.letter())?;
        }
        Ok(())
    }
}

/// A number in C's notation: decimal, octal with a leading 0, hexadecimal with a leading 0x.
fn number_of(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hexadecimal) => (hexadecimal, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::counted::peak_of;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<Map, MapFault> {
        Map::read(&mut &*text)
    }

    const SEVERAL: &str = "\
# Mapfile. Created by GNU ddrescue version 1.27
# Command line: ddrescue a b m
0x00120000     *               2
#      pos        size  status
0x00000000  0x00117000  +
0x00117000  0x00000200  -
1143296 01000 /   \n\
0x00117400  0x000C0C00  ?
0x001D8000  0x00000800  *
";

    #[test]
    fn ddrescues_own_map_is_read() {
        let map = read(SEVERAL.as_bytes()).unwrap();
        let blocks: Vec<_> = map.blocks().iter().map(|block| (block.range.clone(), block.status)).collect();
        assert_eq!(
            blocks,
            [
                (0..0x117000, Status::Rescued),
                (0x117000..0x117200, Status::Bad),
                (0x117200..0x117400, Status::NonScraped),
                (0x117400..0x1D8000, Status::NonTried),
                (0x1D8000..0x1D8800, Status::NonTrimmed),
            ]
        );
        assert_eq!((map.length(), map.rescued_to()), (0x1D8800, 0x117000));
    }

    #[test]
    fn what_is_no_map_is_refused_with_its_line() {
        let check = |text: &str, fault| assert_eq!(read(text.as_bytes()).unwrap_err(), fault, "{text:?}");
        check("", MapFault::Empty);
        check("# nothing\n0x0 ? 1\n", MapFault::Empty);
        check("0x0 ? 1\n0x0 0x10 !\n", MapFault::Line { number: 2 });
        check("0x0 ? 1\n0x10 0x10 +\n", MapFault::Line { number: 2 });
        check("0x0 ? 1\n0x0 0x10 +\n0x20 0x10 +\n", MapFault::Line { number: 3 });
        check("0x0 ? 1\n0x0 0x10 +\n0x8 0x10 +\n", MapFault::Line { number: 3 });
        check("0x0 ? 1\n0x0 0x0 +\n", MapFault::Line { number: 2 });
        check("0x0 ? 1\n0x0 0xFFFFFFFFFFFFFFFF +\n0xFFFFFFFFFFFFFFFF 1 +\n", MapFault::Line { number: 3 });
        check("0x0 0x10 +\n", MapFault::Line { number: 1 });
        check("0x0 ? x\n", MapFault::Line { number: 1 });
        check("-1 ? 1\n", MapFault::Line { number: 1 });
        check("0x+1 ? 1\n", MapFault::Line { number: 1 });
        assert_eq!(read(&[0xff; 100]).unwrap_err(), MapFault::Line { number: 1 });
        assert_eq!(read(&vec![b'#'; 1 << 20]).unwrap_err(), MapFault::Line { number: 1 });
    }

    #[test]
    fn more_blocks_than_the_bound_are_refused() {
        let mut text = String::from("0 ? 1\n");
        for n in 0..=MOST_BLOCKS {
            text.push_str(&format!("{n} 1 {}\n", if n % 2 == 0 { '+' } else { '-' }));
        }
        let (read, peak) = peak_of(|| read(text.as_bytes()));
        assert_eq!(read.unwrap_err(), MapFault::TooManyBlocks);
        // It grows by doubling, and for a moment there are the old ones and the new.
        assert!(peak <= 10 << 20, "{peak}");
    }

    proptest! {
        /// Whatever stands there: a map or a fault, and no more blocks than lines.
        #[test]
        fn nonsense_is_no_panic_and_takes_little_memory(
            text in proptest::collection::vec(any::<u8>(), 0..2000),
            lines in proptest::collection::vec("(0x)?[0-9A-F]{0,17} {0,2}(0x)?[0-9A-F]{0,17} {0,2}[-+?*/F0-9]{0,2}", 0..40),
        ) {
            for text in [text, lines.join("\n").into_bytes()] {
                let (_, peak) = peak_of(|| read(&text));
                prop_assert!(peak <= 4 * text.len() + 256, "{} bytes for {}", peak, text.len());
            }
        }

        /// Likewise of what is nearly a map.
        #[test]
        fn a_map_with_a_flaw_is_no_panic(at in 0usize..300, byte in any::<u8>(), cut in 0usize..300) {
            let mut text = SEVERAL.as_bytes().to_vec();
            let at = at % text.len();
            text[at] = byte;
            text.truncate(text.len() - cut % text.len());
            let (map, peak) = peak_of(|| read(&text));
            prop_assert!(peak <= 4 * text.len() + 256, "{} bytes for {}", peak, text.len());
            if let Ok(map) = map {
                prop_assert!(map.blocks().len() <= 5);
            }
        }

        /// What is written is what is read.
        #[test]
        fn maps_survive(sizes in proptest::collection::vec((1u64..1 << 40, 0usize..5), 1..50)) {
            let letters = ["?", "*", "/", "-", "+"];
            let mut map = Map::default();
            for (size, letter) in sizes {
                let start = map.length();
                map.add(start..start + size, Status::of(letters[letter]).unwrap());
            }
            let mut text = Vec::new();
            map.write(&mut text, Some(7)).unwrap();
            prop_assert_eq!(read(&text).unwrap(), map);
        }
    }
}
