//! Why it failed.

use std::fmt;

use super::{MapFault, StateFault, strerror};

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
