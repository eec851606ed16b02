//! Disks of a test's own: loop devices over sparse images, bare or with a file system, and tmpfs.
//! The machine's own disks are never touched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Scratch;

/// A file system that a loop device can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fs {
    Ext4,
    Xfs,
    Btrfs,
}

impl Fs {
    /// All of them.
    pub const ALL: [Fs; 3] = [Fs::Ext4, Fs::Xfs, Fs::Btrfs];

    /// As mount names it.
    pub fn name(self) -> &'static str {
        match self {
            Fs::Ext4 => "ext4",
            Fs::Xfs => "xfs",
            Fs::Btrfs => "btrfs",
        }
    }

    /// The program that makes it.
    pub fn mkfs(self) -> &'static str {
        match self {
            Fs::Ext4 => "mkfs.ext4",
            Fs::Xfs => "mkfs.xfs",
            Fs::Btrfs => "mkfs.btrfs",
        }
    }

    /// The smallest disk it is content with, in bytes.
    pub fn least_bytes(self) -> u64 {
        match self {
            Fs::Ext4 => 16 << 20,
            Fs::Xfs => 320 << 20,
            Fs::Btrfs => 160 << 20,
        }
    }
}

/// Runs a program of the system and panics with what it said unless it succeeds.
#[track_caller]
pub fn system(program: &str, args: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(args).env("PATH", path).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A block device of a test's own, on an image that is a file.
pub struct LoopDevice {
    path: PathBuf,
    _image: Option<Scratch>,
}

impl LoopDevice {
    /// A device of `len` bytes, a multiple of 512, all zeros.
    pub fn new(len: u64) -> LoopDevice {
        let scratch = Scratch::new();
        let image = scratch.path("disk.img");
        File::create(&image).unwrap().set_len(len).unwrap();
        let mut device = LoopDevice::over(&image);
        device._image = Some(scratch);
        device
    }

    /// A device over a file that stands somewhere: on a faulty disk, say.
    pub fn over(image: &Path) -> LoopDevice {
        let image = image.to_str().unwrap();
        // Two tests may be told the same free number; the second one is refused and asks again.
        for attempt in 0.. {
            let direct = if attempt % 2 == 0 { "--direct-io=on" } else { "--direct-io=off" };
            let output = Command::new("losetup").args(["-f", "--show", direct, image]).output().unwrap();
            if output.status.success() {
                let path = String::from_utf8(output.stdout).unwrap().trim().into();
                return LoopDevice { path, _image: None };
            }
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(attempt < 20, "losetup {image}: {stderr}");
            std::thread::sleep(Duration::from_millis(50));
        }
        unreachable!()
    }

    /// `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// "major:minor", as cgroups name it.
    pub fn number(&self) -> String {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        fs::read_to_string(format!("/sys/block/{name}/dev")).unwrap().trim().to_owned()
    }

    /// All bytes that were ever written to it: field 7 of the kernel's Documentation/block/stat.rst, in sectors.
    pub fn written_bytes(&self) -> u64 {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        let stat = fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
        512 * stat.split_whitespace().nth(6).unwrap().parse::<u64>().unwrap()
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.path).status();
    }
}

/// A directory something is mounted on, unmounted on Drop.
pub struct Mount {
    scratch: Scratch,
}

impl Mount {
    /// Mounts with the arguments of mount(8) before the directory's name.
    pub fn new(args: &[&str]) -> Mount {
        let mount = Mount { scratch: Scratch::new() };
        fs::create_dir(mount.dir()).unwrap();
        let dir = mount.dir();
        let args: Vec<&str> = args.iter().copied().chain([dir.to_str().unwrap()]).collect();
        system("mount", &args);
        mount
    }

    /// The directory.
    pub fn dir(&self) -> PathBuf {
        self.scratch.path("mnt")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.dir());
    }
}

/// Unmounts, and waits for what still holds it: a process killed a moment ago, a loop device being
/// detached.
pub fn unmount(dir: &Path) {
    let plain_user = !nix::unistd::geteuid().is_root();
    for attempt in 0..=15 {
        let mut umount = Command::new(if plain_user { "fusermount3" } else { "umount" });
        if plain_user {
            umount.arg("-u");
        }
        if attempt == 15 {
            umount.arg(if plain_user { "-z" } else { "-l" });
        }
        if umount.arg(dir).output().is_ok_and(|output| output.status.success()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("left mounted: {}", dir.display());
}

/// A mounted file system on a loop device. Fields drop in order: unmounted, then detached.
pub struct LoopDisk {
    mount: Mount,
    device: LoopDevice,
}

impl LoopDisk {
    /// A disk with this file system, of at least `len` bytes (and of what the file system needs).
    pub fn new(fs: Fs, len: u64) -> LoopDisk {
        LoopDisk::on(LoopDevice::new(len.max(fs.least_bytes())), fs)
    }

    /// A disk whose files have data exactly where it was written: XFS allocates more behind a file's
    /// end in advance, and so makes data of what becomes a hole. Not so here.
    pub fn exact(fs: Fs, len: u64) -> LoopDisk {
        let disk = LoopDisk::new(fs, len);
        if fs != Fs::Xfs {
            return disk;
        }
        let LoopDisk { mount, device } = disk;
        drop(mount);
        let mount = Mount::new(&["-o", "allocsize=4k", device.path().to_str().unwrap()]);
        LoopDisk { mount, device }
    }

    /// A file system on this device.
    pub fn on(device: LoopDevice, fs: Fs) -> LoopDisk {
        let path = device.path().to_str().unwrap();
        let quiet = if fs == Fs::Ext4 { "-Fq" } else { "-fq" };
        system(fs.mkfs(), &[quiet, path]);
        LoopDisk { mount: Mount::new(&["-t", fs.name(), path]), device }
    }

    /// What is on this device already, mounted.
    pub fn mounted(device: LoopDevice, fs: Fs) -> LoopDisk {
        let mount = Mount::new(&["-t", fs.name(), device.path().to_str().unwrap()]);
        LoopDisk { mount, device }
    }

    /// The same disk after a crash of the file system: what wasn't synced is lost, its journal's
    /// last entries too. Needs xfs_io.
    pub fn crashed(self, fs: Fs) -> LoopDisk {
        self.shut_down();
        self.mounted_again(fs)
    }

    /// The file system crashes now. Needs xfs_io.
    pub fn shut_down(&self) {
        system("xfs_io", &["-x", "-c", "shutdown", self.dir().to_str().unwrap()]);
    }

    /// The same disk, unmounted and mounted.
    pub fn mounted_again(self, fs: Fs) -> LoopDisk {
        let LoopDisk { mount, device } = self;
        drop(mount);
        LoopDisk::mounted(device, fs)
    }

    /// Where it is mounted.
    pub fn dir(&self) -> PathBuf {
        self.mount.dir()
    }

    /// `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// What it is on.
    pub fn device(&self) -> &LoopDevice {
        &self.device
    }
}

/// A tmpfs of bounded size.
pub struct Tmpfs(Mount);

impl Tmpfs {
    /// A tmpfs that is full after `size` bytes, a multiple of 4,096.
    pub fn new(size: u64) -> Tmpfs {
        Tmpfs(Mount::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "highwater-test"]))
    }

    /// `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.dir().join(name)
    }

    /// Where it is mounted.
    pub fn dir(&self) -> PathBuf {
        self.0.dir()
    }
}
