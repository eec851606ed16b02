//! Reading back what was written: from its device, not from this kernel's memory.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::flow::Side;
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use super::edge::Edge;

/// Where what is read back comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// its device
    Device,
    /// this kernel's page cache, or it can't be told
    Cache,
    /// there is nothing but memory
    Memory,
}

/// A cached read is carried out by the ring's thread while it submits: one in hand and one to come are
/// enough.
const BUFFERED_DEPTH: u16 = 2;

/// Before each further try to take a file out of the page cache. What has not gone by then, a mapped
/// page say, is taken to stay.
const EVICTION_PAUSES_MS: [u64; 5] = [1, 2, 4, 8, 16];

impl Edge {
    /// Sets it up to be read from its device: around the page cache where that is possible, else with
    /// nothing of it in there. `stat` is the file's. Fails where what is in there can't be written back.
    pub fn set_up_reading_back(&mut self, stat: &Stat) -> Result<(Side, Origin), Errno> {
        let left = sys::cache::evict(self.file.as_fd())?;
        let direct = self.open_direct(stat, OFlag::O_RDONLY);
        let file_system = sys::space::file_system(self.file.as_fd()).map(|(kind, _)| kind);
        let origin = match file_system {
            // O_DIRECT means what it says.
            _ if stat.kind == Kind::Block && direct.is_some() => Origin::Device,
            Ok(
                FileSystem::Ext4
                | FileSystem::Xfs
                | FileSystem::Fuse
                | FileSystem::Nfs
                | FileSystem::Cifs
                | FileSystem::Ceph,
            ) if direct.is_some() => Origin::Device,
            Ok(FileSystem::Tmpfs) => Origin::Memory,
            _ if self.is_out_of_cache(left)? => Origin::Device,
            _ => Origin::Cache,
        };
        let (align, depth) = match direct {
            Some(align) => (align, u16::MAX),
            None => (1, BUFFERED_DEPTH),
        };
        Ok((Side { ordered: false, align, depth }, origin))
    }

    /// Whether nothing is left, asking again for a while for what something else holds: another CPU's
    /// batch of pages, the kernel as it moves or ages memory. `left` is what the last try left.
    fn is_out_of_cache(&self, mut left: Option<u64>) -> Result<bool, Errno> {
        for pause in EVICTION_PAUSES_MS {
            if left.is_none_or(|bytes| bytes == 0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(pause));
            left = sys::cache::evict(self.file.as_fd())?;
        }
        Ok(left == Some(0))
    }
}
