//! What this process has used so far: getrusage(2), proc_pid_status(5).

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// CPU time and memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// the most resident memory, in bytes
    pub peak_rss_bytes: u64,
    /// CPU time in user mode
    pub user: Duration,
    /// CPU time in the kernel
    pub system: Duration,
}

/// Of all threads of this process, io_uring's workers included.
pub fn usage() -> Usage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Usage::default() };
    let time = |t: TimeVal| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1000);
    Usage {
        peak_rss_bytes: high_water_mark().unwrap_or(usage.max_rss() as u64 * 1024),
        user: time(usage.user_time()),
        system: time(usage.system_time()),
    }
}

/// What is resident now, in bytes: proc_pid_statm(5). None without /proc.
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page as u64)
}

/// VmHWM. The ru_maxrss of a process begins with what its parent had before exec.
fn high_water_mark() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
