use std::sync::Arc;

use highwater::copy::Left;
use highwater::engine::Note;
use highwater::error::{Error, Op};

use super::*;

/// Both outputs in one place, in the order written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CP: Manner =
    Manner { program: Program::Cp, quiet: false, verbose: true, dry_run: false, output_taken: false };
const OURS: Manner = Manner { program: Program::Highwater, ..CP };

#[track_caller]
fn check(manner: Manner, event: Event<'_>, expected: &str) {
    let log = Log::default();
    let voice = Voice::speaking_to(
        manner,
        Display::Nowhere,
        Box::new(BufWriter::new(log.clone())),
        Box::new(log.clone()),
        None,
    );
    voice.tell(&event);
    voice.finish().unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text, expected);
}

#[test]
fn what_is_done_is_told_in_the_words_of_cp() {
    let (a, b, old) = (Path::new("a"), Path::new("b"), Path::new("b~"));
    check(CP, Event::Copied { source: a, target: b, backup: None }, "'a' -> 'b'\n");
    check(CP, Event::Copied { source: a, target: b, backup: Some(old) }, "'a' -> 'b' (backup: 'b~')\n");
    check(CP, Event::MadeParent { source: a, target: b }, "a -> b\n");
    check(CP, Event::Removed(b), "removed 'b'\n");
    check(CP, Event::Skipped(b), "skipped 'b'\n");
    check(CP, Event::Unbackup { backup: old, target: b }, "'b~' -> 'b' (unbackup)\n");
    check(CP, Event::Deleted(b), "deleted 'b'\n");
    check(Manner { verbose: false, ..CP }, Event::Deleted(b), "");
}

#[test]
fn what_would_be_done_is_told_so() {
    let (a, b) = (Path::new("a"), Path::new("b"));
    let dry = Manner { dry_run: true, verbose: false, ..OURS };
    check(dry, Event::Copied { source: a, target: b, backup: None }, "would copy 'a' -> 'b'\n");
    check(dry, Event::Deleted(b), "would delete 'b'\n");
    check(Manner { quiet: true, ..dry }, Event::Deleted(b), "");
}

#[test]
fn how_it_is_done_is_told_in_more_words_where_it_is_ours() {
    let how = Explanation {
        offload: "avoided",
        reflink: "no",
        sparse_detection: "SEEK_HOLE",
        engine: Some("ring"),
        direct: (false, true),
    };
    let line = "copy offload: avoided, reflink: no, sparse detection: SEEK_HOLE\n";
    check(CP, Event::Explained(how), line);
    check(OURS, Event::Explained(how), &format!("{line}engine: ring, direct: target\n"));
}

#[test]
fn a_failure_is_told_with_what_remains_and_advice_but_not_by_cp() {
    let failed = Failed {
        error: Error::new(Op::Write, "b", Cause::Errno(libc::ENOSPC)).at(7),
        remains: Some(Remains { target: "b".into(), left: Left::Nothing, written: 7, total: None }),
    };
    check(CP, Event::Failed(&failed), "cp: error writing 'b': No space left on device\n");
    let ours = "highwater: error writing 'b' at byte 7: No space left on device\n\
                highwater: 7 B were written; no file is left at 'b'; \
                free some space there, or choose another target\n";
    check(OURS, Event::Failed(&failed), ours);
}

#[test]
fn a_target_that_parents_cannot_use_is_bad_usage() {
    let error = Error::new(Op::Target, "b", Cause::ParentsNeedDirectory);
    let failed = Failed { error, remains: None };
    let expected = "cp: with --parents, the destination must be a directory\n\
                    Try 'cp --help' for more information.\n";
    check(CP, Event::Failed(&failed), expected);
}

#[test]
fn of_ways_around_cp_is_silent_and_of_sources_named_twice_it_is_not() {
    let refused = Warning::Engine(Note::NoRing(libc::EPERM));
    check(CP, Event::Warned(&refused), "");
    check(Manner { quiet: true, ..OURS }, Event::Warned(&refused), "");
    let words = "highwater: io_uring is refused (Operation not permitted); copying with pread and pwrite\n";
    check(OURS, Event::Warned(&refused), words);
    let twice = Warning::SourceTwice { source: "a".into(), is_directory: false };
    check(CP, Event::Warned(&twice), "cp: warning: source file 'a' specified more than once\n");
}

#[test]
fn what_cannot_be_written_is_told_once_at_the_end() {
    let full = || Box::new(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let voice = Voice::speaking_to(CP, Display::Nowhere, full(), full(), None);
    voice.tell(&Event::Removed(Path::new("b")));
    voice.tell(&Event::Removed(Path::new("c")));
    assert_eq!(voice.finish(), Err("write error: No space left on device".to_owned()));
    assert_eq!(voice.finish(), Ok(()));
}
