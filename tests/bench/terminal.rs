//! What a terminal shows while bench runs.

use crate::support::Scratch;
use crate::support::command::{BINARY, Highwater, quoted};

/// What was written to the terminal, without its control sequences: each drawing of a line is one.
fn drawn(screen: &[u8]) -> Vec<String> {
    let screen = String::from_utf8_lossy(screen);
    let mut plain = String::new();
    let mut chars = screen.chars();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ numbers letter
            '\x1b' => drop(chars.by_ref().skip(1).find(|c| c.is_ascii_alphabetic())),
            '\r' => plain.push('\n'),
            c => plain.push(c),
        }
    }
    plain.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn on_a_terminal(args: &str, scratch: &Scratch) -> Vec<String> {
    let command = format!("stty cols 80 rows 24; exec {BINARY} bench {args} {}", quoted(&scratch.dir()));
    let terminal = Highwater::binary("script").args(["-qec", &command, "/dev/null"]).env("TERM", "xterm");
    let outcome = terminal.run();
    drawn(&outcome.assert_code(0).stdout)
}

#[test]
fn it_shows_rates_and_times_of_the_last_interval_in_eighty_columns() {
    need_tool!("script");
    let scratch = Scratch::new();
    let lines = on_a_terminal("--rate 400/s --for 1200ms --interval 100ms --size 8M", &scratch);
    assert!(lines.iter().any(|line| line == "writing a scratch file of 8 MiB"), "{lines:#?}");
    let live = lines.iter().filter(|line| line.contains(" read response p50 "));
    let live: Vec<&String> = live.collect();
    assert!(!live.is_empty(), "{lines:#?}");
    for line in &live {
        assert!(line.chars().count() <= 80, "{line}");
        for part in ["/1 s  ", "/s ", " p99 ", " max "] {
            assert!(line.contains(part), "{part:?}: {line}");
        }
    }
    let sparks = |line: &str| line.chars().filter(|c| ('▁'..='█').contains(c)).count();
    assert!(live.iter().any(|line| sparks(line) > 1), "{live:#?}");
    // The line is gone, and the table is there.
    let table = lines.iter().position(|line| line.starts_with("randread of 4 KiB, ")).expect("a table");
    assert!(lines[table..].iter().all(|line| !line.contains(" response p50 ")), "{lines:#?}");
    assert!(lines[table..].iter().any(|line| line.starts_with("response time ")), "{lines:#?}");
}

#[test]
fn it_shows_the_steps_of_a_sweep_and_nothing_where_that_was_asked() {
    need_tool!("script");
    let scratch = Scratch::new();
    let lines = on_a_terminal("--sweep --depth 2 --for 200ms --size 8M", &scratch);
    let steps = lines.iter().filter(|line| line.starts_with("sweep: depth ")).count();
    assert!(steps > 0, "{lines:#?}");
    let lines = on_a_terminal("--quiet --for 300ms --interval 100ms --size 8M", &scratch);
    assert_eq!(lines, [""; 0]);
}
