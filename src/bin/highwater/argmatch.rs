//! Words that may be abbreviated, as the values of cp's options may: `--sparse=al`.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use crate::program::Usage;

/// The first of the group of synonyms that `typed` belongs to: all of it or, where that leaves no
/// doubt, its beginning.
///
/// # Errors
/// In cp's words, with all groups; `context` says what the word is for.
pub fn argmatch<'a>(context: &str, typed: &OsStr, groups: &[Vec<&'a str>]) -> Result<&'a str, Usage> {
    let first = |group: &Vec<&'a str>| group[0];
    let whole = |word: &&str| word.as_bytes() == typed.as_bytes();
    if let Some(group) = groups.iter().find(|group| group.iter().any(whole)) {
        return Ok(first(group));
    }
    let begins = |word: &&str| word.as_bytes().starts_with(typed.as_bytes());
    let mut meant = groups.iter().filter(|group| group.iter().any(begins));
    let problem = match (meant.next(), meant.next()) {
        (Some(group), None) => return Ok(first(group)),
        (Some(_), Some(_)) => "ambiguous",
        (None, _) => "invalid",
    };
    let mut message = format!("{problem} argument {} for '{context}'\nValid arguments are:", quoted(typed));
    for group in groups {
        let _ = write!(message, "\n  - '{}'", group.join("', '"));
    }
    Err(Usage::new(message))
}

/// As GNU's tools quote an argument (not a file's name) in the C locale.
fn quoted(typed: &OsStr) -> String {
    let mut text = String::from("'");
    for chunk in typed.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            let _ = match c {
                '\'' | '\\' => write!(text, "\\{c}"),
                '\n' => write!(text, "\\n"),
                '\t' => write!(text, "\\t"),
                c if c.is_control() => {
                    c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(text, "\\{byte:03o}"))
                }
                c => write!(text, "{c}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\{byte:03o}");
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expected: Result<&str, &str>) {
        let groups = [vec!["none", "off"], vec!["simple", "never"], vec!["existing", "nil"]];
        let got = argmatch("backup type", OsStr::new(typed), &groups);
        assert_eq!(got.map_err(|usage| usage.message), expected.map_err(str::to_owned));
    }

    const VALID: &str =
        "Valid arguments are:\n  - 'none', 'off'\n  - 'simple', 'never'\n  - 'existing', 'nil'";

    #[test]
    fn a_word_or_a_beginning_that_leaves_no_doubt_is_meant() {
        check("none", Ok("none"));
        check("off", Ok("none"));
        check("o", Ok("none"));
        check("s", Ok("simple"));
        check("ni", Ok("existing"));
    }

    #[test]
    fn others_are_answered_with_what_could_be_typed() {
        check("x", Err(&format!("invalid argument 'x' for 'backup type'\n{VALID}")));
        check("n", Err(&format!("ambiguous argument 'n' for 'backup type'\n{VALID}")));
        check("a'\n", Err(&format!("invalid argument 'a\\'\\n' for 'backup type'\n{VALID}")));
    }
}
