//! `-` and what is behind it: pipes, files at their own offset, FIFOs, sockets. An inherited
//! descriptor belongs to whoever lent it: it comes back where it should stand, its flags untouched.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::support::*;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

const LENGTHS: [u64; 6] = [0, 1, 4097, 65_536, 256 * KIB + 1, 3 * MIB + 12_345];

fn copy(engine: &str) -> Highwater {
    Highwater::copy().args(["--engine", engine])
}

/// Reads all of a descriptor in a thread of its own.
fn reading(from: impl Into<OwnedFd>) -> thread::JoinHandle<Vec<u8>> {
    let mut from = File::from(from.into());
    thread::spawn(move || {
        let mut data = vec![];
        from.read_to_end(&mut data).unwrap();
        data
    })
}

fn flags(fd: impl AsFd) -> OFlag {
    OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap())
}

#[test]
fn a_pipe_becomes_a_file() {
    let dir = Scratch::new();
    for engine in engines() {
        for len in LENGTHS {
            let target = dir.path("target");
            copy(engine).arg("-").arg(&target).input(&bytes(1, len)).run().assert_silent();
            assert_holds(&target, 1, len);
            fs::remove_file(&target).unwrap();
        }
    }
}

#[test]
fn a_pipe_replaces_what_a_longer_file_held() {
    let dir = Scratch::new();
    write_file(&dir.path("target"), 2, 5 * MIB);
    Highwater::copy().arg("-").arg(dir.path("target")).input(&bytes(1, MIB + 7)).run().assert_silent();
    assert_holds(&dir.path("target"), 1, MIB + 7);
}

#[test]
fn a_file_goes_into_a_pipe() {
    let dir = Scratch::new();
    for engine in engines() {
        for len in LENGTHS {
            write_file(&dir.path("source"), 1, len);
            let outcome = copy(engine).arg(dir.path("source")).arg("-").run();
            outcome.assert_silent();
            assert_bytes(&outcome.stdout, &bytes(1, len));
        }
    }
}

#[test]
fn a_pipe_goes_into_a_pipe() {
    for engine in engines() {
        for len in LENGTHS {
            let outcome = copy(engine).args(["-", "-"]).input(&bytes(1, len)).run();
            outcome.assert_silent();
            assert_bytes(&outcome.stdout, &bytes(1, len));
        }
    }
}

#[test]
fn standard_input_is_read_from_its_own_offset_and_left_after_the_data() {
    let dir = Scratch::new();
    for engine in engines() {
        for start in [0, 1000, 65_536, MIB + 5, 2 * MIB] {
            write_file(&dir.path("source"), 1, MIB + 5);
            let mut source = File::open(dir.path("source")).unwrap();
            source.seek(SeekFrom::Start(start)).unwrap();
            let stdin = source.try_clone().unwrap();
            copy(engine).arg("-").arg(dir.path("target")).stdin(stdin).run().assert_silent();
            let want = &bytes(1, MIB + 5)[start.min(MIB + 5) as usize..];
            assert_bytes(&fs::read(dir.path("target")).unwrap(), want);
            assert_eq!(source.stream_position().unwrap(), start.max(MIB + 5), "from {start}");
        }
    }
}

#[test]
fn standard_output_is_written_at_its_own_offset_and_left_after_the_data() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, MIB + 5);
    for engine in engines() {
        for start in [0, 1000, 4 * MIB] {
            write_file(&dir.path("target"), 2, 3 * MIB);
            let mut target = File::options().read(true).write(true).open(dir.path("target")).unwrap();
            target.seek(SeekFrom::Start(start)).unwrap();
            let stdout = target.try_clone().unwrap();
            copy(engine).arg(dir.path("source")).arg("-").stdout(stdout).run().assert_silent();
            let mut want = bytes(2, 3 * MIB);
            let end = (start + MIB + 5) as usize;
            want.resize(want.len().max(end), 0);
            want[start as usize..end].copy_from_slice(&bytes(1, MIB + 5));
            assert_bytes(&fs::read(dir.path("target")).unwrap(), &want);
            assert_eq!(target.stream_position().unwrap(), end as u64, "from {start}");
        }
    }
}

#[test]
fn two_commands_write_one_after_the_other() {
    let dir = Scratch::new();
    let target = File::create(dir.path("target")).unwrap();
    for (seed, engine) in (1..).zip(engines()) {
        write_file(&dir.path("source"), seed, 100_001);
        let stdout = target.try_clone().unwrap();
        copy(engine).arg(dir.path("source")).arg("-").stdout(stdout).run().assert_silent();
    }
    let want: Vec<u8> = (1..).zip(engines()).flat_map(|(seed, _)| bytes(seed, 100_001)).collect();
    assert_bytes(&fs::read(dir.path("target")).unwrap(), &want);
}

#[test]
fn a_file_opened_to_append_is_appended_to() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 2 * MIB + 7);
    for engine in engines() {
        write_file(&dir.path("target"), 2, 5000);
        let target = File::options().append(true).open(dir.path("target")).unwrap();
        let stdout = target.try_clone().unwrap();
        copy(engine).arg(dir.path("source")).arg("-").stdout(stdout).run().assert_silent();
        let want = [bytes(2, 5000), bytes(1, 2 * MIB + 7)].concat();
        assert_bytes(&fs::read(dir.path("target")).unwrap(), &want);
        assert!(flags(&target).contains(OFlag::O_APPEND));
    }
}

#[test]
fn descriptors_that_do_not_block_work_and_stay_so() {
    for engine in engines() {
        for nonblocking in [OFlag::O_NONBLOCK, OFlag::empty()] {
            let (input, mut feed) = io::pipe().unwrap();
            let (drain, output) = io::pipe().unwrap();
            for end in [input.as_fd(), output.as_fd()] {
                fcntl(end, FcntlArg::F_SETFL(flags(end) | nonblocking)).unwrap();
            }
            let (input_here, output_here) = (input.try_clone().unwrap(), output.try_clone().unwrap());
            let before = (flags(&input_here), flags(&output_here));
            let running = copy(engine).args(["-", "-"]).stdin(input).stdout(output).start();
            // Both sides make it wait: an empty pipe first, then a full one.
            let feeding = thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                feed.write_all(&bytes(1, MIB + 7)).unwrap();
            });
            thread::sleep(Duration::from_millis(300));
            let drained = thread::spawn(move || {
                let mut data = vec![0; MIB as usize + 7];
                (&drain).read_exact(&mut data).unwrap();
                data
            });
            running.wait().assert_silent();
            feeding.join().unwrap();
            assert_bytes(&drained.join().unwrap(), &bytes(1, MIB + 7));
            assert_eq!((flags(&input_here), flags(&output_here)), before, "{engine}");
            assert_eq!(before.0.contains(OFlag::O_NONBLOCK), !nonblocking.is_empty());
        }
    }
}

#[test]
fn a_fifo_is_a_source() {
    let dir = Scratch::new();
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for engine in engines() {
        let fifo = dir.path("fifo");
        let writing = thread::spawn(move || {
            File::options().write(true).open(fifo).unwrap().write_all(&bytes(1, MIB + 7)).unwrap();
        });
        copy(engine).args([dir.path("fifo"), dir.path("target")]).run().assert_silent();
        writing.join().unwrap();
        assert_holds(&dir.path("target"), 1, MIB + 7);
    }
}

#[test]
fn a_fifo_is_a_target_and_stays_a_fifo() {
    let dir = Scratch::new();
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    write_file(&dir.path("source"), 1, MIB + 7);
    for engine in engines() {
        let running = copy(engine).args([dir.path("source"), dir.path("fifo")]).start();
        let fifo = dir.path("fifo");
        let data = thread::spawn(move || fs::read(fifo).unwrap());
        running.wait().assert_silent();
        assert_bytes(&data.join().unwrap(), &bytes(1, MIB + 7));
        use std::os::unix::fs::FileTypeExt;
        assert!(fs::metadata(dir.path("fifo")).unwrap().file_type().is_fifo());
    }
}

#[test]
fn sockets_are_read_and_written() {
    for engine in engines() {
        let (feed, input) = UnixStream::pair().unwrap();
        let (drain, output) = UnixStream::pair().unwrap();
        let (input, output) = (OwnedFd::from(input), OwnedFd::from(output));
        let running = copy(engine).args(["-", "-"]).stdin(input).stdout(output).start();
        let feeding = thread::spawn(move || {
            (&feed).write_all(&bytes(1, 2 * MIB + 7)).unwrap();
            feed.shutdown(Shutdown::Write).unwrap();
            feed
        });
        let drained = reading(drain);
        running.wait().assert_silent();
        feeding.join().unwrap();
        assert_bytes(&drained.join().unwrap(), &bytes(1, 2 * MIB + 7));
    }
}

#[test]
fn a_broken_pipe_is_a_failure_that_is_told() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 4 * MIB);
    for engine in engines() {
        let (drain, output) = io::pipe().unwrap();
        let running = copy(engine).arg(dir.path("source")).arg("-").stdout(output).start();
        let mut first = vec![0; 10_000];
        (&drain).read_exact(&mut first).unwrap();
        drop(drain);
        running.wait().assert_failed(&["Broken pipe"]);
        assert_bytes(&first, &bytes(1, 10_000));
    }
}

#[test]
fn data_passes_a_pipe_at_once() {
    for engine in engines() {
        let (input, mut feed) = io::pipe().unwrap();
        let running = copy(engine).args(["-", "-"]).stdin(input).start();
        for (i, word) in ["one\n", "two\n", "three\n"].iter().enumerate() {
            let want = ["one\n", "two\n", "three\n"][..=i].concat();
            feed.write_all(word.as_bytes()).unwrap();
            wait_for("the word to pass", || running.stdout_so_far() == want.as_bytes());
        }
        drop(feed);
        running.wait().assert_silent();
    }
}

#[test]
fn what_came_through_a_pipe_so_far_is_kept_when_the_pipe_ends_late() {
    let dir = Scratch::new();
    for engine in engines() {
        let (input, mut feed) = io::pipe().unwrap();
        let running = copy(engine).arg("-").arg(dir.path(engine)).stdin(input).start();
        for part in bytes(1, 20_000).chunks(777) {
            feed.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        drop(feed);
        running.wait().assert_silent();
        assert_holds(&dir.path(engine), 1, 20_000);
    }
}
