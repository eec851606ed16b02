//! One copy: open both ends, decide how the bytes go, move them, make them durable, give them
//! their name.
//!
//! Knows files, devices and pipes. Must not know options as typed, what is shown, or io_uring.

mod direct;
mod job;
mod paths;
mod run;
mod source;
mod target;

pub use direct::Direct;
pub use job::{Job, Left, Method, Note, Reflink, Report, Sparse, Sync, Watch};
pub use paths::Name;
pub use run::copy;
