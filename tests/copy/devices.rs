//! Block devices on either side. What stands on a device after the source's last byte is somebody's
//! data: every test here fills the device first and looks at all of it afterwards.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use crate::support::command::quoted;
use crate::support::*;

const DEVICE: u64 = 8 * MIB;

/// A device whose every byte is 0xAA.
fn filled_device(len: u64) -> LoopDevice {
    let device = LoopDevice::new(len);
    let file = File::options().write(true).open(device.path()).unwrap();
    file.write_all_at(&vec![0xAA; len as usize], 0).unwrap();
    file.sync_all().unwrap();
    device
}

/// Asserts that all of the device is `want`, then 0xAA to its end, as a fresh look at it shows.
#[track_caller]
fn assert_device(path: &Path, len: u64, want: &[u8]) {
    let file = File::open(path).unwrap();
    // What the cache believes is not what is on the device.
    disk::system("blockdev", &["--flushbufs", path.to_str().unwrap()]);
    let mut got = vec![0; len as usize];
    file.read_exact_at(&mut got, 0).unwrap();
    assert_bytes(&got[..want.len()], want);
    let past = got[want.len()..].iter().position(|byte| *byte != 0xAA);
    assert_eq!(past, None, "bytes past the source's {} were changed", want.len());
    assert!(fs::metadata(path).unwrap().file_type().is_block_device());
}

#[test]
fn no_byte_beyond_the_source_is_changed_on_a_device() {
    need!(needs::loop_devices());
    let dir = Scratch::new();
    let device = filled_device(DEVICE);
    for engine in engines() {
        for direct in ["auto", "always", "never"] {
            for len in [0, 1, 511, 512, 513, 4096, 4097, 256 * KIB + 1, 3 * MIB + 1234, DEVICE - 1, DEVICE] {
                let options = ["--engine", engine, "--direct", direct];
                File::options()
                    .write(true)
                    .open(device.path())
                    .unwrap()
                    .write_all_at(&[0xAA; DEVICE as usize], 0)
                    .unwrap();
                write_file(&dir.path("source"), len, len);
                let copy = Highwater::copy().args(options).arg(dir.path("source")).arg(device.path());
                copy.run().assert_silent();
                assert_device(device.path(), DEVICE, &bytes(len, len));
            }
        }
    }
}

#[test]
fn holes_become_zeros_on_a_device() {
    need!(needs::loop_devices());
    let dir = Scratch::new();
    let device = filled_device(DEVICE);
    let len = 5 * MIB + 100;
    write_sparse(&dir.path("source"), 1, len, &[MIB..2 * MIB, 4 * MIB..4 * MIB + 4096]);
    for engine in engines() {
        for sparse in ["auto", "always", "never"] {
            File::options()
                .write(true)
                .open(device.path())
                .unwrap()
                .write_all_at(&[0xAA; DEVICE as usize], 0)
                .unwrap();
            let copy = Highwater::copy().args(["--engine", engine, "--sparse", sparse]);
            copy.arg(dir.path("source")).arg(device.path()).run().assert_silent();
            assert_device(device.path(), DEVICE, &fs::read(dir.path("source")).unwrap());
        }
    }
}

#[test]
fn a_pipe_goes_onto_a_device() {
    need!(needs::loop_devices());
    let device = filled_device(DEVICE);
    for engine in engines() {
        for len in [DEVICE, 3 * MIB + 1234] {
            let file = File::options().write(true).open(device.path()).unwrap();
            file.write_all_at(&[0xAA; DEVICE as usize], 0).unwrap();
            let copy = Highwater::copy().args(["--engine", engine]).arg("-").arg(device.path());
            copy.input(&bytes(1, len)).run().assert_silent();
            assert_device(device.path(), DEVICE, &bytes(1, len));
        }
    }
}

#[test]
fn a_device_is_read_to_its_end() {
    need!(needs::loop_devices());
    let dir = Scratch::new();
    // A size that is not a multiple of a page: 1 MiB and 3 sectors.
    let len = MIB + 1536;
    let device = LoopDevice::new(len);
    write_file(device.path(), 7, len);
    for engine in engines() {
        for direct in ["auto", "always", "never"] {
            let target = dir.path(&format!("{engine}-{direct}"));
            let options = ["--engine", engine, "--direct", direct];
            Highwater::copy().args(options).arg(device.path()).arg(&target).run().assert_silent();
            assert!(fs::metadata(&target).unwrap().is_file());
            assert_holds(&target, 7, len);
        }
    }
}

#[test]
fn a_device_goes_onto_another() {
    need!(needs::loop_devices());
    let (source, target) = (LoopDevice::new(3 * MIB), filled_device(DEVICE));
    write_file(source.path(), 7, 3 * MIB);
    Highwater::copy().args([source.path(), target.path()]).run().assert_silent();
    assert_device(target.path(), DEVICE, &bytes(7, 3 * MIB));
}

#[test]
fn a_mounted_device_is_not_written_to() {
    need_fs!(Fs::Ext4);
    let dir = Scratch::new();
    let disk = LoopDisk::new(Fs::Ext4, 16 * MIB);
    write_file(&disk.path("precious"), 1, MIB);
    write_file(&dir.path("source"), 2, MIB);
    let device = disk.device().path();
    Highwater::copy().arg(dir.path("source")).arg(device).run().assert_failed(&[&quoted(device)]);
    assert_holds(&disk.path("precious"), 1, MIB);
    assert!(!fs::read(device).unwrap().starts_with(&bytes(2, 4096)));
}

#[test]
fn a_source_larger_than_the_device_is_refused_before_the_first_write() {
    need!(needs::loop_devices());
    let dir = Scratch::new();
    let device = filled_device(MIB);
    for engine in engines() {
        write_file(&dir.path("source"), 1, MIB + 1);
        let copy = Highwater::copy().args(["--engine", engine]).arg(dir.path("source")).arg(device.path());
        copy.run().assert_failed(&[device.path().to_str().unwrap()]);
        assert_device(device.path(), MIB, &[]);
    }
}

#[test]
fn a_pipe_longer_than_the_device_fails_and_says_so() {
    need!(needs::loop_devices());
    let device = filled_device(MIB);
    for engine in engines() {
        let copy = Highwater::copy().args(["--engine", engine]).arg("-").arg(device.path());
        let outcome = copy.input(&bytes(1, 2 * MIB)).run();
        outcome.assert_failed(&[&quoted(device.path()), "No space left on device"]);
    }
}

#[test]
fn a_device_is_not_copied_onto_itself_under_any_name() {
    need!(needs::loop_devices());
    let device = filled_device(MIB);
    let dir = Scratch::new();
    let (link, node) = (dir.path("link"), dir.path("node"));
    std::os::unix::fs::symlink(device.path(), &link).unwrap();
    let number = fs::metadata(device.path()).unwrap().rdev();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::sys::stat::mknod(&node, nix::sys::stat::SFlag::S_IFBLK, mode, number).unwrap();
    for target in [device.path(), &link, &node] {
        let outcome = Highwater::copy().arg(device.path()).arg(target).run();
        outcome.assert_failed(&[&quoted(device.path()), &quoted(target), "same"]);
        assert_device(device.path(), MIB, &[]);
    }
}
