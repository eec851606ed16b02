//! Control groups of version 1: a rate a disk is written at, a bound on memory. A command joins
//! them between fork and exec (`Highwater::inside`), so that all its work is charged there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::unique_name;

/// A group of one controller, removed on Drop.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    fn new(controller: &str) -> Cgroup {
        let path = Path::new("/sys/fs/cgroup").join(controller).join(unique_name());
        fs::create_dir(&path).unwrap();
        Cgroup { path }
    }

    fn set(&self, name: &str, value: &str) {
        fs::write(self.path.join(name), value)
            .unwrap_or_else(|error| panic!("{}/{name} = {value}: {error}", self.path.display()));
    }

    fn number(&self, name: &str) -> u64 {
        fs::read_to_string(self.path.join(name)).unwrap().trim().parse().unwrap()
    }

    /// Writing "0" here moves the writer into the group.
    pub fn procs(&self) -> File {
        File::options().write(true).open(self.path.join("cgroup.procs")).unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that has just been reaped still counts for a moment.
        for _ in 0..200 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("left behind: {}", self.path.display());
    }
}

/// What writes to one block device are held to. It holds for direct writes and for buffered ones
/// from their fsync on; those without escape into the page cache.
pub struct Throttle {
    group: Cgroup,
    device: String,
}

impl Throttle {
    /// A group whose writes to `device` (a loop device, as "major:minor") take at most this many
    /// bytes a second.
    pub fn new(device: &str, bytes_per_s: u64) -> Throttle {
        let throttle = Throttle { group: Cgroup::new("blkio"), device: device.to_owned() };
        throttle.set(bytes_per_s);
        throttle
    }

    /// Another rate, from now on. 0 lifts the bound.
    pub fn set(&self, bytes_per_s: u64) {
        self.group.set("blkio.throttle.write_bps_device", &format!("{} {bytes_per_s}", self.device));
    }

    /// So many write operations a second, from now on, besides. 0 lifts the bound.
    pub fn set_operations(&self, per_s: u64) {
        self.group.set("blkio.throttle.write_iops_device", &format!("{} {per_s}", self.device));
    }

    /// The group to join.
    pub fn group(&self) -> &Cgroup {
        &self.group
    }
}

/// A bound on memory, the page cache of the group's own writes included.
pub struct MemoryCgroup {
    group: Cgroup,
}

impl MemoryCgroup {
    /// A group of at most `limit` bytes.
    pub fn new(limit: u64) -> MemoryCgroup {
        let group = Cgroup::new("memory");
        group.set("memory.limit_in_bytes", &limit.to_string());
        MemoryCgroup { group }
    }

    /// The most bytes that were ever charged.
    pub fn max_usage(&self) -> u64 {
        self.group.number("memory.max_usage_in_bytes")
    }

    /// Bytes of the group's page cache that are not on their device yet.
    pub fn dirty_bytes(&self) -> u64 {
        let stat = fs::read_to_string(self.group.path.join("memory.stat")).unwrap();
        let field = |name: &str| -> u64 {
            let value = stat.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().parse().unwrap()
        };
        field("dirty ") + field("writeback ")
    }

    /// Asserts that the bound was never met.
    #[track_caller]
    pub fn assert_never_met(&self) {
        assert_eq!(self.failcnt(), 0, "{} bytes at the peak", self.max_usage());
    }

    /// How often the bound was met.
    pub fn failcnt(&self) -> u64 {
        self.group.number("memory.failcnt")
    }

    /// The group to join.
    pub fn group(&self) -> &Cgroup {
        &self.group
    }
}
