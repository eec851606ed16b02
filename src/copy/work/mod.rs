//! Workers, and how work gets from one to another.
//!
//! | file | what it knows |
//! |---|---|
//! | `run` | a copy from its beginning to its end |
//! | `worker` | a thread with its own ring |
//! | `queue` | units of work, handed on |
//! | `engines` | the engines of one worker |
//! | `syncers` | files that wait for the disk |
//! | `tally` | what workers count and remember together |
//! | `telling` | what is told, and what is tried again |

pub(super) mod engines;
mod queue;
pub(super) mod run;
pub(super) mod syncers;
pub(super) mod tally;
mod telling;
pub(super) mod worker;
