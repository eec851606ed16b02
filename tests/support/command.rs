//! Running `highwater` as a user does, never longer than a time, and everything seen of it: both
//! outputs, the exit code, the most memory it held.
//!
//! The peak is looked up while it runs, every few milliseconds, in `/proc`: wait4's begins at what
//! the parent, the test, held when it made the child. A run too short for a look has wait4's. Pages of
//! files, which are the program's own code, are not counted: they grow with the program and not with
//! what it does, and anybody may have them back.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::{Cgroup, MemoryCgroup};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_highwater");

/// A command being put together.
pub struct Highwater {
    command: Command,
    uid: u32,
    timeout: Duration,
    stdin: Vec<u8>,
    memory: Option<MemoryCgroup>,
}

/// `highwater copy` inside 64 MiB of memory, which it must never fill: see [`Highwater::bounded`].
pub fn bounded_copy() -> Highwater {
    Highwater::copy().bounded(64 * super::MIB)
}

impl Highwater {
    /// `highwater copy`, without input, both outputs captured.
    pub fn copy() -> Highwater {
        Highwater::binary(BINARY).arg("copy")
    }

    /// `highwater bench`, likewise.
    pub fn bench() -> Highwater {
        Highwater::binary(BINARY).arg("bench")
    }

    /// `highwater stress`, likewise.
    pub fn stress() -> Highwater {
        Highwater::binary(BINARY).arg("stress")
    }

    /// Another binary, or the same under another path, without arguments.
    pub fn binary(path: impl AsRef<OsStr>) -> Highwater {
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("LC_ALL", "C").env_remove("HIGHWATER_REQUIRE_ALL");
        Highwater {
            command,
            uid: nix::unistd::geteuid().as_raw(),
            timeout: Duration::from_secs(60),
            stdin: vec![],
            memory: None,
        }
    }

    /// Called by this name, whatever file it is.
    pub fn named(mut self, name: &str) -> Highwater {
        self.command.arg0(name);
        self
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Highwater {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Highwater {
        self.command.args(args);
        self
    }

    /// Where it runs.
    pub fn current_dir(mut self, dir: impl AsRef<std::path::Path>) -> Highwater {
        self.command.current_dir(dir);
        self
    }

    /// With this in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Highwater {
        self.command.env(name, value);
        self
    }

    /// These bytes through a pipe as standard input, then its end.
    pub fn input(mut self, data: &[u8]) -> Highwater {
        self.command.stdin(Stdio::piped());
        self.stdin = data.to_vec();
        self
    }

    /// This as standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Highwater {
        self.command.stdin(stdin);
        self
    }

    /// This as standard output, which is then not captured.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Highwater {
        self.command.stdout(stdout);
        self
    }

    /// The time after which it is killed and the test fails.
    pub fn timeout(mut self, timeout: Duration) -> Highwater {
        self.timeout = timeout;
        self
    }

    /// With this umask.
    pub fn umask(self, mask: u32) -> Highwater {
        self.before_exec(move || {
            // SAFETY: umask(2) has no preconditions and can't fail.
            unsafe { libc::umask(mask) };
            Ok(())
        })
    }

    /// With this limit, soft and hard.
    pub fn limit(self, resource: Resource, value: u64) -> Highwater {
        self.before_exec(move || setrlimit(resource, value, value).map_err(Into::into))
    }

    /// As a plain user of its own, without groups or capabilities. Locked memory is charged to a
    /// user over all of its processes, so that no two tests may share one.
    pub fn by_a_plain_user(mut self) -> Highwater {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % 16;
        self.uid = 100_000 + std::process::id() % 10_000 * 16 + next;
        self.command.uid(self.uid).gid(65534);
        self
    }

    /// The user it runs as.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Inside a control group.
    pub fn inside(self, group: &Cgroup) -> Highwater {
        let procs = group.procs();
        self.before_exec(move || (&procs).write_all(b"0"))
    }

    /// Inside a memory group of its own, the page cache of what it writes included. That it never met
    /// the bound is asserted at its end, however it ended. A plain user can't make such a group, and
    /// his copy runs without one.
    pub fn bounded(mut self, limit: u64) -> Highwater {
        match super::needs::cgroup("memory") {
            Ok(()) => {
                let memory = MemoryCgroup::new(limit);
                self = self.inside(memory.group());
                self.memory = Some(memory);
            }
            Err(reason) if super::needs::are_required() => panic!("no bound on memory: {reason}"),
            Err(_) => {}
        }
        self
    }

    /// With this done in the child between fork and exec. `hook` must not allocate.
    pub fn before_exec(mut self, hook: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Highwater {
        // SAFETY: every hook in these tests makes system calls only, on memory made before the fork.
        unsafe { self.command.pre_exec(hook) };
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Starts it.
    #[allow(clippy::zombie_processes)] // Running waits for it, with wait4.
    pub fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        // The command holds our ends of what the child was given: a pipe would never end.
        drop(self.command);
        if let Some(mut stdin) = child.stdin.take() {
            let data = std::mem::take(&mut self.stdin);
            // A command that ends early breaks this pipe; its outcome is what counts.
            std::thread::spawn(move || stdin.write_all(&data));
        }
        Running {
            pid: Pid::from_raw(child.id() as i32),
            stdout: child.stdout.take().map(Captured::new),
            stderr: child.stderr.take().map(Captured::new),
            started: Instant::now(),
            timeout: self.timeout,
            shown,
            peak_memory_bytes: 0,
            ended: None,
            memory: self.memory,
        }
    }
}

/// An output being read as it comes.
struct Captured {
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Captured {
    fn new(mut pipe: impl Read + Send + 'static) -> Captured {
        let seen = Arc::new(Mutex::new(vec![]));
        let seen_here = seen.clone();
        let reader = std::thread::spawn(move || {
            let mut buf = vec![0; 65536];
            while let Ok(n @ 1..) = pipe.read(&mut buf) {
                seen_here.lock().unwrap().extend_from_slice(&buf[..n]);
            }
        });
        Captured { seen, reader }
    }

    fn so_far(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }

    fn all(self) -> Vec<u8> {
        let _ = self.reader.join();
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// A command that runs; killed on Drop.
pub struct Running {
    pid: Pid,
    stdout: Option<Captured>,
    stderr: Option<Captured>,
    started: Instant,
    timeout: Duration,
    shown: String,
    peak_memory_bytes: u64,
    ended: Option<(i32, u64)>,
    memory: Option<MemoryCgroup>,
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// What it has said on stdout.
    pub fn stdout_so_far(&self) -> Vec<u8> {
        self.stdout.as_ref().map(Captured::so_far).unwrap_or_default()
    }

    /// What it has said on stderr.
    pub fn stderr_so_far(&self) -> String {
        let seen = self.stderr.as_ref().map(Captured::so_far).unwrap_or_default();
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// The most memory of its own that it has held until now, in bytes; 0 once it has ended.
    pub fn peak_memory_so_far(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let bytes = |field: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(field));
            let kib = value.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok());
            kib.unwrap_or(0) * super::KIB
        };
        bytes("VmHWM:").saturating_sub(bytes("RssFile:"))
    }

    /// Sends it a signal. It must still be there.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        assert!(!self.has_ended(), "ended before {signal}: {} {}", self.shown, self.stderr_so_far());
        kill(self.pid, signal).unwrap();
    }

    /// Waits until it has arranged for `signal`: a handler, or blocked for a signalfd.
    #[track_caller]
    pub fn wait_until_it_handles(&mut self, signal: Signal) {
        let bit = 1u64 << (signal as u32 - 1);
        super::wait_for(&format!("{} to handle {signal}", self.shown), || {
            assert!(!self.has_ended(), "ended before {signal}: {} {}", self.shown, self.stderr_so_far());
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
            status
                .lines()
                .filter_map(|line| line.strip_prefix("SigCgt:").or(line.strip_prefix("SigBlk:")))
                .any(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & bit != 0)
        });
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            let mut status = 0;
            // SAFETY: rusage is plain numbers, of which all zeros is a value.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: both pointers are to live locals of the right types.
            let pid = unsafe { libc::wait4(self.pid.as_raw(), &mut status, libc::WNOHANG, &mut usage) };
            assert!(pid >= 0, "wait4: {}", io::Error::last_os_error());
            if pid > 0 {
                self.ended = Some((status, usage.ru_maxrss as u64 * 1024));
            }
        }
        self.ended.is_some()
    }

    /// Waits for its end, at most the time it was given.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        for round in 0u64.. {
            if self.has_ended() {
                break;
            }
            if round % 8 == 0 {
                self.peak_memory_bytes = self.peak_memory_bytes.max(self.peak_memory_so_far());
            }
            if self.started.elapsed() > self.timeout {
                let stderr = self.stderr_so_far();
                panic!("still running after {:?}: {}\n{stderr}", self.timeout, self.shown);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let elapsed = self.started.elapsed();
        if let Some(memory) = &self.memory {
            memory.assert_never_met();
        }
        let (status, peak_of_wait4) = self.ended.unwrap();
        let peak_memory_bytes =
            if self.peak_memory_bytes > 0 { self.peak_memory_bytes } else { peak_of_wait4 };
        let stdout = self.stdout.take().map(Captured::all).unwrap_or_default();
        let stderr = self.stderr.take().map(Captured::all).unwrap_or_default();
        Outcome {
            code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
            stdout,
            stderr: without_shared_limit(String::from_utf8_lossy(&stderr).into_owned()),
            peak_memory_bytes,
            elapsed,
            shown: self.shown.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let deadline = Instant::now() + Duration::from_secs(10);
            while !self.has_ended() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// All that a run showed.
pub struct Outcome {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What it wrote, where that was captured.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: String,
    /// The most memory of its own that it held, in bytes; see the head of this file.
    pub peak_memory_bytes: u64,
    /// From start to end.
    pub elapsed: Duration,
    shown: String,
}

/// RLIMIT_MEMLOCK is one sum over all rings of a plain user, and the tests that run at the same
/// time share it: whose buffers found no room depends on the others. Root has no such limit, and
/// the tests that ask for this line need root.
fn without_shared_limit(stderr: String) -> String {
    match nix::unistd::geteuid().is_root() {
        true => stderr,
        false => stderr
            .split_inclusive('\n')
            .filter(|line| !line.contains("buffers can't be registered"))
            .collect(),
    }
}

impl Outcome {
    /// Asserts exit code 0.
    #[track_caller]
    pub fn assert_ok(&self) -> &Outcome {
        self.assert_code(0)
    }

    /// Asserts exit code 0 and not a word on stderr.
    #[track_caller]
    pub fn assert_silent(&self) -> &Outcome {
        self.assert_code(0);
        assert_eq!(self.stderr, "", "stderr of {}", self.shown);
        self
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Outcome {
        let (got, signal) = (self.code, self.signal);
        assert_eq!(got, Some(code), "{} (signal {signal:?})\n{}", self.shown, self.stderr);
        self
    }

    /// Asserts exit code 1 and one line that begins as all messages do and has each of `words`:
    /// the path as cp quotes it, the C library's words for the errno.
    #[track_caller]
    pub fn assert_failed(&self, words: &[&str]) -> &Outcome {
        self.assert_code(1);
        let said = self
            .stderr
            .lines()
            .any(|line| line.starts_with("highwater: ") && words.iter().all(|word| line.contains(word)));
        assert!(said, "no message with {words:?} from {}\n{}", self.shown, self.stderr);
        self
    }

    /// Asserts exit code 2, that of a wrong command line, and that stderr has each of `words`.
    #[track_caller]
    pub fn assert_usage(&self, words: &[&str]) -> &Outcome {
        self.assert_code(2);
        let said = words.iter().all(|word| self.stderr.contains(word));
        assert!(said, "stderr without {words:?} from {}\n{}", self.shown, self.stderr);
        self
    }

    /// The JSON report on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            let stdout = String::from_utf8_lossy(&self.stdout);
            panic!("no JSON from {}: {error}\n{stdout}\n{}", self.shown, self.stderr)
        })
    }
}

/// `'path'`, as messages quote it.
pub fn quoted(path: &std::path::Path) -> String {
    format!("'{}'", path.display())
}

/// Where a plain user can run the binary from: a copy of it where everyone may look.
pub fn binary_for_everyone() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("highwater-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let binary = dir.path().join("highwater");
    // By another process: a file that is open for writing here may be so in a child forked by a test
    // beside this one, and can't be executed then (ETXTBSY).
    super::disk::system("cp", &[BINARY, binary.to_str().unwrap()]);
    (dir, binary)
}
