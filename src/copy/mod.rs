//! Copies: of one file, a device, a pipe, or whole trees of files.
//!
//! A run has workers, which take units of work from a queue and walk directories depth
//! first; each name they meet is decided upon as GNU cp decides, and then made.
//!
//! | file | what it knows |
//! |---|---|
//! | `job`, `options`, `events` | what a copy is told, what it tells and asks |
//! | `run`, `queue`, `worker`, `ahead` | workers, and how work gets from one to another |
//! | `operands`, `parents` | SOURCE... and TARGET |
//! | `directory`, `finish` | directories of both trees at once, and when they are complete |
//! | `entry`, `same`, `update`, `backup`, `links` | what is to be done about a name |
//! | `make` | directories, links and nodes |
//! | `file`, `source`, `target`, `direct`, `offload`, `parts`, `engines` | a file's content and how it moves |
//! | `metadata`, `durable` | attributes; stable storage |
//! | `filter`, `mirror`, `survey` | which names; `--delete`; totals for the progress line |
//!
//! Must not know options as typed, what is shown, or io_uring.

mod ahead;
mod backup;
mod direct;
mod directory;
mod durable;
mod engines;
mod entry;
mod events;
mod file;
mod filter;
mod finish;
mod job;
mod links;
mod make;
mod metadata;
mod mirror;
mod offload;
mod operands;
mod options;
mod parents;
mod parts;
mod paths;
mod queue;
mod run;
mod same;
mod source;
mod survey;
mod target;
mod update;
mod worker;

pub use direct::Direct;
pub use events::{Event, Explanation, Failed, Left, Question, Remains, Warning, Witness};
pub use filter::{Filter, FilterError, Rule, Unfit};
pub use job::{Job, Method, Report, Watch};
pub use options::{
    Backup, BackupKind, Delete, Demand, Dereference, Keep, Make, Offload, OnError, Options, Permissions,
    Reflink, Sparse, Sync, TargetIs, Update,
};
pub use paths::Name;
pub use run::{copy, cores};
