//! Command lines that can't be meant: what `highwater copy` and a link named `cp` answer, word for
//! word, compared with the system's cp where that is GNU's and its versions agree.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::*;

const HINT: &str = "Try 'cp --help' for more information.\n";

/// A directory with a link named cp to the binary, and the files that the command lines name.
fn place() -> Scratch {
    let dir = Scratch::new();
    symlink(command::BINARY, dir.path("cp")).unwrap();
    write_file(&dir.path("a"), 1, 1000);
    dir
}

/// What the link named cp says to `args`, and that it harms nothing.
#[track_caller]
fn as_cp(dir: &Scratch, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut copy = Highwater::binary(dir.path("cp")).current_dir(dir.dir()).args(args);
    for (name, value) in env {
        copy = copy.env(name, value);
    }
    let outcome = copy.run();
    outcome.assert_code(1);
    assert_eq!(outcome.stdout, b"");
    assert_eq!(names(&dir.dir()), ["a", "cp"]);
    outcome.stderr
}

/// cp's exact answer, status 1; that of `highwater copy`, status 2.
#[track_caller]
fn check(args: &[&str], expected: &str) {
    let dir = place();
    assert_eq!(as_cp(&dir, args, &[]), expected, "{args:?}");
    let outcome = Highwater::copy().current_dir(dir.dir()).args(args).run();
    outcome.assert_code(2);
    let ours = expected.replace("cp: ", "highwater: ").replace("cp --help", "highwater copy --help");
    assert_eq!(outcome.stderr, ours, "{args:?}");
}

/// And the system's cp agrees.
#[track_caller]
fn check_with_system(args: &[&str], expected: &str) {
    check(args, expected);
    let is_gnu = Command::new("cp").arg("--version").output();
    if is_gnu.is_ok_and(|output| output.stdout.starts_with(b"cp (GNU coreutils) 9.")) {
        let dir = place();
        let output =
            Command::new("cp").env("LC_ALL", "C").current_dir(dir.dir()).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected, "{args:?}");
    }
}

#[test]
fn operands_that_are_missing_are_named() {
    check_with_system(&[], &format!("cp: missing file operand\n{HINT}"));
    check_with_system(&["a"], &format!("cp: missing destination file operand after 'a'\n{HINT}"));
    check_with_system(&["-t", "d"], &format!("cp: missing file operand\n{HINT}"));
    check_with_system(
        &["-r", "it's"],
        &format!("cp: missing destination file operand after \"it's\"\n{HINT}"),
    );
}

#[test]
fn operands_too_many_and_targets_that_contradict_are_refused() {
    check_with_system(&["-T", "a", "b", "c"], &format!("cp: extra operand 'c'\n{HINT}"));
    check_with_system(&["-t", "x", "-t", "y", "a"], "cp: multiple target directories specified\n");
    let both = "cp: cannot combine --target-directory (-t) and --no-target-directory (-T)\n";
    check_with_system(&["-t", "x", "-T", "a"], both);
}

#[test]
fn options_that_are_none_are_refused() {
    check_with_system(&["--foo", "a", "b"], &format!("cp: unrecognized option '--foo'\n{HINT}"));
    check_with_system(&["a", "b", "--foo=1"], &format!("cp: unrecognized option '--foo=1'\n{HINT}"));
    check_with_system(&["-ae", "a", "b"], &format!("cp: invalid option -- 'e'\n{HINT}"));
    let argument = format!("cp: option '--verbose' doesn't allow an argument\n{HINT}");
    check_with_system(&["--verb=1", "a", "b"], &argument);
    check_with_system(&["a", "b", "-S"], &format!("cp: option requires an argument -- 'S'\n{HINT}"));
    check_with_system(&["a", "b", "--suf"], &format!("cp: option '--suffix' requires an argument\n{HINT}"));
}

#[test]
fn abbreviations_that_leave_a_doubt_are_answered_with_the_possibilities() {
    let check_cp = |typed: &str, possibilities: &str| {
        let expected = format!("cp: option '{typed}' is ambiguous; possibilities: {possibilities}\n{HINT}");
        let dir = place();
        assert_eq!(as_cp(&dir, &[typed, "a", "b"], &[]), expected);
    };
    check_cp("--re", "'--recursive' '--remove-destination' '--reflink'");
    check_cp("--no", "'--no-clobber' '--no-dereference' '--no-preserve' '--no-target-directory'");
    check_cp("--p", "'--parents' '--preserve'");
    check_cp("--ver", "'--verbose' '--version'");
    check_cp("--s", "'--sparse' '--strip-trailing-slashes' '--suffix' '--symbolic-link'");
    check_cp("--de", "'--debug' '--dereference'");
    let no = "cp: option '--no' is ambiguous; possibilities: '--no-clobber' '--no-dereference' \
              '--no-preserve' '--no-target-directory'\n";
    check_with_system(&["--no", "a", "b"], &format!("{no}{HINT}"));
    // Ours are among the possibilities where the command is ours.
    let outcome = Highwater::copy().args(["--s", "a", "b"]).run();
    outcome.assert_usage(&["ambiguous", "'--sparse'", "'--sync'"]);
}

#[test]
fn words_that_are_none_are_answered_with_those_that_are() {
    let sparse = "Valid arguments are:\n  - 'never'\n  - 'auto'\n  - 'always'\n";
    let invalid = format!("cp: invalid argument 'x' for '--sparse'\n{sparse}{HINT}");
    check_with_system(&["--sparse=x", "a", "b"], &invalid);
    let ambiguous = format!("cp: ambiguous argument 'a' for '--sparse'\n{sparse}{HINT}");
    check_with_system(&["--sparse", "a", "b"], &ambiguous);
    let backup = "Valid arguments are:\n  - 'none', 'off'\n  - 'simple', 'never'\n  - 'existing', 'nil'\n  \
                  - 'numbered', 't'\n";
    let invalid = format!("cp: invalid argument 'x' for 'backup type'\n{backup}{HINT}");
    check_with_system(&["--backup=x", "a", "b"], &invalid);
    let attributes = "Valid arguments are:\n  - 'mode'\n  - 'timestamps'\n  - 'ownership'\n  - 'links'\n  \
                      - 'context'\n  - 'xattr'\n  - 'all'\n";
    let invalid = format!("cp: invalid argument 'colors' for '--no-preserve'\n{attributes}{HINT}");
    check_with_system(&["--no-preserve=mode,colors", "a", "b"], &invalid);
}

#[test]
fn words_beyond_those_of_cp_are_not_proposed_by_cp() {
    let dir = place();
    let update = "Valid arguments are:\n  - 'all'\n  - 'none'\n  - 'none-fail'\n  - 'older'\n";
    let expected = format!("cp: invalid argument 'ch' for '--update'\n{update}{HINT}");
    assert_eq!(as_cp(&dir, &["--update=ch", "a", "b"], &[]), expected);
    let outcome = Highwater::copy().args(["--update=ch", "a", "b"]).run();
    outcome.assert_usage(&["ambiguous argument 'ch'", "'changed'", "'checksum'"]);
}

#[test]
fn options_that_contradict_are_refused() {
    check_with_system(&["-ls", "a", "b"], &format!("cp: cannot make both hard and symbolic links\n{HINT}"));
    let reflink = format!("cp: --reflink can be used only with --sparse=auto\n{HINT}");
    check_with_system(&["--reflink", "--sparse=always", "a", "b"], &reflink);
    let backup = format!("cp: --backup is mutually exclusive with -n or --update=none-fail\n{HINT}");
    check(&["-bn", "a", "b"], &backup);
    check(&["-b", "--update=none-fail", "a", "b"], &backup);
    let context = "cp: cannot preserve security context without an SELinux-enabled kernel\n";
    check(&["--preserve=context", "a", "b"], context);
}

#[test]
fn a_context_is_ignored_with_a_warning() {
    let warning = "cp: warning: ignoring --context; it requires an SELinux-enabled kernel\n";
    let dir = place();
    let missing = format!("cp: missing destination file operand after 'a'\n{HINT}");
    assert_eq!(as_cp(&dir, &["--context=x", "a"], &[]), format!("{warning}{missing}"));
    assert_eq!(as_cp(&dir, &["-Z", "a"], &[]), missing);
}

#[test]
fn the_environment_is_heeded_as_by_cp() {
    let dir = place();
    let said = as_cp(&dir, &["-b", "a", "b"], &[("VERSION_CONTROL", "x")]);
    assert!(said.starts_with("cp: invalid argument 'x' for '$VERSION_CONTROL'\n"), "{said}");
    let said = as_cp(&dir, &["-T", "a", "--foo", "c"], &[("POSIXLY_CORRECT", "1")]);
    assert_eq!(said, format!("cp: extra operand 'c'\n{HINT}"), "the first operand ends the options");
}

#[test]
fn options_of_ours_are_cps_only_in_full() {
    let dir = place();
    assert_eq!(as_cp(&dir, &["-q", "a", "b"], &[]), format!("cp: invalid option -- 'q'\n{HINT}"));
    assert_eq!(as_cp(&dir, &["--js", "a"], &[]), format!("cp: unrecognized option '--js'\n{HINT}"));
    let missing = format!("cp: missing file operand\n{HINT}");
    assert_eq!(as_cp(&dir, &["--quiet", "--dry-run"], &[]), missing);
}

#[test]
fn help_and_version_are_told_before_anything_else_is_looked_at() {
    let dir = place();
    let asked = |args: &[&str]| {
        let outcome = Highwater::binary(dir.path("cp")).args(args).run();
        outcome.assert_silent();
        String::from_utf8(outcome.stdout).unwrap()
    };
    let version = asked(&["--version", "--foo"]);
    assert_eq!(version.lines().next(), Some(concat!("cp (highwater) ", env!("CARGO_PKG_VERSION"))));
    let help = asked(&["--help", "--foo"]);
    assert!(help.contains("Usage: cp [OPTION]... [-T] SOURCE TARGET"), "{help}");
    let outcome = Highwater::copy().arg("--help").run();
    let help = String::from_utf8_lossy(&outcome.assert_silent().stdout).into_owned();
    assert!(help.contains("Usage: highwater copy [OPTION]..."), "{help}");
    for job in ["/srv/data /mnt/backup/", "disk.img /srv/backup/", "image.raw /dev/sdb", "copy - dump.sql"] {
        assert!(help.contains(job), "no example of {job}");
    }
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let outcome = Highwater::copy().arg("--help").stdout(full).run();
    outcome.assert_failed(&["write error: No space left on device"]);
}

#[test]
fn completions_and_manual_pages_know_the_options() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = Highwater::binary(command::BINARY).args(["completions", shell]).run();
        let script = String::from_utf8_lossy(&outcome.assert_silent().stdout).into_owned();
        assert!(script.contains("attributes-only") && script.contains("high-water"), "{shell}");
    }
    let page = |args: &[&str]| {
        let outcome = Highwater::binary(command::BINARY).arg("man").args(args).run();
        String::from_utf8_lossy(&outcome.assert_silent().stdout).into_owned()
    };
    assert!(page(&[]).contains(".TH highwater 1"));
    let copy = page(&["copy"]);
    assert!(copy.contains(".TH highwater-copy 1") && copy.contains("\\-\\-attributes\\-only"), "{copy}");
    for job in ["copy", "bench", "stress", "report", "compare"] {
        let page = page(&[job]);
        let [.., examples, status] = page.split("\n.SH ").collect::<Vec<_>>()[..] else { panic!("{page}") };
        assert!(examples.starts_with(&format!("EXAMPLES\n.nf\n  highwater {job} ")), "{page}");
        assert!(status.starts_with("\"EXIT STATUS\"\n0 "), "{page}");
    }
    let outcome = Highwater::binary(command::BINARY).args(["man", "nothing"]).run();
    outcome.assert_usage(&["nothing"]);
}
