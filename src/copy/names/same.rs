//! Whether source and target are one file in a way that copying would harm.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::sys::stat::{Id, Kind, Stat};

use crate::copy::names::entry::{At, Entry};
use crate::copy::options::{Dereference, Make, Options};

/// What comparing them came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::copy) enum Same {
    /// copying does no harm
    No,
    /// they are what they should be already
    Settled,
    /// it would destroy the source
    Yes,
}

/// Compares as GNU cp does (same_file_ok in its copy.c): two names of one file are no harm where
/// the target is going to be another file first.
pub(in crate::copy) fn compare(entry: &Entry<'_>, source: &Stat, target: &Stat, options: &Options) -> Same {
    let Some(at) = entry.target() else { return Same::No };
    let same = source.id() == target.id();
    let links = options.make == Make::HardLinks;
    let never = options.dereference == Dereference::Never;
    let is_link = |stat: &Stat| stat.kind == Kind::Symlink;
    let one_name = || is_one_name(entry.source(), at);
    let answer = |harms| if harms { Same::Yes } else { Same::No };
    if same && links {
        return Same::Settled;
    }
    let (source_link, target_link) = match never {
        true if is_link(source) && is_link(target) => {
            let one = one_name();
            return match one {
                false if options.backup.is_none() && same => Same::Settled,
                one => answer(one),
            };
        }
        true => (*source, *target),
        false if !same => return Same::No,
        false => match (entry.source().stat(false), at.stat(false)) {
            (Ok(source), Ok(target)) if is_link(&source) && is_link(&target) && options.remove_first => {
                return Same::No;
            }
            (Ok(source), Ok(target)) => (source, target),
            _ => return Same::No,
        },
    };
    let same_link = source_link.id() == target_link.id();
    if options.backup.is_some() {
        return match same_link {
            false => answer(!never && is_link(&source_link) && !is_link(&target_link)),
            true => answer(one_name()),
        };
    }
    if options.remove_first && (is_link(&target_link) || same_link && target_link.links > 1 && !one_name()) {
        return Same::No;
    }
    if !is_link(&source_link) && !is_link(&target_link) {
        if !same_link {
            return Same::No;
        }
        if links {
            return Same::Settled;
        }
    }
    if options.make == Make::SymbolicLinks && is_link(&target_link) {
        return Same::No;
    }
    if never {
        let followed = |at: At<'_>, stat: Stat| if is_link(&stat) { at.stat(true).ok() } else { Some(stat) };
        match (followed(entry.source(), source_link), followed(at, target_link)) {
            (Some(source), Some(target)) if source.id() == target.id() => {}
            _ => return Same::No,
        }
        if links {
            return if is_link(&target_link) { Same::No } else { Same::Settled };
        }
    }
    Same::Yes
}

/// Whether both are the same name in the same directory.
pub(super) fn is_one_name(one: At<'_>, other: At<'_>) -> bool {
    let last = |at: At<'_>| last_component(at.name).to_owned();
    last(one) == last(other) && directory_of(one).is_some_and(|id| Some(id) == directory_of(other))
}

/// Of the directory that the name is in.
fn directory_of(at: At<'_>) -> Option<Id> {
    let parent = parent_of(at.name);
    crate::sys::stat::at(at.directory, parent, true).ok().map(|stat| stat.id())
}

/// What is before the last component; `.` where there is nothing.
pub(in crate::copy) fn parent_of(name: &OsStr) -> &OsStr {
    let bytes = trim_slashes(name.as_bytes());
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(0) => OsStr::new("/"),
        Some(slash) => OsStr::from_bytes(&bytes[..slash]),
        None => OsStr::new("."),
    }
}

/// The last component, without slashes behind it; the whole of a path that has only slashes.
pub(in crate::copy) fn last_component(name: &OsStr) -> &OsStr {
    let bytes = trim_slashes(name.as_bytes());
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    OsStr::from_bytes(&bytes[start..])
}

/// The path of `name` in the directory that `path` is in.
pub(in crate::copy) fn beside(path: &OsStr, name: &OsStr) -> OsString {
    let bytes = trim_slashes(path.as_bytes());
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let mut whole = OsStr::from_bytes(&bytes[..start]).to_owned();
    whole.push(name);
    whole
}

fn trim_slashes(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_as_the_kernel_reads_them() {
        let check = |path: &str, parent: &str, last: &str| {
            assert_eq!(parent_of(OsStr::new(path)), parent, "{path}");
            assert_eq!(last_component(OsStr::new(path)), last, "{path}");
        };
        check("a", ".", "a");
        check("a/b//", "a", "b");
        check("/a", "/", "a");
        check("a/..", "a", "..");
        check("/", ".", "");
        check(".", ".", ".");
        assert_eq!(beside(OsStr::new("x/y/"), OsStr::new("z")), "x/z");
        assert_eq!(beside(OsStr::new("y"), OsStr::new("z")), "z");
        assert_eq!(beside(OsStr::new("/y"), OsStr::new("z")), "/z");
    }
}
