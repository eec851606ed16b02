//! Stress: a target is written to for as long as is asked, and every block is checked afterwards.
//!
//! | file | what it knows |
//! |---|---|
//! | `job` | what a run is told, what it tells |
//! | `run` | from its start to its end |
//! | `target`, `keeper` | what is written to; the state where it outlasts a crash |
//! | `write`, `beside`, `check` | rounds through the engine; syncs and looks beside them; reading back |
//! | `written` | what was written, and so what a block should hold; pure |
//! | `pattern` | blocks that say where they belong, and which round and run they are of; pure |
//! | `checker` | what is found against what was written, and where it differs; pure |
//! | `state` | the file that says what was written and what of it is durable; pure |
//! | `series`, `cliff` | what was written in each interval; when throughput fell for good; pure |
//! | `probe`, `medium` | how much a device keeps of what it says it has |
//! | `health`, `memory` | what the device and this process say of themselves |
//!
//! Must not know options as typed, what is shown, or io_uring.

mod beside;
mod check;
pub mod checker;
pub mod cliff;
pub mod health;
mod job;
mod keeper;
mod medium;
mod memory;
pub mod pattern;
pub mod probe;
mod run;
mod series;
pub mod state;
mod target;
mod write;
mod written;

pub use job::{Event, Job, Report, Watch};
pub use memory::Memory;
pub use run::stress;
