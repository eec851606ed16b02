//! Where io_uring is refused, as container profiles refuse it: a seccomp filter in the child makes
//! io_uring_setup fail, and the copy goes on by another way, or says why it can't.

use std::collections::BTreeMap;

use crate::support::report::{text, truth};
use crate::support::*;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

const LEN: u64 = 5 * MIB + 321;

/// The command, to whom io_uring_setup answers with this errno.
fn without_uring(copy: Highwater, errno: i32) -> Highwater {
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_io_uring_setup, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    copy.before_exec(move || apply_filter(&program).map_err(|_| std::io::ErrorKind::PermissionDenied.into()))
}

fn copy(dir: &Scratch, engine: &[&str], errno: i32) -> Outcome {
    write_file(&dir.path("source"), 1, LEN);
    let copy = Highwater::copy().args(engine).args(["--reflink=never", "--json", "-"]);
    without_uring(copy.args([dir.path("source"), dir.path("target")]), errno).run()
}

#[test]
fn auto_falls_back_and_says_why_in_one_line() {
    for (errno, words) in [
        (libc::EPERM, "Operation not permitted"),
        (libc::ENOSYS, "Function not implemented"),
        (libc::ENOMEM, "Cannot allocate memory"),
    ] {
        for engine in [&["--engine", "auto"][..], &[]] {
            let dir = Scratch::new();
            let outcome = copy(&dir, engine, errno);
            outcome.assert_ok();
            assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
            assert!(outcome.stderr.starts_with("highwater: "), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("io_uring"), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
            let report = outcome.json();
            assert_eq!(text(&report, "path.method"), "plain");
            assert!(!truth(&report, "ring.registered"));
            assert_holds(&dir.path("target"), 1, LEN);
        }
    }
}

#[test]
fn a_ring_demanded_is_refused_with_advice_and_nothing_is_made() {
    let dir = Scratch::new();
    let outcome = copy(&dir, &["--engine", "ring"], libc::EPERM);
    outcome.assert_failed(&["io_uring", "Operation not permitted"]);
    assert!(outcome.stderr.contains("--engine"), "advice: {}", outcome.stderr);
    assert_eq!(names(&dir.dir()), ["source"]);
    write_file(&dir.path("target"), 2, 5000);
    copy(&dir, &["--engine", "ring"], libc::EPERM).assert_code(1);
    assert_holds(&dir.path("target"), 2, 5000);
}

#[test]
fn the_plain_engine_asks_nothing_of_io_uring() {
    let dir = Scratch::new();
    let outcome = copy(&dir, &["--engine", "plain"], libc::EPERM);
    outcome.assert_silent();
    assert_holds(&dir.path("target"), 1, LEN);
}

#[test]
fn pipes_pass_without_a_ring() {
    let outcome = without_uring(Highwater::copy().args(["-", "-"]).input(&bytes(1, LEN)), libc::EPERM).run();
    outcome.assert_ok();
    assert_bytes(&outcome.stdout, &bytes(1, LEN));
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}
