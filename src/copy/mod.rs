//! Copies: of one file, a device, a pipe, or whole trees of files.
//!
//! A run has workers, which take units of work from a queue and walk directories depth
//! first; each name they meet is decided upon as GNU cp decides, and then made.
//!
//! | file | what it knows |
//! |---|---|
//! | `job`, `options`, `events` | what a copy is told, what it tells and asks |
//! | `run`, `telling`, `tally`, `queue`, `worker`, `ahead`, `syncers` | workers, and how work gets from one to another |
//! | `operands`, `parents` | SOURCE... and TARGET |
//! | `directory`, `finish` | directories of both trees at once, and when they are complete |
//! | `entry`, `decide`, `same`, `update` | what is to be done about a name |
//! | `links`, `room`, `backup` | files with several names; what is in the way |
//! | `make` | directories, links and nodes |
//! | `file`, `open`, `source`, `target`, `replace` | a file's copy: opening both ends, completing it |
//! | `transfer`, `setup`, `direct`, `offload`, `parts`, `engines` | how its content moves |
//! | `remains` | what is left of a target that can't be completed |
//! | `rescue`, `map` | one file by GNU ddrescue's map: what is with its target, and what can't be read |
//! | `evidence`, `verify` | what was copied hashes to; whether its copy does |
//! | `resume` | `--resume`: the journal, what earlier runs have left |
//! | `metadata`, `durable` | attributes; stable storage |
//! | `temporary` | names until there is a name, and what killed copies left under them |
//! | `filter`, `mirror`, `survey` | which names; `--delete`; totals for the progress line |
//!
//! Must not know options as typed, what is shown, or io_uring.

mod ahead;
mod backup;
mod decide;
mod direct;
mod directory;
mod durable;
mod engines;
mod entry;
mod events;
mod evidence;
mod file;
mod filter;
mod finish;
mod job;
mod links;
mod make;
mod map;
mod metadata;
mod mirror;
mod offload;
mod open;
mod operands;
mod options;
mod parents;
mod parts;
mod paths;
mod queue;
mod remains;
mod replace;
mod rescue;
mod resume;
mod room;
mod run;
mod same;
mod setup;
mod source;
mod survey;
mod syncers;
mod tally;
mod target;
mod telling;
mod temporary;
mod transfer;
mod update;
mod verify;
mod worker;

pub use direct::Direct;
pub use events::{Event, Explanation, Failed, Left, Lost, Question, Remains, Retried, Warning, Witness};
pub use filter::{Filter, FilterError, Rule, Unfit};
pub use job::{Job, Method, Report, Resumed, Verified, Watch};
pub use options::{
    Backup, BackupKind, Delete, Demand, Dereference, Keep, Make, Offload, OnError, Options, Permissions,
    Reflink, Sparse, Sync, TargetIs, Update,
};
pub use paths::Name;
pub use resume::SpentJournal;
pub use run::{copy, cores};
