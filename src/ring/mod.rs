//! io_uring: the runtime, the arena, the operations, and the class of every errno.
//!
//! The only room that names `tokio_uring` and `io_uring`. Knows no policy: what to submit is the
//! engine's business.

mod arena;
pub mod errno;
mod ops;
mod queue;
mod runtime;
mod watch;

pub use arena::{Arena, Buffer, Lease, View};
pub use errno::Class;
pub use ops::{Done, InFlight};
pub use queue::{Completed, Queue};
pub use runtime::Ring;
pub use watch::Watch;
