//! Small safe wrappers over nix and libc, each over one thing that the kernel can do. They return
//! errnos and know nothing of each other, nor of what they are used for.

pub mod at;
pub mod attributes;
pub mod cache;
pub mod cancel;
pub mod clone;
#[cfg(test)]
pub(crate) mod counted;
pub mod device;
pub mod directory;
pub mod holes;
pub mod kernel;
pub mod limits;
pub mod lock;
pub mod memlock;
pub mod mounts;
pub mod offload;
pub mod priority;
pub mod process;
pub mod signals;
pub mod sleep;
pub mod space;
pub mod spill;
pub mod stat;
pub mod stream;
pub mod temporary;
