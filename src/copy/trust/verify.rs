//! `--verify`: what was copied is read back and compared, unit by unit, with what was read from the
//! source.
//!
//! After everything is copied and synced: what a disk has lost or put elsewhere shows only then. Not
//! from this kernel's page cache, which holds what was meant to be written, but from the device.
//! Through rings like the copy's, under the same marks; only nothing is written.

mod compare;
mod reach;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::digest::UNIT_BYTES;
use crate::engine::{Choice, Edge, End, Engine, Flow, Ledger, Origin, post};
use crate::error::{Cause, Error, Op, errno_of};
use crate::flow::{Digesting, Holes, Length, Patience, Pump, Reason, Shape, Side, Visibility};
use crate::sys;

use crate::copy::events::Warning;
use crate::copy::tree::directory::Place;
use crate::copy::trust::evidence::{Evidence, Item};
use crate::copy::work::engines::Engines;
use crate::copy::work::run::{Run, begin};

use compare::Comparison;

/// Reads back all that the run has copied; operands went to `base`. Failures are told here. Stopped
/// by the run's cancel.
pub(in crate::copy) fn verify(run: &Run<'_>, base: &Place) {
    let Some(evidence) = run.evidence.as_ref().filter(|evidence| evidence.verify) else { return };
    let (files, bytes) = evidence.sum();
    run.meter.begin_verify(files, bytes);
    let ledger = Ledger::new(run.marks, run.meter, None);
    let pass = Pass { run, evidence, base, ledger, told: Mutex::default() };
    thread::scope(|scope| {
        for number in 1..files.min(run.workers as u64) {
            // Without this one the others do its work.
            if begin(scope, format!("verify-{number}"), || pass.work()).is_err() {
                break;
            }
        }
        pass.work();
    });
    pass.ledger.finish();
}

/// What the threads of a pass share.
struct Pass<'a> {
    run: &'a Run<'a>,
    evidence: &'a Evidence,
    base: &'a Place,
    ledger: Arc<Ledger>,
    /// the file systems of which was told that they are not read from a device
    told: Mutex<HashSet<(u32, u32)>>,
}

/// A copy that is open to be read.
struct Copy<'i> {
    item: &'i Item,
    edge: Edge,
    side: Side,
}

/// Why reading stopped before its end.
enum Stopped {
    Cancelled,
    /// the copy can't be read at this offset
    Unreadable(u64, Cause),
    /// nothing can be read, for a reason that is none of the copy's
    Failed(Error),
}

/// After so many places of a file that can't be read, the rest of it is given up.
const MOST_UNREADABLE: usize = 64;
/// In a tree, a file that is no longer is not worth a ring.
const BY_CALLS_BYTES: u64 = 1 << 20;

impl Pass<'_> {
    fn work(&self) {
        self.run.meter.open_post();
        let mut engines = Engines::uncounted();
        while !self.run.should_stop() {
            match self.evidence.next() {
                Ok(Some(item)) => self.verify(&mut engines, &item),
                Ok(None) => return,
                Err(error) => return self.lost(&error),
            }
        }
    }

    fn verify(&self, engines: &mut Engines, item: &Item) {
        // What is read now is the target.
        post::be_about(Arc::new((item.target.clone(), item.target.clone())));
        let wrong = match self.read_back(engines, item) {
            Ok(Some(wrong)) => wrong,
            // Stopped, or told.
            Ok(None) => return,
            Err(error) => return self.lost(&error),
        };
        self.run.tally.verified(item.length, wrong > 0);
        self.run.meter.add_file();
    }

    /// In how many places the copy is wrong, each of which is told; None where that can't be known.
    /// Fails where what it should be can't be read again.
    fn read_back(&self, engines: &mut Engines, item: &Item) -> io::Result<Option<usize>> {
        let (copy, size) = match self.open(item) {
            Ok(opened) => opened,
            Err(error) if error.op == Op::Verify => {
                self.run.fail(error);
                return Ok(Some(1));
            }
            Err(error) => {
                self.run.fail(error);
                return Ok(None);
            }
        };
        let mut wrong = 0;
        if size != item.length {
            wrong += 1;
            let cause = Cause::OtherLength { is: size, expected: item.length };
            self.run.fail(self.error(item, size.min(item.length), cause));
        }
        // A unit that is cut short has nothing to be compared with.
        let end = if size < item.length { size - size % UNIT_BYTES } else { item.length };
        let mut differs = |range: Range<u64>| {
            let error = self.error(item, range.start, Cause::Differs);
            self.run.fail(error.over(range.end - range.start));
        };
        let mut comparison = Comparison::new(&self.evidence.units, &item.streams, end, &mut differs);
        let mut from = 0;
        while from < end {
            match self.pump(engines, &copy, from..end, &mut comparison) {
                Ok(()) => break,
                Err(Stopped::Cancelled) => return Ok(None),
                Err(Stopped::Failed(error)) => {
                    self.run.fail(error);
                    return Ok(None);
                }
                Err(Stopped::Unreadable(at, cause)) => {
                    from = (at / UNIT_BYTES + 1) * UNIT_BYTES;
                    comparison.go_past(from)?;
                    wrong += 1;
                    self.run.fail(self.error(item, at, cause));
                }
            }
            if wrong >= MOST_UNREADABLE && from < end {
                self.run.fail(self.error(item, from, Cause::Unverifiable));
                return Ok(Some(wrong));
            }
        }
        wrong += comparison.finish()?;
        if copy.edge.direct.is_none() {
            // It is in the page cache for no other reason than that it was read. Advice only.
            let _ = sys::cache::evict(copy.edge.file.as_fd());
        }
        Ok(Some(wrong))
    }

    /// The copy, ready to be read from its device, and its length in bytes.
    fn open<'i>(&self, item: &'i Item) -> Result<(Copy<'i>, u64), Error> {
        let (file, stat) = reach::open(self.base, item, self.run.options)?;
        let mut edge = Edge::of_file(file);
        edge.look_at_file_system();
        edge.simulated = self.run.simulated(|| item.names.join(OsStr::new("/")).into_vec());
        let size = match item.is_device {
            // It may well be longer than what was copied onto it.
            true => item.length,
            false => stat.size,
        };
        edge.has_holes = !item.is_device && stat.allocated_bytes < size;
        let (side, origin) = post::during(Op::Sync, || edge.set_up_reading_back(&stat))
            .map_err(|errno| Error::new(Op::Sync, &item.target, Cause::Errno(errno as i32)))?;
        if origin != Origin::Device
            && self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(stat.device)
        {
            let target = item.target.clone();
            self.run.warn(Warning::NotFromDevice { target, in_memory: origin == Origin::Memory });
        }
        Ok((Copy { item, edge, side }, size))
    }

    /// Reads a range of the copy and has it compared.
    fn pump(
        &self,
        engines: &mut Engines,
        copy: &Copy<'_>,
        range: Range<u64>,
        comparison: &mut Comparison<'_>,
    ) -> Result<(), Stopped> {
        let (run, item) = (self.run, copy.item);
        let by_calls = run.is_tree() && run.job.engine != Choice::Ring && item.length <= BY_CALLS_BYTES;
        let engine = match by_calls {
            true => engines.calls(run),
            false => engines.ring(run, Some(item.length)),
        };
        let engine = engine.map_err(Stopped::Failed)?;
        let from = range.start;
        let pump = Pump::under(self.shape(engine, copy, range.end - from), self.ledger.level());
        let flow = Flow::new(pump, engine.arena(), run.cancel, &self.ledger)
            .digested_by(Box::new(|offset, bytes| comparison.piece(from + offset, bytes)));
        let mut edge = copy.edge.share();
        edge.base = Some(from);
        match by_calls {
            true => engine.run_here(&flow, &edge, &End::Nowhere),
            false => engine.run(&flow, &End::Edge(edge), &End::Nowhere),
        }
        let finished = flow.finish();
        let Some(failure) = finished.failure else {
            return if finished.cancelled { Err(Stopped::Cancelled) } else { Ok(()) };
        };
        let at = from + failure.offset;
        Err(match failure.reason {
            Reason::Read(errno) | Reason::Map(errno) => Stopped::Unreadable(at, Cause::Errno(errno)),
            Reason::Shrank => Stopped::Unreadable(at, Cause::OtherLength { is: at, expected: item.length }),
            Reason::Digest(errno) => Stopped::Failed(Error::new(Op::Setup, "a thread", Cause::Errno(errno))),
            reason => unreachable!("nothing is written: {reason:?}"),
        })
    }

    fn shape(&self, engine: &Engine, copy: &Copy<'_>, length: u64) -> Shape {
        Shape {
            block_bytes: engine.arena().block_bytes(),
            slots: engine.arena().buffers(),
            marks: self.run.marks,
            source: copy.side,
            target: Side::SEEKABLE,
            length: Length::Exact(length),
            sparse: copy.edge.has_holes,
            holes: Holes::Skip,
            find_zeros: false,
            fill_blocks: true,
            filled_by_caller: false,
            visibility: Visibility::Fixed,
            digesting: Digesting::InsteadOfWrite,
            limit_bytes_per_s: self.run.job.limit_bytes_per_s,
            patience: Patience::default(),
        }
    }

    fn error(&self, item: &Item, offset: u64, cause: Cause) -> Error {
        Error::new(Op::Verify, &item.target, cause).with(&item.source).at(offset)
    }

    fn lost(&self, error: &io::Error) {
        let cause = Cause::Errno(errno_of(error));
        self.run.fail(Error::new(Op::Keep, "the checksums", cause).with(sys::spill::directory()));
    }
}
