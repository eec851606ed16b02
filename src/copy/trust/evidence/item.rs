//! The files that are to be verified: written down one by one, read again in that order.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::sys::spill::Spill;
use crate::sys::stat::Id;

use super::units::Stream;

/// Up to so many bytes stay in memory.
const MOST_BYTES: usize = 256 << 10;

/// A file that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::copy) struct Item {
    /// names that lead to it from where operands go: the operand's, which may be a path, then one
    /// below the other
    pub names: Vec<OsString>,
    /// what messages call the source
    pub source: PathBuf,
    /// and the target
    pub target: PathBuf,
    /// of the target
    pub id: Id,
    /// it is a block device, else a regular file
    pub is_device: bool,
    /// what was copied, in bytes
    pub length: u64,
    /// what it hashed to, one stream behind the other
    pub streams: Vec<Stream>,
}

/// See the module.
pub(in crate::copy) struct Items {
    spill: Spill,
    read_to: u64,
    files: u64,
    bytes: u64,
}

impl Default for Items {
    fn default() -> Items {
        Items { spill: Spill::new(MOST_BYTES), read_to: 0, files: 0, bytes: 0 }
    }
}

impl Items {
    pub fn add(&mut self, item: &Item) -> io::Result<()> {
        let mut out = Vec::with_capacity(256);
        number(&mut out, item.length);
        for part in [item.id.device.0.into(), item.id.device.1.into(), item.id.inode, item.is_device.into()] {
            number(&mut out, part);
        }
        number(&mut out, item.streams.len() as u64);
        item.streams.iter().for_each(|stream| number(&mut out, stream.0.unwrap_or(0)));
        number(&mut out, item.names.len() as u64);
        item.names.iter().for_each(|name| text(&mut out, name));
        text(&mut out, item.source.as_os_str());
        text(&mut out, item.target.as_os_str());
        let mut whole = Vec::with_capacity(8 + out.len());
        text(&mut whole, OsStr::from_bytes(&out));
        self.spill.append(&whole)?;
        self.files += 1;
        self.bytes = self.bytes.saturating_add(item.length);
        Ok(())
    }

    pub fn next(&mut self) -> io::Result<Option<Item>> {
        if self.read_to == self.spill.len() {
            return Ok(None);
        }
        let mut len = [0; 8];
        self.spill.read(self.read_to, &mut len)?;
        let mut bytes = vec![0; u64::from_le_bytes(len) as usize];
        self.spill.read(self.read_to + 8, &mut bytes)?;
        self.read_to += 8 + bytes.len() as u64;
        Parser(&bytes).item().map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// How many there are, and how many bytes they have.
    pub fn sum(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &OsStr) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Takes from the front what [`Items::add`] has written; None where it ends too early.
struct Parser<'a>(&'a [u8]);

impl Parser<'_> {
    fn item(&mut self) -> Option<Item> {
        let length = self.number()?;
        let device = (self.number()? as u32, self.number()? as u32);
        let id = Id { device, inode: self.number()? };
        let is_device = self.number()? != 0;
        let streams = self.list(|parser| Some(Stream(Some(parser.number()?).filter(|at| *at > 0))))?;
        let names = self.list(Parser::text)?;
        let (source, target) = (self.text()?.into(), self.text()?.into());
        Some(Item { names, source, target, id, is_device, length, streams })
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.number()?).map(|_| one(self)).collect()
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn text(&mut self) -> Option<OsString> {
        let len = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(OsString::from_vec(text.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_comes_back_in_order() {
        let mut items = Items { spill: Spill::new(300), ..Items::default() };
        let item = |nth: u64| Item {
            names: (0..nth % 3 + 1).map(|name| OsString::from_vec(vec![0xFF, name as u8 + 1])).collect(),
            source: format!("source/{nth}").into(),
            target: format!("target/{nth}").into(),
            id: Id { device: (7, nth as u32), inode: nth << 40 },
            is_device: nth == 2,
            length: nth * 1000,
            streams: (0..nth).map(|stream| Stream(Some(stream).filter(|stream| *stream > 0))).collect(),
        };
        let all: Vec<Item> = (0..9).map(item).collect();
        all.iter().for_each(|item| items.add(item).unwrap());
        assert_eq!(items.sum(), (9, 36_000));
        let back: Vec<Item> = std::iter::from_fn(|| items.next().unwrap()).collect();
        assert_eq!(back, all);
    }
}
