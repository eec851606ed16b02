//! How the content of a file is to move: around the page cache or through it, by calls or through a
//! ring, and in which shape.

use std::os::fd::AsFd;

use crate::engine::{Choice, Edge, Engine};
use crate::error::Error;
use crate::flow::{Digesting, Holes, Length, Patience, Shape, Side, Visibility};
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::Kind;

use crate::copy::content::direct::{self, Facts};
use crate::copy::content::open::Pair;
use crate::copy::content::transfer::Names;
use crate::copy::options::{Offload, OnError, Sparse, Sync};
use crate::copy::work::run::Run;

/// Sets both edges up; how each is to be read and written.
pub(in crate::copy) fn set_up(
    run: &Run<'_>,
    pair: &mut Pair,
    names: &dyn Names,
) -> Result<(Side, Side), Error> {
    let Pair { source, target, explanation, .. } = pair;
    let options = run.options;
    let length = source.known_length();
    let synced = options.sync != Sync::None;
    let rescues = options.on_error == OnError::ZeroFill;
    let facts = Facts { name: &|| names.source(), kind: source.stat.kind, length, synced, rescues };
    let source_side = direct::set_up_source(&mut source.edge, options.direct, &facts)?;
    let facts = Facts { name: &|| names.target(), kind: target.kind, length, synced, rescues: false };
    let target_side = direct::set_up_target(&mut target.edge, options.direct, &facts)?;
    let one_block = length.is_some_and(|length| length <= u64::from(run.size.block_bytes));
    // On btrfs space that is allocated ahead is never compressed.
    let is_btrfs = || matches!(sys::space::file_system(target.edge.file.as_fd()), Ok((FileSystem::Btrfs, _)));
    target.edge.preallocate =
        target.is_file() && options.sparse != Sparse::Always && !one_block && length.is_some() && !is_btrfs();
    explanation.direct = (source.edge.direct.is_some(), target.edge.direct.is_some());
    explanation.sparse_detection = match (options.sparse, source.edge.has_holes) {
        (Sparse::Always, true) => "SEEK_HOLE + zeros",
        (Sparse::Always, false) => "zeros",
        (_, true) => "SEEK_HOLE",
        (_, false) => "no",
    };
    explanation.offload = match (options.sparse, options.offload) {
        (Sparse::Auto, Offload::Auto) => "no",
        _ => "avoided",
    };
    Ok((source_side, target_side))
}

/// Whether calls on the worker's own thread are the fastest way: for what goes through the page cache
/// on both sides. A ring is for what has to wait for a device. Measured (64 files of 8 MiB, ext4, two
/// workers, to the prompt): cached 0.10 s by calls, 0.15 s by a ring; cold 0.34 s and 0.41 s.
pub(super) fn goes_by_calls(run: &Run<'_>, pair: &Pair, length: Option<u64>) -> bool {
    let (source, target) = (&pair.source.edge, &pair.target.edge);
    if source.may_block || target.may_block || run.job.limit_bytes_per_s.is_some() {
        return false;
    }
    // The ring's own cost is worth it for one file, not for each of thousands.
    if run.job.engine == Choice::Ring || !run.is_tree() && !run.options.as_cp {
        return false;
    }
    let regular = pair.source.stat.kind == Kind::Regular && pair.target.kind == Kind::Regular;
    let buffered = source.direct.is_none() && target.direct.is_none();
    // What other file systems make of a large file was not measured.
    let is_large = |length| length >= direct::WORTH_IT_BYTES && !(run.is_tree() && are_local(run, pair));
    match length {
        Some(length) => regular && buffered && !is_large(length),
        None => regular,
    }
}

/// Whether the kernel may pass the bytes of a file that goes by calls without anybody seeing them.
pub(super) fn is_passed(run: &Run<'_>, pair: &Pair, shape: &Shape) -> bool {
    let is_unseen = !shape.find_zeros && shape.digesting == Digesting::Off;
    // An engine that is named is wanted.
    is_unseen
        && run.job.engine == Choice::Auto
        // A simulated device is asked about each operation.
        && pair.target.edge.simulated.is_none()
        && pair.source.known_length().is_some()
        && are_local(run, pair)
}

/// Whether both ends are on file systems that are known well.
fn are_local(run: &Run<'_>, pair: &Pair) -> bool {
    let is_local = |edge: &Edge, device: (u32, u32)| {
        let kind = run.file_systems.kind_of(edge.file.as_fd(), device);
        matches!(kind, Some(FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Btrfs | FileSystem::Tmpfs))
    };
    is_local(&pair.source.edge, pair.source.stat.device) && is_local(&pair.target.edge, pair.target.device)
}

/// How far the size that a target shows may be ahead of what is complete. Measured: 512 MiB took
/// 0.31 s where every write extends the file, 0.173 s in these steps.
const SIZE_STEP: u64 = 16 << 20;

pub(in crate::copy) fn shape(
    run: &Run<'_>,
    engine: &Engine,
    pair: &Pair,
    sides: (Side, Side),
    length: Length,
) -> Shape {
    let options = run.options;
    let (source, target) = (&pair.source, &pair.target);
    let is_file = target.is_file();
    Shape {
        block_bytes: engine.arena().block_bytes(),
        slots: engine.arena().buffers(),
        marks: run.marks,
        source: sides.0,
        target: sides.1,
        length,
        sparse: source.edge.has_holes || target.edge.preallocate,
        holes: if is_file && options.sparse != Sparse::Never { Holes::Skip } else { Holes::Zeros },
        find_zeros: is_file && options.sparse == Sparse::Always,
        fill_blocks: target.edge.base.is_some(),
        filled_by_caller: false,
        visibility: match is_file {
            true if target.edge.preallocate => Visibility::Ahead { step: SIZE_STEP },
            true => Visibility::ByWrites,
            false => Visibility::Fixed,
        },
        digesting: match run.evidence.is_some() || pair.tracked.is_some() {
            true => Digesting::BesideWrite,
            false => Digesting::Off,
        },
        limit_bytes_per_s: run.job.limit_bytes_per_s,
        patience: patience(run, pair, sides.0),
    }
}

/// Through the page cache a sector that can't be read takes the whole page with it.
const PAGE_BYTES: u32 = 4096;

fn patience(run: &Run<'_>, pair: &Pair, source: Side) -> Patience {
    let unit = if pair.source.edge.direct.is_some() { source.align } else { PAGE_BYTES };
    Patience {
        retries: run.options.retries,
        waits_for_room: run.options.waits_for_room,
        zero_fill: (run.options.on_error == OnError::ZeroFill).then_some(unit),
    }
}
