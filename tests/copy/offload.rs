//! Copies that a server makes by itself, and servers that can't, won't, or lie about it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::command::quoted;
use crate::support::report::{number, text};
use crate::support::server::{Count, Counts};
use crate::support::*;
use nix::sys::signal::Signal;

/// Where the second piece of a file begins, and the third.
const SECOND: u64 = MIB;
const THIRD: u64 = 65 * MIB;
const LEN: u64 = 4 * MIB + 4321;

fn copy(source: &Path, target: &Path) -> Outcome {
    Highwater::copy().args(["--json", "-"]).args([source, target]).run()
}

/// A server with one file of the data of seed 1.
fn server(answers: impl Into<Vec<(u64, Answer)>>, len: u64) -> Server {
    let server = Server::new(answers);
    server.put("source", bytes(1, len));
    server
}

/// Asserts that no byte came by this machine, and that the server copied so many.
#[track_caller]
fn assert_offloaded(outcome: &Outcome, server: &Server, len: u64) {
    let report = outcome.assert_silent().json();
    assert_eq!(text(&report, "path.method"), "offload");
    assert_eq!(number(&report, "bytes"), len);
    let Counts { copies, reads, writes } = server.counts();
    assert_eq!((copies.bytes, reads, writes), (len, Count::default(), Count::default()));
}

/// Asserts that all bytes came by this machine and are right.
#[track_caller]
fn assert_carried(outcome: &Outcome, server: &Server, len: u64) {
    let report = outcome.assert_silent().json();
    assert_ne!(text(&report, "path.method"), "offload");
    assert_eq!(number(&report, "bytes"), len);
    assert_bytes(&server.get("target").unwrap(), &server.get("source").unwrap());
}

#[test]
fn a_server_copies_a_file_by_itself_in_bounded_pieces() {
    need_fuse!();
    let len = 130 * MIB + 17;
    let server = server([], len);
    let outcome = copy(&server.path("source"), &server.path("target"));
    assert_offloaded(&outcome, &server, len);
    let report = outcome.json();
    assert_eq!(server.counts().copies.calls, 4, "1 MiB, then 64 MiB at a time");
    assert_eq!(number(&report, "latency.write.count"), 4);
    assert_bytes(&server.get("target").unwrap(), &bytes(1, len));
    assert_eq!(server.names(), ["source", "target"]);
}

#[test]
fn a_server_copies_a_tree_by_itself() {
    need_fuse!();
    let server = Server::new([]);
    let files = [("one", LEN), ("sub/two", 1), ("sub/deeper/three", 130 * MIB), ("sub/four", 5000)];
    for (seed, (name, len)) in (1..).zip(files) {
        server.put(&format!("tree/{name}"), bytes(seed, len));
    }
    server.put("tree/empty", vec![]);
    // On 6.18 a server that several workers ask at once, and first, is now and then taken for one
    // that can't copy (seen: 2 of 91 runs; none of 135 where it was asked before). The kernel seems
    // to take the refusals of a newer form of the request for those of all.
    server.put("first", bytes(1, 1));
    copy(&server.path("first"), &server.path("second")).assert_silent();
    let options = ["-r", "--jobs", "4", "--json", "-"];
    let outcome = Highwater::copy().args(options).args([server.path("tree"), server.path("copy")]).run();
    let report = outcome.assert_silent().json();
    assert_eq!(text(&report, "path.method"), "offload");
    let sum = files.iter().map(|(_, len)| len).sum::<u64>();
    assert_eq!(number(&report, "bytes"), sum);
    assert_eq!(server.counts().copies.bytes, 1 + sum);
    assert_eq!(server.counts().writes, Count::default());
    for (seed, (name, len)) in (1..).zip(files) {
        assert_bytes(&server.get(&format!("copy/{name}")).unwrap(), &bytes(seed, len));
    }
    assert_bytes(&server.get("copy/empty").unwrap(), &[]);
}

#[test]
fn what_is_overwritten_is_as_long_as_the_copy() {
    need_fuse!();
    for old in [1, LEN, 3 * LEN] {
        let server = server([], LEN);
        server.put("target", bytes(2, old));
        let outcome = copy(&server.path("source"), &server.path("target"));
        assert_offloaded(&outcome, &server, LEN);
        assert_bytes(&server.get("target").unwrap(), &bytes(1, LEN));
    }
}

#[test]
fn it_is_not_asked_where_the_bytes_are_to_be_carried() {
    need_fuse!();
    let refusals: [&[&str]; 6] = [
        &["--offload", "never"],
        &["--engine", "plain"],
        &["--limit-rate", "1GiB/s"],
        &["--sparse", "always"],
        &["--sparse", "never"],
        &["--offload", "never", "--direct", "never"],
    ];
    for options in refusals {
        let server = server([], LEN);
        let copy = Highwater::copy().args(options).args(["--json", "-"]);
        let outcome = copy.args([server.path("source"), server.path("target")]).run();
        assert_carried(&outcome, &server, LEN);
        assert_eq!(server.counts().copies, Count::default(), "{options:?}");
    }
}

#[test]
fn nor_where_there_is_no_server() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let options = ["--reflink=never", "--debug", "--json"];
    let report = dir.path("report");
    let copy = Highwater::copy().args(options).arg(&report);
    let outcome = copy.args([dir.path("source"), dir.path("target")]).run();
    outcome.assert_silent();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(said.contains("copy offload: no"), "{said}");
    let report = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_ne!(text(&report, "path.method"), "offload");
    assert_holds(&dir.path("target"), 1, LEN);
}

#[test]
fn nor_between_two_servers() {
    need_fuse!();
    let (one, other) = (server([], LEN), Server::new([]));
    let outcome = copy(&one.path("source"), &other.path("target"));
    let report = outcome.assert_silent().json();
    assert_ne!(text(&report, "path.method"), "offload");
    assert_bytes(&other.get("target").unwrap(), &bytes(1, LEN));
    assert_eq!((one.counts().copies, other.counts().copies), Default::default());
}

/// The kernel answers ENOSYS, EOPNOTSUPP and EXDEV by carrying the bytes itself, and says nothing.
#[test]
fn a_server_that_can_not_is_not_needed() {
    need_fuse!();
    let errnos = [libc::ENOSYS, libc::EXDEV, libc::EOPNOTSUPP, libc::EINVAL, libc::EPERM, libc::EIO];
    for errno in errnos {
        let server = server([(0, Answer::Errno(errno))], LEN);
        let outcome = copy(&server.path("source"), &server.path("target"));
        assert_carried(&outcome, &server, LEN);
        assert!(server.counts().copies.calls > 0, "it was asked");
        assert_eq!(server.names(), ["source", "target"]);
    }
}

#[test]
fn what_a_server_can_not_is_not_asked_for_each_file() {
    need_fuse!();
    let server = Server::new([(0, Answer::Errno(libc::EOPNOTSUPP))]);
    for name in ["a", "b", "c", "d"] {
        server.put(&format!("tree/{name}"), bytes(1, LEN));
    }
    let options = ["-r", "--jobs", "1", "--debug"];
    let outcome = Highwater::copy().args(options).args([server.path("tree"), server.path("copy")]).run();
    outcome.assert_silent();
    assert_eq!(server.counts().copies.calls, 1);
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert_eq!(said.matches("copy offload: unsupported").count(), 1, "{said}");
    for name in ["a", "b", "c", "d"] {
        assert_bytes(&server.get(&format!("copy/{name}")).unwrap(), &bytes(1, LEN));
    }
}

#[test]
fn debug_tells_it() {
    need_fuse!();
    let server = server([], LEN);
    let outcome = Highwater::copy().arg("--debug").args([server.path("source"), server.path("target")]).run();
    let said = String::from_utf8_lossy(&outcome.assert_silent().stdout).into_owned();
    assert!(said.contains("copy offload: yes"), "{said}");
}

#[test]
fn short_answers_are_continued() {
    need_fuse!();
    let server = server([(0, Answer::Short(70_001)), (2 * MIB, Answer::Short(1_000_003))], LEN);
    let outcome = copy(&server.path("source"), &server.path("target"));
    assert_offloaded(&outcome, &server, LEN);
    assert_bytes(&server.get("target").unwrap(), &bytes(1, LEN));
}

#[test]
fn holes_are_not_copied() {
    need_fuse!();
    for hole in [0..2 * MIB, MIB / 2..2 * MIB, 2 * MIB..LEN] {
        let server = Server::new([]);
        let mut data = bytes(1, LEN);
        data[hole.start as usize..hole.end as usize].fill(0);
        server.put_sparse("source", data.clone(), hole.clone());
        let outcome = copy(&server.path("source"), &server.path("target"));
        assert_offloaded(&outcome, &server, LEN - (hole.end - hole.start));
        assert_bytes(&server.get("target").unwrap(), &data);
    }
}

#[test]
fn a_server_that_stops_early_is_not_believed() {
    need_fuse!();
    for (answers, old) in [([(0, Answer::Short(0))], None), ([(SECOND, Answer::Short(0))], Some(2 * LEN))] {
        let server = server(answers, LEN);
        if let Some(old) = old {
            server.put("target", bytes(2, old));
        }
        let outcome = copy(&server.path("source"), &server.path("target"));
        assert_carried(&outcome, &server, LEN);
    }
}

#[test]
fn a_source_that_was_cut_is_told() {
    need_fuse!();
    let server = server([(SECOND, Answer::Cut(MIB + 17))], LEN);
    let outcome = copy(&server.path("source"), &server.path("target"));
    outcome.assert_failed(&[&quoted(&server.path("source"))]);
    assert_eq!(text(&outcome.json(), "errors.0.op"), "read");
    assert_eq!(server.names(), ["source"]);
}

#[test]
fn a_source_that_grew_is_copied_to_its_end_and_noted() {
    need_fuse!();
    let server = server([(SECOND, Answer::Grow(LEN + MIB))], LEN);
    let outcome = copy(&server.path("source"), &server.path("target"));
    let report = outcome.assert_ok().json();
    assert_eq!(text(&report, "path.method"), "offload");
    assert_bytes(&server.get("target").unwrap(), &server.get("source").unwrap());
    assert_eq!(number(&report, "bytes"), LEN + MIB);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}

#[test]
fn a_server_that_claims_more_than_it_was_asked_for_has_failed() {
    need_fuse!();
    let liar = server([(SECOND, Answer::Claim(1))], LEN);
    let outcome = copy(&liar.path("source"), &liar.path("target"));
    outcome.assert_failed(&[&quoted(&liar.path("target")), "Input/output error"]);
    assert_eq!(number(&outcome.json(), "errors.0.offset"), SECOND);
    assert_eq!(liar.names(), ["source"]);
    // At the very start nothing has been believed yet: the bytes are carried.
    let liar = server([(0, Answer::Claim(1))], LEN);
    assert_carried(&copy(&liar.path("source"), &liar.path("target")), &liar, LEN);
}

#[test]
fn a_full_server_is_told_with_the_place_and_what_remains() {
    need_fuse!();
    for errno in [libc::ENOSPC, libc::EDQUOT] {
        for (at, old) in [(0, None), (SECOND, None), (SECOND, Some(LEN))] {
            let server = server([(at, Answer::Errno(errno))], LEN);
            if let Some(old) = old {
                server.put("target", bytes(2, old));
            }
            let outcome = copy(&server.path("source"), &server.path("target"));
            let words = std::io::Error::from_raw_os_error(errno).to_string();
            let words = words.split(" (os error").next().unwrap();
            outcome.assert_failed(&[&quoted(&server.path("target")), words]);
            let report = outcome.json();
            assert_eq!(text(&report, "errors.0.op"), "write");
            assert_eq!(number(&report, "errors.0.offset"), at);
            assert_eq!(number(&report, "bytes"), at);
            assert_eq!(server.counts().writes, Count::default(), "nothing was tried beside it");
            match old {
                None => assert_eq!(server.names(), ["source"]),
                Some(_) => assert_bytes(&server.get("target").unwrap(), &bytes(1, at)),
            }
        }
    }
}

#[test]
fn a_signal_stops_it_between_two_pieces() {
    need_fuse!();
    let slow = Answer::Slow(Duration::from_millis(700));
    for old in [None, Some(THIRD)] {
        let server = server([(SECOND, slow)], 3 * THIRD);
        if let Some(old) = old {
            server.put("target", bytes(2, old));
        }
        let copy = Highwater::copy().args(["--json", "-"]);
        let mut running = copy.args([server.path("source"), server.path("target")]).start();
        wait_for("the first piece", || server.counts().copies.calls == 1);
        std::thread::sleep(Duration::from_millis(100));
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        outcome.assert_code(130);
        assert_eq!(text(&outcome.json(), "outcome"), "interrupted");
        assert_eq!(number(&outcome.json(), "bytes"), THIRD, "the piece in flight is waited for");
        match old {
            None => assert_eq!(server.names(), ["source"]),
            Some(_) => assert_bytes(&server.get("target").unwrap(), &bytes(1, THIRD)),
        }
    }
}
