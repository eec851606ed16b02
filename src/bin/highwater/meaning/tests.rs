use highwater::copy::{
    Backup, BackupKind, Delete, Demand, Dereference, Make, Permissions, Reflink, Sparse, Sync, Update,
};

use super::*;
use crate::args::copy::{Request, command, read};

fn meant_by(program: Program, line: &str, environment: &Environment) -> Result<Job, String> {
    let args = line.split_whitespace().map(OsString::from);
    let request = read(args, program, environment.posixly_correct).map_err(|usage| usage.message)?;
    let Request::Copy(typed) = request else { panic!("{line} asks for no copy") };
    copy(&typed, program, environment, |_| ()).map_err(|usage| usage.message)
}

/// What the options mean before `SOURCE TARGET`, to cp.
#[track_caller]
fn options(line: &str) -> Options {
    meant_by(Program::Cp, &format!("{line} a b"), &Environment::default()).unwrap().options
}

#[track_caller]
fn check_refused(line: &str, expected: &str) {
    assert_eq!(meant_by(Program::Cp, line, &Environment::default()).map(|_| ()), Err(expected.to_owned()));
}

#[test]
fn every_option_that_is_defined_has_a_meaning() {
    for arg in command().get_arguments().filter(|arg| arg.get_help_heading() != Some("Engine")) {
        let name = arg.get_long().unwrap_or(arg.get_id().as_str());
        if ["operands", "help", "h", "version"].contains(&name) || arg.get_help_heading() == Some("Output") {
            continue;
        }
        let words = arg.get_possible_values();
        let values = match arg.get_action().takes_values() {
            false => vec![None],
            true if words.is_empty() => vec![Some(OsString::from("1"))],
            true => words.iter().map(|word| Some(word.get_name().into())).collect(),
        };
        for value in values {
            let typed = crate::getopt::Typed { name: name.to_owned(), value };
            Decoded::default().apply(&typed).unwrap();
        }
    }
}

#[test]
fn the_last_of_the_options_about_links_counts() {
    let check = |line, expected| assert_eq!(options(line).dereference, expected, "{line}");
    check("", Dereference::Always);
    check("-r", Dereference::Never);
    check("-rl", Dereference::Always);
    check("-dL", Dereference::Always);
    check("-Ld", Dereference::Never);
    check("-aH", Dereference::Operands);
    check("-Ha", Dereference::Never);
    check("-LP", Dereference::Never);
    check("-rL", Dereference::Always);
}

#[test]
fn later_options_add_to_what_is_kept_and_take_from_it() {
    let kept = |line| options(line).keep;
    let p = kept("-p");
    assert_eq!((p.permissions, p.ownership, p.timestamps), (Permissions::Keep, true, true));
    assert_eq!((p.links, p.xattrs, p.require, p.reduce_diagnostics), (false, Demand::No, true, false));
    assert_eq!(kept("--preserve"), p);
    assert_eq!(kept("--preserve=mode,ownership,timestamps"), p);
    let a = kept("-a");
    let of_a = highwater::copy::Keep { links: true, xattrs: Demand::Wanted, reduce_diagnostics: true, ..p };
    assert_eq!(a, of_a);
    assert!(options("-a").recursive);
    assert_eq!(kept("-a --no-preserve=mode").permissions, Permissions::Fresh);
    assert_eq!(kept("--no-preserve=mode -a").permissions, Permissions::Keep);
    assert_eq!(
        kept("-a --no-preserve=own,ti,li"),
        highwater::copy::Keep { ownership: false, timestamps: false, links: false, ..a }
    );
    assert_eq!(kept("").permissions, Permissions::Masked);
    assert!(!kept("--no-preserve=all").require);
}

#[test]
fn extended_attributes_matter_more_when_they_are_named() {
    let check = |line, expected| assert_eq!(options(line).keep.xattrs, expected, "{line}");
    check("--preserve=all", Demand::Wanted);
    check("--preserve=xattr", Demand::Required);
    check("--preserve=xattr,all", Demand::Required);
    check("-a --preserve=xattr", Demand::Required);
    check("--preserve=xattr -a", Demand::Required);
    check("--preserve=xattr --no-preserve=xattr", Demand::No);
    check("--preserve=xattr --no-preserve=all", Demand::No);
    check("--no-preserve=xattr --preserve=all", Demand::Wanted);
}

#[test]
fn of_i_and_n_the_last_counts_and_n_is_an_update_of_none() {
    let check = |line, expected: (bool, Update)| {
        let options = options(line);
        assert_eq!((options.ask, options.update), expected, "{line}");
    };
    check("-i", (true, Update::All));
    check("-n", (false, Update::None));
    check("-i -n", (false, Update::None));
    check("-n -i", (true, Update::All));
    check("-n --update=all", (false, Update::None));
    check("-u", (false, Update::Older));
    check("--update", (false, Update::Older));
    check("--update=none-fail -u", (false, Update::Older));
    check("-u --update=none-", (false, Update::NoneFail));
    check("--update=changed", (false, Update::Changed));
    check("-u --update=checksum", (false, Update::Checksum));
}

#[test]
fn holes_and_shared_blocks_do_not_go_together_with_everything() {
    let meant = |line| (options(line).sparse, options(line).reflink);
    assert_eq!(meant("--sparse=never"), (Sparse::Never, Reflink::Never));
    assert_eq!(meant("--sparse=never --sparse=auto"), (Sparse::Auto, Reflink::Auto));
    assert_eq!(meant("--reflink"), (Sparse::Auto, Reflink::Always));
    assert_eq!(meant("--reflink --reflink=au"), (Sparse::Auto, Reflink::Auto));
    check_refused("--reflink --sparse=always a b", "--reflink can be used only with --sparse=auto");
}

#[test]
fn links_are_made_of_one_kind() {
    assert_eq!(options("-l").make, Make::HardLinks);
    assert_eq!(options("-s").make, Make::SymbolicLinks);
    check_refused("-ls a b", "cannot make both hard and symbolic links");
}

#[test]
fn devices_in_trees_are_copied_as_devices() {
    assert!(options("").special_contents);
    assert!(!options("-r").special_contents);
    assert!(options("-r --copy-contents").special_contents);
}

#[test]
fn backups_follow_the_command_line_before_the_environment() {
    let check =
        |line: &str, control: Option<&str>, suffix: Option<&str>, expected: Option<(BackupKind, &str)>| {
            let environment = Environment {
                posixly_correct: false,
                version_control: control.map(OsString::from),
                simple_backup_suffix: suffix.map(OsString::from),
            };
            let job = meant_by(Program::Cp, &format!("{line} a b"), &environment).unwrap();
            let expected = expected.map(|(kind, suffix)| Backup { kind, suffix: suffix.into() });
            assert_eq!(job.options.backup, expected, "{line}");
        };
    check("", Some("numbered"), Some(".old"), None);
    check("-b", None, None, Some((BackupKind::Existing, "~")));
    check("-b", Some("t"), None, Some((BackupKind::Numbered, "~")));
    check("-b", Some("off"), None, None);
    check("--backup=simp", Some("t"), None, Some((BackupKind::Simple, "~")));
    check("--backup=none", None, None, None);
    check("--backup=nil -b", None, Some(".old"), Some((BackupKind::Existing, ".old")));
    check("--backup= -S .bak", Some("never"), Some(".old"), Some((BackupKind::Simple, ".bak")));
    check("-S a/b", None, None, Some((BackupKind::Existing, "~")));
    check_refused("-bn a b", "--backup is mutually exclusive with -n or --update=none-fail");
}

#[test]
fn a_backup_type_that_is_none_is_told_with_where_it_came_from() {
    let environment = Environment { version_control: Some("x".into()), ..Environment::default() };
    let message = meant_by(Program::Cp, "-b a b", &environment).unwrap_err();
    assert!(message.starts_with("invalid argument 'x' for '$VERSION_CONTROL'\n"), "{message}");
}

#[test]
fn operands_are_sources_and_a_target() {
    let names = |program, line: &str| {
        let job = meant_by(program, line, &Environment::default()).unwrap();
        let sources: Vec<_> = job.sources.into_iter().collect();
        (sources, job.target, job.options.target_is)
    };
    let path = |name: &str| Name::Path(name.into());
    let check = |line, sources: Vec<Name>, target: Name, target_is| {
        assert_eq!(names(Program::Highwater, line), (sources, target, target_is), "{line}");
    };
    check("a b c", vec![path("a"), path("b")], path("c"), TargetIs::Either);
    check("a b -t c", vec![path("a"), path("b")], path("c"), TargetIs::Directory);
    check("a -T b", vec![path("a")], path("b"), TargetIs::Name);
    check("- b", vec![Name::Standard], path("b"), TargetIs::Either);
    check("a -", vec![path("a")], Name::Standard, TargetIs::Either);
    check("- a b", vec![path("-"), path("a")], path("b"), TargetIs::Either);
    check("-t d -", vec![Name::Standard], path("d"), TargetIs::Directory);
    check("--strip-trailing-slashes a// / b/", vec![path("a"), path("/")], path("b/"), TargetIs::Either);
    assert_eq!(names(Program::Cp, "- -").0, [path("-")]);
    assert_eq!(names(Program::Cp, "- -").1, path("-"));
}

#[test]
fn each_program_has_its_own_defaults() {
    let sync = |program, line: &str| meant_by(program, line, &Environment::default()).unwrap().options.sync;
    assert_eq!(sync(Program::Highwater, "a b"), Sync::End);
    assert_eq!(sync(Program::Cp, "a b"), Sync::None);
    assert_eq!(sync(Program::Cp, "--sync=file a b"), Sync::File);
}

#[test]
fn standard_output_is_not_replaced() {
    let meant = |line: &str| {
        meant_by(Program::Highwater, line, &Environment::default()).map(|job| job.options.atomic)
    };
    assert_eq!(meant("--atomic a b"), Ok(true));
    assert_eq!(meant("--atomic - b"), Ok(true));
    assert_eq!(
        meant("--atomic a -"),
        Err("--atomic replaces files by name, and standard output has none".into())
    );
}

#[test]
fn deleting_needs_a_tree_and_its_limit_needs_deleting() {
    assert_eq!(options("-r --delete").delete, Some(Delete { most: None }));
    assert_eq!(options("-r --delete --max-delete 7").delete, Some(Delete { most: Some(7) }));
    check_refused("--delete a b", "--delete can be used only with --recursive");
    check_refused("-r --max-delete 7 a b", "--max-delete can be used only with --delete");
    check_refused("-r --delete --max-delete x a b", "invalid number 'x' for '--max-delete'");
}

#[test]
fn what_is_told_of_each_file_is_told_in_order() {
    let jobs = |line: &str| meant_by(Program::Cp, line, &Environment::default()).unwrap().jobs;
    assert_eq!(jobs("-rv a b"), 1);
    assert_eq!(jobs("-ri a b"), 1);
    assert_eq!(jobs("-rv --jobs 3 a b"), 3);
    check_refused("--jobs 0 a b", "--jobs must be larger than 0");
}
