//! How the content of one file moves: cloned, by a server, in parts, by calls or through the ring.

use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::{End, Finished, Flow, Ledger, error_of, post};
use crate::error::{Cause, Error, Op};
use crate::flow::{Length, Losses, Pump, Side};
use crate::sys;
use crate::sys::stat::Kind;

use crate::copy::content::offload::{self, Stopped};
use crate::copy::content::open::Pair;
use crate::copy::content::parts;
use crate::copy::content::remains::{abandon, forget, give_up, remains, stop};
use crate::copy::content::setup::{goes_by_calls, is_passed, set_up, shape};
use crate::copy::content::source::INTERRUPTED;
use crate::copy::content::target::Step;
use crate::copy::events::{Failed, Left};
use crate::copy::job::Method;
use crate::copy::names::entry::{At, Entry};
use crate::copy::options::{OnError, Reflink, Sparse};
use crate::copy::trust::evidence::Digests;
use crate::copy::trust::resume::{self, Resume, Tracked};
use crate::copy::work::run::Run;
use crate::copy::work::worker::Worker;

/// What a file's content came to.
pub(in crate::copy) enum Content {
    /// all of it is with the target, which is so long, but for what could not be read
    Whole(u64, Losses),
    /// it is large enough for several workers to copy parts of it
    InParts(Side, Side),
}

/// What a file's two ends are called.
pub(in crate::copy) trait Names {
    /// where the target is or will be; None: nowhere
    fn at(&self) -> Option<At<'_>>;
    /// by messages
    fn source(&self) -> PathBuf;
    /// likewise
    fn target(&self) -> PathBuf;
}

impl Names for Entry<'_> {
    fn at(&self) -> Option<At<'_>> {
        Entry::target(self)
    }

    fn source(&self) -> PathBuf {
        self.source_path()
    }

    fn target(&self) -> PathBuf {
        self.target_path()
    }
}

/// Moves the content; in parts only where `may_split`.
pub(in crate::copy) fn transfer(
    worker: &mut Worker<'_>,
    pair: &mut Pair,
    names: &dyn Names,
    may_split: bool,
) -> Result<Content, Box<Failed>> {
    let run = worker.run;
    let demands_clone = run.options.reflink == Reflink::Always;
    if pair.source.is_empty(&run.file_systems) && pair.target.is_file() && !demands_clone {
        let emptied = pair.target.begin(None);
        pair.digested = run.evidence.as_ref().map(|evidence| evidence.of_stream(0).finish(0));
        let told = |(op, cause)| give_up(run, pair, names, Error::new(op, names.target(), cause));
        return emptied.map(|()| Content::Whole(0, Losses::default())).map_err(told);
    }
    match clone_file(run, pair) {
        Ok(Some(size)) => {
            // It took no time, and nobody has seen its bytes.
            forget(run, pair);
            return Ok(Content::Whole(size, Losses::default()));
        }
        Ok(None) => {}
        Err((op, cause)) => {
            let error = Error::new(op, names.target(), cause).with(names.source());
            return Err(give_up(run, pair, names, error));
        }
    }
    let length = pair.source.known_length();
    if let (Some(length), false) = (length, run.is_tree()) {
        run.meter.set_total(length);
    }
    let sides = match set_up(run, pair, names) {
        Ok(sides) => sides,
        Err(error) => return Err(give_up(run, pair, names, error)),
    };
    let is_offered = offload::may_be(run, pair);
    if may_split && !is_offered && parts::are_worthwhile(run, pair, length) {
        return Ok(Content::InParts(sides.0, sides.1));
    }
    let by_calls = goes_by_calls(run, pair, length);
    let engine = match by_calls {
        true => worker.engines.calls(run),
        false => {
            pair.source.edge.look_at_file_system();
            worker.engines.ring(run, length)
        }
    };
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => return Err(give_up(run, pair, names, error)),
    };
    let needed = length.map(|length| match pair.source.edge.has_holes {
        true => length.min(pair.source.stat.allocated_bytes),
        false => length,
    });
    let needed = needed.filter(|_| !run.options.waits_for_room);
    // Nothing but the copy itself can fail from here on: now what is there may go, but for what an
    // earlier run has left.
    let base = pair.tracked.as_ref().map_or(0, |tracked| tracked.base);
    let begun = match base {
        0 => pair.target.begin(needed),
        base => pair.target.set_size(base),
    };
    if let Err((op, cause)) = begun {
        let mut failed = give_up(run, pair, names, Error::new(op, names.target(), cause));
        failed.remains = Some(remains(pair, names, Left::Untouched, 0));
        return Err(failed);
    }
    if is_offered && let Some(size) = offload_file(run, pair, names)? {
        return Ok(Content::Whole(size, Losses::default()));
    }
    pair.goes_through(engine, by_calls);
    let shape = shape(run, engine, pair, sides, behind(pair.source.length, base));
    let is_passed = by_calls && is_passed(run, pair, &shape);
    let (mut from, mut to) = (pair.source.edge.share(), pair.target.edge.share());
    if base > 0 {
        (from.base, to.base) = (Some(base), Some(base));
    }
    let to = End::Edge(to);
    // It was just opened, and nothing has moved it.
    let position = (pair.target.was_created() && !is_offered).then_some(0);
    let mut tracked = pair.tracked.take();
    let mut digests = run.evidence.as_ref().map(|evidence| evidence.of_stream(0));
    if base > 0
        && let Some(digests) = &mut digests
        && let Err((at, errno)) = read_beginning(run, pair, base, digests)
    {
        pair.tracked = tracked;
        let error = Error::new(Op::Verify, names.target(), Cause::Errno(errno)).at(at);
        return Err(stop(run, pair, names, error, base, 0));
    }
    let flow = Flow::new(Pump::under(shape, run.ledger.level()), engine.arena(), run.cancel, &run.ledger);
    let paths = run.is_patient().then(|| (names.source(), names.target()));
    let hears = |hitch| paths.iter().for_each(|(source, target)| run.retry(hitch, source, target, base));
    let flow = flow.hearing(&hears);
    let flow = watched(flow, base, digests.as_mut(), tracked.as_mut().zip(run.resume()), &run.ledger);
    match by_calls {
        true if is_passed => {
            let passed = engine.pass_here(&flow, &from, &to, position);
            pair.may_be_longer = passed.may_be_longer;
            if passed.bytes > 0 {
                pair.explanation.engine = Some("sendfile");
            }
        }
        true => engine.run_here(&flow, &from, &to),
        false => engine.run(&flow, &End::Edge(from), &to),
    }
    let finished = flow.finish();
    pair.tracked = tracked;
    let (size, losses) = settle(run, finished, pair, names, base)?;
    pair.digested = digests.map(|digests| digests.finish(size));
    Ok(Content::Whole(size, losses))
}

/// The flow with all that are to see what goes by, of a file whose first `base` bytes were there.
fn watched<'d>(
    flow: Flow<'d>,
    base: u64,
    digests: Option<&'d mut Digests<'_>>,
    tracked: Option<(&'d mut Tracked, &'d Resume)>,
    ledger: &'d Ledger,
) -> Flow<'d> {
    let mut keeps = digests.map(Digests::digester);
    match tracked.map(|(tracked, resume)| tracked.watch(resume, ledger)) {
        Some((mut tracks, follower)) => {
            let flow = flow.followed_by(follower);
            flow.digested_by(Box::new(move |offset, bytes| {
                keeps.iter_mut().for_each(|keep| keep(base + offset, bytes));
                tracks(offset, bytes);
            }))
        }
        None => match keeps {
            Some(keeps) => flow.digested_by(keeps),
            None => flow,
        },
    }
}

/// The beginning that an earlier run has left hashes to what is there.
fn read_beginning(
    run: &Run<'_>,
    pair: &Pair,
    base: u64,
    digests: &mut Digests<'_>,
) -> Result<(), (u64, i32)> {
    let file = sys::temporary::reopen(pair.target.edge.file.as_fd(), OFlag::O_RDONLY);
    let file = file.map_err(|errno| (0, errno as i32))?;
    resume::read_back(file.as_fd(), base, &mut digests.digester(), &|| run.cancel.is_raised())
}

/// What is left of a source behind its first `base` bytes.
fn behind(length: Length, base: u64) -> Length {
    match length {
        Length::Exact(bytes) => Length::Exact(bytes.saturating_sub(base)),
        Length::Expected(bytes) => Length::Expected(bytes.saturating_sub(base)),
        Length::Unknown => Length::Unknown,
    }
}

/// What a flow that has ended means for the file, of which the first `base` bytes were there: its size
/// and what is lost of it, where all else is with the target.
fn settle(
    run: &Run<'_>,
    finished: Finished,
    pair: &mut Pair,
    names: &dyn Names,
    base: u64,
) -> Result<(u64, Losses), Box<Failed>> {
    let moved = finished.progress.completed_bytes;
    run.tally.bytes(moved);
    run.tally.retries(finished.retries);
    run.used.add(pair.method, moved);
    run.used.add_direct(pair.source.edge.direct.is_some(), pair.target.edge.direct.is_some());
    let completed = base + finished.completed_to;
    let expected = pair.source.known_length();
    let failed = finished
        .failure
        .map(|failure| error_of(failure.behind(base), expected, &names.source(), &names.target()));
    let interrupted = || Error::new(Op::Write, names.target(), Cause::Errno(INTERRUPTED));
    let failed =
        failed.or_else(|| shrank(pair, completed, names)).or_else(|| finished.cancelled.then(interrupted));
    match failed {
        None => Ok((completed, finished.losses)),
        Some(error) => {
            // What is left of the target may have them.
            run.lose(pair, names, finished.losses);
            Err(stop(run, pair, names, error, completed, moved))
        }
    }
}

/// A hole at the end of a file that was cut meanwhile is never read, so its size must tell.
fn shrank(pair: &Pair, completed: u64, names: &dyn Names) -> Option<Error> {
    let Length::Expected(expected) = pair.source.length else { return None };
    if !pair.source.edge.has_holes {
        return None;
    }
    let now = pair.source.size_now().filter(|now| *now < completed)?;
    Some(Error::new(Op::Read, names.source(), Cause::SourceShrank { expected }).at(now))
}

/// Shares the source's blocks, where that was not forbidden; the size of the copy, or None where it
/// can't be done.
fn clone_file(run: &Run<'_>, pair: &mut Pair) -> Step<Option<u64>> {
    let (source, target) = (&pair.source, &pair.target);
    let whole = source.stat.kind == Kind::Regular && source.edge.base == Some(0) && target.is_file();
    let demanded = match run.options.reflink {
        Reflink::Never => {
            pair.explanation.reflink = "no";
            return Ok(None);
        }
        // Holes that are to be made or filled need the bytes in hand, and so does a checksum.
        Reflink::Auto if run.options.sparse != Sparse::Auto || run.evidence.is_some() => {
            pair.explanation.reflink = "no";
            return Ok(None);
        }
        // A clone takes no time, however slow the device that is simulated.
        Reflink::Auto if run.simulator.is_some() => {
            pair.explanation.reflink = "no";
            return Ok(None);
        }
        // A clone would share what can't be read.
        Reflink::Auto if run.options.on_error == OnError::ZeroFill => {
            pair.explanation.reflink = "no";
            return Ok(None);
        }
        Reflink::Auto => false,
        Reflink::Always => true,
    };
    if !whole {
        return if demanded { Err((Op::Clone, Cause::NoClone)) } else { Ok(None) };
    }
    if !demanded && run.clones.are_impossible(source.stat.device, target.device) {
        pair.explanation.reflink = "unsupported";
        return Ok(None);
    }
    let clone = || sys::clone::clone_file(source.edge.file.as_fd(), target.edge.file.as_fd());
    match post::during(Op::Clone, clone) {
        Ok(()) => {
            // A clone has what the source has now, and behind it what a longer file held before.
            let size = source.size_now().unwrap_or(source.stat.size);
            pair.method = Method::Clone;
            pair.explanation.reflink = "yes";
            run.tally.bytes(size);
            run.used.add(Method::Clone, size);
            run.meter.add_bytes(size);
            Ok(Some(size))
        }
        // As cp has it: these say that the target is in trouble, not that it can't clone.
        Err(no @ (Errno::EIO | Errno::ENOMEM | Errno::ENOSPC | Errno::EDQUOT)) => {
            Err((Op::Clone, Cause::Errno(no as i32)))
        }
        Err(no) if demanded => Err((Op::Clone, Cause::Errno(no as i32))),
        Err(no) => {
            if matches!(no, Errno::EOPNOTSUPP | Errno::EXDEV | Errno::ENOTTY) {
                run.clones.remember_impossible(source.stat.device, target.device);
            }
            pair.explanation.reflink = "unsupported";
            Ok(None)
        }
    }
}

/// Has a server copy it; None where that can't be done, and nothing is with the target.
fn offload_file(run: &Run<'_>, pair: &mut Pair, names: &dyn Names) -> Result<Option<u64>, Box<Failed>> {
    offload::copy(run, pair).map_err(|Stopped { op, errno, completed, moved }| {
        let error = Error::new(op, names.target(), Cause::Errno(errno));
        let error = if errno == INTERRUPTED { error } else { error.at(completed) };
        abandon(pair, names, error, completed, moved)
    })
}
