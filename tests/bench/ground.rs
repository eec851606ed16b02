//! What must not be written to is refused, whoever permits it; and what may be is left as it was found.

use std::fs;
use std::path::Path;

use crate::support;
use crate::support::disk::system;
use crate::support::{Fs, LoopDevice, LoopDisk, MIB, Scratch, Tmpfs, wait_for};
use highwater::error::{Cause, Error, Op};
use highwater::scratch::{Access, Ground, Origin, Wanted};

const WRITE: Wanted =
    Wanted { access: Access::Write, destroy_data: true, size_bytes: None, scratch_bytes: 8 * MIB };

#[track_caller]
fn refused(target: &Path, wanted: &Wanted) -> Error {
    match Ground::open(target, wanted) {
        Ok(ground) => panic!("{} is ground: {ground:?}", target.display()),
        Err(error) => error,
    }
}

/// The first `len` bytes.
fn head(path: &Path, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    std::io::Read::read_exact(&mut fs::File::open(path).unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn what_exists_is_written_to_by_permission_only() {
    let scratch = Scratch::new();
    let file = scratch.path("precious");
    fs::write(&file, "years of work").unwrap();
    let none = Wanted { destroy_data: false, ..WRITE };
    assert_eq!(refused(&file, &none), Error::new(Op::Open, &file, Cause::WouldDestroy));
    let reads = Ground::open(&file, &Wanted { access: Access::Read, ..none }).unwrap();
    assert_eq!((reads.origin, reads.size_bytes), (Origin::File, 13));
    reads.close().unwrap();
    let writes = Ground::open(&file, &WRITE).unwrap();
    assert_eq!((writes.origin, writes.size_bytes), (Origin::File, 13));
    writes.close().unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"years of work");
}

#[test]
fn neither_more_than_there_is_nor_nothing_is_ground() {
    let scratch = Scratch::new();
    let (small, empty) = (scratch.path("small"), scratch.path("empty"));
    fs::write(&small, "0123456789").unwrap();
    fs::write(&empty, "").unwrap();
    let beyond = |path: &Path, wanted, length| Error::new(Op::Open, path, Cause::Beyond { wanted, length });
    assert_eq!(refused(&small, &Wanted { size_bytes: Some(11), ..WRITE }), beyond(&small, 11, 10));
    assert_eq!(refused(&empty, &WRITE), beyond(&empty, 0, 0));
    assert_eq!(refused(Path::new("/dev/null"), &WRITE), Error::new(Op::Open, "/dev/null", Cause::NoGround));
    let gone = scratch.path("gone");
    assert_eq!(refused(&gone, &WRITE), Error::new(Op::Stat, &gone, Cause::Errno(libc::ENOENT)));
}

#[test]
fn a_file_with_a_signature_is_refused() {
    need_tool!("mkfs.ext4");
    let scratch = Scratch::new();
    let image = scratch.path("disk.img");
    fs::File::create(&image).unwrap().set_len(16 * MIB).unwrap();
    system("mkfs.ext4", &["-Fq", image.to_str().unwrap()]);
    assert_eq!(refused(&image, &WRITE), Error::new(Op::Open, &image, Cause::HoldsSignature).with("ext4"));
}

#[test]
fn a_file_that_carries_a_loop_device_or_swap_is_in_use() {
    need!(support::needs::loop_devices());
    need_tool!("mkswap");
    let scratch = Scratch::new();
    let (image, swap) = (scratch.path("disk.img"), scratch.path("swap"));
    fs::File::create(&image).unwrap().set_len(4 * MIB).unwrap();
    let device = LoopDevice::over(&image);
    assert_eq!(refused(&image, &WRITE), Error::new(Op::Open, &image, Cause::InUse));
    drop(device);
    Ground::open(&image, &WRITE).unwrap().close().unwrap();

    fs::write(&swap, vec![0; 4 << 20]).unwrap();
    system("chmod", &["600", swap.to_str().unwrap()]);
    system("mkswap", &["-q", swap.to_str().unwrap()]);
    system("swapon", &[swap.to_str().unwrap()]);
    let error = refused(&swap, &WRITE);
    system("swapoff", &[swap.to_str().unwrap()]);
    assert_eq!(error, Error::new(Op::Open, &swap, Cause::InUse));
    assert_eq!(refused(&swap, &WRITE), Error::new(Op::Open, &swap, Cause::HoldsSignature).with("swap"));
}

#[test]
fn a_device_in_use_is_refused() {
    need_fs!(Fs::Ext4);
    need_tool!("mkswap");
    let blank = LoopDevice::new(4 * MIB);
    let ground = Ground::open(blank.path(), &WRITE).unwrap();
    assert_eq!((ground.origin, ground.size_bytes), (Origin::Device, 4 * MIB));
    let second = refused(blank.path(), &WRITE);
    assert_eq!(second, Error::new(Op::Open, blank.path(), Cause::InUse), "claimed by the first");
    ground.close().unwrap();

    let path = blank.path().to_str().unwrap();
    system("mkswap", &["-q", path]);
    system("swapon", &[path]);
    let error = refused(blank.path(), &WRITE);
    system("swapoff", &[path]);
    assert_eq!(error, Error::new(Op::Open, path, Cause::InUse));

    let mounted = LoopDisk::new(Fs::Ext4, 16 * MIB);
    let device = mounted.device().path();
    let superblock = head(device, 4096);
    assert_eq!(refused(device, &WRITE), Error::new(Op::Open, device, Cause::InUse));
    Ground::open(device, &Wanted { access: Access::Read, ..WRITE }).unwrap().close().unwrap();
    assert_eq!(head(device, 4096), superblock);
}

#[test]
fn a_disk_is_refused_for_its_mounted_partition_and_for_its_table() {
    need_fs!(Fs::Ext4);
    need_tool!("addpart");
    let scratch = Scratch::new();
    let image = scratch.path("disk.img");
    let mut table = [0; 512];
    // One partition of Linux's kind, from sector 2,048 on, of 32 MiB.
    table[446 + 4] = 0x83;
    table[446 + 8..][..4].copy_from_slice(&2048_u32.to_le_bytes());
    table[446 + 12..][..4].copy_from_slice(&65536_u32.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xAA]);
    fs::write(&image, table).unwrap();
    fs::File::options().write(true).open(&image).unwrap().set_len(64 * MIB).unwrap();
    let disk = LoopDevice::over(&image);
    let dos = Error::new(Op::Open, disk.path(), Cause::HoldsSignature).with("dos");
    assert_eq!(refused(disk.path(), &WRITE), dos);

    // Told to the kernel, which may know no such tables itself.
    let device = disk.path().to_str().unwrap();
    system("addpart", &[device, "1", "2048", "65536"]);
    let partition = format!("{device}p1");
    wait_for("the partition's node", || Path::new(&partition).exists());
    system("mkfs.ext4", &["-Fq", &partition]);
    let mount = support::disk::Mount::new(&["-t", "ext4", &partition]);
    let errors = [refused(disk.path(), &WRITE), refused(Path::new(&partition), &WRITE)];
    drop(mount);
    system("delpart", &[device, "1"]);
    let in_use = |path: &str| Error::new(Op::Open, path, Cause::InUse);
    assert_eq!(errors, [in_use(device), in_use(&partition)]);
}

#[test]
fn a_directory_gets_a_file_that_is_gone_afterwards() {
    need_root!();
    let disk = Tmpfs::new(16 * MIB);
    let entries = || fs::read_dir(disk.dir()).unwrap().count();
    let ground = Ground::open(&disk.dir(), &WRITE).unwrap();
    assert_eq!((ground.origin, ground.size_bytes), (Origin::Scratch, 8 * MIB));
    assert_eq!(ground.stat.size, 8 * MIB);
    let second = Ground::open(&disk.dir(), &WRITE).unwrap();
    assert_eq!(second.size_bytes, 4 * MIB, "half of what is left");
    let error = refused(&disk.dir(), &Wanted { size_bytes: Some(5 * MIB), ..WRITE });
    let full = Error::new(Op::MakeScratch, disk.dir(), Cause::Errno(libc::ENOSPC)).over(5 * MIB);
    assert_eq!(error, full);
    second.close().unwrap();
    ground.close().unwrap();
    assert_eq!(entries(), 0);
}

#[test]
fn where_files_need_names_the_name_is_removed() {
    need_fuse!();
    let disk = support::FaultyDisk::new([]);
    let ground = Ground::open(&disk.dir(), &Wanted { size_bytes: Some(MIB), ..WRITE }).unwrap();
    assert_eq!(disk.names().len(), 1, "it has a name there");
    ground.close().unwrap();
    assert_eq!(disk.names(), Vec::<std::ffi::OsString>::new());
    drop(Ground::open(&disk.dir(), &Wanted { size_bytes: Some(MIB), ..WRITE }).unwrap());
    assert_eq!(disk.names(), Vec::<std::ffi::OsString>::new());
}
