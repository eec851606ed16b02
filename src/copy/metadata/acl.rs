//! ACLs and the mode, which are two views of the same permissions: POSIX ACLs as Linux stores
//! them in extended attributes, acl(5), and those of NFSv4 as nfs4_acl(5) does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::error::Op;
use crate::sys::attributes::Handle;
use crate::sys::stat::Kind;

use super::Work;
use super::xattrs::{Class, class};

/// Who may do what with the file.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// What a new file in the directory gets as its ACL.
pub(super) const DEFAULT: &str = "system.posix_acl_default";
const NFS4: &str = "system.nfs4_acl";

/// Whether what is made in `directory` may get an ACL from it. One call for a directory saves one
/// for each file in it.
pub(in super::super) fn inherits(directory: Handle<'_>) -> bool {
    match directory.xattr(OsStr::new(DEFAULT)) {
        Ok(acl) => acl.is_some(),
        Err(errno) => errno != Errno::EOPNOTSUPP,
    }
}

impl Work<'_> {
    /// The source's mode and ACLs.
    pub(super) fn permissions(&mut self, mode: u32, names: &Result<Vec<OsString>, Errno>) {
        let set = match names {
            Ok(names) => self.set_permissions(mode, names),
            Err(errno) => self.set_mode(mode).and(Err(*errno)),
        };
        if let Err(errno) = set {
            self.failed(Op::SetMode, errno, self.options.keep.require);
        }
    }

    fn set_permissions(&mut self, mode: u32, names: &[OsString]) -> Result<(), Errno> {
        let has = |acl: &str| names.iter().any(|name| name == acl);
        // A new file in a directory without default ACL has none to lose.
        if self.subject.before.is_some() || self.subject.inherits {
            if !has(ACCESS) {
                self.remove_acl(ACCESS)?;
            }
            if !has(DEFAULT) && self.subject.made_with.kind == Kind::Directory {
                self.remove_acl(DEFAULT)?;
            }
        }
        // First the mode, which has the set-id bits; then the ACL, which has its other bits too.
        self.set_mode(mode)?;
        let mut first = Ok(());
        for name in names.iter().filter(|name| class(name) == Class::Permissions) {
            first = first.and(self.copy_acl(name));
        }
        first
    }

    fn copy_acl(&self, name: &OsStr) -> Result<(), Errno> {
        let Some(value) = self.subject.source.xattr(name)? else { return Ok(()) };
        match self.subject.target.set_xattr(name, &value) {
            // It says no more than the mode does.
            Err(Errno::EOPNOTSUPP) if is_trivial(name, &value) => Ok(()),
            result => result,
        }
    }

    /// Takes an ACL away that the source does not have, or the directory gave.
    pub(super) fn remove_acl(&mut self, name: &str) -> Result<(), Errno> {
        let name = OsStr::new(name);
        // To look first costs less than to remove what isn't there: that writes the inode.
        match self.subject.target.xattr(name) {
            Ok(None) | Err(Errno::EOPNOTSUPP) => return Ok(()),
            Ok(Some(_)) => {}
            Err(errno) => return Err(errno),
        }
        if name == ACCESS {
            // What was the mask would become the group's permissions.
            let restricted = self.mode()? & 0o700;
            self.set_mode(restricted)?;
        }
        match self.subject.target.remove_xattr(name) {
            Err(Errno::ENODATA) => Ok(()),
            result => result,
        }
    }
}

/// Whether an ACL says no more than a mode can.
fn is_trivial(name: &OsStr, value: &[u8]) -> bool {
    match name.as_bytes() {
        // A version, then one entry of eight bytes each for owner, group and others.
        name if name == ACCESS.as_bytes() => value.len() <= 4 + 3 * 8,
        name if name == NFS4.as_bytes() => nfs4_is_trivial(value).unwrap_or(false),
        _ => false,
    }
}

/// A count of entries, each of type, flags, mask and a name with its length, big-endian and padded
/// to four bytes. None where it is cut off. What gnulib takes for trivial is: plain allowing and
/// denying, at most once each of owner, group and everyone.
fn nfs4_is_trivial(value: &[u8]) -> Option<bool> {
    const GROUP_FLAG: u32 = 0x40;
    fn word(rest: &mut &[u8]) -> Option<u32> {
        let (word, tail) = rest.split_first_chunk::<4>()?;
        *rest = tail;
        Some(u32::from_be_bytes(*word))
    }
    let mut rest = value;
    let mut met = Vec::new();
    for _ in 0..word(&mut rest)? {
        let (kind, flags) = (word(&mut rest)?, word(&mut rest)?);
        let _mask = word(&mut rest)?;
        let length = usize::try_from(word(&mut rest)?).ok()?;
        let who = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..)?;
        let special = matches!(who, b"OWNER@" | b"GROUP@" | b"EVERYONE@");
        if kind > 1 || flags & !GROUP_FLAG != 0 || !special || met.contains(&(kind, who)) {
            return Some(false);
        }
        met.push((kind, who));
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nfs4(entries: &[(u32, u32, &str)]) -> Vec<u8> {
        let mut acl = (entries.len() as u32).to_be_bytes().to_vec();
        for (kind, flags, who) in entries {
            for word in [*kind, *flags, 7, who.len() as u32] {
                acl.extend(word.to_be_bytes());
            }
            acl.extend(who.bytes());
            acl.resize(acl.len().next_multiple_of(4), 0);
        }
        acl
    }

    #[test]
    fn an_nfs4_acl_is_trivial_where_a_mode_says_it_all() {
        let trivial = [(0, 0, "OWNER@"), (1, 0, "OWNER@"), (0, 0x40, "GROUP@"), (0, 0, "EVERYONE@")];
        let cases: [(&[_], _); 5] = [
            (&trivial, Some(true)),
            (&[], Some(true)),
            (&[(0, 0, "eve@example.org")], Some(false)),
            (&[(0, 0, "OWNER@"), (0, 0, "OWNER@")], Some(false)),
            (&[(0, 1, "OWNER@")], Some(false)),
        ];
        for (entries, expected) in cases {
            assert_eq!(nfs4_is_trivial(&nfs4(entries)), expected, "{entries:?}");
        }
        let whole = nfs4(&trivial);
        assert_eq!(nfs4_is_trivial(&whole[..whole.len() - 8]), None);
    }
}
