//! Files that a server copies by itself: no byte crosses the network.
//!
//! Knows which files may be offered and what the answers mean. An answer is believed as far as it
//! goes; where it says nothing useful the target is empty again and the bytes are carried, which
//! tells the truth about whatever it was.
//!
//! The kernel hides a server that can't: NFS, CIFS, Ceph and FUSE then carry the bytes through the
//! page cache, 64 KiB at a time and one after the other, and say that it was done. What a server has
//! copied is not in this machine's page cache; so a first piece whose copy is there was carried, and
//! the ring does that better.

use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::engine::{Choice, Edge, post};
use crate::error::Op;
use crate::latency::Kind as Latency;
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::Kind;

use crate::copy::content::direct::Direct;
use crate::copy::content::open::Pair;
use crate::copy::content::source::INTERRUPTED;
use crate::copy::job::Method;
use crate::copy::options::{Offload, OnError, Sparse};
use crate::copy::work::run::Run;

/// The first piece of a file tells whether a server copies: not much is lost where none does.
const FIRST_BYTES: u64 = 1 << 20;
/// All others: a server's answer is waited for, and between two of them a copy can be stopped and
/// progress be shown. Not measured: at 100 MB/s it is some tenths of a second, thousands of times
/// what a question and its answer take.
const PIECE_BYTES: u64 = 64 << 20;

/// A copy that did not come to its end.
pub(in crate::copy) struct Stopped {
    pub op: Op,
    pub errno: i32,
    /// all before it is right
    pub completed: u64,
    /// of them no holes
    pub moved: u64,
}

/// How far a copy has come.
#[derive(Clone, Copy, Default)]
struct Done {
    completed: u64,
    moved: u64,
}

/// How a copy ended.
enum End {
    Whole,
    /// for this file
    Refused,
    /// between these file systems
    Impossible,
    Failed(Errno),
    Cancelled,
}

/// Whether a file is to be offered to a server.
pub(in crate::copy) fn may_be(run: &Run<'_>, pair: &Pair) -> bool {
    let (options, source, target) = (run.options, &pair.source, &pair.target);
    // An engine that is named is wanted; holes that are to be made or filled need the bytes in hand,
    // and so does a checksum.
    let allowed = options.offload == Offload::Auto
        && options.sparse == Sparse::Auto
        && options.direct != Direct::Always
        && run.job.engine == Choice::Auto
        // A server tells too little of what has failed to try just that again.
        && options.on_error != OnError::ZeroFill
        && options.retries == 0
        && !options.waits_for_room
        && run.evidence.is_none()
        && run.resume().is_none()
        // What is simulated is the way of bytes.
        && run.simulator.is_none()
        && run.job.limit_bytes_per_s.is_none();
    let whole = source.stat.kind == Kind::Regular
        && source.edge.base == Some(0)
        && source.known_length().is_some_and(|length| length > 0)
        && target.is_file()
        && target.edge.base == Some(0);
    if !allowed || !whole {
        return false;
    }
    let (from, to) = (source.stat.device, target.device);
    if run.offloads.are_impossible(from, to) {
        return false;
    }
    let on = |edge: &Edge| sys::space::file_system(edge.file.as_fd()).ok().map(|(on, _)| on);
    let possible = match on(&source.edge) {
        // Two of them never share a server, as far as the kernel knows.
        Some(FileSystem::Fuse) => from == to,
        Some(FileSystem::Nfs | FileSystem::Cifs | FileSystem::Ceph) => {
            from == to || on(&source.edge) == on(&target.edge)
        }
        _ => false,
    };
    if !possible {
        run.offloads.remember_impossible(from, to);
    }
    possible
}

/// Has the server copy everything to a target that is empty; the size of the copy, or None where
/// the bytes must be carried, to a target that is empty still or again.
///
/// Stopped by the run's cancel between two pieces, as ECANCELED.
pub(in crate::copy) fn copy(run: &Run<'_>, pair: &mut Pair) -> Result<Option<u64>, Stopped> {
    let mut done = Done::default();
    let end = copy_pieces(run, pair, &mut done);
    let Done { completed, moved } = done;
    let stopped = |op, errno| Err(Stopped { op, errno, completed, moved });
    match end {
        End::Refused | End::Impossible => {
            pair.explanation.offload = "unsupported";
            if matches!(end, End::Impossible) {
                run.offloads.remember_impossible(pair.source.stat.device, pair.target.device);
            }
            run.meter.take_back(moved, completed - moved);
            if completed > 0
                && let Err(errno) = sys::space::set_size(pair.target.edge.file.as_fd(), 0)
            {
                return stopped(Op::Truncate, errno as i32);
            }
            return Ok(None);
        }
        End::Whole | End::Failed(_) | End::Cancelled => {}
    }
    pair.method = Method::Offload;
    pair.explanation.offload = "yes";
    run.tally.bytes(moved);
    run.used.add(Method::Offload, moved);
    match end {
        End::Failed(errno) => stopped(Op::Write, errno as i32),
        End::Cancelled => stopped(Op::Write, INTERRUPTED),
        _ => Ok(Some(completed)),
    }
}

fn copy_pieces(run: &Run<'_>, pair: &Pair, done: &mut Done) -> End {
    let (source, target) = (&pair.source, &pair.target);
    let expected = source.known_length().expect("what is offered has a length");
    let mut end = expected;
    loop {
        if run.cancel.is_raised() {
            return End::Cancelled;
        }
        if done.completed == end {
            // What was added meanwhile is copied, too.
            match source.size_now() {
                Some(now) if now > end => end = now,
                _ => return End::Whole,
            }
        }
        let (is_data, until) = extent(pair, done.completed, end);
        let len = until - done.completed;
        if !is_data && len > 0 {
            // Nothing is written there: the target is empty, and gets its size in the end.
            done.completed = until;
            run.meter.add_holes(len);
            continue;
        }
        let is_first = done.moved == 0;
        let len = len.min(if is_first { FIRST_BYTES } else { PIECE_BYTES });
        let started = run.ledger.now();
        let (from, to) = (source.edge.file.as_fd(), target.edge.file.as_fd());
        let copy = || sys::offload::copy_range(from, to, done.completed, len);
        match post::during(Op::Write, copy) {
            Ok(0) if done.completed >= expected => return End::Whole,
            // The source was cut, or the server doesn't mean it.
            Ok(0) => return End::Refused,
            Ok(copied) => {
                run.ledger.record_moved(Latency::Write, started, copied);
                run.meter.add_bytes(copied);
                done.completed += copied;
                done.moved += copied;
                if is_first && was_carried(pair, copied) {
                    return End::Impossible;
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => return End::Failed(errno),
            Err(errno) if !is_first => return End::Failed(errno),
            Err(Errno::EXDEV | Errno::EOPNOTSUPP | Errno::ENOSYS) => return End::Impossible,
            Err(_) => return End::Refused,
        }
    }
}

/// Whether data or a hole begins at `at`, and where it ends, `end` at most.
fn extent(pair: &Pair, at: u64, end: u64) -> (bool, u64) {
    let edge = &pair.source.edge;
    match edge.has_holes.then(|| sys::holes::extent_at(edge.file.as_fd(), at)) {
        Some(Ok((is_data, range))) => (is_data, range.end.min(end)),
        _ => (true, end),
    }
}

/// Whether the kernel has written what it says was copied; see the module. Where it can't be told
/// (before Linux 6.5, or a file system that caches nothing), it is taken for the server's work.
fn was_carried(pair: &Pair, copied: u64) -> bool {
    let cached = sys::cache::cached_bytes(pair.target.edge.file.as_fd()).unwrap_or(0);
    // A page at the end may have been looked at.
    cached > 0 && cached * 2 >= copied
}
