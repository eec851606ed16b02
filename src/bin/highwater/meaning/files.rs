//! What the options of cp mean, and those beyond it that are about files: taken one by one in the
//! order typed, as a later one overrides some of what an earlier one said.

use std::ffi::{OsStr, OsString};

use highwater::copy::{
    Delete, Demand, Dereference, Filter, FilterError, Make, Offload, OnError, Options, Permissions, Reflink,
    Rule, Sparse, Sync, TargetIs, Update,
};

use super::{Environment, backup};
use crate::getopt::Typed;
use crate::program::Usage;

/// The options taken so far.
#[derive(Default)]
pub struct Decoded {
    /// what can be said at once
    pub options: Options,
    dereference: Option<Dereference>,
    /// of `-i` and `-n` the later one
    ask: Option<bool>,
    copy_contents: bool,
    links: [bool; 2],
    mode: Option<bool>,
    /// `--preserve=xattr`: a failure to keep them is one of the copy
    require_xattrs: bool,
    require_context: bool,
    backup: bool,
    control: Option<OsString>,
    suffix: Option<OsString>,
    target_directory: Option<OsString>,
    strip_slashes: bool,
    delete: bool,
    max_delete: Option<u64>,
    on_error_typed: bool,
    rules: Vec<Rule>,
}

/// What all of them ask for.
#[derive(Debug)]
pub struct Asked {
    pub options: Options,
    /// `-t`
    pub target_directory: Option<OsString>,
    /// `--strip-trailing-slashes`
    pub strip_slashes: bool,
}

impl Decoded {
    /// Takes the next option.
    pub fn apply(&mut self, typed: &Typed) -> Result<(), Usage> {
        let value = typed.value.as_deref();
        let word = value.and_then(OsStr::to_str).unwrap_or_default();
        let options = &mut self.options;
        match typed.name.as_str() {
            "archive" => {
                self.dereference = Some(Dereference::Never);
                options.recursive = true;
                options.keep.links = true;
                options.keep.xattrs = options.keep.xattrs.max(Demand::Wanted);
                options.keep.reduce_diagnostics = true;
                self.keep_as_p();
            }
            "atomic" => options.atomic = true,
            "attributes-only" => options.skip_data = true,
            "backup" | "b" => {
                self.backup = true;
                self.control = value.map(OsStr::to_owned).or(self.control.take());
            }
            "context" | "Z" => {}
            "copy-contents" => self.copy_contents = true,
            "d" => {
                options.keep.links = true;
                self.dereference = Some(Dereference::Never);
            }
            "debug" => (options.explain, options.verbose) = (true, true),
            "delete" => self.delete = true,
            "dereference" => self.dereference = Some(Dereference::Always),
            "dry-run" => options.dry_run = true,
            "exclude" | "include" => {
                let include = typed.name == "include";
                self.rules.push(Rule { include, pattern: value.unwrap_or_default().to_owned() });
            }
            "force" => options.force = true,
            "H" => self.dereference = Some(Dereference::Operands),
            "interactive" => self.ask = Some(true),
            "journal" => options.journal = value.map(Into::into),
            "keep-directory-symlink" => options.keep_directory_symlink = true,
            "link" => self.links[0] = true,
            "map" => options.map = value.map(Into::into),
            "max-delete" => self.max_delete = Some(number(word, "--max-delete")?),
            "no-clobber" => self.ask = Some(false),
            "no-dereference" => self.dereference = Some(Dereference::Never),
            "no-preserve" => self.keep(word, false),
            "no-target-directory" => options.target_is = TargetIs::Name,
            "offload" => {
                options.offload = if word == "never" { Offload::Never } else { Offload::Auto };
            }
            "on-error" => {
                options.on_error = match word {
                    "stop" => OnError::Stop,
                    "zero-fill" => OnError::ZeroFill,
                    _ => OnError::Continue,
                };
                self.on_error_typed = true;
            }
            "one-file-system" => options.one_file_system = true,
            "parents" => options.parents = true,
            "preserve" if value.is_some() => {
                self.keep(word, true);
                self.options.keep.require = true;
            }
            "preserve" | "p" => self.keep_as_p(),
            "recursive" => options.recursive = true,
            "reflink" => options.reflink = reflink(word),
            "remove-destination" => options.remove_first = true,
            "gentle" => options.gentle = true,
            "retry" => options.retries = number(word, "--retry")?,
            "retry-full" => options.waits_for_room = true,
            "resume" => options.resume = true,
            "sparse" => options.sparse = sparse(word),
            "strip-trailing-slashes" => self.strip_slashes = true,
            "suffix" => {
                self.backup = true;
                self.suffix = value.map(OsStr::to_owned);
            }
            "symbolic-link" => self.links[1] = true,
            "sync" => options.sync = sync(word),
            "target-directory" if self.target_directory.is_some() => {
                return Err(Usage::bare("multiple target directories specified"));
            }
            "target-directory" => self.target_directory = value.map(OsStr::to_owned),
            "update" | "u" => options.update = update(word),
            "verbose" => options.verbose = true,
            "verify" => options.verify = true,
            other => unreachable!("--{other} is defined and has no meaning"),
        }
        Ok(())
    }

    /// `-p`
    fn keep_as_p(&mut self) {
        self.mode = Some(true);
        self.options.keep.ownership = true;
        self.options.keep.timestamps = true;
        self.options.keep.require = true;
    }

    /// `--preserve=LIST` and `--no-preserve=LIST`
    fn keep(&mut self, list: &str, is_kept: bool) {
        let keep = &mut self.options.keep;
        for attribute in list.split(',') {
            match attribute {
                "mode" => self.mode = Some(is_kept),
                "ownership" => keep.ownership = is_kept,
                "timestamps" => keep.timestamps = is_kept,
                "links" => keep.links = is_kept,
                "context" => self.require_context = is_kept,
                "xattr" => {
                    self.require_xattrs = is_kept;
                    keep.xattrs = if is_kept { Demand::Wanted } else { Demand::No };
                }
                "all" => {
                    self.mode = Some(is_kept);
                    (keep.ownership, keep.timestamps, keep.links) = (is_kept, is_kept, is_kept);
                    keep.xattrs = if is_kept { Demand::Wanted } else { Demand::No };
                }
                other => unreachable!("an attribute is defined and has no meaning: {other}"),
            }
        }
    }

    /// What all of them ask for together. Contradictions are told in the order in which cp does.
    pub fn finish(self, environment: &Environment) -> Result<Asked, Usage> {
        let mut options = self.options;
        if options.reflink == Reflink::Auto && options.sparse == Sparse::Never {
            options.reflink = Reflink::Never;
        }
        options.make = match self.links {
            [true, true] => return Err(Usage::new("cannot make both hard and symbolic links")),
            [true, false] => Make::HardLinks,
            [false, true] => Make::SymbolicLinks,
            [false, false] => Make::Copies,
        };
        options.ask = self.ask == Some(true);
        if self.ask == Some(false) {
            options.update = Update::None;
        }
        if self.backup && matches!(options.update, Update::None | Update::NoneFail) {
            return Err(Usage::new("--backup is mutually exclusive with -n or --update=none-fail"));
        }
        if options.reflink == Reflink::Always && options.sparse != Sparse::Auto {
            return Err(Usage::new("--reflink can be used only with --sparse=auto"));
        }
        if self.backup {
            options.backup = backup::meant(self.control.as_deref(), self.suffix, environment)?;
        }
        options.dereference = self.dereference.unwrap_or(match options.recursive {
            true if options.make != Make::HardLinks => Dereference::Never,
            _ => Dereference::Always,
        });
        options.special_contents = !options.recursive || self.copy_contents;
        options.keep.permissions = match self.mode {
            None => Permissions::Masked,
            Some(true) => Permissions::Keep,
            Some(false) => Permissions::Fresh,
        };
        if self.require_xattrs && options.keep.xattrs != Demand::No {
            options.keep.xattrs = Demand::Required;
        }
        if self.require_context {
            return Err(Usage::bare("cannot preserve security context without an SELinux-enabled kernel"));
        }
        if self.delete && !options.recursive {
            return Err(Usage::new("--delete can be used only with --recursive"));
        }
        if self.delete && options.parents {
            return Err(Usage::new("--delete can't be used with --parents"));
        }
        if self.max_delete.is_some() && !self.delete {
            return Err(Usage::new("--max-delete can be used only with --delete"));
        }
        if self.delete {
            options.delete = Some(Delete { most: self.max_delete });
        }
        if options.map.is_some() {
            if self.on_error_typed && options.on_error != OnError::ZeroFill {
                return Err(Usage::new("--map can be used only with --on-error=zero-fill"));
            }
            options.on_error = OnError::ZeroFill;
            if let Some(other) = not_with_a_map(&options) {
                return Err(Usage::new(format!("--map can't be used with {other}")));
            }
        }
        if self.target_directory.is_some() && options.target_is == TargetIs::Either {
            options.target_is = TargetIs::Directory;
        }
        may_resume(&options)?;
        options.filter = Filter::new(self.rules).map_err(unfit)?;
        Ok(Asked { options, target_directory: self.target_directory, strip_slashes: self.strip_slashes })
    }
}

fn number<N: std::str::FromStr>(word: &str, option: &str) -> Result<N, Usage> {
    word.parse().map_err(|_| Usage::new(format!("invalid number '{word}' for '{option}'")))
}

/// What a copy that was killed has left must not be taken for what was there before it, and what it
/// has moved out of the way not be moved once more.
fn may_resume(options: &Options) -> Result<(), Usage> {
    if options.journal.is_some() && !options.resume {
        return Err(Usage::new("--journal can be used only with --resume"));
    }
    let other = match options {
        _ if !options.resume => return Ok(()),
        Options { update: Update::None | Update::NoneFail | Update::Older, .. } => "-n, -u or --update=older",
        Options { backup: Some(_), .. } => "--backup",
        Options { ask: true, .. } => "--interactive",
        Options { on_error: OnError::ZeroFill, .. } => "--on-error zero-fill, whose --map goes on by itself",
        Options { dry_run: true, .. } => "--dry-run",
        Options { parents: true, .. } => "--parents",
        Options { skip_data: true, .. } => "--attributes-only",
        Options { make: Make::HardLinks | Make::SymbolicLinks, .. } => "--link or --symbolic-link",
        _ => return Ok(()),
    };
    Err(Usage::new(format!("--resume can't be combined with {other}")))
}

fn sparse(word: &str) -> Sparse {
    match word {
        "always" => Sparse::Always,
        "never" => Sparse::Never,
        _ => Sparse::Auto,
    }
}

fn reflink(word: &str) -> Reflink {
    match word {
        "auto" => Reflink::Auto,
        "never" => Reflink::Never,
        _ => Reflink::Always,
    }
}

fn sync(word: &str) -> Sync {
    match word {
        "none" => Sync::None,
        "file" => Sync::File,
        _ => Sync::End,
    }
}

fn update(word: &str) -> Update {
    match word {
        "all" => Update::All,
        "none" => Update::None,
        "none-fail" => Update::NoneFail,
        "changed" => Update::Changed,
        "checksum" => Update::Checksum,
        _ => Update::Older,
    }
}

/// What makes something else of a file than its content in its place.
fn not_with_a_map(options: &Options) -> Option<&'static str> {
    let others = [
        (options.recursive, "--recursive"),
        (options.make != Make::Copies, "--link and --symbolic-link"),
        (options.skip_data, "--attributes-only"),
        (options.backup.is_some(), "--backup"),
        (options.remove_first, "--remove-destination"),
        (options.update != Update::All, "--update"),
        (options.sparse == Sparse::Always, "--sparse=always"),
        (options.reflink == Reflink::Always, "--reflink=always"),
        (options.atomic, "--atomic"),
        (options.verify, "--verify"),
        (options.dry_run, "--dry-run"),
    ];
    others.into_iter().find(|(is_on, _)| *is_on).map(|(_, name)| name)
}

fn unfit(error: FilterError) -> Usage {
    Usage::new(format!("invalid pattern: {error}"))
}
