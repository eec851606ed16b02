//! What is left of a target that can't be completed.

use crate::error::Error;

use crate::copy::content::open::Pair;
use crate::copy::content::transfer::Names;
use crate::copy::events::{Failed, Left, Remains};
use crate::copy::work::run::Run;

/// What is told of it; `written` bytes went there.
pub(in crate::copy) fn remains(pair: &Pair, names: &dyn Names, left: Left, written: u64) -> Remains {
    Remains { target: names.target(), left, written, total: pair.source.known_length() }
}

/// A target that was opened and not written to is left as it was.
pub(in crate::copy) fn give_up(
    run: &Run<'_>,
    pair: &mut Pair,
    names: &dyn Names,
    error: Error,
) -> Box<Failed> {
    forget(run, pair);
    if pair.target.is_new() {
        // Why it could not be filled matters more than why it can't be removed.
        let _ = pair.target.abandon(names.at(), 0);
    }
    Box::new(error.into())
}

/// A target that was written to is cut to what is right, or goes.
pub(in crate::copy) fn abandon(
    pair: &mut Pair,
    names: &dyn Names,
    error: Error,
    completed: u64,
    written: u64,
) -> Box<Failed> {
    match pair.target.abandon(names.at(), completed) {
        Ok(left) => Box::new(Failed { error, remains: Some(remains(pair, names, left, written)) }),
        Err((op, cause)) => Box::new(Error::new(op, names.target(), cause).into()),
    }
}

/// A target that can't be completed now: what the journal has of a new one is kept, for another run.
pub(in crate::copy) fn stop(
    run: &Run<'_>,
    pair: &mut Pair,
    names: &dyn Names,
    error: Error,
    completed: u64,
    written: u64,
) -> Box<Failed> {
    let Some((resume, tracked)) = run.resume().zip(pair.tracked.take()) else {
        return abandon(pair, names, error, completed, written);
    };
    let (recorded, part) = tracked.suspend(resume);
    match (recorded, part) {
        (Some(recorded), Some(_)) => {
            let remains = remains(pair, names, Left::Part(recorded), written);
            Box::new(Failed { error, remains: Some(remains) })
        }
        (_, part) => {
            if let Some((directory, name)) = part {
                pair.target.is_called(directory, name);
            }
            abandon(pair, names, error, completed, written)
        }
    }
}

/// Nothing is said of it in the journal.
pub(super) fn forget(run: &Run<'_>, pair: &mut Pair) {
    if let Some((tracked, resume)) = pair.tracked.take().zip(run.resume())
        && let Some((directory, name)) = tracked.give_up(resume)
    {
        pair.target.is_called(directory, name);
    }
}
