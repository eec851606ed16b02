//! What numbers depend on, to be told before them.

use std::fs;
use std::thread::available_parallelism;

/// Processor, memory and kernel, in one line.
pub fn description() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal");
    let kernel = nix::sys::utsname::uname().map_or("unknown".into(), |uname| uname.release().to_os_string());
    format!(
        "{}, {cores} cores, {memory} memory, Linux {}",
        field("/proc/cpuinfo", "model name"),
        kernel.display()
    )
}

/// The first value of `name` in a file of lines `name: value`.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(key, _)| key.trim() == name);
    found.map_or(format!("{name} unknown"), |(_, value)| value.trim().to_owned())
}
