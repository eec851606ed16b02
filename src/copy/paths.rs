//! What a copy's ends are called.

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
