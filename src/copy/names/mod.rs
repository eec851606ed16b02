//! What is to be done about a name, decided as GNU cp decides, and done.
//!
//! | file | what it knows |
//! |---|---|
//! | `operands` | SOURCE... and TARGET |
//! | `parents` | `--parents` |
//! | `entry` | one name of the source |
//! | `about` | what an entry at hand is called, for whoever watches |
//! | `decide` | whether it is copied |
//! | `same` | whether two names are one file |
//! | `update` | `--update` |
//! | `links` | files with several names |
//! | `make` | directories, links and nodes |
//! | `room` | what is in the way |
//! | `backup` | `--backup` |
//! | `temporary` | names until there is a name |

pub(super) mod about;
mod backup;
pub(super) mod decide;
pub(super) mod entry;
pub(super) mod links;
mod make;
pub(super) mod operands;
pub(super) mod parents;
pub(super) mod room;
pub(super) mod same;
pub(super) mod temporary;
mod update;
