//! `--delete`: what the source lacks goes from the target, after all was copied.
//!
//! Two passes. The first reads everything and removes nothing: a source that can't be read vetoes
//! the second, and so does more to remove than may be. What the filter leaves out of the copy is
//! left alone in the target too, and with it the directories that hold it.
//!
//! No symbolic link of the target is followed and no mount point crossed. A tree may be deeper
//! than there are descriptors: far up directories are closed, and found again through `..`, where
//! it is known which one has to be there.

mod level;
mod walk;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys::at;
use crate::sys::cancel::Cancel;
use crate::sys::directory::Entries;
use crate::sys::stat::{self, Id, Kind};

use crate::copy::content::target::Step;
use crate::copy::events::Witness;
use crate::copy::options::Options;
use crate::copy::paths::Name;
use crate::copy::tree::directory::Operand;
use walk::{Pass, Walk};

/// Two directories, open for reading, of which the second is a copy of the first.
pub(in crate::copy) struct Pair {
    /// from
    pub source: OwnedFd,
    /// to; several pairs may have the same one, or one inside another's: what is in any of their
    /// sources stays
    pub target: OwnedFd,
    /// what errors call it
    pub source_path: PathBuf,
    /// what events and errors call it
    pub target_path: PathBuf,
}

impl Pair {
    /// Both sides of an operand that is a directory; None where there is no target, as nothing was
    /// to be touched.
    pub fn of(operand: &Operand, options: &Options) -> Result<Option<Pair>, Error> {
        let Some(root) = operand.target_root() else { return Ok(None) };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |errno| Error::new(Op::List, path, Cause::Errno(errno as i32))
        };
        let (source_path, target_path) = (operand.source.clone(), operand.target.clone());
        let follow = options.dereference.follows(true);
        let source = at::open_directory(at::WORKING_DIRECTORY, source_path.as_os_str(), follow);
        let source = source.map_err(failed(&source_path))?;
        let target = at::open_directory(root.as_fd(), OsStr::new("."), false);
        let target = target.map_err(failed(&target_path))?;
        Ok(Some(Pair { source, target, source_path, target_path }))
    }
}

/// `--delete` is about directories: beside a file, what is to go would be anybody's guess.
pub(in crate::copy) fn refuse_files(sources: &[Name], options: &Options) -> Result<(), Error> {
    for name in sources {
        let Name::Path(path) = name else { continue };
        let follow = options.dereference.follows(true);
        match stat::at(at::WORKING_DIRECTORY, path.as_os_str(), follow) {
            Ok(stat) if stat.kind != Kind::Directory => {
                return Err(Error::new(Op::Delete, path, Cause::NotDirectory));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where a walk begins: a target with all the sources that were copied there.
struct Root<'a> {
    pairs: Vec<&'a Pair>,
    target: Id,
}

/// Makes last what was done to a directory, as far as that is not done for all of them at once.
pub(in crate::copy) type Sync<'a> = dyn Fn(BorrowedFd<'_>, Id) -> Step<()> + 'a;

/// Removes from the targets what their sources lack. With `dry_run` it only tells. How many went, or every failure; where the
/// failure is a veto nothing has gone. Once cancelled it removes nothing more.
pub(in crate::copy) fn mirror(
    pairs: Vec<Pair>,
    options: &Options,
    cancel: &Cancel,
    witness: &dyn Witness,
    sync: &Sync<'_>,
) -> Result<u64, Vec<Error>> {
    let roots = roots(&pairs).map_err(|error| vec![error])?;
    let outermost = outermost(&roots).map_err(|error| vec![error])?;
    let mut found = 0;
    let mut vetoes = Vec::new();
    for at in outermost.clone() {
        let (more, errors) = Walk::new(Pass::Count, &roots, options, cancel, witness, sync).run(at);
        found += more;
        vetoes.extend(errors);
        if more > 0 && is_empty(&roots[at])? {
            let pair = roots[at].pairs[0];
            vetoes
                .push(Error::new(Op::Delete, &pair.source_path, Cause::EmptySource).with(&pair.target_path));
        }
    }
    if let Some(most) = options.delete.and_then(|delete| delete.most)
        && found > most
    {
        let target = pairs.first().map(|pair| pair.target_path.clone()).unwrap_or_default();
        vetoes.push(Error::new(Op::Delete, target, Cause::TooManyDeletions { found, most }));
    }
    if !vetoes.is_empty() {
        return Err(vetoes);
    }
    let pass = if options.dry_run { Pass::Tell } else { Pass::Delete };
    let mut removed = 0;
    let mut errors = Vec::new();
    for at in outermost {
        let (more, failures) = Walk::new(pass, &roots, options, cancel, witness, sync).run(at);
        removed += more;
        errors.extend(failures);
    }
    if errors.is_empty() { Ok(removed) } else { Err(errors) }
}

/// The pairs by their targets.
fn roots(pairs: &[Pair]) -> Result<Vec<Root<'_>>, Error> {
    let mut roots: Vec<Root<'_>> = Vec::new();
    for pair in pairs {
        let target = stat::of(pair.target.as_fd())
            .map_err(|errno| Error::new(Op::Stat, &pair.target_path, Cause::Errno(errno as i32)))?
            .id();
        match roots.iter_mut().find(|root| root.target == target) {
            Some(root) => root.pairs.push(pair),
            None => roots.push(Root { pairs: vec![pair], target }),
        }
    }
    Ok(roots)
}

/// Which roots are in no other one: those are met on the way, with the sources that they have in
/// common.
fn outermost(roots: &[Root<'_>]) -> Result<Vec<usize>, Error> {
    let mut outermost = Vec::new();
    for (at, root) in roots.iter().enumerate() {
        let pair = root.pairs[0];
        let error = |errno: Errno| Error::new(Op::Open, &pair.target_path, Cause::Errno(errno as i32));
        if roots.len() == 1 || !is_inside(root, roots).map_err(error)? {
            outermost.push(at);
        }
    }
    Ok(outermost)
}

/// Whether one of `roots` is met on the way up from `root`.
fn is_inside(root: &Root<'_>, roots: &[Root<'_>]) -> Result<bool, Errno> {
    let up = |fd: BorrowedFd<'_>| at::open_place(fd, OsStr::new(".."), false);
    let (mut here, mut place) = (root.target, up(root.pairs[0].target.as_fd())?);
    loop {
        let above = stat::of(place.as_fd())?.id();
        if roots.iter().any(|root| root.target == above && above != here) {
            return Ok(true);
        }
        // Above the highest directory there is itself.
        if above == here {
            return Ok(false);
        }
        (here, place) = (above, up(place.as_fd())?);
    }
}

/// Whether there is nothing at all in a root's sources.
fn is_empty(root: &Root<'_>) -> Result<bool, Vec<Error>> {
    for pair in &root.pairs {
        let mut entries = Entries::new();
        let first = entries.resume(pair.source.as_fd()).and_then(|()| entries.next(pair.source.as_fd()));
        match first {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(false),
            Err(errno) => {
                return Err(vec![Error::new(Op::List, &pair.source_path, Cause::Errno(errno as i32))]);
            }
        }
    }
    Ok(true)
}
