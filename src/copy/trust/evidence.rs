//! What a run keeps of what it has copied, where that is to be verified or listed: each file's
//! units as BLAKE3 has them, computed on the way from what was read.
//!
//! It grows with what is copied, so it is in a temporary file as soon as it is more than a little.

mod item;
mod units;

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::digest::{Collector, Digest, Root, UNIT_BYTES, Unit, zeros};
use crate::engine::Digester;
use crate::error::{Cause, Error, Op, errno_of};
use crate::sys::cancel::Cancel;
use crate::sys::spill;

use crate::copy::events::{Event, Warning};
use crate::copy::options::Options;
use crate::copy::work::run::Run;

pub(in crate::copy) use item::{Item, Items};
pub(in crate::copy) use units::{Reader, Stream, Units};

use units::Writer;

/// See the module.
pub(in crate::copy) struct Evidence {
    pub verify: bool,
    pub manifest: bool,
    pub units: Units,
    items: Mutex<Items>,
}

impl Evidence {
    /// Where anything is to be kept.
    pub fn new(options: &Options) -> Option<Evidence> {
        let (verify, manifest) = (options.verify, options.manifest);
        let (units, items) = (Units::default(), Mutex::default());
        ((verify || manifest) && !options.dry_run).then_some(Evidence { verify, manifest, units, items })
    }

    /// Of a stream that begins `from` bytes into its file, at a unit.
    pub fn of_stream(&self, from: u64) -> Digests<'_> {
        let (collector, writer) = (Collector::new(from), Writer::default());
        Digests { evidence: self, from, collector, writer, alone: None, failed: None }
    }

    /// The hash of a file of `length` bytes; None where the run is cancelled before it is known,
    /// which takes a while only for the holes of a file.
    pub fn hash(&self, of: &Digested, length: u64, cancel: &Cancel) -> io::Result<Option<Digest>> {
        if let (Some(alone), true) = (of.alone, length <= UNIT_BYTES) {
            return Ok(Some(alone));
        }
        let mut root = Root::default();
        let mut reader = Reader::new(&self.units, of.streams.clone());
        while root.units() * UNIT_BYTES < length {
            if root.units().is_multiple_of(1024) && cancel.is_raised() {
                return Ok(None);
            }
            let index = root.units();
            let unit = match reader.peek()? {
                Some((at, digest)) if at == index => {
                    reader.advance();
                    Unit { index, digest, alone: None }
                }
                _ => zeros(index, (length - index * UNIT_BYTES).min(UNIT_BYTES)),
            };
            root.add(&unit);
        }
        Ok(Some(root.finish()))
    }

    /// The next file to be verified.
    pub fn next(&self) -> io::Result<Option<Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// How many files there are to be verified, and how many bytes.
    pub fn sum(&self) -> (u64, u64) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).sum()
    }
}

/// A file is complete: its hash is told, and it is noted to be verified, where that was asked for.
/// `item` has everything but the streams. One that `lacks` some of its content, where zeros stand now,
/// is verified like any other and never listed. Failures are told here.
pub(in crate::copy) fn conclude(run: &Run<'_>, digested: io::Result<Digested>, mut item: Item, lacks: bool) {
    let Some(evidence) = &run.evidence else { return };
    let concluded = digested.and_then(|digested| {
        if evidence.manifest
            && !lacks
            && let Some(hash) = evidence.hash(&digested, item.length, run.cancel)?
        {
            run.tell(&Event::Hashed { target: &item.target, hash: &hash });
            if item.target.to_str().is_none() {
                run.warn(Warning::Unlistable { target: item.target.clone() });
            }
        }
        item.streams = digested.streams;
        match evidence.verify {
            true => evidence.items.lock().unwrap_or_else(PoisonError::into_inner).add(&item),
            false => Ok(()),
        }
    });
    if let Err(error) = concluded {
        run.fail(lost(&error, &item.target));
    }
}

/// What cannot be kept, as a failure of the file it is about.
fn lost(error: &io::Error, path: &Path) -> Error {
    Error::new(Op::Keep, path, Cause::Errno(errno_of(error))).with(spill::directory())
}

/// What a stream hashes to, as its bytes go by.
pub(in crate::copy) struct Digests<'e> {
    evidence: &'e Evidence,
    /// where in its file the stream begins
    from: u64,
    collector: Collector,
    writer: Writer,
    alone: Option<Digest>,
    failed: Option<io::Error>,
}

/// What a stream has hashed to.
#[derive(Clone, Debug)]
pub(in crate::copy) struct Digested {
    pub streams: Vec<Stream>,
    /// what the file hashes to, should the first unit be all of it
    pub alone: Option<Digest>,
}

impl Digests<'_> {
    /// What is to see the bytes of the stream.
    pub fn digester(&mut self) -> Digester<'_> {
        Box::new(|offset, bytes| {
            let Digests { evidence, from, collector, writer, alone, failed } = self;
            collector.piece(*from + offset, bytes, &mut |unit| keep(evidence, writer, alone, failed, unit));
        })
    }

    /// The stream ends at `end` of the file. Fails where what it hashed to could not be kept.
    pub fn finish(self, end: u64) -> io::Result<Digested> {
        let Digests { evidence, collector, mut writer, mut alone, mut failed, .. } = self;
        collector.finish(end, &mut |unit| keep(evidence, &mut writer, &mut alone, &mut failed, unit));
        match failed {
            Some(error) => Err(error),
            // All that a list needs of a small file is here.
            None if !evidence.verify && end <= UNIT_BYTES => Ok(Digested { streams: Vec::new(), alone }),
            None => Ok(Digested { streams: vec![evidence.units.close(writer)?], alone }),
        }
    }
}

/// What the parts of a file hash to together.
pub(in crate::copy) fn join(parts: Vec<io::Result<Digested>>) -> io::Result<Digested> {
    let mut streams = Vec::new();
    for part in parts {
        streams.extend(part?.streams);
    }
    Ok(Digested { streams, alone: None })
}

fn keep(
    evidence: &Evidence,
    writer: &mut Writer,
    alone: &mut Option<Digest>,
    failed: &mut Option<io::Error>,
    unit: Unit,
) {
    *alone = alone.or(unit.alone);
    if failed.is_none() {
        *failed = evidence.units.push(writer, unit.index, unit.digest).err();
    }
}
