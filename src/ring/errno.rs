//! The class of every errno that an operation on data can bring, at one place for all drivers.

/// What an errno means for the operation that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// interrupted before anything moved: submit it again
    Again,
    /// nothing to read or no room to write just now: wait until the descriptor is ready
    NotReady,
    /// this kind of transfer is not possible here: do without direct I/O or per-operation flags
    Refused,
    /// withdrawn on our own demand
    Cancelled,
    /// no room: disk or quota
    Full,
    /// past a limit on a file's size
    TooLarge,
    /// nobody reads the other end
    Gone,
    /// the device or the server below failed this transfer: another try, or another range, may do. What
    /// the block layer makes of a bad sector, of a link or a command that failed (blk_status_to_errno),
    /// and what a file system makes of a bad checksum
    Fault,
    /// the device or the server is gone, or what is on it is broken
    Device,
    /// only a bug of ours brings it: a bad descriptor or a bad buffer
    Ours,
    /// none of these: reported as it is
    Other,
}

/// The class of `errno`, as read, write, fsync, fallocate and their io_uring twins bring it
/// (read(2), write(2), fsync(2), io_uring_enter(2)).
pub fn classify(errno: i32) -> Class {
    match errno {
        libc::EINTR => Class::Again,
        libc::EAGAIN => Class::NotReady,
        libc::EINVAL | libc::EOPNOTSUPP => Class::Refused,
        libc::ECANCELED => Class::Cancelled,
        libc::ENOSPC | libc::EDQUOT => Class::Full,
        libc::EFBIG => Class::TooLarge,
        libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN => Class::Gone,
        libc::EIO | libc::ENODATA | libc::EREMOTEIO | libc::EILSEQ => Class::Fault,
        libc::ETIMEDOUT | libc::ENOLINK | libc::EBADMSG => Class::Fault,
        libc::ENXIO | libc::ENODEV | libc::ESTALE | libc::EUCLEAN | libc::EBADE => Class::Device,
        libc::EBADF | libc::EFAULT => Class::Ours,
        _ => Class::Other,
    }
}
