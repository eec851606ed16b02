//! `--resume` on a disk whose syncs fail: of the target, which is a failure of the copy, or of the journal,
//! which ends there while the copy goes on. Neither is passed over, whichever sync it is.

use crate::support::*;

#[test]
fn each_sync_that_fails_is_told_and_what_was_recorded_before_stays_true() {
    need_fuse!();
    const LEN: u64 = 4 * MIB + 99;
    // More than a copy as slow as this one has, on any machine.
    const MOST: u32 = 200;
    for engine in engines() {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let copy = |disk: &FaultyDisk| {
            let copy = bounded_copy().args(["--engine", engine, "--resume", "--simulate", "bandwidth=8M/s"]);
            copy.arg(dir.path("source")).arg(disk.path("target")).run()
        };
        let (mut failures, mut without_journal) = (0, 0);
        for nth in 1.. {
            assert!(nth < MOST, "there is no end of syncs");
            let disk = FaultyDisk::new([Fault::Nth(On::Fsync, nth, libc::EIO)]);
            let outcome = copy(&disk);
            if disk.fsyncs() < u64::from(nth) {
                outcome.assert_silent();
                break;
            }
            assert!(outcome.stderr.contains("Input/output error"), "sync {nth}: {}", outcome.stderr);
            match outcome.code {
                Some(0) => {
                    assert!(outcome.stderr.contains("can't be used any more"), "{}", outcome.stderr);
                    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
                    without_journal += 1;
                }
                Some(1) => {
                    let is_told = ["failed to sync", "cannot use the journal"]
                        .map(|said| outcome.stderr.contains(said));
                    assert!(is_told.contains(&true), "sync {nth}: {}", outcome.stderr);
                    assert!(!disk.names().contains(&"target".into()), "sync {nth}: what is lost has no name");
                    failures += 1;
                    // The disk is well again.
                    copy(&disk).assert_ok();
                }
                code => panic!("sync {nth}: {code:?} {}", outcome.stderr),
            }
            assert_bytes(&disk.get("target").unwrap(), &bytes(1, LEN));
            assert_eq!(disk.names(), ["target"], "sync {nth}");
        }
        println!("{engine}: {failures} failures, {without_journal} copies without a journal");
        assert!(failures >= 2 && without_journal >= 1, "{failures}, {without_journal}");
    }
}
