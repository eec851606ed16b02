//! What a bench is told, and what of it can't be meant.

use std::time::Duration;

use crate::engine::{Choice, Direct};
use crate::flow::MarksError;
use crate::flow::load::{Arrival, Plan};
use crate::flow::simulate::Device;
use crate::scratch::{Access, Wanted};

use super::size::Size;

/// What the operations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// reads, one block after the other
    Read,
    /// writes, likewise
    Write,
    /// reads in random order
    RandRead,
    /// writes, likewise
    RandWrite,
    /// both in random order
    Mixed {
        /// so many of a hundred are reads, 1 to 99
        read_percent: u8,
    },
}

impl Workload {
    /// As it is typed.
    pub fn name(self) -> String {
        match self {
            Workload::Read => "read".into(),
            Workload::Write => "write".into(),
            Workload::RandRead => "randread".into(),
            Workload::RandWrite => "randwrite".into(),
            Workload::Mixed { read_percent } => format!("mixed:{read_percent}"),
        }
    }

    /// Whether it writes.
    pub fn writes(self) -> bool {
        !matches!(self, Workload::Read | Workload::RandRead)
    }

    /// Whether it reads and writes.
    pub fn is_mixed(self) -> bool {
        matches!(self, Workload::Mixed { .. })
    }

    fn is_random(self) -> bool {
        !matches!(self, Workload::Read | Workload::Write)
    }

    fn read_percent(self) -> u8 {
        match self {
            Workload::Read | Workload::RandRead => 100,
            Workload::Write | Workload::RandWrite => 0,
            Workload::Mixed { read_percent } => read_percent,
        }
    }

    /// Of a block, in bytes, unless that was typed.
    pub fn block_bytes(self) -> u64 {
        if self.is_random() { 4 << 10 } else { 512 << 10 }
    }

    /// Of operations in flight, unless that was typed.
    pub fn depth(self) -> u64 {
        if self.is_random() { 32 } else { 8 }
    }
}

/// Size of a scratch file, in bytes, unless that was typed.
const SCRATCH_BYTES: u64 = 256 << 20;

/// See the module.
#[derive(Clone, Debug)]
pub struct Options {
    /// which operations
    pub workload: Workload,
    /// of each, and what is in flight at most
    pub size: Size,
    /// when they start
    pub arrival: Arrival,
    /// at most so many bytes a second start
    pub limit_bytes_per_s: Option<u64>,
    /// for how long
    pub length: Duration,
    /// of the file or device, or of the scratch file, in bytes
    pub size_bytes: Option<u64>,
    /// a sync after so many writes
    pub sync_every: Option<u64>,
    /// of all that is random
    pub seed: u64,
    /// what an existing file or a device holds may go
    pub destroy_data: bool,
    /// around the page cache
    pub direct: Direct,
    /// which driver
    pub engine: Choice,
    /// `--simulate`: stands before the target while that is measured, each time from its beginning
    pub simulated: Option<Device>,
    /// how long an interval is
    pub interval: Option<Duration>,
    /// nothing has completed for so long: that is a stall, zero: none is one
    pub stall_limit: Duration,
    /// how long is waited, after the end, for what is still out
    pub patience: Duration,
}

/// Why options can't be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// a size, a count, a rate or a time of zero, by the name of its option
    Zero(&'static str),
    /// a block of more than so many bytes
    Block {
        /// the most
        most: u64,
    },
    /// more than so many operations in flight
    Depth {
        /// the most
        most: u64,
    },
    /// more than so many buffers
    Buffers {
        /// the most
        most: u64,
    },
    /// there isn't one for each operation
    TooFewBuffers {
        /// how many there are
        buffers: u64,
        /// for so many operations
        depth: u64,
        /// that need so many
        needed: u64,
    },
    /// buffers times block are more bytes than may be in memory
    Memory {
        /// the most
        most: u64,
    },
    /// the depth ends below the high-water mark
    HighAboveDepth {
        /// the mark, in bytes
        high: u64,
        /// depth times block, in bytes
        ring: u64,
    },
    /// the marks contradict each other or the block
    Marks(MarksError),
    /// operations are meant to start at a rate of more bytes than may
    RateAboveLimit {
        /// bytes a second that are meant to start
        wanted: u64,
        /// that may
        limit: u64,
    },
    /// the size holds no block
    Size,
    /// nothing is written that could be synced
    NothingToSync,
}

impl Options {
    /// What can't be meant, if anything.
    pub fn check(&self) -> Result<(), Unfit> {
        let zeros = [
            (self.arrival.per_s().is_some_and(|rate| rate <= 0.0), "rate"),
            (self.length.is_zero(), "for"),
            (self.size_bytes == Some(0), "size"),
            (self.sync_every == Some(0), "sync-every"),
            (self.limit_bytes_per_s == Some(0), "limit-rate"),
        ];
        if let Some((_, name)) = zeros.into_iter().find(|(is_zero, _)| *is_zero) {
            return Err(Unfit::Zero(name));
        }
        let block_bytes = u64::from(self.size.block_bytes);
        if let (Some(per_s), Some(limit)) = (self.arrival.per_s(), self.limit_bytes_per_s) {
            let wanted = (per_s * block_bytes as f64).ceil() as u64;
            if wanted > limit {
                return Err(Unfit::RateAboveLimit { wanted, limit });
            }
        }
        match () {
            () if self.size_bytes.is_some_and(|size| size < block_bytes) => Err(Unfit::Size),
            () if self.sync_every.is_some() && !self.workload.writes() => Err(Unfit::NothingToSync),
            () => Ok(()),
        }
    }

    pub(super) fn ground(&self) -> Wanted {
        Wanted {
            access: if self.workload.writes() { Access::Write } else { Access::Read },
            destroy_data: self.destroy_data,
            size_bytes: self.size_bytes,
            scratch_bytes: SCRATCH_BYTES.max(4 * u64::from(self.size.block_bytes)),
        }
    }

    /// The load on ground of so many bytes.
    pub(super) fn plan(&self, size_bytes: u64) -> Plan {
        Plan {
            read_percent: self.workload.read_percent(),
            random: self.workload.is_random(),
            block_bytes: self.size.block_bytes,
            blocks: size_bytes / u64::from(self.size.block_bytes),
            depth: self.size.depth,
            high_water_bytes: self.size.high_water_bytes,
            low_water_bytes: self.size.low_water_bytes,
            limit_bytes_per_s: self.limit_bytes_per_s,
            arrival: self.arrival,
            length: self.length,
            operations: u64::MAX,
            sync_every: self.sync_every,
            seed: self.seed,
        }
    }
}
