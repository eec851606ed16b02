//! Bytes that may become many: in memory at first, past a bound in a file that has no name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Bytes that are appended, and read and overwritten anywhere. Gone when it is dropped, or when the
/// process is killed.
#[derive(Debug)]
pub struct Spill {
    kept: Kept,
    most_bytes: usize,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    File { file: File, len: u64 },
}

impl Spill {
    /// Nothing yet, of which at most so many bytes stay in memory.
    pub fn new(most_bytes: usize) -> Spill {
        Spill { kept: Kept::Memory(Vec::new()), most_bytes }
    }

    /// Appends all of `bytes`; where they begin. Fails as making and writing a temporary file does.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        if let Kept::Memory(memory) = &mut self.kept {
            let at = memory.len();
            if at + bytes.len() <= self.most_bytes {
                memory.extend_from_slice(bytes);
                return Ok(at as u64);
            }
            let file = tempfile::tempfile_in(directory())?;
            file.write_all_at(memory, 0)?;
            self.kept = Kept::File { file, len: at as u64 };
        }
        let Kept::File { file, len } = &mut self.kept else { unreachable!("it was just spilled") };
        let at = *len;
        file.write_all_at(bytes, at)?;
        *len += bytes.len() as u64;
        Ok(at)
    }

    /// Overwrites what was appended at `at`.
    pub fn overwrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        match &mut self.kept {
            Kept::Memory(memory) => {
                memory[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            Kept::File { file, .. } => file.write_all_at(bytes, at),
        }
    }

    /// Fills `bytes` with what stands at `at`. UnexpectedEof where there is less.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        match &self.kept {
            Kept::Memory(memory) => {
                let there = memory.get(at as usize..at as usize + bytes.len());
                bytes.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Kept::File { file, .. } => file.read_exact_at(bytes, at),
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        match &self.kept {
            Kept::Memory(memory) => memory.len() as u64,
            Kept::File { len, .. } => *len,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where large temporary files go: TMPDIR, else /var/tmp, as /tmp may well be in memory (file-hierarchy(7)).
pub fn directory() -> PathBuf {
    let large = PathBuf::from("/var/tmp");
    match std::env::var_os("TMPDIR") {
        None if large.is_dir() => large,
        _ => std::env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_there_before_and_after_it_spills() {
        let mut spill = Spill::new(10);
        assert!(spill.is_empty());
        assert_eq!(spill.append(b"01234567").unwrap(), 0);
        spill.overwrite(2, b"ab").unwrap();
        assert!(matches!(spill.kept, Kept::Memory(_)));
        assert_eq!(spill.append(b"89x").unwrap(), 8);
        assert!(matches!(spill.kept, Kept::File { .. }));
        spill.overwrite(10, b"y").unwrap();
        let mut all = [0; 11];
        spill.read(0, &mut all).unwrap();
        assert_eq!((&all, spill.len()), (b"01ab456789y", 11));
        assert_eq!(spill.read(5, &mut all).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
