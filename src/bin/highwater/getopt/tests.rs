use clap::ArgAction;

use super::*;

/// Options with every kind of value, one of them reserved.
fn definition() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let value = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
    Command::new("test")
        .arg(flag("all").short('a').visible_short_alias('A'))
        .arg(flag("parents").alias("path"))
        .arg(value("preserve").num_args(0..=1).value_delimiter(',').value_parser(["mode", "times", "links"]))
        .arg(value("to").short('t'))
        .arg(flag("all-of-ours"))
        .arg(value("when").short('w').num_args(0..=1).value_parser(["auto", "always", "never", "new"]))
        .arg(Arg::new("z").short('z').action(ArgAction::SetTrue))
        .arg(flag("help"))
}

fn read(args: &[&str], operands_last: bool) -> Result<String, String> {
    let reserved = |arg: &Arg, word: Option<&str>| match word {
        Some(word) => word == "new",
        None => arg.get_id() == "all-of-ours",
    };
    let definition = definition();
    let reader = Reader { definition: &definition, reserved: &reserved, operands_last, ends: &["help"] };
    let line = reader.read(args.iter().map(OsString::from)).map_err(|usage| usage.message)?;
    let options = line.options.into_iter().map(|typed| match typed.value {
        Some(value) => format!("{}={}", typed.name, value.display()),
        None => typed.name,
    });
    let operands = line.operands.iter().map(|operand| format!("[{}]", operand.display()));
    Ok(options.chain(operands).collect::<Vec<_>>().join(" "))
}

#[track_caller]
fn check(args: &[&str], expected: &str) {
    assert_eq!(read(args, false), Ok(expected.to_owned()), "{args:?}");
}

#[track_caller]
fn check_refused(args: &[&str], expected: &str) {
    assert_eq!(read(args, false), Err(expected.to_owned()), "{args:?}");
}

#[test]
fn options_and_operands_come_in_any_order() {
    check(&["x", "-a", "y", "--to", "d", "z"], "all to=d [x] [y] [z]");
    check(&["-", "-a", "--", "-a", "--to"], "all [-] [-a] [--to]");
    check(&["--to", "--", "x"], "to=-- [x]");
    assert_eq!(read(&["-a", "x", "-a", "--", "y"], true).unwrap(), "all [x] [-a] [--] [y]");
}

#[test]
fn letters_stand_together_and_the_last_may_have_its_value() {
    check(&["-aAz"], "all all z");
    check(&["-atx"], "all to=x");
    check(&["-at", "x"], "all to=x");
    check(&["-wal", "-w", "x"], "when=always when [x]");
}

#[test]
fn names_may_be_abbreviated_where_that_leaves_no_doubt() {
    check(&["--t=d", "--he"], "to=d help");
    check(&["--pa", "--path"], "parents parents");
    check_refused(&["--p"], "option '--p' is ambiguous; possibilities: '--parents' '--preserve'");
    let all = "'--all' '--parents' '--path' '--preserve' '--to' '--when' '--help'";
    check_refused(&["--=1"], &format!("option '--=1' is ambiguous; possibilities: {all}"));
}

#[test]
fn what_is_reserved_is_typed_in_full_or_not_seen() {
    check(&["--al", "--all-of-ours"], "all all-of-ours");
    check(&["--when=new", "--when=n"], "when=new when=never");
    check_refused(
        &["--when=new-"],
        "invalid argument 'new-' for '--when'\nValid arguments are:\n  - 'auto'\n  - 'always'\n  - 'never'",
    );
}

#[test]
fn words_become_whole_each_in_a_list() {
    check(&["--when=au"], "when=auto");
    check(&["--preserve=mo,t,links"], "preserve=mode,times,links");
    check(&["--preserve"], "preserve");
    check_refused(
        &["--preserve=mode,"],
        "ambiguous argument '' for '--preserve'\nValid arguments are:\n  - 'mode'\n  - 'times'\n  - 'links'",
    );
}

#[test]
fn the_first_thing_wrong_is_told() {
    check_refused(&["--foo=1", "-q"], "unrecognized option '--foo=1'");
    check_refused(&["-aq"], "invalid option -- 'q'");
    check_refused(&["--all=1"], "option '--all' doesn't allow an argument");
    check_refused(&["--to"], "option '--to' requires an argument");
    check_refused(&["-at"], "option requires an argument -- 't'");
}

#[test]
fn what_follows_an_option_that_ends_the_line_is_not_looked_at() {
    check(&["-a", "--help", "--foo"], "all help");
}
