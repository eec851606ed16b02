//! The stream for programmers: each promise of `highwater::stream`, over files, pipes and sockets.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use highwater::error::{Cause, Op};
use highwater::stream::{Options, ReadStream, WriteStream};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A mark of `high`, in blocks of 64 KiB.
fn marks(high: u64, low: Option<u64>) -> Options {
    Options {
        high_water_bytes: high,
        low_water_bytes: low,
        block_bytes: Some(64 << 10),
        ..Options::default()
    }
}

fn bytes(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(len as u64);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

const MIB: usize = 1 << 20;

#[test]
fn write_says_false_at_the_mark_and_drain_comes_at_the_low_mark() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let chunk = bytes(64 << 10);
    run(async {
        let mut stream = WriteStream::over(ours, "socket", marks(MIB as u64, Some(0))).unwrap();
        let mut written = 0;
        while stream.write(&chunk).await.unwrap() {
            written += chunk.len();
            assert!(written < 64 * MIB, "a reader that sleeps must be felt");
        }
        written += chunk.len();
        assert!(stream.needs_drain());
        let early = tokio::time::timeout(Duration::from_millis(100), stream.drain()).await;
        assert!(early.is_err(), "nobody reads, so nothing drains");
        assert_eq!(stream.level().peak_bytes, MIB as u64, "the level stands at the mark");

        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        stream.drain().await.unwrap();
        assert_eq!(
            (stream.in_flight_bytes(), stream.needs_drain()),
            (0, false),
            "a low mark of 0 is Node's drain"
        );
        let ended = stream.end().await.unwrap();
        assert_eq!(ended.bytes, written as u64);
        assert!(ended.level.backpressure_events >= 1 && ended.level.drain_events >= 1);
        let all = reader.join().unwrap();
        assert!(all.chunks(chunk.len()).all(|part| part == chunk) && all.len() == written);
    });
}

#[test]
fn a_caller_that_ignores_false_waits_rather_than_exceed_the_ring() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    run(async {
        let mut stream = WriteStream::over(ours, "socket", marks(MIB as u64, None)).unwrap();
        let all = bytes(16 * MIB);
        let overload = tokio::time::timeout(Duration::from_millis(300), stream.write(&all)).await;
        assert!(overload.is_err(), "it waits");
        assert!(stream.level().peak_bytes <= MIB as u64);
        drop(theirs);
        let error = stream.end().await.unwrap_err();
        assert_eq!((error.op, error.cause), (Op::Write, Cause::Errno(libc::EPIPE)), "{error}");
    });
}

#[test]
fn small_chunks_arrive_at_once_and_in_order() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    run(async {
        let mut stream = WriteStream::over(ours, "socket", Options::default()).unwrap();
        for word in ["Hello", ", ", "world"] {
            stream.write(word.as_bytes()).await.unwrap();
            let mut got = vec![0; word.len()];
            theirs.read_exact(&mut got).unwrap();
            assert_eq!(got, word.as_bytes(), "nothing waits for a block to fill");
        }
        stream.end().await.unwrap();
    });
}

#[test]
fn writable_length_counts_bytes_not_blocks() {
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    run(async {
        let mut stream = WriteStream::over(writer, "pipe", Options::default()).unwrap();
        stream.write(&[1; 4096 + 10]).await.unwrap();
        let fell = Instant::now();
        while stream.in_flight_bytes() == 4106 && fell.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The pipe took its page; a block that is written in part is in flight as a whole.
        assert!([10, 4106].contains(&stream.in_flight_bytes()), "{}", stream.in_flight_bytes());
        drop(reader);
        assert!(stream.end().await.is_err());
    });
}

#[test]
fn reading_pauses_at_the_mark_and_resumes() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let all = bytes(4 * MIB);
    let sent = all.clone();
    let writer = std::thread::spawn(move || theirs.write_all(&sent).unwrap());
    run(async {
        let mut stream = ReadStream::over(ours, "socket", marks(MIB as u64, Some(0))).unwrap();
        let mut got = stream.next().await.unwrap().unwrap().to_vec();
        stream.pause();
        assert!(stream.is_paused());
        let paused = tokio::time::timeout(Duration::from_millis(200), stream.next()).await;
        assert!(paused.is_err(), "no data while paused");
        let level = stream.in_flight_bytes();
        assert!(level <= MIB as u64 && level > 0, "it has read ahead, and stopped: {level}");
        stream.resume();
        while let Some(chunk) = stream.next().await {
            got.extend_from_slice(&chunk.unwrap());
        }
        assert!(got == all);
        assert!(stream.next().await.is_none(), "the end stays the end");
        assert!(stream.level().peak_bytes <= MIB as u64);
    });
    writer.join().unwrap();
}

#[test]
fn chunks_that_are_kept_hold_the_reader_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let all = bytes(MIB);
    std::fs::write(&path, &all).unwrap();
    run(async {
        let mut stream = ReadStream::open(&path, marks(256 << 10, None)).unwrap();
        let mut kept = Vec::new();
        while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(300), stream.next()).await {
            kept.push(chunk.unwrap().unwrap());
        }
        assert_eq!(kept.len(), 4, "the whole ring is with the caller");
        let mut got: Vec<u8> = kept.drain(..).flat_map(|chunk| chunk.to_vec()).collect();
        while let Some(chunk) = stream.next().await {
            got.extend_from_slice(&chunk.unwrap());
        }
        assert!(got == all);
    });
}

#[test]
fn a_tcp_connection_is_a_descriptor_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let all = bytes(8 * MIB + 13);
    let sent = all.clone();
    let sender = std::thread::spawn(move || {
        run(async {
            let connection = TcpStream::connect(address).unwrap();
            let mut stream = WriteStream::over(connection, "tcp", marks(MIB as u64, None)).unwrap();
            for part in sent.chunks(100_000) {
                if !stream.write(part).await.unwrap() {
                    stream.drain().await.unwrap();
                }
            }
            stream.end().await.unwrap();
        });
    });
    let (connection, _) = listener.accept().unwrap();
    run(async {
        let mut stream = ReadStream::over(connection, "tcp", marks(MIB as u64, None)).unwrap();
        let mut got = Vec::new();
        while let Some(chunk) = stream.next().await {
            got.extend_from_slice(&chunk.unwrap());
        }
        assert!(got == all);
    });
    sender.join().unwrap();
}

#[test]
fn descriptors_keep_their_flags_also_when_they_do_not_block() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let watched = ours.try_clone().unwrap();
    let flags =
        |socket: &UnixStream| OFlag::from_bits_retain(fcntl(socket.as_fd(), FcntlArg::F_GETFL).unwrap());
    let before = flags(&watched);
    let all = bytes(4 * MIB);
    let expected = all.clone();
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        let mut got = vec![0; expected.len()];
        theirs.read_exact(&mut got).unwrap();
        assert!(got == expected);
    });
    run(async {
        let mut stream = WriteStream::over(ours, "socket", marks(MIB as u64, None)).unwrap();
        stream.write(&all).await.unwrap();
        stream.end().await.unwrap();
    });
    reader.join().unwrap();
    assert_eq!(flags(&watched), before);
}

#[test]
fn every_error_is_told() {
    run(async {
        let missing = WriteStream::create("/nonexistent/file", Options::default()).err().unwrap();
        assert_eq!((missing.op, missing.cause), (Op::Create, Cause::Errno(libc::ENOENT)));
        let missing = ReadStream::open("/nonexistent", Options::default()).err().unwrap();
        assert_eq!((missing.op, missing.cause), (Op::Open, Cause::Errno(libc::ENOENT)));
        let contradiction = Options { low_water_bytes: Some(8), high_water_bytes: 8, ..Options::default() };
        let refused = WriteStream::create("/dev/null", contradiction).err().unwrap();
        assert_eq!((refused.op, refused.cause), (Op::Setup, Cause::Errno(libc::EINVAL)));

        let mut full = WriteStream::create("/dev/full", Options::default()).unwrap();
        let _ = full.write(b"x").await;
        assert_eq!(full.end().await.unwrap_err().cause, Cause::Errno(libc::ENOSPC));

        let mut directory = ReadStream::open("/", Options::default()).unwrap();
        let error = directory.next().await.unwrap().err().unwrap();
        assert_eq!((error.op, error.cause), (Op::Read, Cause::Errno(libc::EISDIR)));
        assert!(directory.next().await.is_none(), "an error is told once");
    });
}

#[test]
fn dropping_a_stream_early_harms_nothing() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    run(async {
        let mut stream = WriteStream::over(ours, "socket", marks(MIB as u64, None)).unwrap();
        stream.write(&bytes(MIB)).await.unwrap();
        drop(stream);
    });
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).unwrap();
    assert!(bytes(MIB).starts_with(&got), "what arrived is a prefix");
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ReadStream::over(ours, "socket", Options::default()).unwrap());
    theirs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!((&theirs).read(&mut [0]).unwrap(), 0, "the descriptor is closed although nobody ever wrote");
}
