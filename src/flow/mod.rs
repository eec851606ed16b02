//! Decisions, and nothing else: what to read or write next, with which slot, offset and length.
//!
//! Knows the marks, the slots, the extents, the pace. Must not know I/O, clocks, threads or async:
//! time is an argument (a `Duration` since the run began) and every operation is carried out by a
//! driver, which tells the [`Pump`] what became of it. The drivers are `engine::ring`,
//! `engine::plain` and `engine::inline` in production and the simulator of `tests/sim/` in tests.

mod caller;
mod digest;
mod extents;
mod gentle;
mod intake;
pub mod load;
mod losses;
mod marks;
mod mover;
mod outlet;
mod pace;
pub mod patience;
mod pump;
mod shape;
mod shared;
pub mod simulate;
mod slot;
mod steps;
mod tune;

pub use caller::Place;
pub use extents::{Block, Extent, Extents, Holes, Next};
pub use gentle::Gentle;
pub use losses::Losses;
pub use marks::{Level, LevelStats, Marks, MarksError};
pub use pace::Pace;
pub use patience::{Patience, Trouble, Verdict};
pub use pump::Pump;
pub use shape::{Digesting, Length, Shape, Side, Visibility};
pub use shared::SharedLevel;
pub use steps::{Failure, Intake, Outlet, Progress, Reason, Transfer};
pub use tune::{Admitted, Bound, Completion, Tuned, Tuner};
