//! What memory the process holds while it writes: whether that stays flat.

use std::time::Duration;

use crate::sys::process;

/// Resident bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// once all that is needed is there: after the first second, or at the end of what takes less
    pub first_bytes: u64,
    /// when the last byte was written
    pub last_bytes: u64,
    /// the most of all looks, one a second, from the first one on
    pub most_bytes: u64,
}

/// How long everything takes to be there.
const SETTLED: Duration = Duration::from_secs(1);

/// Looks, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks {
    memory: Option<Memory>,
}

impl Looks {
    /// One more, so long after the first write.
    pub fn look(&mut self, since_start: Duration) {
        let Some(bytes) = process::resident_bytes() else { return };
        match &mut self.memory {
            Some(memory) => {
                memory.last_bytes = bytes;
                memory.most_bytes = memory.most_bytes.max(bytes);
            }
            None if since_start >= SETTLED => {
                self.memory = Some(Memory { first_bytes: bytes, last_bytes: bytes, most_bytes: bytes });
            }
            None => {}
        }
    }

    /// The last one: what they came to.
    pub fn finish(mut self) -> Option<Memory> {
        self.look(SETTLED);
        self.memory
    }
}
