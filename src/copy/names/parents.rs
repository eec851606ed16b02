//! `--parents`: the directories between TARGET and a source's full name, made and given the
//! attributes of the source's.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use crate::copy::events::Event;
use crate::copy::metadata::{self, Handle, Making, Subject, inherits};
use crate::copy::names::entry::At;
use crate::copy::names::operands::{Destination, place_of};
use crate::copy::names::same::parent_of;
use crate::copy::options::{Options, Permissions};
use crate::copy::tree::directory::{Operand, Place};
use crate::copy::work::run::Run;

/// Directories that were made or found on the way, to be given their attributes at the end.
#[derive(Default)]
pub(in crate::copy) struct Parents {
    met: Vec<Met>,
    base: Option<Place>,
}

struct Met {
    source: PathBuf,
    /// relative to the base
    name: OsString,
    shown: PathBuf,
    stat: Stat,
    before: Option<Stat>,
    making: Making,
}

impl Parents {
    /// Makes what is missing between TARGET and `source`.
    pub fn make(
        &mut self,
        run: &Run<'_>,
        to: &Destination,
        index: usize,
        source: &Path,
    ) -> Result<(Arc<Operand>, OsString), Error> {
        let bytes = source.as_os_str().as_bytes();
        let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(bytes.len(), |last| last + 1);
        let typed = OsStr::from_bytes(&bytes[..end]);
        let start = bytes.iter().position(|byte| *byte != b'/').unwrap_or(end).min(end);
        let name = OsStr::from_bytes(&bytes[start..end]);
        let name = if name.is_empty() { OsStr::new(".") } else { name };
        let target = joined(&to.base.target_path(), typed);
        let place = place_of(&to.base);
        let mut slash = start;
        while let Some(next) = bytes[slash..end].iter().position(|byte| *byte == b'/') {
            slash += next;
            let above = Path::new(OsStr::from_bytes(&bytes[..slash]));
            let below = OsStr::from_bytes(&bytes[start..slash]);
            self.make_one(run, &place, above, below, joined(&to.base.target_path(), above.as_os_str()))?;
            slash += 1;
        }
        self.base = Some(place);
        let operand = Operand { index, source: source.to_owned(), target, root: OnceLock::new() };
        Ok((Arc::new(operand), name.to_owned()))
    }

    fn make_one(
        &mut self,
        run: &Run<'_>,
        place: &Place,
        source: &Path,
        name: &OsStr,
        shown: PathBuf,
    ) -> Result<(), Error> {
        let options = run.options;
        let errno = |errno: nix::errno::Errno| Cause::Errno(errno as i32);
        let at = At { directory: place.as_fd(), name };
        let found = at.stat(true).ok();
        if found.is_some_and(|found| found.kind != Kind::Directory) {
            return Err(Error::new(Op::MakeParent, shown, Cause::NotDirectory));
        }
        if self.met.iter().any(|met| met.name == name) || found.is_some() && !keeps_anything(options) {
            return Ok(());
        }
        let stat = sys::stat::at(sys::at::WORKING_DIRECTORY, source.as_os_str(), true)
            .map_err(errno)
            .and_then(|stat| match stat.kind {
                Kind::Directory => Ok(stat),
                _ => Err(Cause::Errno(libc::ENOTDIR)),
            })
            .map_err(|cause| Error::new(Op::StatParent, source, cause))?;
        let mut making = metadata::making(&stat, options);
        if found.is_none() {
            if options.keep.permissions == Permissions::Fresh {
                making.mode = 0o777;
            }
            if options.dry_run {
                return Ok(());
            }
            let failed = |no| Error::new(Op::MakeParent, &shown, errno(no));
            sys::at::make_directory(at.directory, name, making.mode).map_err(failed)?;
            run.durable.expect_name_in(parent_of(name));
            if options.verbose {
                run.tell(&Event::MadeParent { source, target: &shown });
            }
            let looked = |no| Error::new(Op::StatParent, &shown, errno(no));
            let made = at.stat(false).map_err(looked)?;
            if made.mode & 0o700 != 0o700 {
                making.restore = Some(made.mode);
                let handle = sys::at::open_handle(at.directory, name).map_err(looked)?;
                let accessible = Handle::Path(handle.as_fd()).set_mode(made.mode | 0o700);
                accessible.map_err(|no| Error::new(Op::OpenMode, &shown, errno(no)))?;
            }
        }
        // Its attributes are to last, too.
        run.durable.expect_name_in(name);
        let name = name.to_owned();
        self.met.push(Met { source: source.to_owned(), name, shown, stat, before: found, making });
        Ok(())
    }

    /// Gives them their attributes, the deepest first.
    pub fn finish(self, run: &Run<'_>) {
        let Some(place) = &self.base else { return };
        for met in self.met.into_iter().rev() {
            if let Err(error) = met.finish(run, place) {
                run.fail(error);
            }
        }
    }
}

impl Met {
    fn finish(self, run: &Run<'_>, place: &Place) -> Result<(), Error> {
        if run.options.dry_run {
            return Ok(());
        }
        let open = |directory, name: &OsStr, shown: &Path| {
            sys::at::open_place(directory, name, true)
                .map_err(|errno| Error::new(Op::Open, shown, Cause::Errno(errno as i32)))
        };
        let source = open(sys::at::WORKING_DIRECTORY, self.source.as_os_str(), &self.source)?;
        let target = open(place.as_fd(), &self.name, &self.shown)?;
        let paths = || (self.source.clone(), self.shown.clone());
        let subject = Subject {
            source: Handle::Path(source.as_fd()),
            target: Handle::Path(target.as_fd()),
            stat: &self.stat,
            before: self.before.as_ref(),
            made: None,
            made_with: self.making,
            inherits: inherits(Handle::Path(target.as_fd())),
            paths: &paths,
        };
        run.keep_metadata(&subject);
        Ok(())
    }
}

fn keeps_anything(options: &Options) -> bool {
    options.keep.ownership || options.keep.timestamps || options.keep.permissions == Permissions::Keep
}

/// As text: `d` and `/a/b` are `d/a/b`.
fn joined(directory: &Path, name: &OsStr) -> PathBuf {
    let mut text = directory.as_os_str().to_owned();
    if !text.as_bytes().ends_with(b"/") && !name.as_bytes().starts_with(b"/") {
        text.push("/");
    }
    text.push(name);
    text.into()
}
