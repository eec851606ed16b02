//! File contents that can't be compressed, that are never zero over a page, and that show where
//! they belong: a page's bytes depend on seed and offset, so that stale, misplaced and doubled data
//! all differ. And the comparing of files, page by page, without holding them in memory.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::OnceLock;

const PAGE: usize = 4096;
const POOL_PAGES: u64 = 256;
const CHUNK: u64 = 1024 * 1024;

fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn pool() -> &'static [u8] {
    static POOL: OnceLock<Vec<u8>> = OnceLock::new();
    POOL.get_or_init(|| {
        (0..POOL_PAGES * PAGE as u64 / 8)
            .flat_map(|i| (scramble(i.wrapping_add(0x9e37_79b9_7f4a_7c15)) | 1).to_le_bytes())
            .collect()
    })
}

/// Fills `buf` with the bytes that stand at `offset` in the data of `seed`. `offset` is a multiple
/// of 4,096.
fn fill(seed: u64, offset: u64, buf: &mut [u8]) {
    assert_eq!(offset % PAGE as u64, 0);
    for (i, page) in buf.chunks_mut(PAGE).enumerate() {
        let stamp = scramble(seed.wrapping_mul(0x1_0000_0001) ^ (offset / PAGE as u64 + i as u64)) | 1;
        let start = (stamp >> 8) % POOL_PAGES * PAGE as u64;
        page.copy_from_slice(&pool()[start as usize..][..page.len()]);
        for (byte, stamped) in page.iter_mut().zip(stamp.to_le_bytes()) {
            *byte = stamped;
        }
    }
}

/// The first `len` bytes of the data of `seed`.
pub fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut data = vec![0; len as usize];
    fill(seed, 0, &mut data);
    data
}

/// Writes a file (or device) of `len` bytes of `seed`, a chunk at a time.
pub fn write_file(path: &Path, seed: u64, len: u64) {
    let mut file = File::options().write(true).create(true).truncate(true).open(path).unwrap();
    let mut chunk = vec![0; CHUNK.min(len.next_multiple_of(PAGE as u64)) as usize];
    let mut at = 0;
    while at < len {
        let part = &mut chunk[..CHUNK.min(len - at) as usize];
        fill(seed, at, part);
        file.write_all(part).unwrap();
        at += part.len() as u64;
    }
}

/// Asserts that `path` is exactly the `len` bytes of `seed`: a regular file has that length, a
/// device at least begins so.
#[track_caller]
pub fn assert_holds(path: &Path, seed: u64, len: u64) {
    let meta = std::fs::metadata(path).unwrap();
    if meta.is_file() {
        assert_eq!(meta.len(), len, "length of {}", path.display());
    }
    let file = File::open(path).unwrap();
    let (mut want, mut got) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
    let mut at = 0;
    while at < len {
        let n = CHUNK.min(len - at) as usize;
        fill(seed, at, &mut want[..n]);
        file.read_exact_at(&mut got[..n], at).unwrap();
        // Slices first, at the speed of memory; the place only where they differ.
        if want[..n] != got[..n] {
            let i = (0..n).find(|&i| want[i] != got[i]).unwrap();
            panic!("{} is wrong from byte {}: {:#04x}", path.display(), at + i as u64, got[i]);
        }
        at += n as u64;
    }
}

/// Asserts that both files have the same length and bytes, and says where they first differ.
#[track_caller]
pub fn assert_same_content(a: &Path, b: &Path) {
    let (mut left, mut right) = (File::open(a).unwrap(), File::open(b).unwrap());
    let (mut x, mut y) = (vec![], vec![]);
    let mut at = 0;
    loop {
        x.clear();
        y.clear();
        (&mut left).take(CHUNK).read_to_end(&mut x).unwrap();
        (&mut right).take(CHUNK).read_to_end(&mut y).unwrap();
        if x != y {
            let same = x.iter().zip(&y).take_while(|(p, q)| p == q).count() as u64;
            panic!("{} and {} differ from byte {}", a.display(), b.display(), at + same);
        }
        if x.is_empty() {
            return;
        }
        at += x.len() as u64;
    }
}

/// Asserts bytes without printing megabytes.
#[track_caller]
pub fn assert_bytes(got: &[u8], want: &[u8]) {
    if got != want {
        let same = got.iter().zip(want).take_while(|(p, q)| p == q).count();
        panic!("{} bytes instead of {}, different from byte {same}", got.len(), want.len());
    }
}

/// Makes a file of `len` bytes that is a hole but for `data`, which is of `seed`.
pub fn write_sparse(path: &Path, seed: u64, len: u64, data: &[Range<u64>]) {
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    for range in data {
        let mut part = vec![0; (range.end - range.start) as usize];
        fill(seed, range.start, &mut part);
        file.write_all_at(&part, range.start).unwrap();
    }
    file.sync_all().unwrap();
}

/// The ranges that hold data, as SEEK_DATA and SEEK_HOLE tell them once the file is on the disk.
pub fn data_extents(path: &Path) -> Vec<Range<u64>> {
    use nix::unistd::{Whence, lseek};
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    let len = file.metadata().unwrap().len() as i64;
    let (mut extents, mut at) = (vec![], 0);
    while at < len {
        let Ok(start) = lseek(&file, at, Whence::SeekData) else { break };
        let end = lseek(&file, start, Whence::SeekHole).unwrap();
        extents.push(start as u64..end as u64);
        at = end;
    }
    extents
}

/// The bytes that are allocated for a file.
pub fn allocated_bytes(path: &Path) -> u64 {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    file.metadata().unwrap().blocks() * 512
}

/// The permission bits of a file, setuid, setgid and sticky included.
pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

/// The names in a directory, sorted: what a copy left behind is seen here.
pub fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}
