//! Disks that say they have written what they have not, or can't read it: every fault is found where it is and
//! called by its name, and nothing else is.

use std::fs;

use super::plan::{BLOCK, Plan, Rounds};
use crate::support::report::number;
use crate::support::*;

/// A run to which the disk shall lie by this plan.
fn stress(engine: &str, plan: &Plan, lasts_s: Option<u64>) -> Highwater {
    let size = plan.size().to_string();
    let stress = Highwater::stress().args(["--engine", engine, "--json", "-", "--quiet", "--size", &size]);
    match lasts_s {
        None => stress,
        Some(lasts_s) => stress.args(["--for", &format!("{lasts_s}s")]),
    }
}

// ---- by FUSE, at 128 KiB a request ----

/// In blocks: more than what is in flight.
const FUSE_APART: u64 = 16 * MIB / BLOCK;

fn assert_named_on_fuse(engine: &str, plan: &Plan) {
    let before = if plan.rounds == Rounds::Many { 1 } else { 0 };
    let (mut lies, mut faults) = (std::collections::BTreeMap::new(), vec![]);
    for (block, kind) in &plan.faults {
        let range = block * BLOCK..(block + 1) * BLOCK;
        let lie = match *kind {
            "lost" | "stale" => Lie::Lost,
            "torn" => Lie::Torn,
            "corrupt" => Lie::Flipped,
            "misdirected" => Lie::Misdirected(-((plan.apart * BLOCK) as i64)),
            _ => {
                faults.push(Fault::Errno(On::Read, range, libc::EIO));
                continue;
            }
        };
        lies.insert(range.start, (lie, before));
    }
    faults.push(Fault::LiesAt(lies));
    let run = |lasts_s| {
        let (disk, dir) = (FaultyDisk::new(faults.clone()), Scratch::new());
        let page = dir.path("page.html");
        let outcome = stress(engine, plan, lasts_s).arg("--html").arg(&page).arg(disk.dir()).run();
        let report = outcome.assert_code(3).json();
        let page = fs::read_to_string(page).unwrap();
        assert!(["level", "surface"].iter().all(|plot| page.contains(&format!("<figure id=\"{plot}\">"))));
        assert_eq!(number(&report, "failures"), 0, "{}", outcome.stderr);
        assert!(disk.names().is_empty());
        report
    };
    plan.assert_named(&plan.reported(run, 16_384), &format!("FUSE, {engine}"));
}

#[test]
fn every_fault_of_a_lying_disk_is_named() {
    need_fuse!();
    for engine in engines() {
        for (rounds, seed) in [(Rounds::One, 7), (Rounds::Many, 8)] {
            assert_named_on_fuse(engine, &Plan::new(rounds, &rounds.kinds(), 100, FUSE_APART, seed));
        }
    }
}

/// For `scripts/nightly-stress.sh`.
#[test]
#[ignore = "takes minutes"]
fn a_thousand_faults_of_each_kind_singly_and_mixed_are_named_on_fuse() {
    need_fuse!();
    for engine in engines() {
        each_and_all(|plan| assert_named_on_fuse(engine, plan), FUSE_APART);
    }
}

/// A thousand faults of each kind in one run, then of one kind after the other.
fn each_and_all(assert: impl Fn(&Plan), apart: u64) {
    for rounds in [Rounds::One, Rounds::Many] {
        let kinds = rounds.kinds();
        assert(&Plan::new(rounds, &kinds, 1000, apart, 9));
        kinds.iter().for_each(|kind| assert(&Plan::new(rounds, &[kind], 1000, apart, 10)));
    }
}

// ---- by nbdkit, a script for each 4 KiB ----

/// The marks let no more than 1 MiB in flight.
const NBD_APART: u64 = 2 * MIB / BLOCK;

/// A disk by nbdkit's eval plugin. Its scripts look up what to do with a block in a file of its name.
fn lying(plan: &Plan, dir: &Scratch) -> Nbd {
    let (image, faults) = (dir.path("image"), dir.path("faults"));
    fs::File::create(&image).unwrap().set_len(plan.size()).unwrap();
    fs::create_dir(&faults).unwrap();
    for (block, kind) in &plan.faults {
        fs::write(faults.join((block * BLOCK).to_string()), format!("{kind}\n")).unwrap();
    }
    let (image, faults, back) = (image.display(), faults.display(), plan.apart * BLOCK);
    let look = format!("kind=; [ ! -e {faults}/$4 ] || read kind <{faults}/$4");
    let put = format!("dd of={image} bs=4096 iflag=fullblock oflag=seek_bytes conv=notrunc status=none");
    // What is written first is not lied about.
    let honest = match plan.rounds {
        Rounds::One => String::new(),
        Rounds::Many => {
            format!("if [ \"$kind\" ] && [ ! -e {faults}/$4.1 ]; then : >{faults}/$4.1; kind=; fi;")
        }
    };
    let pwrite = format!(
        "pwrite={look}; {honest} case $kind in lost|stale) cat >/dev/null;; torn) head -c 2048 | {put} seek=$4;; \
         corrupt) {put} seek=$4; printf changed! | {put} seek=$(($4 + 1000));; \
         misdirected) {put} seek=$(($4 - {back}));; *) {put} seek=$4;; esac"
    );
    let pread = format!(
        "pread={look}; case $kind in unreadable) echo 'EIO worn out' >&2; exit 1;; esac; \
         dd if={image} bs=4096 iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none"
    );
    let (size, threads) = (format!("get_size=echo {}", plan.size()), "thread_model=echo parallel");
    Nbd::new(["--filter=blocksize", "eval", "maxdata=4096", threads, &size, &pread, &pwrite])
}

fn assert_named_behind_nbdkit(plan: &Plan) {
    let run = |lasts_s| {
        let dir = Scratch::new();
        let nbd = lying(plan, &dir);
        let device = nbd.device();
        let ring =
            ["--destroy-data", "--block-size", "256K", "--buffers", "4", "--direct", "always", "--state"];
        let command = stress("auto", plan, lasts_s).args(ring).args([&dir.path("state"), device.path()]);
        let outcome = command.timeout(std::time::Duration::from_secs(3600)).run();
        outcome.assert_code(3).json()
    };
    plan.assert_named(&plan.reported(run, 400), "nbdkit");
}

#[test]
fn every_fault_of_a_disk_behind_nbdkit_is_named() {
    need_nbd!();
    assert_named_behind_nbdkit(&Plan::new(Rounds::One, &Rounds::One.kinds(), 8, NBD_APART, 11));
}

/// For `scripts/nightly-stress.sh`.
#[test]
#[ignore = "takes a quarter of an hour"]
fn a_thousand_faults_of_each_kind_singly_and_mixed_are_named_behind_nbdkit() {
    need_nbd!();
    each_and_all(assert_named_behind_nbdkit, NBD_APART);
}
