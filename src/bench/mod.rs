//! The job of measuring: how long an operation takes on a file, in a directory or on a device, at a load
//! that is chosen.
//!
//! | file | what it knows |
//! |---|---|
//! | `options` | what a bench is told, and what can't be meant |
//! | `size` | how much is in flight at most, from what was typed |
//! | `run` | the ground, laid out where it is new; one load on it |
//! | `sweep` | one load after the other, and what they come to |
//!
//! Must not know options as typed, what is shown, or io_uring.

mod options;
mod run;
mod size;
pub mod sweep;

pub use options::{Options, Unfit, Workload};
pub use run::{Bench, Seen, Witness};
pub use size::{MOST_DEPTH, Size, Typed};
