//! Copies: of one file, a device, a pipe, or whole trees of files.
//!
//! A run has workers, which take units of work from a queue and walk directories depth
//! first; each name they meet is decided upon as GNU cp decides, and then made.
//!
//! | room | what it knows |
//! |---|---|
//! | `job`, `options`, `events`, `paths` | what a copy is told, what it tells and asks |
//! | `work` | workers, and how work gets from one to another |
//! | `tree` | directories of both trees at once; which names, `--delete`, totals |
//! | `names` | what is to be done about a name, and what is in its way |
//! | `content` | a file's content: both ends opened, moved, completed |
//! | `trust` | stable storage, read back, gone on with |
//! | `metadata` | times, owner, mode, ACLs, extended attributes |
//!
//! Must not know options as typed, what is shown, or io_uring.

mod content;
mod events;
mod job;
mod metadata;
mod names;
mod options;
mod paths;
mod tree;
mod trust;
mod work;

pub use content::direct::Direct;
pub use events::{Event, Explanation, Failed, Left, Lost, Question, Remains, Retried, Warning, Witness};
pub use job::{Job, Method, Report, Resumed, Verified, Watch};
pub use options::{
    Backup, BackupKind, Delete, Demand, Dereference, Keep, Make, Offload, OnError, Options, Permissions,
    Reflink, Sparse, Sync, TargetIs, Update,
};
pub use paths::Name;
pub use tree::filter::{Filter, FilterError, Rule, Unfit};
pub use trust::resume::SpentJournal;
pub use work::run::{copy, cores};
