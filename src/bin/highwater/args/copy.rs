//! The options of `highwater copy`, and of cp: their names, help and words. In the order of cp's own
//! table, as the possibilities of an ambiguous name are proposed in that order.

use std::ffi::OsString;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};

use super::{EngineOptions, OutputOptions, SPEC};
use crate::getopt::{Line, Reader, Typed};
use crate::program::{Program, Usage};

const CP: &str = "As cp has them";
const BEYOND: &str = "Beyond cp";

/// `highwater copy` as typed.
#[derive(Debug)]
pub struct Copy {
    /// those of cp and those beyond it, in the order typed
    pub options: Vec<Typed>,
    pub operands: Vec<OsString>,
    pub engine: EngineOptions,
    pub output: OutputOptions,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Request {
    Help,
    Version,
    Copy(Box<Copy>),
}

/// Reads the arguments of `highwater copy`, or of cp.
pub fn read(
    args: impl IntoIterator<Item = OsString>,
    program: Program,
    posixly_correct: bool,
) -> Result<Request, Usage> {
    let reserved = |arg: &Arg, word: Option<&str>| {
        let is_cps = match word {
            None => arg.get_help_heading() == Some(CP),
            Some(word) => !(arg.get_id() == "update" && matches!(word, "changed" | "checksum")),
        };
        program.is_cp() && !is_cps
    };
    let reader = Reader {
        definition: &command(),
        reserved: &reserved,
        operands_last: posixly_correct,
        ends: &["help", "h", "version"],
    };
    let line = reader.read(args)?;
    Ok(match line.options.last().map(|last| last.name.as_str()) {
        Some("help" | "h") => Request::Help,
        Some("version") => Request::Version,
        _ => Request::Copy(Box::new(Copy::try_from(line)?)),
    })
}

impl TryFrom<Line> for Copy {
    type Error = Usage;

    /// Options that belong to every job go through clap, which turns their values into sizes, rates
    /// and so on.
    fn try_from(line: Line) -> Result<Copy, Usage> {
        let shared = shared(Command::new("copy").no_binary_name(true).args_override_self(true));
        let is_shared = |typed: &Typed| shared.get_arguments().any(|arg| arg.get_long() == Some(&typed.name));
        let (shared_ones, options): (Vec<_>, Vec<_>) = line.options.into_iter().partition(is_shared);
        let args = shared_ones.into_iter().map(|typed| {
            let mut arg = OsString::from(format!("--{}", typed.name));
            if let Some(value) = typed.value {
                arg.push("=");
                arg.push(value);
            }
            arg
        });
        let matches = shared.clone().try_get_matches_from(args).map_err(wrong_value)?;
        Ok(Copy {
            options,
            operands: line.operands,
            engine: EngineOptions::from_arg_matches(&matches).map_err(wrong_value)?,
            output: OutputOptions::from_arg_matches(&matches).map_err(wrong_value)?,
        })
    }
}

/// clap's message without its frame: `invalid value 'x' for '--buffers <N>': ...`
fn wrong_value(error: clap::Error) -> Usage {
    let text = error.to_string();
    Usage::new(text.lines().next().unwrap_or_default().trim_start_matches("error: "))
}

fn shared(command: Command) -> Command {
    OutputOptions::augment_args(EngineOptions::augment_args(command))
}

/// The definition that help, completions and manual pages are made from.
pub fn command() -> Command {
    let operands = Arg::new("operands").value_name("SOURCE... TARGET").num_args(0..).hide(true);
    let command = Command::new("copy")
        .override_usage(usage("highwater copy"))
        .disable_help_flag(true)
        .max_term_width(100)
        .arg(operands.value_hint(clap::ValueHint::AnyPath))
        .next_help_heading(CP)
        .args(as_cp_has_them())
        .next_help_heading(BEYOND)
        .args(beyond_cp())
        .next_help_heading(None);
    shared(command)
        .about("Copy files, trees of them, devices and pipes: cp's options mean what they mean to cp")
        .after_help(format!(
            "{NOTES}\n- is standard input or output.\n\n{SPEC}\n\nExamples:\n{EXAMPLES}\n\nExit status: {EXIT_STATUS}"
        ))
        .display_order(0)
}

/// How it is called.
pub fn usage(called: &str) -> String {
    format!(
        "{called} [OPTION]... [-T] SOURCE TARGET
       {called} [OPTION]... SOURCE... DIRECTORY
       {called} [OPTION]... -t DIRECTORY SOURCE..."
    )
}

/// What cp's help ends with, and ours goes on with examples.
pub const NOTES: &str = "\
LIST is comma-separated: mode (ACLs included), ownership, timestamps, links, context, xattr, all.
CONTROL is none or off, simple or never (file~), numbered or t (file.~1~), existing or nil (numbered
where such backups exist, else simple); VERSION_CONTROL and SIMPLE_BACKUP_SUFFIX are heeded.
Long options, and words like always, may be abbreviated.";

/// One for each job, and more.
const EXAMPLES: &str =
    "  highwater copy -a /srv/data /mnt/backup/         a tree with all that belongs to it, durable once
                                                   the prompt is back
  highwater copy -a --update=changed --delete -T /srv/data /mnt/mirror
                                                   only what differs, and what is gone goes
  highwater copy -a --verify --manifest sums photos /mnt/usb/
                                                   read back from the device, with checksums for later
  highwater copy disk.img /srv/backup/             a file
  highwater copy --progress always vm.img new.img  with a progress line in a log, too
  highwater copy image.raw /dev/sdb                onto a device, never past the image's end
  pg_dump db | highwater copy - dump.sql           from a pipe
  highwater copy --limit-rate 20M/s big slow/      leave something for others
  highwater copy --json - --latency a b            what happened, for a program and for you
  highwater copy --html run.html --json run.json disk.img /mnt/usb/
                                                   how long each read and write took, as a page";

/// With which status it leaves.
const EXIT_STATUS: &str =
    "0 done; 1 failed, and the message says where; 2 bad usage; 3 a copy is not what was
written to it (--verify); 128 + n stopped by signal n.";

fn as_cp_has_them() -> Vec<Arg> {
    vec![
        flag("archive", "Same as -dR --preserve=all").short('a'),
        flag("attributes-only", "Copy attributes, no data"),
        optional("backup", "CONTROL", "Keep what is replaced, under another name"),
        letter("b", "Like --backup, without a value"),
        flag("copy-contents", "Copy the contents of devices and FIFOs in trees, too"),
        letter("d", "Same as --no-dereference --preserve=links"),
        flag("debug", "Explain how each file is copied; implies -v"),
        flag("dereference", "Follow every symbolic link of SOURCE").short('L'),
        letter("H", "Follow symbolic links that are operands"),
        flag("force", "Remove a target that can't be opened, and try again").short('f'),
        flag("interactive", "Ask before a file is replaced").short('i'),
        flag("link", "Make hard links, no copies").short('l'),
        flag("no-clobber", "Leave files that exist alone, silently; see --update").short('n'),
        flag("no-dereference", "Follow no symbolic link of SOURCE").short('P'),
        listed("no-preserve", "Attributes not to keep").num_args(1),
        flag("no-target-directory", "TARGET is the copy's own name, a directory or not").short('T'),
        flag("one-file-system", "Stay on SOURCE's file system").short('x'),
        flag("parents", "Use the source's full name below DIRECTORY").alias("path"),
        letter("p", "Same as --preserve=mode,ownership,timestamps"),
        listed(
            "preserve",
            "Attributes to keep: mode, ownership, timestamps, links, xattr, all [without a value: as -p]",
        )
        .num_args(0..=1)
        .require_equals(true),
        flag("recursive", "Copy directories with all that is in them").short('r').visible_short_alias('R'),
        flag("remove-destination", "Remove each existing target before it is opened"),
        words("sparse", "WHEN", "Holes: the source's, or every run of zeros, or none [default: auto]")
            .value_parser(["never", "auto", "always"]),
        words("reflink", "WHEN", "Share blocks with the source, where possible or else fail [default: auto]")
            .num_args(0..=1)
            .require_equals(true)
            .value_parser(["auto", "always", "never"]),
        flag("strip-trailing-slashes", "Remove trailing slashes from each SOURCE"),
        value("suffix", "SUFFIX", "What a backup's name ends in [default: ~]").short('S'),
        flag("symbolic-link", "Make symbolic links, no copies").short('s'),
        value("target-directory", "DIRECTORY", "Copy every SOURCE into DIRECTORY")
            .short('t')
            .value_hint(clap::ValueHint::DirPath),
        optional(
            "update",
            "WHICH",
            "Which existing files are replaced [default: all; without a value: older]",
        )
        .value_parser(["all", "none", "none-fail", "older", "changed", "checksum"]),
        letter("u", "Same as --update=older"),
        flag("verbose", "Tell of each file").short('v'),
        flag("keep-directory-symlink", "Take a symbolic link to a directory in the target for one"),
        letter("Z", "Ignored: highwater sets no SELinux contexts"),
        optional("context", "CONTEXT", "Ignored, with a warning: highwater sets no SELinux contexts"),
        flag("help", "Show this"),
        flag("version", "Show the version"),
    ]
}

fn beyond_cp() -> Vec<Arg> {
    vec![
        words("sync", "WHEN", "Exit status 0 promises: all is on stable storage (end, file), or the kernel has it (none) [default: end]")
            .value_parser(["end", "file", "none"]),
        flag("atomic", "No name shows a partial file: a file that exists is replaced as a whole, by rename"),
        flag("resume", "Keep a journal, and go on with a copy that was killed; to be typed each time, also the first"),
        value("journal", "FILE", "Where the journal of --resume is [default: .NAME.highwater-journal beside TARGET]")
            .value_hint(clap::ValueHint::FilePath),
        value("exclude", "GLOB", "Leave out what matches; of --exclude and --include the first that matches counts"),
        value("include", "GLOB", "Copy what matches, in spite of an --exclude after it"),
        flag("dry-run", "Touch nothing, tell what would be done"),
        flag("delete", "Delete from the target what the source lacks, once all is copied"),
        value("max-delete", "N", "Delete nothing where more than N would go"),
        words("on-error", "WHAT", "After a failure go on with other files, or stop, or go on with the same file, too: what can't be read of it becomes zeros [default: continue]")
            .value_parser(["stop", "continue", "zero-fill"]),
        flag("gentle", "Let others go first: as few bytes in flight as keep their waiting short, at the idle I/O priority"),
        value("retry", "N", "Try reads and writes that fail at a device up to N times again, after a growing pause [default: 0]"),
        flag("retry-full", "Wait for room where the target is full, and go on"),
        value("map", "FILE", "Rescue SOURCE, one file or device, as --on-error zero-fill does, and keep a map of it that GNU ddrescue can go on with; what FILE has as rescued is not copied again")
            .value_hint(clap::ValueHint::FilePath),
        words("offload", "WHEN", "Let a file server that holds both ends copy by itself [default: auto]")
            .value_parser(["auto", "never"]),
        flag("verify", "Read what was copied back from its device, and compare it with what was read from SOURCE"),
        letter("h", "Show this").hide(true),
    ]
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// An option that has no long name; its letter is its id.
fn letter(letter: &'static str, help: &'static str) -> Arg {
    Arg::new(letter).short(letter.chars().next()).help(help).action(ArgAction::SetTrue)
}

fn value(name: &'static str, called: &'static str, help: &'static str) -> Arg {
    let value = Arg::new(name).long(name).help(help).value_name(called).action(ArgAction::Append);
    value.value_parser(clap::value_parser!(OsString))
}

fn optional(name: &'static str, called: &'static str, help: &'static str) -> Arg {
    value(name, called, help).num_args(0..=1).require_equals(true)
}

/// An option whose values are some words; which ones is added to it.
fn words(name: &'static str, called: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).value_name(called).action(ArgAction::Append)
}

fn listed(name: &'static str, help: &'static str) -> Arg {
    let attributes = ["mode", "timestamps", "ownership", "links", "context", "xattr", "all"];
    words(name, "LIST", help)
        .value_delimiter(',')
        .hide_possible_values(true)
        .value_parser(attributes.map(PossibleValue::new))
}
