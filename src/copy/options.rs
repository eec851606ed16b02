//! What the options of cp mean, as GNU coreutils 9.10 has them, and those beyond cp.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::copy::content::direct::Direct;
use crate::copy::tree::filter::Filter;

/// Which symbolic links of the source are followed: `-P`, `-H`, `-L`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dereference {
    /// none: they are copied as links
    Never,
    /// those that are operands
    Operands,
    /// all
    #[default]
    Always,
}

impl Dereference {
    /// Whether this one is followed.
    pub fn follows(self, is_operand: bool) -> bool {
        match self {
            Dereference::Never => false,
            Dereference::Operands => is_operand,
            Dereference::Always => true,
        }
    }
}

/// What is made of each file of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Make {
    /// a copy
    #[default]
    Copies,
    /// `-l`: a hard link to it
    HardLinks,
    /// `-s`: a symbolic link to it
    SymbolicLinks,
}

/// `--update`: which existing targets are replaced. Directories always are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// all of them
    #[default]
    All,
    /// those older than the source
    Older,
    /// none, which is no failure (`-n`)
    None,
    /// none, which is a failure
    NoneFail,
    /// those whose size or time of change differs from the source's
    Changed,
    /// those whose content differs
    Checksum,
}

/// `--backup`: how a file that is replaced is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupKind {
    /// `file~`
    Simple,
    /// numbered where numbered ones are there already, else simple
    Existing,
    /// `file.~1~`
    Numbered,
}

/// `--backup` and `--suffix`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// what its name is like
    pub kind: BackupKind,
    /// of simple ones: `~`
    pub suffix: OsString,
}

/// How much an attribute matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// it is not kept
    #[default]
    No,
    /// it is kept where it can be; failures are told, but those that say "not supported" aren't
    Wanted,
    /// it is kept, or the copy has failed
    Required,
}

/// What becomes of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permissions {
    /// a new file has the source's, less the umask; one that was there keeps its own
    #[default]
    Masked,
    /// the source's, ACLs included
    Keep,
    /// what any new file gets (`--no-preserve=mode`)
    Fresh,
}

/// `--preserve`: what a copy takes over from its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// mode and ACLs
    pub permissions: Permissions,
    /// owner and group
    pub ownership: bool,
    /// times of access and change, to the nanosecond
    pub timestamps: bool,
    /// hard links between files that are copied
    pub links: bool,
    /// extended attributes
    pub xattrs: Demand,
    /// mode, owner or times that can't be kept are a failure (`-a`, `-p`, `--preserve`)
    pub require: bool,
    /// attributes that can't be kept are not worth a word (`-a`)
    pub reduce_diagnostics: bool,
}

/// Where TARGET's name is to be taken literally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetIs {
    /// a directory to copy into where it is one, else the copy's own name
    #[default]
    Either,
    /// `-t`: a directory to copy into
    Directory,
    /// `-T`: the copy's own name
    Name,
}

/// `--on-error`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// go on with the other files, as cp does
    #[default]
    Continue,
    /// begin nothing new
    Stop,
    /// go on, and with the same file too where its source can't be read: what can't is zeros in the
    /// target, and the file counts as failed
    ZeroFill,
}

/// `--sparse`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sparse {
    /// the source's holes become holes
    #[default]
    Auto,
    /// and so does every run of zeros
    Always,
    /// the target has no holes
    Never,
}

/// `--reflink`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflink {
    /// where the file system can
    #[default]
    Auto,
    /// or fail
    Always,
    /// bytes are copied
    Never,
}

/// `--offload`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// a network file system that holds both ends copies by itself
    #[default]
    Auto,
    /// bytes go through the ring
    Never,
}

/// `--sync`: what exit status 0 promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// all is on stable storage, made so once at the end
    #[default]
    End,
    /// all is on stable storage, made so file by file
    File,
    /// the kernel has it
    None,
}

/// `--delete`: after all is copied, what the source lacks goes from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete {
    /// nothing goes where more than so many would
    pub most: Option<u64>,
}

/// How each file is treated.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// directories are copied with all that is in them
    pub recursive: bool,
    /// symbolic links of the source
    pub dereference: Dereference,
    /// the content of devices and FIFOs is copied, not the node: without `-r`, or `--copy-contents`
    pub special_contents: bool,
    /// not so with `--attributes-only`
    pub skip_data: bool,
    /// copies or links
    pub make: Make,
    /// which existing targets are replaced
    pub update: Update,
    /// ask before (`-i`)
    pub ask: bool,
    /// a target that can't be opened is removed (`-f`)
    pub force: bool,
    /// a target is removed first (`--remove-destination`)
    pub remove_first: bool,
    /// a target that is replaced is kept
    pub backup: Option<Backup>,
    /// attributes
    pub keep: Keep,
    /// `-x`
    pub one_file_system: bool,
    /// a symbolic link to a directory in the target is as good as the directory
    pub keep_directory_symlink: bool,
    /// `--parents`
    pub parents: bool,
    /// a dangling symbolic link as target is written through (POSIXLY_CORRECT)
    pub through_dangling: bool,
    /// cp's own way where it shows: the copy of a FIFO can be seen while it grows, and one small file
    /// is not worth a ring
    pub as_cp: bool,
    /// TARGET
    pub target_is: TargetIs,
    /// holes
    pub sparse: Sparse,
    /// sharing blocks
    pub reflink: Reflink,
    /// copies made by a server
    pub offload: Offload,
    /// no name ever shows a partial file: what is there is not written to but replaced
    pub atomic: bool,
    /// around the page cache
    pub direct: Direct,
    /// durability
    pub sync: Sync,
    /// what was copied is read back from its device and compared with what was read from the source
    pub verify: bool,
    /// the checksum of each file is told ([`Event::Hashed`](crate::copy::Event::Hashed))
    pub manifest: bool,
    /// a journal is kept, and one that is there is gone on with
    pub resume: bool,
    /// where it is (`--journal`); None: beside TARGET
    pub journal: Option<PathBuf>,
    /// which files
    pub filter: Filter,
    /// nothing is touched, what would be done is told
    pub dry_run: bool,
    /// mirror
    pub delete: Option<Delete>,
    /// after a failure
    pub on_error: OnError,
    /// a transfer that failed at a device or server is tried again so often
    pub retries: u32,
    /// where a target is full, room is waited for
    pub waits_for_room: bool,
    /// `--gentle`: everybody else goes first
    pub gentle: bool,
    /// `--map`: what of the only source is rescued and what is not, read before and written after, in GNU
    /// ddrescue's format
    pub map: Option<PathBuf>,
    /// tell of each file ([`Event::Copied`](crate::copy::Event::Copied))
    pub verbose: bool,
    /// and how (`--debug`)
    pub explain: bool,
}
