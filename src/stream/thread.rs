//! The thread behind a stream: an engine that drives one flow, with a caller at one end.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use nix::errno::Errno;

use crate::engine::{Choice, Edge, End, Engine, Flow, Ledger, Meter, Moved, Typed};
use crate::error::{Cause, Error, Op};
use crate::flow::{Digesting, Holes, Length, Patience, Pump, Shape, Side, Visibility};
use crate::sys;
use crate::sys::cancel::Cancel;
use crate::sys::stat::{Kind, Stat};

use super::Options;

/// Which end is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// the caller writes
    In,
    /// the caller reads
    Out,
}

/// A descriptor, and what is known of it.
pub(super) struct Opened {
    pub file: OwnedFd,
    pub stat: Stat,
    /// where to begin; None: wherever the descriptor stands
    pub base: Option<u64>,
    pub path: PathBuf,
}

impl Opened {
    /// Takes what a path led to, from its beginning, or a descriptor as it stands.
    pub fn new(file: OwnedFd, path: &Path, from_start: bool) -> Result<Opened, Error> {
        let failed = |errno: Errno| Error::new(Op::Stat, path, Cause::Errno(errno as i32));
        let stat = sys::stat::of(file.as_fd()).map_err(failed)?;
        let base = (from_start && matches!(stat.kind, Kind::Regular | Kind::Block)).then_some(0);
        Ok(Opened { file, stat, base, path: path.to_owned() })
    }
}

/// Starts the thread. It runs `flow` to its end, makes it durable where `sync` is asked, closes
/// the descriptor, lets go of the flow, and only then tells `done` what went wrong on the way.
pub(super) fn start(
    opened: Opened,
    direction: Direction,
    options: Options,
    done: impl FnOnce(Result<(), Error>) + Send + 'static,
) -> Result<Arc<Flow<'static>>, Error> {
    let refused = |errno| Error::new(Op::Setup, &opened.path, Cause::Errno(errno));
    let typed = Typed {
        block_bytes: options.block_bytes,
        high_water: Some(options.high_water_bytes),
        low_water: options.low_water_bytes,
        buffers: None,
        moved: Moved::Never,
    };
    let size = typed.resolve().map_err(|_| refused(libc::EINVAL))?;
    let cancel = Cancel::new().map_err(|errno| refused(errno as i32))?;
    let (tell, told) = sync_channel(1);
    let path = opened.path.clone();
    let body = move || {
        let engine = match Engine::open(Choice::Auto, size) {
            Ok(engine) => engine,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let marks = size.marks(engine.arena().buffers().into()).expect("the arena is as large as asked for");
        let pump = Pump::new(shape(&engine, marks, &opened, direction));
        let ledger = Ledger::new(marks, &Arc::new(Meter::default()), None);
        let flow = Arc::new(Flow::new(pump, engine.arena(), &cancel, &ledger));
        if tell.send(Ok(Arc::clone(&flow))).is_ok() {
            done(run(&engine, flow, opened, direction, options.sync));
        }
    };
    let spawned = std::thread::Builder::new().name("highwater-stream".into()).spawn(body);
    spawned.map_err(|error| Error::new(Op::Setup, &path, Cause::Errno(crate::error::errno_of(&error))))?;
    told.recv().expect("the thread tells before it ends")
}

fn run(
    engine: &Engine,
    flow: Arc<Flow<'static>>,
    opened: Opened,
    direction: Direction,
    sync: bool,
) -> Result<(), Error> {
    let edge = Edge::new(opened.file, opened.base, &opened.stat);
    let durable = sync && matches!(opened.stat.kind, Kind::Regular | Kind::Block);
    let ends = match direction {
        Direction::In => (End::Caller, End::Edge(edge)),
        Direction::Out => (End::Edge(edge), End::Caller),
    };
    engine.run(&flow, &ends.0, &ends.1);
    let ((End::Edge(edge), _) | (_, End::Edge(edge))) = ends else { unreachable!("one end is a descriptor") };
    let failed = |op| {
        let path = opened.path.clone();
        move |errno| Error::new(op, path, Cause::Errno(errno))
    };
    let result = match failure(&flow, &opened.path) {
        Some(error) => Err(error),
        None if durable => engine.sync(&flow, &edge.file).map_err(failed(Op::Sync)),
        None => Ok(()),
    };
    let closed = edge.close().map_err(|errno| failed(Op::Close)(errno as i32));
    flow.notify();
    result.and(closed)
}

/// What stopped the flow early.
pub(super) fn failure(flow: &Flow<'_>, path: &Path) -> Option<Error> {
    let failure = flow.lock().pump.failure()?;
    Some(crate::engine::error_of(failure, None, path, path))
}

fn shape(engine: &Engine, marks: crate::flow::Marks, opened: &Opened, direction: Direction) -> Shape {
    let own = if opened.base.is_none() { Side::ORDERED } else { Side::SEEKABLE };
    let (source, target) = match direction {
        Direction::In => (Side::ORDERED, own),
        Direction::Out => (own, Side::ORDERED),
    };
    Shape {
        block_bytes: engine.arena().block_bytes(),
        slots: engine.arena().buffers(),
        marks,
        source,
        target,
        length: Length::Unknown,
        sparse: false,
        holes: Holes::Zeros,
        find_zeros: false,
        fill_blocks: false,
        filled_by_caller: direction == Direction::In,
        visibility: Visibility::Fixed,
        digesting: Digesting::Off,
        limit_bytes_per_s: None,
        patience: Patience::default(),
    }
}
