//! Disks behind nbdkit: with its filters they fail, lag, pause, lose what was not flushed, or are gone.
//!
//! nbdkit serves a plugin through filters on a socket, nbdfuse makes a file of what it serves, and a
//! loop device over that file is a disk like any other, bare or with a file system.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::disk::{LoopDevice, unmount};
use super::{Scratch, wait_for};

/// What the tests of such disks need, or why it is not there.
pub fn needed() -> Result<(), String> {
    super::needs::loop_devices()?;
    super::needs::fuse()?;
    super::needs::tool("nbdkit")?;
    super::needs::tool("nbdfuse")
}

/// A server and the file it is seen as. Whatever stands on that file is to be dropped first.
pub struct Nbd {
    server: Child,
    client: Child,
    scratch: Scratch,
}

impl Nbd {
    /// nbdkit with these arguments: filters, plugin and their parameters, as in nbdkit(1).
    pub fn new<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Nbd {
        let scratch = Scratch::new();
        let (socket, file) = (scratch.path("socket"), scratch.path("disk"));
        File::create(&file).unwrap();
        // What they say of their own faults, or of a server that was killed, tells no test anything.
        let quiet = |command: &mut Command| {
            let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        let server = quiet(Command::new("nbdkit").args(["-f", "-U"]).arg(&socket).args(args));
        wait_for("nbdkit's socket", || socket.exists());
        let client = quiet(Command::new("nbdfuse").arg(&file).arg("--unix").arg(&socket));
        wait_for("nbdfuse's file", || file.metadata().is_ok_and(|file| file.len() > 0));
        Nbd { server, client, scratch }
    }

    /// The file that is served.
    pub fn file(&self) -> PathBuf {
        self.scratch.path("disk")
    }

    /// `name` beside it: sockets and flags of filters, for instance.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// A disk over it.
    pub fn device(&self) -> LoopDevice {
        LoopDevice::over(&self.file())
    }

    /// The server is gone from one moment to the next, and what it had not written with it.
    pub fn kill(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Nbd {
    fn drop(&mut self) {
        // Without its server nbdfuse answers every request with an error, and can be unmounted.
        self.kill();
        unmount(&self.file());
        wait_for("nbdfuse's end", || self.client.try_wait().is_ok_and(|ended| ended.is_some()));
    }
}

/// The pause filter of a server, by its control socket: add `--filter=pause` and
/// `pause-control=SOCKET`.
pub struct Pause(UnixStream);

impl Pause {
    /// At this socket.
    pub fn at(socket: &std::path::Path) -> Pause {
        Pause(UnixStream::connect(socket).unwrap())
    }

    /// Nothing is answered any more; returns once what was begun before is done.
    pub fn pause(&mut self) {
        self.tell(b"p");
    }

    /// All is answered again.
    pub fn resume(&mut self) {
        self.tell(b"r");
    }

    fn tell(&mut self, what: &[u8]) {
        self.0.write_all(what).unwrap();
        let mut answer = [0];
        std::io::Read::read_exact(&mut self.0, &mut answer).unwrap();
        assert_eq!(answer[0], what[0].to_ascii_uppercase(), "nbdkit's pause filter understands");
    }
}
