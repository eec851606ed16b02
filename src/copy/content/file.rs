//! The content of one file, from opening both ends to the name of the copy.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::post;
use crate::error::{Cause, Error, Op};
use crate::flow::Losses;
use crate::sys;
use crate::sys::stat::Kind;

use crate::copy::content::open::{self, Pair};
use crate::copy::content::parts;
use crate::copy::content::rescue;
use crate::copy::content::source::{self, Source};
use crate::copy::content::target::{Step, Target};
use crate::copy::content::transfer::{self, Content, Names};
use crate::copy::events::{Event, Warning};
use crate::copy::job::Method;
use crate::copy::metadata::{self, Handle, Subject};
use crate::copy::names::decide::Decided;
use crate::copy::names::entry::{At, Entry, Next, Stop};
use crate::copy::options::Sparse;
use crate::copy::paths::Name;
use crate::copy::trust::evidence::{self, Digested, Item};
use crate::copy::trust::resume::{self, Syncs, Tracked};
use crate::copy::work::run::Run;
use crate::copy::work::syncers;
use crate::copy::work::worker::Worker;

/// How long a source is, where it is a regular file.
pub(in crate::copy) fn length_of(name: &Name) -> Option<u64> {
    let Name::Path(path) = name else { return None };
    let stat = sys::stat::at(sys::at::WORKING_DIRECTORY, path.as_os_str(), true).ok()?;
    (stat.kind == Kind::Regular).then_some(stat.size)
}

/// Copies the content of a regular file, or of whatever else is to be copied as one.
pub(in crate::copy) fn copy(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
) -> Result<Next, Stop> {
    let run = worker.run;
    worker.be_about(entry);
    if let Some(map) = &run.options.map {
        return rescue::copy(worker, entry, decided, map);
    }
    let mut pair = open::open(worker, entry, decided)?;
    let moved = match run.options.skip_data {
        true => match pair.target.stat() {
            Ok(stat) => Ok(Content::Whole(stat.size, Losses::default())),
            Err((op, cause)) => return Err(entry.target_error(op, cause).into()),
        },
        // A backup gets its name back after a failure, by who has made it.
        false => transfer::transfer(worker, &mut pair, entry, run.options.backup.is_none()),
    };
    let (size, losses) = match moved {
        Ok(Content::Whole(size, losses)) => (size, losses),
        Ok(Content::InParts(source, target)) => {
            parts::hand_out(worker, entry, pair, (source, target));
            return Ok(Next::Elsewhere);
        }
        Err(failed) => return Err(Stop::Failed(failed)),
    };
    match syncers::offer(run, entry, settle(run, entry, pair, size, losses)) {
        Ok(()) => Ok(Next::Elsewhere),
        Err(settled) => finish(run, entry, settled).map(|()| Next::Done),
    }
}

/// Copies to or from a standard stream.
pub(in crate::copy) fn copy_stream(worker: &mut Worker<'_>, from: &Name, to: &Name) -> Result<(), Error> {
    let run = worker.run;
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    let source = match from {
        Name::Standard => Source::standard_input()?,
        Name::Path(path) => {
            let at = At { directory: sys::at::WORKING_DIRECTORY, name: path.as_os_str() };
            let stat = at.stat(true).map_err(|no| Error::new(Op::Stat, path, errno(no)))?;
            if stat.kind == Kind::Directory {
                return Err(Error::new(Op::Open, path, Cause::NotRecursive));
            }
            let file = source::open(at, OFlag::O_RDONLY, run.cancel);
            let file = file.map_err(|no| Error::new(Op::Open, path, errno(no)))?;
            Source::of(file).map_err(|no| Error::new(Op::Stat, path, errno(no)))?
        }
    };
    let told = |(op, cause): (Op, Cause)| Error::new(op, to.shown(), cause).with(from.shown());
    let (target, at) = match to {
        Name::Standard => (Target::standard_output(&source.stat).map_err(told)?, None),
        Name::Path(path) => {
            let at = At { directory: sys::at::WORKING_DIRECTORY, name: path.as_os_str() };
            (open::stream_target(run, at, &source).map_err(told)?, Some(at))
        }
    };
    let making = metadata::making(&source.stat, run.options);
    let mut pair = Pair::new(run, source, target, None, making);
    pair.target.edge.simulated = run.simulated(Vec::new);
    let names = Streams { from, to, at };
    post::be_about(Arc::new((names.source(), names.target())));
    let moved = transfer::transfer(worker, &mut pair, &names, false);
    let done = match moved {
        Ok(Content::Whole(size, losses)) => {
            let lacks = !losses.is_empty();
            run.lose(&pair, &names, losses);
            let settled = cut(&pair, size, run.options.sparse)
                .and_then(|()| pair.target.inherit())
                .and_then(|()| sync(run, &pair));
            let digested = pair.digested.take();
            let item = || item(&pair.target, size, vec![to.shown().into()], (from.shown(), to.shown()));
            let digested = digested.map(|digested| item().map(|item| (digested, item))).transpose();
            let named = publish(&mut pair, at, size, settled).and_then(|is_new| match (is_new, at) {
                (true, Some(at)) => sync_name(run, &pair, at),
                _ => Ok(()),
            });
            named.map_err(told).and_then(|()| {
                pair.source.leave_after(size).map_err(|no| Error::new(Op::Seek, from.shown(), errno(no)))?;
                pair.target.close().map_err(told)?;
                conclude(run, digested.map_err(told)?, lacks);
                Ok(!lacks)
            })
        }
        Ok(Content::InParts(..)) => unreachable!("a stream has no parts"),
        Err(failed) => {
            run.fail(*failed);
            return Ok(());
        }
    };
    if done? {
        run.count_file();
    }
    Ok(())
}

/// The names of a copy that is no tree's.
struct Streams<'a> {
    from: &'a Name,
    to: &'a Name,
    at: Option<At<'a>>,
}

impl Names for Streams<'_> {
    fn at(&self) -> Option<At<'_>> {
        self.at
    }

    fn source(&self) -> PathBuf {
        self.from.shown().to_owned()
    }

    fn target(&self) -> PathBuf {
        self.to.shown().to_owned()
    }
}

// ---- complete ----

/// A file that has its content and attributes, and is neither durable nor named.
pub(in crate::copy) struct Settled {
    pub pair: Box<Pair>,
    size: u64,
    /// some content could not be read
    lacks: bool,
    /// all attributes that had to be kept are
    kept: bool,
    /// what failed so far
    step: Step<()>,
}

impl Settled {
    /// Whether it is going to wait for the disk.
    pub fn waits(&self) -> bool {
        self.step.is_ok() && self.pair.syncs
    }
}

/// All content that could be had is with the target: its size, attributes, durability and name.
pub(in crate::copy) fn complete(
    run: &Run<'_>,
    entry: &Entry<'_>,
    pair: Box<Pair>,
    size: u64,
    losses: Losses,
) -> Result<(), Stop> {
    finish(run, entry, settle(run, entry, pair, size, losses))
}

/// The first half of it: size and attributes.
fn settle(run: &Run<'_>, entry: &Entry<'_>, pair: Box<Pair>, size: u64, losses: Losses) -> Settled {
    let lacks = !losses.is_empty();
    run.lose(&pair, entry, losses);
    let cut = if run.options.skip_data { Ok(()) } else { cut(&pair, size, run.options.sparse) };
    let step = cut.and_then(|()| pair.target.inherit());
    let kept = step.is_err() || keep_metadata(run, entry, &pair);
    if !pair.syncs && pair.target.edge.direct.is_none() && !run.options.skip_data {
        run.durable.hasten(pair.target.edge.file.as_fd(), pair.target.device, size);
    }
    Settled { pair, size, lacks, kept, step }
}

/// The second half: durability and name.
pub(in crate::copy) fn finish(run: &Run<'_>, entry: &Entry<'_>, settled: Settled) -> Result<(), Stop> {
    let Settled { mut pair, size, lacks, kept, step } = settled;
    let at = entry.target();
    let told = |(op, cause)| entry.target_error(op, cause);
    let step = step.and_then(|()| sync(run, &pair));
    let syncs = pair.tracked.as_ref().map(Tracked::syncs);
    let (recorded, step) = record(run, &mut pair, size, step);
    let is_named = publish(&mut pair, at, size, step).map_err(told)?;
    if let (Some(tracked), Some(resume)) = (recorded, run.resume()) {
        if let Err(failed) = sync_for_record(run, &pair, at) {
            tracked.give_up(resume);
            return Err(told(failed).into());
        }
        tracked.whole(resume, size, false, &run.ledger);
    }
    syncs.map_or(Ok(()), Syncs::settle).map_err(told)?;
    // Its own directory is synced once, when all that is in it has its name.
    if let (true, true, Some(at)) = (is_named, pair.target.is_elsewhere(), at) {
        sync_name(run, &pair, at).map_err(told)?;
    }
    if let Some(from) = pair.source.known_length().filter(|from| *from < size && !run.options.skip_data) {
        run.warn(Warning::Grew { source: entry.source_path(), from, to: size });
    }
    let explanation = pair.explanation;
    let digested = pair.digested.take().map(|digested| {
        let mut names = entry.parent.target_names();
        names.push(entry.target_name.to_owned());
        let item = item(&pair.target, size, names, (&entry.source_path(), &entry.target_path()));
        item.map(|item| (digested, item))
    });
    pair.target.close().map_err(told)?;
    conclude(run, digested.transpose().map_err(told)?, lacks);
    if run.options.explain && !run.options.skip_data {
        run.tell(&Event::Explained(explanation));
    }
    if kept && !lacks {
        run.count_file();
    }
    Ok(())
}

/// What is kept of a file that is complete, but for what it hashed to.
fn item(target: &Target, length: u64, names: Vec<OsString>, shown: (&Path, &Path)) -> Step<Item> {
    let (source, target_path) = (shown.0.to_owned(), shown.1.to_owned());
    let (id, is_device) = (target.stat()?.id(), target.kind == Kind::Block);
    Ok(Item { names, source, target: target_path, id, is_device, length, streams: Vec::new() })
}

fn conclude(run: &Run<'_>, digested: Option<(io::Result<Digested>, Item)>, lacks: bool) {
    if let Some((digested, item)) = digested {
        evidence::conclude(run, digested, item, lacks);
    }
}

/// A file that an earlier run has copied: what it hashes to is kept, where that was asked for.
pub(in crate::copy) fn keep_believed(
    run: &Run<'_>,
    entry: &Entry<'_>,
    file: &OwnedFd,
    length: u64,
) -> Result<(), Error> {
    let Some(evidence) = &run.evidence else { return Ok(()) };
    let mut digests = evidence.of_stream(0);
    let read = resume::read_back(file.as_fd(), length, &mut digests.digester(), &|| run.cancel.is_raised());
    let failed = |op, errno| entry.target_error(op, Cause::Errno(errno));
    read.map_err(|(at, errno)| failed(Op::Verify, errno).at(at))?;
    let stat = sys::stat::of(file.as_fd()).map_err(|errno| failed(Op::Stat, errno as i32))?;
    let mut names = entry.parent.target_names();
    names.push(entry.target_name.to_owned());
    let item = Item {
        names,
        source: entry.source_path(),
        target: entry.target_path(),
        id: stat.id(),
        is_device: stat.kind == Kind::Block,
        length,
        streams: Vec::new(),
    };
    evidence::conclude(run, digests.finish(length), item, false);
    Ok(())
}

/// Tells the journal of content and attributes that are with the target, before it gets its name. Where
/// it has another name by then that it can be found by, it is recorded as whole first; else what is
/// given back is to be told once it has its own.
fn record(run: &Run<'_>, pair: &mut Pair, size: u64, step: Step<()>) -> (Option<Tracked>, Step<()>) {
    let Some((mut tracked, resume)) = pair.tracked.take().zip(run.resume()) else { return (None, step) };
    let syncs = tracked.syncs();
    let step = step.and_then(|()| syncs.are_well());
    let waits = step.is_ok() && tracked.finish(resume, size);
    if step.is_ok() && !waits {
        return (Some(tracked), step);
    }
    let part = match waits {
        true => tracked.whole(resume, size, true, &run.ledger),
        false => tracked.give_up(resume),
    };
    if let Some((directory, name)) = part {
        pair.target.is_called(directory, name);
    }
    // The round that recorded it has synced it once more.
    (None, step.and_then(|()| syncs.are_well()))
}

/// What is recorded as copied must be durable under its name, where a round doesn't see to that.
fn sync_for_record(run: &Run<'_>, pair: &Pair, at: Option<At<'_>>) -> Step<()> {
    let (kind, device) = (pair.target.kind, pair.target.device);
    if kind == Kind::Regular && run.durable.is_synced_whole(device) {
        return Ok(());
    }
    if !pair.syncs {
        run.durable.sync_file(&pair.target.edge, &run.ledger)?;
    }
    match at.filter(|_| kind == Kind::Regular) {
        Some(at) => run.durable.sync_directory_of(pair.target.place(at), &run.ledger),
        None => Ok(()),
    }
}

fn keep_metadata(run: &Run<'_>, entry: &Entry<'_>, pair: &Pair) -> bool {
    let paths = || (entry.source_path(), entry.target_path());
    // A new one may have the owner already that it is to have; nothing else about it is worth asking for.
    let made = (pair.is_new() && run.options.keep.ownership).then(|| pair.target.stat().ok()).flatten();
    let subject = Subject {
        source: Handle::File(pair.source.edge.file.as_fd()),
        target: Handle::File(pair.target.edge.file.as_fd()),
        stat: &pair.source.stat,
        before: pair.before.as_ref(),
        made,
        made_with: pair.making,
        inherits: entry.parent.inherits(entry.places),
        paths: &paths,
    };
    run.keep_metadata(&subject)
}

/// The target gets its true size. What was written from its beginning to its end is as long as that;
/// what ends with a hole, or was allocated ahead, may not be.
fn cut(pair: &Pair, size: u64, sparse: Sparse) -> Step<()> {
    let target = &pair.target;
    let as_written = pair.method == Method::Plain
        && !pair.may_be_longer
        && !target.edge.preallocate
        && !pair.source.edge.has_holes
        && sparse != Sparse::Always
        && pair.source.stat.kind == Kind::Regular;
    if !target.is_file() || as_written {
        return Ok(());
    }
    let now = sys::stat::of(target.edge.file.as_fd()).map_err(|no| (Op::Stat, Cause::Errno(no as i32)))?;
    if now.size == size { Ok(()) } else { target.set_size(size) }
}

fn sync(run: &Run<'_>, pair: &Pair) -> Step<()> {
    if !pair.syncs {
        return Ok(());
    }
    run.meter.begin_sync();
    run.durable.sync_file(&pair.target.edge, &run.ledger)
}

/// The target gets its name, or it goes, where not all that comes before is `settled`. Whether it is a
/// new name.
fn publish(pair: &mut Pair, at: Option<At<'_>>, size: u64, settled: Step<()>) -> Step<bool> {
    if let Err(failed) = settled {
        pair.target.abandon(at, size)?;
        return Err(failed);
    }
    let Some(at) = at else { return Ok(false) };
    post::during(Op::Publish, || pair.target.publish(at))
}

/// Makes the name last that the target got.
fn sync_name(run: &Run<'_>, pair: &Pair, at: At<'_>) -> Step<()> {
    match pair.syncs {
        true => run.durable.sync_directory_of(pair.target.place(at), &run.ledger),
        false => Ok(()),
    }
}
