//! Where outputs go: no two to the same place, and none over what the job itself reads or writes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::args::OutputOptions;
use crate::quote::quote;

/// Refuses what can't be meant. `operands` are the job's own files; `copy` says that standard output
/// takes the copy itself.
pub fn check<'a>(
    output: &OutputOptions,
    operands: impl IntoIterator<Item = &'a Path>,
    copy: bool,
) -> Result<(), String> {
    let copy = copy.then(|| "the copy".to_owned());
    let mut takers = copy.into_iter().chain(output.on_standard_output().map(|option| format!("{option} -")));
    if let (Some(one), Some(other)) = (takers.next(), takers.next()) {
        return Err(format!("standard output can't take both {one} and {other}"));
    }
    let mut taken: Vec<(&str, Place)> = Vec::new();
    for (option, path) in output.on_files() {
        let Some(place) = Place::of(path) else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == place) {
            return Err(format!("{other} and {option} can't both go to {}", quote(path)));
        }
        taken.push((option, place));
    }
    if taken.is_empty() {
        return Ok(());
    }
    for operand in operands {
        let place = Place::of(operand);
        if let Some((option, _)) = taken.iter().find(|(_, taken)| Some(taken) == place.as_ref()) {
            return Err(format!("{option} would write over {}", quote(operand)));
        }
    }
    Ok(())
}

/// What a path leads to.
#[derive(PartialEq, Eq)]
enum Place {
    /// a file or block device that is there, by its file system and inode
    Is(u64, u64),
    /// a name in a directory that is there
    WillBe(u64, u64, OsString),
}

impl Place {
    /// None where several may write at once (a terminal, a pipe, /dev/null), and where nothing can be
    /// made, of which its opening tells.
    fn of(path: &Path) -> Option<Place> {
        if let Ok(found) = fs::metadata(path) {
            let holds_data = found.is_file() || found.file_type().is_block_device();
            return holds_data.then(|| Place::Is(found.dev(), found.ino()));
        }
        let directory = match path.parent()? {
            here if here == Path::new("") => Path::new("."),
            other => other,
        };
        let directory = fs::metadata(directory).ok()?;
        Some(Place::WillBe(directory.dev(), directory.ino(), path.file_name()?.to_owned()))
    }
}
