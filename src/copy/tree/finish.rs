//! What is done to a directory after all that is in it: its attributes, its durability.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Cause, Error, Op};

use crate::copy::metadata::{self, Handle, Subject};
use crate::copy::tree::directory::{Directory, Place, Places};
use crate::copy::work::run::Run;

/// Gives up a share of `directory`, which `own` are the places of, and finishes it and those above
/// it whose last one that was.
pub(in crate::copy) fn give_up_share(run: &Run<'_>, directory: Arc<Directory>, own: Option<Places>) {
    let (mut directory, mut own, mut below) = (directory, own, None);
    while directory.give_up_share() {
        let Some(within) = &directory.within else { return };
        let places = match (own.take().or_else(|| directory.places()), &below) {
            (Some(places), _) => Ok(places),
            (None, Some(below)) => directory.reopen(below),
            (None, None) => Err(Error::new(Op::Open, directory.target_path(), Cause::Moved)),
        };
        below = match places {
            Ok(places) => {
                finish(run, &directory, &places);
                Some(places)
            }
            Err(error) => {
                run.fail(error);
                None
            }
        };
        directory.close();
        directory = Arc::clone(&within.parent);
    }
}

fn finish(run: &Run<'_>, directory: &Directory, places: &Places) {
    let within = directory.within.as_ref().expect("a base is not finished");
    run.tally.directory();
    let (Some(place), Some(target), false) = (&places.target, &within.target, run.options.dry_run) else {
        return;
    };
    let paths = || -> (PathBuf, PathBuf) { (directory.source_path(), directory.target_path()) };
    let subject = Subject {
        source: handle(&places.source),
        target: handle(place),
        stat: &within.stat,
        before: (!directory.is_new).then_some(target),
        made: directory.is_new.then_some(target),
        made_with: within.making.unwrap_or_else(|| metadata::making(&within.stat, run.options)),
        inherits: within.parent.inherits_or_may(),
        paths: &paths,
    };
    run.keep_metadata(&subject);
    if let Err((op, cause)) = run.durable.directory(place.as_fd(), target.device, &run.ledger) {
        run.fail(Error::new(op, directory.target_path(), cause));
    }
}

fn handle(place: &Place) -> Handle<'_> {
    match place {
        Place::Handle(fd) => Handle::Path(fd.as_fd()),
        place => Handle::File(place.as_fd()),
    }
}
