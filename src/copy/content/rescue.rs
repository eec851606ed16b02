//! A rescue: the copy of one file or device by a map of what is with the target already.
//!
//! What was never tried comes first, then what failed before. The target has its name from the
//! beginning and is kept whatever happens: the map says what of it is right, and never more than is on
//! stable storage.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::engine::{End, Flow, error_of};
use crate::error::{Cause, Error, MapFault, Op, errno_of};
use crate::flow::{Holes, Length, Losses, Pump, Shape, Side, Visibility};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use crate::copy::content::file;
use crate::copy::content::map::{Map, Status};
use crate::copy::content::open::{self, Pair};
use crate::copy::content::remains::remains;
use crate::copy::content::setup;
use crate::copy::content::source::{self, INTERRUPTED, Source};
use crate::copy::content::transfer::Names;
use crate::copy::events::{Failed, Left};
use crate::copy::names::decide::{Decided, Found};
use crate::copy::names::entry::{At, Entry, Next, Stop};
use crate::copy::names::temporary;
use crate::copy::work::run::Run;
use crate::copy::work::worker::Worker;

/// So many bytes are copied at once; then it is known what of them is with the target.
const STRIDE_BYTES: u64 = 64 << 20;
/// No more than so much work is lost where a rescue is killed.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// A range that is not rescued.
struct Todo {
    range: Range<u64>,
    /// what the map says of it
    status: Status,
    /// all before it was read, or is lost
    done_to: u64,
}

struct Rescue<'a> {
    run: &'a Run<'a>,
    map_path: &'a Path,
    map: Map,
    /// the map was there before
    goes_on: bool,
    /// in order
    todo: Vec<Todo>,
    losses: Losses,
    written: u64,
    saved: Instant,
}

/// Copies an entry by the map of the run, which is read, and may be refused, before anything is touched.
pub(in crate::copy) fn copy(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
    map: &Path,
) -> Result<Next, Stop> {
    let run = worker.run;
    let mut rescue = Rescue::prepare(run, entry, decided, map)
        .map_err(|cause| Error::new(Op::Map, map, cause).with(entry.source_path()))?;
    // A map that can't be kept is known before the target is touched.
    rescue.save(Some(rescue.position()))?;
    let mut pair = open::open(worker, entry, decided)?;
    let length = rescue.map.length();
    let failure = match rescue.carry_out(worker, &mut pair, entry) {
        Ok(()) => rescue.settle(&pair, entry, None).err(),
        Err(error) => Some(rescue.settle(&pair, entry, Some(rescue.position())).err().unwrap_or(error)),
    };
    match failure {
        None => file::complete(run, entry, pair, length, rescue.losses).map(|()| Next::Done),
        Some(error) => {
            run.lose(&pair, entry, std::mem::take(&mut rescue.losses));
            let remains = remains(&pair, entry, Left::Mapped, rescue.written);
            Err(Stop::Failed(Box::new(Failed { error, remains: Some(remains) })))
        }
    }
}

impl<'a> Rescue<'a> {
    fn prepare(
        run: &'a Run<'a>,
        entry: &Entry<'_>,
        decided: &Decided,
        map_path: &'a Path,
    ) -> Result<Rescue<'a>, Cause> {
        let length = source_length(run, entry)?.ok_or(Cause::Map(MapFault::NoLength))?;
        let target = match decided.found {
            Found::Something(stat) => target_length(entry.target(), &stat)?,
            Found::Nothing | Found::Loop => 0,
        };
        let old = match File::open(map_path) {
            Ok(file) => Some(Map::read(&mut BufReader::new(file)).map_err(Cause::Map)?),
            Err(error) if errno_of(&error) == libc::ENOENT => None,
            Err(error) => return Err(Cause::Map(MapFault::Errno(errno_of(&error)))),
        };
        let goes_on = old.is_some();
        let map = old.unwrap_or_else(|| Map::of_length(length));
        if map.length() != length {
            return Err(Cause::Map(MapFault::OtherLength { map: map.length(), source: length }));
        }
        let needed = map.rescued_to();
        if needed > target {
            return Err(Cause::Map(MapFault::TargetLacks { needed, target }));
        }
        let open = map.blocks().iter().filter(|block| block.status != Status::Rescued);
        let todo = open.map(|block| {
            let (range, status) = (block.range.clone(), block.status);
            Todo { done_to: range.start, range, status }
        });
        let (todo, losses) = (todo.collect(), Losses::default());
        Ok(Rescue { run, map_path, map, goes_on, todo, losses, written: 0, saved: Instant::now() })
    }

    /// Whatever is not rescued is tried, from the first byte on: first what never was.
    fn carry_out(
        &mut self,
        worker: &mut Worker<'_>,
        pair: &mut Pair,
        entry: &Entry<'_>,
    ) -> Result<(), Error> {
        let run = self.run;
        let told = |(op, cause)| entry.target_error(op, cause);
        let length = self.map.length();
        if pair.source.known_length() != Some(length) {
            return Err(entry.source_error(Op::Open, Cause::Replaced));
        }
        let sides = setup::set_up(run, pair, entry)?;
        // Space that is allocated ahead could be taken for what was written.
        pair.target.edge.preallocate = false;
        if !self.goes_on {
            pair.target.begin(Some(length).filter(|_| !run.options.waits_for_room)).map_err(told)?;
        }
        let tried = self.todo.iter().map(|todo| todo.range.end - todo.range.start).sum::<u64>();
        run.meter.set_total(length);
        run.meter.add_holes(length - tried);
        let is_new = |todo: &Todo| todo.status == Status::NonTried;
        let (first, then): (Vec<usize>, Vec<usize>) =
            (0..self.todo.len()).partition(|nth| is_new(&self.todo[*nth]));
        for nth in first.into_iter().chain(then) {
            while self.todo[nth].done_to < self.todo[nth].range.end {
                self.stride(worker, pair, entry, sides, nth)?;
                if self.saved.elapsed() >= SAVE_EVERY {
                    self.sync(pair).map_err(told)?;
                    self.save(Some(self.position()))?;
                }
            }
        }
        Ok(())
    }

    /// Copies the next piece of a range.
    fn stride(
        &mut self,
        worker: &mut Worker<'_>,
        pair: &mut Pair,
        entry: &Entry<'_>,
        sides: (Side, Side),
        nth: usize,
    ) -> Result<(), Error> {
        let run = self.run;
        let interrupted = || entry.target_error(Op::Write, Cause::Errno(INTERRUPTED));
        if run.cancel.is_raised() {
            return Err(interrupted());
        }
        let from = self.todo[nth].done_to;
        let len = (self.todo[nth].range.end - from).min(STRIDE_BYTES);
        pair.source.edge.look_at_file_system();
        let engine = worker.engines.ring(run, Some(self.map.length().min(STRIDE_BYTES)))?;
        pair.goes_through(engine, false);
        let shape = setup::shape(run, engine, pair, sides, Length::Exact(len));
        let shape = Shape {
            // What an earlier run has left there is not known to be zeros.
            holes: if self.goes_on { Holes::Zeros } else { shape.holes },
            visibility: if pair.target.is_file() { Visibility::ByWrites } else { Visibility::Fixed },
            ..shape
        };
        let (mut source, mut target) = (pair.source.edge.share(), pair.target.edge.share());
        (source.base, target.base) = (Some(from), Some(from));
        let paths = (entry.source_path(), entry.target_path());
        let hears = |hitch| run.retry(hitch, &paths.0, &paths.1, from);
        let pump = Pump::under(shape, run.ledger.level());
        let flow = Flow::new(pump, engine.arena(), run.cancel, &run.ledger).hearing(&hears);
        engine.run(&flow, &End::Edge(source), &End::Edge(target));
        let finished = flow.finish();
        run.tally.bytes(finished.progress.completed_bytes);
        run.tally.retries(finished.retries);
        run.used.add(pair.method, finished.progress.completed_bytes);
        run.used.add_direct(pair.source.edge.direct.is_some(), pair.target.edge.direct.is_some());
        self.written += finished.progress.completed_bytes;
        self.losses.add_all(&finished.losses, from);
        self.todo[nth].done_to = from + finished.completed_to;
        match finished.failure {
            Some(failure) => {
                let mut error = error_of(failure, Some(self.map.length()), &paths.0, &paths.1);
                error.offset = error.offset.map(|offset| offset + from);
                Err(error)
            }
            None if finished.cancelled => Err(interrupted()),
            None => Ok(()),
        }
    }

    /// Where the rescue is to go on, once all of it has been tried at the end.
    fn position(&self) -> u64 {
        let is_open = |todo: &&Todo| todo.done_to < todo.range.end;
        let new = self.todo.iter().filter(is_open).find(|todo| todo.status == Status::NonTried);
        new.or(self.todo.iter().find(is_open)).map_or(self.map.length(), |todo| todo.done_to)
    }

    // ---- the map ----

    /// The target is made durable, and then the map says what it has.
    fn settle(&mut self, pair: &Pair, names: &dyn Names, stopped_at: Option<u64>) -> Result<(), Error> {
        let told = |(op, cause)| Error::new(op, names.target(), cause).with(names.source());
        if stopped_at.is_none() && pair.target.is_file() {
            pair.target.set_size(self.map.length()).map_err(told)?;
        }
        self.sync(pair).map_err(told)?;
        self.save(stopped_at)
    }

    fn sync(&self, pair: &Pair) -> Result<(), (Op, Cause)> {
        self.run.durable.sync_file(&pair.target.edge, &self.run.ledger)
    }

    /// What is rescued now, and what became of the rest.
    fn now(&self) -> Map {
        let mut map = Map::default();
        let mut todo = self.todo.iter();
        let mut losses = self.losses.ranges().peekable();
        for block in self.map.blocks() {
            if block.status == Status::Rescued {
                map.add(block.range.clone(), Status::Rescued);
                continue;
            }
            let Todo { range, status, done_to } = todo.next().expect("whatever is not rescued is to be done");
            while let Some(lost) = losses.next_if(|lost| lost.start < *done_to) {
                // Where there were too many ranges they may reach further than what was tried.
                let (start, end) = (lost.start.max(map.length()), lost.end.min(*done_to));
                map.add(map.length()..start, Status::Rescued);
                map.add(start..end.max(start), Status::Bad);
            }
            map.add(map.length()..(*done_to).max(map.length()), Status::Rescued);
            map.add(map.length()..range.end, *status);
        }
        map
    }

    /// In the place of the old one, at once or not at all.
    fn save(&mut self, stopped_at: Option<u64>) -> Result<(), Error> {
        let written = write(self.map_path, &self.now(), stopped_at);
        self.saved = Instant::now();
        written.map_err(|error| {
            Error::new(Op::Map, self.map_path, Cause::Map(MapFault::Errno(errno_of(&error))))
        })
    }
}

fn write(path: &Path, map: &Map, stopped_at: Option<u64>) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let holder = File::open(directory)?;
    let (file, name) = temporary::create(holder.as_fd(), 0o666)?;
    let (temporary, mut out) = (directory.join(name), BufWriter::new(File::from(file)));
    let written = map
        .write(&mut out, stopped_at)
        .and_then(|()| out.flush())
        .and_then(|()| out.get_ref().sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Why it can't be written matters more than why it can't be removed.
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| holder.sync_all())
}

/// Of what has one.
fn source_length(run: &Run<'_>, entry: &Entry<'_>) -> Result<Option<u64>, Cause> {
    let errno = |errno| Cause::Errno(errno as i32);
    let file =
        source::open(entry.source(), OFlag::O_RDONLY | OFlag::O_NONBLOCK, run.cancel).map_err(errno)?;
    Source::of(file).map(|source| source.known_length()).map_err(errno)
}

fn target_length(at: Option<At<'_>>, stat: &Stat) -> Result<u64, Cause> {
    let errno = |errno| Cause::Errno(errno as i32);
    match (stat.kind, at) {
        (Kind::Regular, _) => Ok(stat.size),
        (Kind::Block, Some(at)) => {
            let file = sys::at::open(at.directory, at.name, OFlag::O_RDONLY, 0).map_err(errno)?;
            sys::device::size_bytes(file.as_fd()).map_err(errno)
        }
        _ => Err(Cause::Map(MapFault::NoPlace)),
    }
}
