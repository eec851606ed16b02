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
    /// no room: disk, quota or size limit
    Full,
    /// nobody reads the other end
    Gone,
    /// the device or the server below failed
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
        libc::ENOSPC | libc::EDQUOT | libc::EFBIG => Class::Full,
        libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN => Class::Gone,
        libc::EIO | libc::ENXIO | libc::ENODEV | libc::EREMOTEIO | libc::ENODATA | libc::EILSEQ => {
            Class::Device
        }
        libc::ETIMEDOUT | libc::ESTALE | libc::EUCLEAN | libc::ENOLINK | libc::EBADE | libc::EBADMSG => {
            Class::Device
        }
        libc::EBADF | libc::EFAULT => Class::Ours,
        _ => Class::Other,
    }
}
