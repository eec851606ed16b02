//! The engine as a pair of streams for programmers: Node's contract, made hard.
//!
//! A [`WriteStream`] takes chunks, a [`ReadStream`] gives them; each has marks of its own over a
//! fixed ring of buffers and a thread that drives it. They stand over any descriptor: a file, a
//! pipe, a socket. The futures need no particular runtime.
//!
//! | Node | here |
//! |---|---|
//! | `createWriteStream(path, {highWaterMark})` | [`WriteStream::create`] with [`Options`] |
//! | `createReadStream(path, {highWaterMark})` | [`ReadStream::open`] |
//! | `write(chunk)` returns false | [`WriteStream::write`] gives `false`, and waits rather than exceed the ring |
//! | `writableLength` | [`WriteStream::in_flight_bytes`] |
//! | `'drain'` | [`WriteStream::drain`] |
//! | `'data'`, `'end'` | [`ReadStream::next`]: a chunk, None |
//! | `pause()`, `resume()` | [`ReadStream::pause`], [`ReadStream::resume`] |
//! | `end()` | [`WriteStream::end`]: drained, synced as asked, closed, every error told |
//!
//! # The copy of a film
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let (film, copy) = (directory.path().join("film"), directory.path().join("copy"));
//! # std::fs::write(&film, vec![7u8; 12 << 20])?;
//! use highwater::stream::{Options, ReadStream, WriteStream};
//!
//! let five_mib = Options { high_water_bytes: 5 << 20, ..Options::default() };
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let mut reader = ReadStream::open(&film, five_mib)?;
//! let mut writer = WriteStream::create(&copy, five_mib)?;
//! while let Some(chunk) = reader.next().await {
//!     if !writer.write(&chunk?).await? {
//!         reader.pause(); // the reader's own ring fills up to its mark and stops there
//!         writer.drain().await?;
//!         reader.resume();
//!     }
//! }
//! writer.end().await?;
//! # Ok::<(), highwater::error::Error>(())
//! # })?;
//! assert_eq!(std::fs::read(&film)?, std::fs::read(&copy)?);
//! # Ok(())
//! # }
//! ```
//!
//! # Many small chunks
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("hello");
//! use highwater::stream::{Options, WriteStream};
//!
//! async fn write_many(writer: &mut WriteStream, text: &str, times: u32) -> Result<(), highwater::error::Error> {
//!     for _ in 0..times {
//!         if !writer.write(text.as_bytes()).await? {
//!             writer.drain().await?;
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let mut writer = WriteStream::create(&path, Options::default())?;
//! write_many(&mut writer, "Hello\n", 100_000).await?;
//! writer.end().await?;
//! # Ok::<(), highwater::error::Error>(())
//! # })?;
//! assert_eq!(std::fs::metadata(&path)?.len(), 600_000);
//! # Ok(())
//! # }
//! ```

mod read;
mod thread;
mod write;

pub use read::{Chunk, ReadStream};
pub use write::{Ended, WriteStream};

/// Of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most bytes in flight (Node: `highWaterMark`); the ring is as large, rounded up to blocks.
    /// At least 1.
    pub high_water_bytes: u64,
    /// Where 'drain' happens once the high mark was reached; below the high mark. 0 is Node's
    /// 'drain': nothing is left. None: as soon as a block fits again.
    pub low_water_bytes: Option<u64>,
    /// The most that one operation moves; None: 512 KiB, or the high mark where that is less.
    pub block_bytes: Option<u64>,
    /// [`WriteStream::end`] returns once all is on stable storage.
    pub sync: bool,
}

impl Default for Options {
    /// 4 MiB in flight, no low mark, not synced.
    fn default() -> Options {
        Options { high_water_bytes: 4 << 20, low_water_bytes: None, block_bytes: None, sync: false }
    }
}
