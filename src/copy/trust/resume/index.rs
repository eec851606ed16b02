//! Where in a journal the last record of a number is: a table in an unlinked file, so that the
//! memory of a resumed copy does not grow with the number of files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A number and an offset, both in 8 bytes; an offset of 0 is a free slot.
const SLOT_BYTES: u64 = 16;
/// No record takes less of a journal, in bytes.
const RECORD_BYTES: u64 = 16;
/// One read of the table.
const RUN_SLOTS: u64 = 16;

/// See the module.
pub(super) struct Index {
    file: File,
    slots: u64,
}

impl Index {
    /// Of a journal of so many bytes, in a file without a name in `directory`.
    pub fn new(journal_bytes: u64, directory: &Path) -> io::Result<Index> {
        let slots = (2 * journal_bytes / RECORD_BYTES).next_power_of_two().max(RUN_SLOTS);
        let file = tempfile::tempfile_in(directory).or_else(|_| tempfile::tempfile())?;
        // Sparse: what no record is put into takes no space.
        file.set_len((slots + RUN_SLOTS) * SLOT_BYTES)?;
        Ok(Index { file, slots })
    }

    /// Remembers where the last record of `number` is.
    pub fn put(&self, number: u64, offset: u64) -> io::Result<()> {
        let slot = self.find(number)?.0;
        let mut bytes = [0; SLOT_BYTES as usize];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&offset.to_le_bytes());
        self.file.write_all_at(&bytes, slot * SLOT_BYTES)
    }

    /// Where the last record of `number` is.
    pub fn get(&self, number: u64) -> io::Result<Option<u64>> {
        Ok(Some(self.find(number)?.1).filter(|offset| *offset > 0))
    }

    /// The slot of `number`, or the one that it would get, and what is there.
    fn find(&self, number: u64) -> io::Result<(u64, u64)> {
        let mut first = number & (self.slots - 1);
        let mut run = [0; (RUN_SLOTS * SLOT_BYTES) as usize];
        // There are more slots than records, so that one is free.
        loop {
            self.file.read_exact_at(&mut run, first * SLOT_BYTES)?;
            for (nth, slot) in run.chunks(SLOT_BYTES as usize).enumerate() {
                let at = first + nth as u64;
                if at == self.slots {
                    break;
                }
                let number_at =
                    |from: usize| u64::from_le_bytes(*slot[from..].first_chunk().expect("8 bytes"));
                if number_at(8) == 0 || number_at(0) == number {
                    return Ok((at, number_at(8)));
                }
            }
            first = if first + RUN_SLOTS >= self.slots { 0 } else { first + RUN_SLOTS };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_last_offset_of_each_number_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::new(16 * 500, directory.path()).unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut expected = HashMap::new();
        for offset in 1..=500u64 {
            // Many fall together, and at the end of the table.
            let number = [rng.u64(1..40), u64::MAX - rng.u64(0..40), rng.u64(1..)][rng.usize(0..3)];
            index.put(number, offset).unwrap();
            expected.insert(number, offset);
        }
        for (number, offset) in expected {
            assert_eq!(index.get(number).unwrap(), Some(offset));
        }
        assert_eq!(index.get(41).unwrap(), None);
    }
}
