//! Errors as data: which operation on which path at which offset, and why. No prose and no advice
//! here: the command line words them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What was being done when it failed. Its name is the `op` of the JSON report's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// stat, statx, fstat
    Stat,
    /// open of what is there
    Open,
    /// open or naming of what is not there yet
    Create,
    /// open of a new file in the directory `path` that is to replace `other`
    CreateTemporary,
    /// read of data, continuations included
    Read,
    /// write of data, continuations included
    Write,
    /// fallocate
    Allocate,
    /// ftruncate
    Truncate,
    /// lseek, SEEK_DATA and SEEK_HOLE included
    Seek,
    /// fsync, of a file or of a directory
    Sync,
    /// close
    Close,
    /// linkat or rename of a finished file to its name
    Publish,
    /// unlink of a file that we created and could not finish
    Remove,
    /// FICLONE
    Clone,
    /// looking at TARGET, and opening it as a directory
    Target,
    /// opening the directory of `-t`
    TargetDirectory,
    /// making a directory that leads to a target (`--parents`)
    MakeParent,
    /// looking at such a directory, or at the one it is a copy of
    StatParent,
    /// fchmod and its like, ACLs included
    SetMode,
    /// taking the special bits from a mode, before the owner changes
    ClearMode,
    /// letting the owner into a directory that was just made, to fill it
    OpenMode,
    /// utimensat
    SetTimes,
    /// fchownat
    SetOwner,
    /// listing the source's extended attributes, or reading one: `other` is its name
    GetXattr,
    /// writing an extended attribute: `other` is its name
    SetXattr,
    /// syncfs
    SyncFileSystem,
    /// mkdirat
    MakeDirectory,
    /// mknodat of a FIFO
    MakeFifo,
    /// mknodat of a device or a socket
    MakeNode,
    /// symlinkat
    MakeSymlink,
    /// linkat of a file that was copied before, or of the source
    MakeLink,
    /// readlinkat
    ReadLink,
    /// opening a directory of the source, or reading its entries
    List,
    /// renaming a file out of the way
    Backup,
    /// and back again
    Unbackup,
    /// unlinkat of what the copy replaces
    Replace,
    /// unlinkat of what the source lacks
    Delete,
    /// comparing source and target
    Compare,
    /// reading or writing the map of a rescue
    Map,
    /// reading a copy back and comparing it with what was read from its source
    Verify,
    /// keeping, in a temporary file below `other`, what a file's content hashes to
    Keep,
    /// the journal of a copy that can be resumed
    Journal,
    /// making a scratch file in the directory `path`, of `length` bytes
    MakeScratch,
    /// the state of a stress run
    State,
    /// setting up io_uring, its buffers or the arena
    Setup,
}

impl Op {
    /// The stable name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Op::Stat => "stat",
            Op::Open => "open",
            Op::Create => "create",
            Op::CreateTemporary => "create_temporary",
            Op::Read => "read",
            Op::Write => "write",
            Op::Allocate => "allocate",
            Op::Truncate => "truncate",
            Op::Seek => "seek",
            Op::Sync => "sync",
            Op::Close => "close",
            Op::Publish => "publish",
            Op::Remove => "remove",
            Op::Clone => "clone",
            Op::Target => "target",
            Op::TargetDirectory => "target_directory",
            Op::MakeParent => "make_parent",
            Op::StatParent => "stat_parent",
            Op::SetMode => "set_mode",
            Op::ClearMode => "clear_mode",
            Op::OpenMode => "open_mode",
            Op::SetTimes => "set_times",
            Op::SetOwner => "set_owner",
            Op::GetXattr => "get_xattr",
            Op::SetXattr => "set_xattr",
            Op::SyncFileSystem => "sync_file_system",
            Op::MakeDirectory => "make_directory",
            Op::MakeFifo => "make_fifo",
            Op::MakeNode => "make_node",
            Op::MakeSymlink => "make_symlink",
            Op::MakeLink => "make_link",
            Op::ReadLink => "read_link",
            Op::List => "list",
            Op::Backup => "backup",
            Op::Unbackup => "unbackup",
            Op::Replace => "replace",
            Op::Delete => "delete",
            Op::Compare => "compare",
            Op::Map => "map",
            Op::Verify => "verify",
            Op::Keep => "keep",
            Op::Journal => "journal",
            Op::MakeScratch => "make_scratch",
            Op::State => "state",
            Op::Setup => "setup",
        }
    }
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel's errno.
    Errno(i32),
    /// A write was accepted and took no byte.
    WriteZero,
    /// The source ended before the length it had when the copy began: it was truncated meanwhile.
    SourceShrank {
        /// the length at the start, in bytes
        expected: u64,
    },
    /// The target that is measured ended before the length it had at the beginning: it was truncated
    /// meanwhile.
    TargetShrank {
        /// the length at the beginning, in bytes
        expected: u64,
    },
    /// Source and target are the same file or device.
    SameFile,
    /// The source does not fit onto the device.
    TooLarge {
        /// the source's length in bytes
        source: u64,
        /// the device's length in bytes
        target: u64,
    },
    /// O_DIRECT was demanded and cannot be had here.
    NoDirect,
    /// A reflink was demanded and cannot be had here.
    NoClone,
    /// A directory where a file is needed: `path` is the target, `other` the source.
    IsDirectory,
    /// A file where a directory is needed: `path` is the target, `other` the source.
    NotDirectory,
    /// TARGET is no directory, and `--parents` needs one.
    ParentsNeedDirectory,
    /// The source is a directory and recursion was not asked for.
    NotRecursive,
    /// The name of the source belongs to another file than it did a moment ago.
    Replaced,
    /// The target exists and was not to be replaced (`--update=none-fail`).
    Exists,
    /// The target was made by this very command from another source (`other`).
    JustCreated,
    /// The target is a symbolic link that this very command has made.
    ThroughCreatedLink,
    /// The target (`other`) lies inside the directory that is copied.
    IntoItself,
    /// A directory that was copied already, as `other`, would need a hard link.
    HardLinkToDirectory,
    /// A symbolic link to a directory that holds it.
    Cycle,
    /// Neither file, directory, link, device, FIFO nor socket.
    UnknownKind,
    /// The backup of `path` would replace the source (`other`).
    BackupIsSource,
    /// A relative symbolic link can be made in the current directory only.
    RelativeLink,
    /// A symbolic link inside the target leads out of it.
    LeadsOutside,
    /// A directory was moved away while it was copied.
    Moved,
    /// Deleting what an empty source lacks would delete everything.
    EmptySource,
    /// More would be deleted than `--max-delete` allows.
    TooManyDeletions {
        /// how many there are to delete
        found: u64,
        /// how many may be
        most: u64,
    },
    /// A symbolic link as target that points nowhere.
    DanglingLink,
    /// A block device that is mounted or held by another program.
    InUse,
    /// A device, FIFO or socket where only a regular file can be replaced as a whole.
    NotAFile,
    /// An existing file or a device would be written over, which nobody has permitted.
    WouldDestroy,
    /// It holds what is known by a signature: `other` names it (`ext4`, `gpt`).
    HoldsSignature,
    /// Whether it holds a known signature can't be told; `other` says why.
    Unchecked,
    /// Neither a file nor a directory nor a block device, of which alone something can be measured.
    NoGround,
    /// More of it is wanted than there is.
    Beyond {
        /// what is wanted, in bytes
        wanted: u64,
        /// what there is, in bytes
        length: u64,
    },
    /// More is wanted of a file than one can hold there.
    BeyondFile {
        /// what is wanted, in bytes
        wanted: u64,
        /// the longest that a file may be there, in bytes
        longest: u64,
    },
    /// A file that can't be replaced as a whole, as its other names would keep the old content.
    SeveralNames {
        /// how many it has
        names: u64,
    },
    /// The map of a rescue can't be used, or kept.
    Map(MapFault),
    /// A copy holds something else than what was written to it.
    Differs,
    /// A copy has another length than what was written to it.
    OtherLength {
        /// what it has, in bytes
        is: u64,
        /// what was written, in bytes
        expected: u64,
    },
    /// Nothing can be read back from where the copy goes.
    Unverifiable,
    /// The journal needs a name of its own, as the target is a device or a root directory.
    JournalNeeded,
    /// Another copy is using the journal.
    JournalInUse,
    /// The journal is a file of another kind.
    JournalForeign,
    /// The journal is of another version of the format.
    JournalVersion(u32),
    /// The journal ends before its beginning is complete.
    JournalCut,
    /// The journal was changed, at this byte or a little behind it.
    JournalDamaged(u64),
    /// The journal is of a copy of other sources, or to `other`.
    JournalOfOther,
    /// The journal is of the same copy with other options.
    JournalOptions,
    /// The target is not the one that the copy was begun with; `other` is the journal.
    TargetOther,
    /// The state of a stress run can't be used, or kept.
    State(StateFault),
    /// io_uring was demanded and the kernel refuses it, with this errno.
    NoRing(i32),
}

/// What is wrong with the state of a stress run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateFault {
    /// There is no place for it beside the target, and none was named.
    Needed,
    /// It is a file of another kind.
    Foreign,
    /// It is of another version of the format.
    Version(u32),
    /// It was changed, or cut.
    Damaged,
    /// Another run is using it.
    InUse,
    /// It is there already, and tells of what an earlier run has left.
    Exists,
    /// The target holds the blocks of another run than it tells of; `other` is the target.
    OfOther,
    /// It tells of a run of which nothing was written.
    Empty,
}

/// What is wrong with the map of a rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapFault {
    /// It can't be read, or written, with this errno.
    Errno(i32),
    /// This line, counted from 1, is none of a map, or doesn't follow the one before.
    Line {
        /// which
        number: u64,
    },
    /// It has no blocks.
    Empty,
    /// It has more blocks than are read.
    TooManyBlocks,
    /// It is of a source of another length.
    OtherLength {
        /// where the map ends, in bytes
        map: u64,
        /// the source's length, in bytes
        source: u64,
    },
    /// The target lacks what the map has as rescued.
    TargetLacks {
        /// where the last of that ends, in bytes
        needed: u64,
        /// the target's length, in bytes
        target: u64,
    },
    /// The source has no length that a map could be of.
    NoLength,
    /// The target is neither a file nor a block device.
    NoPlace,
}

/// One failure: the operation, the path, the offset in bytes where that means something, the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// what was being done
    pub op: Op,
    /// to what; standard input and output are `-`
    pub path: PathBuf,
    /// the other end of the copy, or the attribute's name, where it takes both to understand
    pub other: Option<PathBuf>,
    /// where, in bytes from the start
    pub offset: Option<u64>,
    /// over how many bytes from there, where it is known of each of them
    pub length: Option<u64>,
    /// why
    pub cause: Cause,
}

impl Error {
    /// An error of `op` on `path`, without an offset.
    pub fn new(op: Op, path: impl AsRef<Path>, cause: Cause) -> Error {
        Error { op, path: path.as_ref().to_path_buf(), other: None, offset: None, length: None, cause }
    }

    /// The same error, with the other end of the copy.
    pub fn with(mut self, other: impl AsRef<Path>) -> Error {
        self.other = Some(other.as_ref().to_path_buf());
        self
    }

    /// The same error, at `offset` bytes.
    pub fn at(mut self, offset: u64) -> Error {
        self.offset = Some(offset);
        self
    }

    /// The same error, of `length` bytes from its offset on.
    pub fn over(mut self, length: u64) -> Error {
        self.length = Some(length);
        self
    }

    /// The kernel's errno, where the kernel said one.
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) | Cause::NoRing(errno) | Cause::Map(MapFault::Errno(errno)) => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.op.name(), self.path.display())?;
        if let Some(offset) = self.offset {
            write!(out, " at {offset}")?;
        }
        write!(out, ": {}", self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cause::Errno(errno) => write!(out, "{}", strerror(errno)),
            Cause::WriteZero => write!(out, "a write took no byte"),
            Cause::SourceShrank { expected } => write!(out, "source ended before its {expected} bytes"),
            Cause::TargetShrank { expected } => write!(out, "target ended before its {expected} bytes"),
            Cause::SameFile => write!(out, "source and target are the same file"),
            Cause::TooLarge { source, target } => {
                write!(out, "source of {source} bytes does not fit into {target} bytes")
            }
            Cause::NoDirect => write!(out, "direct I/O is not possible here"),
            Cause::NoClone => write!(out, "a reflink is not possible here"),
            Cause::IsDirectory => write!(out, "is a directory"),
            Cause::NotDirectory => write!(out, "is not a directory"),
            Cause::ParentsNeedDirectory => write!(out, "is not a directory, as --parents needs it"),
            Cause::NotRecursive => write!(out, "is a directory, and recursion was not asked for"),
            Cause::Replaced => write!(out, "was replaced while being copied"),
            Cause::Exists => write!(out, "exists"),
            Cause::JustCreated => write!(out, "was just created from another source"),
            Cause::ThroughCreatedLink => write!(out, "is a symbolic link that was just created"),
            Cause::IntoItself => write!(out, "holds the target"),
            Cause::HardLinkToDirectory => write!(out, "would be a hard link to a directory"),
            Cause::Cycle => write!(out, "is a symbolic link to a directory that holds it"),
            Cause::UnknownKind => write!(out, "has an unknown file type"),
            Cause::BackupIsSource => write!(out, "its backup would replace the source"),
            Cause::RelativeLink => {
                write!(out, "relative symbolic links can be made in the current directory only")
            }
            Cause::LeadsOutside => write!(out, "is a symbolic link that leads out of the target"),
            Cause::Moved => write!(out, "was moved while being copied"),
            Cause::EmptySource => write!(out, "is empty: everything in the target would be deleted"),
            Cause::TooManyDeletions { found, most } => {
                write!(out, "{found} would be deleted, at most {most} may be")
            }
            Cause::DanglingLink => write!(out, "is a dangling symbolic link"),
            Cause::InUse => write!(out, "is mounted or in use"),
            Cause::NotAFile => write!(out, "is no regular file, which alone can be replaced as a whole"),
            Cause::WouldDestroy => write!(out, "its data would be lost"),
            Cause::HoldsSignature => write!(out, "holds a file system or something else of a known kind"),
            Cause::Unchecked => write!(out, "what it holds can't be told"),
            Cause::NoGround => write!(out, "is no file, directory or block device"),
            Cause::Beyond { wanted, length } => write!(out, "has {length} bytes, not {wanted}"),
            Cause::BeyondFile { wanted, longest } => {
                write!(out, "a file there can have {longest} bytes, not {wanted}")
            }
            Cause::SeveralNames { names } => {
                write!(out, "has {names} names, of which the others would keep the old content")
            }
            Cause::Map(fault) => write!(out, "{fault}"),
            Cause::Differs => write!(out, "not what was written"),
            Cause::OtherLength { is, expected } => {
                write!(out, "is {is} bytes long, and {expected} were written")
            }
            Cause::Unverifiable => write!(out, "can't be read back"),
            Cause::JournalNeeded => write!(out, "there is no place for a journal beside it"),
            Cause::JournalInUse => write!(out, "another copy is using it"),
            Cause::JournalForeign => write!(out, "is no journal"),
            Cause::JournalVersion(version) => write!(out, "is a journal of version {version}"),
            Cause::JournalCut => write!(out, "is cut short"),
            Cause::JournalDamaged(at) => write!(out, "is damaged at byte {at}"),
            Cause::JournalOfOther => write!(out, "is the journal of another copy"),
            Cause::JournalOptions => write!(out, "is the journal of a copy with other options"),
            Cause::TargetOther => write!(out, "is not what the copy was begun with"),
            Cause::State(fault) => write!(out, "{fault}"),
            Cause::NoRing(errno) => write!(out, "io_uring is refused: {}", strerror(errno)),
        }
    }
}

impl fmt::Display for StateFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            StateFault::Needed => write!(out, "there is no place for a state beside it"),
            StateFault::Foreign => write!(out, "is no state of a stress run"),
            StateFault::Version(version) => write!(out, "is a state of version {version}"),
            StateFault::Damaged => write!(out, "is damaged"),
            StateFault::InUse => write!(out, "another run is using it"),
            StateFault::Exists => write!(out, "tells of what an earlier run has left"),
            StateFault::OfOther => write!(out, "is the state of another run"),
            StateFault::Empty => write!(out, "tells of nothing that was written"),
        }
    }
}

impl fmt::Display for MapFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            MapFault::Errno(errno) => write!(out, "{}", strerror(errno)),
            MapFault::Line { number } => write!(out, "line {number} is none of a ddrescue map"),
            MapFault::Empty => write!(out, "it has no blocks"),
            MapFault::TooManyBlocks => write!(out, "it has too many blocks"),
            MapFault::OtherLength { map, source } => {
                write!(out, "it is of {map} bytes, the source has {source}")
            }
            MapFault::TargetLacks { needed, target } => {
                write!(out, "it has {needed} bytes as rescued, the target has {target}")
            }
            MapFault::NoLength => write!(out, "the source has no length"),
            MapFault::NoPlace => write!(out, "the target is neither a file nor a block device"),
        }
    }
}

impl std::error::Error for Error {}

/// The C library's words for `errno`, without the number: `No space left on device`.
pub fn strerror(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The errno of an [`io::Error`]; EIO where the operating system gave none.
pub fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
