//! What can fail.

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
