//! What a file takes over from the one that it replaces, as if that had been written to: owner,
//! extended attributes, ACL and mode. What cp's options say of the source comes on top of it
//! ([`keep`](super::keep)).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::error::{Cause, Op};
use crate::sys::attributes::{Handle, is_root};
use crate::sys::stat::Stat;

use super::acl::ACCESS;
use super::xattrs::{Class, class};

/// What a step failed at.
type Step = Result<(), (Op, Cause)>;

fn failed(op: Op) -> impl Fn(Errno) -> (Op, Cause) {
    move |errno| (op, Cause::Errno(errno as i32))
}

/// The owner and group, before anything is written: who may not give files away learns it then.
pub(in super::super) fn owner(new: Handle<'_>, made: &Stat, old: &Stat) -> Step {
    match (made.owner, made.group) == (old.owner, old.group) {
        true => Ok(()),
        false => new.set_owner(Some(old.owner), Some(old.group)).map_err(failed(Op::SetOwner)),
    }
}

/// All else, in this order: extended attributes, then mode and ACL. To be called once the file has its
/// content, as writing takes some of it away.
pub(in super::super) fn rest(new: Handle<'_>, source: Handle<'_>, old: &Stat) -> Step {
    let mut acl = None;
    match source.xattrs() {
        Ok(names) => {
            for name in names.filter(|name| is_inherited(name)) {
                let value = match source.xattr(&name) {
                    Ok(Some(value)) => value,
                    Ok(None) => continue,
                    Err(errno) => return Err((Op::SetXattr, Cause::Errno(errno as i32))),
                };
                if name == ACCESS {
                    acl = Some(value);
                    continue;
                }
                match new.set_xattr(&name, &value) {
                    // A label is the policy's to give.
                    Err(_) if name.as_bytes().starts_with(b"security.") => {}
                    set => set.map_err(failed(Op::SetXattr))?,
                }
            }
        }
        // There are none at all.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
        Err(errno) => return Err((Op::SetXattr, Cause::Errno(errno as i32))),
    }
    permissions(new, acl.as_deref(), old).map_err(failed(Op::SetMode))
}

/// Writing to a file takes its capabilities, and the signatures of its content no longer hold.
fn is_inherited(name: &OsStr) -> bool {
    match name.as_bytes() {
        b"security.selinux" => true,
        b"security.capability" | b"security.ima" => false,
        name if name.starts_with(b"system.") => name == ACCESS.as_bytes(),
        _ => class(name) != Class::Skipped,
    }
}

fn permissions(new: Handle<'_>, acl: Option<&[u8]>, old: &Stat) -> Result<(), Errno> {
    if acl.is_none() {
        // The directory may have given one.
        match new.remove_xattr(OsStr::new(ACCESS)) {
            Ok(()) | Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(errno) => return Err(errno),
        }
    }
    // Who may not keep them when he writes to a file loses the set-id bits.
    let kept = if is_root() { 0o7777 } else { 0o1777 };
    new.set_mode(old.mode & kept)?;
    match acl {
        Some(acl) => new.set_xattr(OsStr::new(ACCESS), acl),
        None => Ok(()),
    }
}
