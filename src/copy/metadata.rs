//! What a finished copy takes over from its source besides the content: times, owner, extended
//! attributes, ACLs, mode; in this order, as each step can undo what follows it.
//!
//! Knows one file at its two ends; must not know names, trees, or how the content got there.

mod acl;
pub(super) mod inherit;
mod xattrs;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys::attributes::{is_root, umask};
use crate::sys::stat::{Kind, Stat};

use crate::copy::options::{Demand, Options, Permissions};

pub(super) use crate::sys::attributes::Handle;
pub(super) use acl::inherits;

/// All that a copy of one file is about, once its content is there.
pub(super) struct Subject<'a> {
    /// from
    pub source: Handle<'a>,
    /// to; a [`Handle::Link`] where the target is a symbolic link, whatever the source is
    pub target: Handle<'a>,
    /// of the source
    pub stat: &'a Stat,
    /// of the target before the copy; None: this copy made it
    pub before: Option<&'a Stat>,
    /// of the target since this copy made it, where the caller has one: it saves calls
    pub made: Option<&'a Stat>,
    /// how it was made; of no meaning for one that was there before
    pub made_with: Making,
    /// the target's directory has a default ACL ([`inherits`])
    pub inherits: bool,
    /// source and target as errors name them; only called for errors
    pub paths: &'a dyn Fn() -> (PathBuf, PathBuf),
}

/// How a file is made, so that nobody gets at it who may not in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Making {
    /// what is made: a regular file too where a device's content is copied
    pub kind: Kind,
    /// for open, mkdir or mknod, before the umask
    pub mode: u32,
    /// permissions left out of `mode`, which come in the end
    pub omitted: u32,
    /// a directory without u+rwx, which was given that to be filled, had this mode: the caller
    /// says so
    pub restore: Option<u32>,
}

/// How to make the copy of a file that is as `stat` says.
pub(super) fn making(stat: &Stat, options: &Options) -> Making {
    let contents = options.special_contents && !matches!(stat.kind, Kind::Directory | Kind::Symlink);
    let kind = if contents { Kind::Regular } else { stat.kind };
    // Where the owner may change, others wait until it has; of a directory, those who may write
    // wait until its special bits are there.
    let omitted = match kind {
        _ if options.keep.ownership => stat.mode & 0o077,
        Kind::Directory => stat.mode & 0o022,
        _ => 0,
    };
    let asked = if kind == Kind::Regular { stat.mode & 0o777 } else { stat.mode };
    Making { kind, mode: asked & !omitted, omitted, restore: None }
}

/// Gives the target what `options` say of the source, and tells what can't be given. False: among
/// that was something required.
pub(super) fn keep(subject: &Subject<'_>, options: &Options, tell: &mut dyn FnMut(Error)) -> bool {
    let mut work = Work { subject, options, tell, kept: true, current: current(subject) };
    work.times();
    let Ok(owned) = work.owner() else { return false };
    let keeps_mode = options.keep.permissions == Permissions::Keep && !work.is_link();
    let names =
        if keeps_mode || options.keep.xattrs != Demand::No { work.xattr_names() } else { Ok(Vec::new()) };
    let unlocked = work.xattrs(&names);
    if !work.is_link() {
        // Set-id bits meant the source's owner.
        let mode = if owned { subject.stat.mode } else { subject.stat.mode & 0o777 };
        match options.keep.permissions {
            Permissions::Keep => work.permissions(mode, &names),
            Permissions::Fresh if subject.before.is_none() => work.fresh(),
            Permissions::Fresh | Permissions::Masked => work.omitted(unlocked),
        }
    }
    work.kept
}

/// The target's mode, where that is known without asking.
fn current(subject: &Subject<'_>) -> Option<u32> {
    let known = match (subject.before, subject.made_with.restore) {
        // Writing may have taken set-id bits.
        (Some(before), _) => (before.mode & 0o6000 == 0).then_some(before.mode),
        (None, Some(restore)) => Some(restore | 0o700),
        (None, None) => subject.made.map(|made| made.mode),
    };
    known.filter(|_| !matches!(subject.target, Handle::Link(..)))
}

/// A [`keep`] that goes on.
struct Work<'a> {
    subject: &'a Subject<'a>,
    options: &'a Options,
    tell: &'a mut dyn FnMut(Error),
    /// so far
    kept: bool,
    /// the target's mode, where known
    current: Option<u32>,
}

/// Something required failed that the rest depends on.
struct Stop;

impl Work<'_> {
    fn is_link(&self) -> bool {
        matches!(self.subject.target, Handle::Link(..))
    }

    /// Tells that `op` on the target failed, which may be a failure of the copy.
    fn failed(&mut self, op: Op, errno: Errno, required: bool) {
        let (_, target) = (self.subject.paths)();
        (self.tell)(Error::new(op, target, Cause::Errno(errno as i32)));
        self.kept &= !required;
    }

    fn times(&mut self) {
        let stat = self.subject.stat;
        if self.options.keep.timestamps
            && let Err(errno) = self.subject.target.set_times(stat.accessed, stat.modified)
        {
            self.failed(Op::SetTimes, errno, self.options.keep.require);
        }
    }

    /// Whether the target has the source's owner and group, or need not have them.
    fn owner(&mut self) -> Result<bool, Stop> {
        let (subject, require) = (self.subject, self.options.keep.require);
        let stat = subject.stat;
        // A symbolic link that stands for a file is ours (`-s`).
        let stands_for = self.is_link() && !matches!(subject.source, Handle::Link(..));
        let known = subject.before.or(subject.made);
        let same = known.is_some_and(|known| (known.owner, known.group) == (stat.owner, stat.group));
        if !self.options.keep.ownership || stands_for || same {
            return Ok(true);
        }
        if let Err(errno) = self.restrict() {
            if !is_forgivable(errno) {
                self.failed(Op::SetMode, errno, require);
            }
            return if require { self.stop() } else { Ok(false) };
        }
        match subject.target.set_owner(Some(stat.owner), Some(stat.group)) {
            Ok(()) => self.owner_changed(),
            Err(errno) if is_forgivable(errno) && self.is_link() => return Ok(false),
            // Without the owner there may still be the group, or else not.
            Err(errno) if is_forgivable(errno) => {
                if subject.target.set_owner(None, Some(stat.group)).is_ok() {
                    self.owner_changed();
                }
                return Ok(false);
            }
            Err(errno) => {
                self.failed(Op::SetOwner, errno, require);
                return if require { self.stop() } else { Ok(false) };
            }
        }
        Ok(true)
    }

    fn stop(&mut self) -> Result<bool, Stop> {
        self.kept = false;
        Err(Stop)
    }

    /// chown took the set-id bits, of anything but a directory.
    fn owner_changed(&mut self) {
        if self.subject.made_with.kind != Kind::Directory {
            self.current = self.current.filter(|mode| mode & 0o6000 == 0);
        }
    }

    /// A target that was there may allow its old owner and group more than the new ones may be
    /// trusted with: until they are in place it allows what both modes do, and to the owner only.
    fn restrict(&mut self) -> Result<(), Errno> {
        let Some(before) = self.subject.before.filter(|_| !self.is_link()) else { return Ok(()) };
        if self.options.keep.permissions != Permissions::Keep {
            return Ok(());
        }
        let restricted = before.mode & self.subject.stat.mode & 0o700;
        if before.mode == restricted {
            return Ok(());
        }
        // With an ACL these group bits are its mask, so whom it names is shut out as well.
        self.subject.target.set_mode(restricted)?;
        self.current = Some(restricted);
        Ok(())
    }

    /// The mode, asked for where it isn't known.
    fn mode(&mut self) -> Result<u32, Errno> {
        if let Some(mode) = self.current {
            return Ok(mode);
        }
        let mode = self.subject.target.stat()?.mode;
        self.current = Some(mode);
        Ok(mode)
    }

    /// fchmod, where it would change anything.
    fn set_mode(&mut self, mode: u32) -> Result<(), Errno> {
        if self.current == Some(mode) {
            return Ok(());
        }
        self.subject.target.set_mode(mode)?;
        self.current = Some(mode);
        Ok(())
    }

    /// What any new file gets, whatever the source is or the directory bequeaths.
    fn fresh(&mut self) {
        let kind = self.subject.made_with.kind;
        let full = if matches!(kind, Kind::Directory | Kind::Socket) { 0o777 } else { 0o666 };
        let mut set = || {
            let group_is_inherited = if kind == Kind::Directory { self.mode()? & 0o2000 } else { 0 };
            let mode = (full | group_is_inherited) & !umask();
            if self.subject.inherits {
                self.remove_acl(acl::ACCESS)?;
            }
            self.set_mode(mode)
        };
        if let Err(errno) = set() {
            self.failed(Op::SetMode, errno, true);
        }
    }

    /// The permissions that were left out when the target was made, less the umask; `unlocked` is
    /// the mode that a read-only file had before attributes were written.
    fn omitted(&mut self, unlocked: Option<u32>) {
        let making = self.subject.made_with;
        if self.subject.before.is_some() {
            return;
        }
        let lacking = making.omitted & !umask();
        let mut set = || match (making.restore.or(unlocked), making.kind) {
            (Some(mode), _) => self.set_mode(mode | lacking),
            (None, _) if lacking == 0 => Ok(()),
            (None, Kind::Regular) => self.set_mode((making.mode | making.omitted) & !umask()),
            (None, _) => {
                let mode = self.mode()?;
                self.set_mode(mode | lacking)
            }
        };
        if let Err(errno) = set() {
            self.failed(Op::SetMode, errno, self.options.keep.require);
        }
    }
}

/// What a plain user is told of owners is no failure: it is not his to give files away. EACCES is
/// what CIFS says (cp's chown_failure_ok).
fn is_forgivable(errno: Errno) -> bool {
    matches!(errno, Errno::EPERM | Errno::EINVAL | Errno::EACCES) && !is_root()
}
