//! Extended attributes: which are copied, and what is said of those that can't be.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use globset::{Glob, GlobMatcher};
use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys::attributes::is_root;
use crate::sys::stat::Kind;

use super::Work;
use crate::copy::options::Demand;

/// What an attribute is, as far as copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// copied with the attributes
    Attribute,
    /// copied with the mode
    Permissions,
    /// not copied
    Skipped,
}

/// Of the attribute `name`: xattr.conf(5), and what belongs to SELinux is left to it.
pub(super) fn class(name: &OsStr) -> Class {
    static RULES: OnceLock<Vec<(GlobMatcher, Class)>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let text = std::fs::read_to_string("/etc/xattr.conf");
        rules(text.as_deref().unwrap_or(DEFAULT))
    });
    match name.as_bytes() {
        b"security.selinux" => Class::Skipped,
        b"system.posix_acl_access" | b"system.posix_acl_default" | b"system.nfs4_acl" => Class::Permissions,
        _ => rules.iter().find(|(glob, _)| glob.is_match(name)).map_or(Class::Attribute, |rule| rule.1),
    }
}

/// Where there is no /etc/xattr.conf: attributes that only mean something where they are.
const DEFAULT: &str = "\
    system.nfs4acl permissions
    trusted.SGI_ACL_* skip
    trusted.SGI_CAP_FILE skip
    trusted.SGI_DMI_* skip
    trusted.SGI_MAC_FILE skip
    security.evm skip
    afs.* skip
";

/// A pattern and what to do a line; `#` begins a comment.
fn rules(text: &str) -> Vec<(GlobMatcher, Class)> {
    let rule = |line: &str| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let (pattern, action) = (words.next()?, words.next()?);
        let class = match action {
            "skip" => Class::Skipped,
            "permissions" => Class::Permissions,
            _ => return None,
        };
        Some((Glob::new(pattern).ok()?.compile_matcher(), class))
    };
    text.lines().filter_map(rule).collect()
}

impl Work<'_> {
    /// All that the source has and that may be copied.
    pub(super) fn xattr_names(&mut self) -> Result<Vec<OsString>, Errno> {
        match self.subject.source.xattrs() {
            Ok(names) => Ok(names.filter(|name| class(name) != Class::Skipped).collect()),
            // There are none at all.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }

    /// Copies those that are no permissions. The mode is given back that the target had where it
    /// had to be made writable for it.
    pub(super) fn xattrs(&mut self, names: &Result<Vec<OsString>, Errno>) -> Option<u32> {
        if self.options.keep.xattrs == Demand::No {
            return None;
        }
        let names = match names {
            Ok(names) => names,
            Err(errno) => {
                self.xattr_failed(*errno, true);
                return None;
            }
        };
        let mut names = names.iter().filter(|name| class(name) == Class::Attribute).peekable();
        names.peek()?;
        let unlocked = self.unlock();
        let mut unsupported = false;
        for name in names {
            let value = match self.subject.source.xattr(name) {
                Ok(Some(value)) => value,
                Ok(None) => continue,
                Err(errno) => {
                    self.xattr_failed(errno, true);
                    continue;
                }
            };
            match self.subject.target.set_xattr(name, &value) {
                Ok(()) => {}
                // Said once for all of them.
                Err(Errno::EOPNOTSUPP) => unsupported = true,
                Err(errno) => self.xattr_failed(errno, false),
            }
        }
        if unsupported {
            self.xattr_failed(Errno::EOPNOTSUPP, false);
        }
        unlocked
    }

    /// Attributes need the right to write, by the mode as it is now and not as it was when the
    /// file was opened: a new file that will be read-only gets it for a while.
    fn unlock(&mut self) -> Option<u32> {
        let making = self.subject.made_with;
        let read_only = making.kind == Kind::Regular && making.mode & 0o200 == 0;
        if self.subject.before.is_some() || !read_only || self.is_link() || is_root() {
            return None;
        }
        let mode = self.mode().ok()?;
        // Where this fails, so will what it is for.
        self.set_mode(mode | 0o200).ok()?;
        Some(mode)
    }

    fn xattr_failed(&mut self, errno: Errno, is_source: bool) {
        let keep = self.options.keep;
        let required = keep.xattrs == Demand::Required;
        let all = self.options.skip_data || required;
        let unsupported = matches!(errno, Errno::EOPNOTSUPP | Errno::ENODATA);
        if all || (!keep.reduce_diagnostics && !unsupported) {
            let (source, target) = (self.subject.paths)();
            let path = if is_source { source } else { target };
            (self.tell)(Error::new(Op::SetXattr, path, Cause::Errno(errno as i32)));
        }
        self.kept &= !required;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_xattr_conf_has_them() {
        let rules = rules("# comment\n\nuser.a*\tskip # why\nuser.b permissions\nuser.c\nuser.d what\n");
        let class = |name: &str| rules.iter().find(|(glob, _)| glob.is_match(name)).map(|rule| rule.1);
        assert_eq!(rules.len(), 2);
        assert_eq!(class("user.a.b/c"), Some(Class::Skipped));
        assert_eq!(class("user.b"), Some(Class::Permissions));
        assert_eq!(class("user.bb"), None);
    }

    #[test]
    fn what_is_not_of_the_file_is_left_out() {
        let of = |name: &str| class(OsStr::new(name));
        assert_eq!(of("security.selinux"), Class::Skipped);
        assert_eq!(of("security.capability"), Class::Attribute);
        assert_eq!(of("user.mime_type"), Class::Attribute);
        assert_eq!(of("system.posix_acl_default"), Class::Permissions);
    }
}
