//! What a copy's ends are called.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path, or one of the standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// bytes, as the kernel takes them
    Path(PathBuf),
    /// standard input as a source, standard output as a target: `-`
    Standard,
}

impl Name {
    /// What errors and reports call it.
    pub fn shown(&self) -> &Path {
        match self {
            Name::Path(path) => path,
            Name::Standard => Path::new("-"),
        }
    }
}

/// The directory that holds `path`'s last component, and that component; None where the path
/// can only be a directory (`x/`, `..`).
pub(super) fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return None;
    }
    let name = path.file_name()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some((directory.unwrap_or(Path::new(".")), name))
}
