//! Around the page cache or through it: one rule for each side.
//!
//! The measurements behind the rule, in seconds of wall time and of CPU (512 MiB, ext4 on a virtual
//! disk, 16 blocks of 256 KiB, 2 cores, Linux 6.18, durable; medians, 7 runs in turn for the cached
//! rows and 5 for the cold ones):
//!
//! | source | read | written | wall | CPU |
//! |---|---|---|---|---|
//! | cached | page cache | direct | 0.43 | 0.15 |
//! | cached | page cache | page cache | 0.51 | 0.32 |
//! | cold | direct | direct | 0.75 | 0.06 |
//! | cold | page cache, RWF_DONTCACHE | direct | 1.37 | 0.33 |
//! | cold | page cache | page cache | 1.23 | 1.01 |

use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::fcntl::OFlag;

pub use crate::engine::Direct;
use crate::engine::Edge;
use crate::error::{Cause, Error, Op};
use crate::flow::Side;
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::Kind;

/// Smaller files leave no mark on the page cache that matters, and setting direct I/O up costs
/// more than it saves.
pub(super) const WORTH_IT_BYTES: u64 = 8 << 20;

/// RWF_DONTCACHE (include/uapi/linux/fs.h): the pages of this operation leave the cache after it.
const RWF_DONTCACHE: i32 = 0x80;

/// What is known of a side before it is decided on.
pub(in crate::copy) struct Facts<'a> {
    pub name: &'a dyn Fn() -> PathBuf,
    pub kind: Kind,
    /// bytes that will move, where known
    pub length: Option<u64>,
    /// exit status 0 will mean durable: what is written must reach the device anyway
    pub synced: bool,
    /// what can't be read is to be narrowed down to sectors
    pub rescues: bool,
}

/// How a side goes.
enum Way {
    Buffered,
    /// through the page cache, and out of it again
    DropBehind,
    Direct,
}

/// A cached read is carried out by the ring's thread while it submits, so each one more delays the
/// writes behind it; one in hand and one to come are enough. Measured (512 MiB, cached, durable):
/// 1, 2, 4, 16 reads took 0.40, 0.36, 0.39, 0.40 s, which is no more than the noise of those runs
/// (0.29 to 0.77 s).
const BUFFERED_DEPTH: u16 = 2;

/// Decides for a source and sets its edge up; how its reads are to be made.
pub(super) fn set_up_source(edge: &mut Edge, direct: Direct, facts: &Facts<'_>) -> Result<Side, Error> {
    let way = match direct {
        _ if edge.base.is_none() => Way::Buffered,
        // The page cache would lose more than the sector that is bad.
        Direct::Auto if facts.rescues => Way::Direct,
        Direct::Auto if !facts.synced || facts.is_small() => Way::Buffered,
        // Most of it is in memory: reading it from the device would only be slower.
        Direct::Auto if cached(edge, facts) * 2 >= facts.length.unwrap_or(0) => Way::Buffered,
        Direct::Auto if is_block_or_known(edge, facts) => Way::Direct,
        Direct::Auto => Way::Buffered,
        Direct::Always => Way::Direct,
        Direct::Never => Way::Buffered,
    };
    let align = set_up(edge, way, direct, facts, OFlag::O_RDONLY)?;
    let depth = if edge.direct.is_some() { u16::MAX } else { BUFFERED_DEPTH };
    Ok(Side { ordered: edge.base.is_none(), align, depth })
}

/// Decides for a target and sets its edge up; how its writes are to be made.
pub(super) fn set_up_target(edge: &mut Edge, direct: Direct, facts: &Facts<'_>) -> Result<Side, Error> {
    let way = match direct {
        _ if edge.base.is_none() => Way::Buffered,
        Direct::Auto if !facts.synced || facts.is_small() => Way::Buffered,
        // Without a known length no space is allocated ahead, and direct writes that extend a file
        // wait for each other.
        Direct::Auto if facts.length.is_none() && can_drop_behind(edge) => Way::DropBehind,
        Direct::Auto if is_block_or_known(edge, facts) => Way::Direct,
        Direct::Auto => Way::Buffered,
        Direct::Always => Way::Direct,
        Direct::Never => Way::Buffered,
    };
    let align = set_up(edge, way, direct, facts, OFlag::O_WRONLY)?;
    Ok(Side { ordered: edge.base.is_none(), align, depth: u16::MAX })
}

impl Facts<'_> {
    fn is_small(&self) -> bool {
        self.length.is_some_and(|length| length < WORTH_IT_BYTES)
    }
}

/// Opens what the way needs; the alignment that it asks for.
fn set_up(edge: &mut Edge, way: Way, direct: Direct, facts: &Facts<'_>, access: OFlag) -> Result<u32, Error> {
    match way {
        Way::Direct => match open(edge, access) {
            Some(align) => Ok(align),
            None if direct == Direct::Always => Err(no_direct(facts)),
            None => Ok(1),
        },
        _ if direct == Direct::Always => Err(no_direct(facts)),
        Way::DropBehind => {
            *edge.flags.get_mut() = RWF_DONTCACHE;
            Ok(1)
        }
        Way::Buffered => Ok(1),
    }
}

fn open(edge: &mut Edge, access: OFlag) -> Option<u32> {
    let stat = sys::stat::of(edge.file.as_fd()).ok()?;
    edge.open_direct(&stat, access)
}

fn no_direct(facts: &Facts<'_>) -> Error {
    Error::new(Op::Open, (facts.name)(), Cause::NoDirect)
}

fn cached(edge: &Edge, facts: &Facts<'_>) -> u64 {
    match facts.kind {
        Kind::Regular => sys::cache::cached_bytes(edge.file.as_fd()).unwrap_or(0),
        _ => 0,
    }
}

fn is_block_or_known(edge: &Edge, facts: &Facts<'_>) -> bool {
    facts.kind == Kind::Block || is_known(edge)
}

/// The file systems on which direct I/O was measured.
fn is_known(edge: &Edge) -> bool {
    matches!(sys::space::file_system(edge.file.as_fd()), Ok((FileSystem::Ext4 | FileSystem::Xfs, _)))
}

/// RWF_DONTCACHE was mended in Linux 6.16; where a file system doesn't know it the first operation
/// is refused and repeated without.
fn can_drop_behind(edge: &Edge) -> bool {
    is_known(edge) && sys::kernel::is_at_least(6, 16)
}
