use std::path::{Path, PathBuf};

use highwater::copy::{Left, Question, Remains};
use highwater::error::{Cause, Error, Op};

use super::*;
use crate::program::Program;

#[track_caller]
fn check(error: Error, expected: &str) {
    assert_eq!(super::error(&error, Program::Cp), expected);
}

#[test]
fn failures_are_told_in_the_words_of_cp() {
    let errno = |op, errno| Error::new(op, "p", Cause::Errno(errno));
    let none = libc::ENOENT;
    check(errno(Op::Stat, none), "cannot stat 'p': No such file or directory");
    check(errno(Op::Open, libc::EACCES), "cannot open 'p' for reading: Permission denied");
    check(errno(Op::Write, libc::ENOSPC).at(7), "error writing 'p': No space left on device");
    check(errno(Op::Target, libc::ENOTDIR), "target 'p': Not a directory");
    check(errno(Op::TargetDirectory, none), "target directory 'p': No such file or directory");
    check(
        errno(Op::MakeLink, libc::EXDEV).with("o"),
        "cannot create hard link 'p' to 'o': Invalid cross-device link",
    );
    check(
        errno(Op::MakeSymlink, none).with("o"),
        "cannot create symbolic link 'p' to 'o': No such file or directory",
    );
    check(errno(Op::MakeSymlink, none), "cannot create symbolic link 'p': No such file or directory");
    check(
        errno(Op::SetXattr, libc::ENOTSUP).with("user.x"),
        "setting attribute 'user.x' for 'p': Operation not supported",
    );
    check(errno(Op::SetMode, libc::EPERM), "preserving permissions for 'p': Operation not permitted");
    check(errno(Op::Truncate, libc::EFBIG).at(9), "failed to extend 'p': File too large");
    let cause = |cause| Error::new(Op::Create, "p", cause).with("o");
    check(cause(Cause::SameFile), "'o' and 'p' are the same file");
    check(cause(Cause::IsDirectory), "cannot overwrite directory 'p' with non-directory 'o'");
    check(cause(Cause::NotDirectory), "cannot overwrite non-directory 'p' with directory 'o'");
    check(cause(Cause::IntoItself), "cannot copy a directory, 'p', into itself, 'o'");
    check(cause(Cause::BackupIsSource), "backing up 'p' might destroy source;  'o' not copied");
    check(cause(Cause::ThroughCreatedLink), "will not copy 'o' through just-created symlink 'p'");
    check(cause(Cause::RelativeLink), "p: can make relative symbolic links only in current directory");
    check(Error::new(Op::MakeParent, "p", Cause::NotDirectory), "'p' exists but is not a directory");
    check(Error::new(Op::Open, "p", Cause::NotRecursive), "-r not specified; omitting directory 'p'");
    let replaced = Error::new(Op::Open, "p", Cause::Replaced);
    check(replaced, "skipping file 'p', as it was replaced while being copied");
}

#[test]
fn our_own_words_say_where() {
    let error = Error::new(Op::Write, "p", Cause::Errno(libc::ENOSPC)).at(7);
    let text = super::error(&error, Program::Highwater);
    assert_eq!(text, "error writing 'p' at byte 7: No space left on device");
    assert_eq!(advice(&error), Some("free some space there, or choose another target"));
}

#[test]
fn questions_are_those_of_cp() {
    let check = |mode, unwritable, replaces, expected| {
        let asked = Question { target: Path::new("b"), mode, unwritable, replaces };
        assert_eq!(question(&asked), expected);
    };
    check(0o100644, false, true, "overwrite 'b'");
    check(0o100444, true, true, "replace 'b', overriding mode 0444 (r--r--r--)");
    check(0o100444, true, false, "unwritable 'b' (mode 0444, r--r--r--); try anyway");
    check(0o107000, true, false, "unwritable 'b' (mode 7000, --S--S--T); try anyway");
    check(0o107111, true, false, "unwritable 'b' (mode 7111, --s--s--t); try anyway");
}

#[test]
fn what_remains_is_told_in_bytes() {
    let check = |left, total, expected| {
        let what = Remains { target: PathBuf::from("b"), left, written: 3 << 20, total };
        assert_eq!(remains(&what), expected);
    };
    check(Left::Untouched, None, "3 MiB were written; 'b' is as it was");
    check(Left::Nothing, Some(5 << 20), "3 MiB of 5 MiB were written; no file is left at 'b'");
    check(Left::Prefix(9), None, "3 MiB were written; 'b' holds the first 9 bytes");
}
