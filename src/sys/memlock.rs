//! RLIMIT_MEMLOCK, which bounds what may be registered.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, as any process may. A failure leaves it as it was, and
/// registering buffers then tells.
pub fn raise_to_hard() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
    }
}
