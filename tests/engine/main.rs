//! The engine as a library, over real files, pipes and sockets.

mod digest;
mod ledger;
mod passing;
mod stream;
