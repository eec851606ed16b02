//! Which files of a tree are copied: `--exclude` and `--include`.
//!
//! Rules are looked at in the order in which they were typed, and the first whose pattern matches
//! decides; a file that none matches is copied. This is rsync's way: what is included in spite of
//! a later exclusion must be typed before it (`--include='*.c' --exclude='*'`). A directory that
//! is excluded is not entered, so no rule for what is in it is ever asked.
//!
//! A pattern is matched with the path below the operand, byte by byte:
//!
//! | pattern | matches |
//! |---|---|
//! | `*.o` | whatever has such a name, however deep: there is no slash inside |
//! | `sub/*.o` | the end of a path: `sub/a.o`, `x/sub/a.o` |
//! | `/sub/*.o` | `sub/a.o` and not `x/sub/a.o`: it begins at the operand |
//! | `sub/` | directories of that name, and nothing else |
//! | `sub/**` | all that is below such a directory |
//! | `a/**/b` | `a/b`, `a/x/b`, `a/x/y/b` |
//! | `a/**.o` | `a/b.o`, `a/x/b.o` |
//!
//! `*` stands for any bytes but the slash, `?` for one of them, `[a-z]` and `[!a-z]` for one that
//! is or isn't among those, and a backslash takes its meaning from what follows. Braces are plain.
//! Patterns are text; a name that isn't is matched all the same, as wildcards stand for any byte.

use std::ffi::OsString;
use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// One `--include` or `--exclude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// what it matches is copied; else not
    pub include: bool,
    /// as typed
    pub pattern: OsString,
}

/// A pattern that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", .pattern.display())]
pub struct FilterError {
    /// as typed
    pub pattern: OsString,
    /// why
    pub reason: Unfit,
}

/// Why a pattern means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// nothing, or slashes only
    #[error("the pattern names nothing")]
    Empty,
    /// it isn't UTF-8
    #[error("the pattern is not UTF-8: use ? for each byte that isn't text")]
    NotText,
    /// brackets that aren't closed, a range that ends before it begins
    #[error("{0}")]
    Syntax(String),
}

/// Rules in the order in which they were typed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// each rule's pattern, by its place in `rules`
    patterns: GlobSet,
    rules: Vec<Meaning>,
}

/// A rule without its pattern.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    include: bool,
    directories_only: bool,
}

impl Filter {
    /// Of `rules` in their order. Fails at the first pattern that means nothing.
    pub fn new(rules: Vec<Rule>) -> Result<Filter, FilterError> {
        let mut patterns = GlobSetBuilder::new();
        let mut meanings = Vec::with_capacity(rules.len());
        let mut last = OsString::new();
        for Rule { include, pattern } in rules {
            let unfit = |reason| FilterError { pattern: pattern.clone(), reason };
            let text = pattern.to_str().ok_or_else(|| unfit(Unfit::NotText))?;
            let glob = glob(text).map_err(unfit)?;
            let glob = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
            patterns.add(glob.map_err(|error| unfit(Unfit::Syntax(error.kind().to_string())))?);
            meanings.push(Meaning { include, directories_only: text.ends_with('/') });
            last = pattern;
        }
        let patterns = patterns.build().map_err(|error| FilterError {
            pattern: last,
            reason: Unfit::Syntax(error.kind().to_string()),
        })?;
        Ok(Filter { patterns, rules: meanings })
    }

    /// Whether there is no rule: every file is copied.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the file is copied that is at `path` below the operand, such as `sub/file.o`; the
    /// operand itself, an empty path, always is. Of the directories on the way nothing is asked.
    pub fn takes(&self, path: &Path, is_directory: bool) -> bool {
        if self.is_empty() || path.as_os_str().is_empty() {
            return true;
        }
        let matching = self.patterns.matches_candidate(&Candidate::new(path));
        let rules = matching.into_iter().map(|rule| self.rules[rule]);
        let mut rules = rules.filter(|rule| is_directory || !rule.directories_only);
        rules.next().is_none_or(|rule| rule.include)
    }
}

/// The pattern for whole paths that says what `pattern` does.
fn glob(pattern: &str) -> Result<String, Unfit> {
    let inner = pattern.trim_end_matches('/');
    let (anchored, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    if inner.is_empty() {
        return Err(Unfit::Empty);
    }
    let beginning = if anchored || inner.starts_with("**/") { "" } else { "**/" };
    Ok(format!("{beginning}{}", as_globset(inner)))
}

/// The same to globset as `pattern` is to rsync: braces are plain, and what stands between brackets
/// never is a slash.
fn as_globset(pattern: &str) -> String {
    let mut same = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(char) = rest.next() {
        match char {
            '\\' => {
                same.push(char);
                same.extend(rest.next());
            }
            '{' | '}' => same.extend(['\\', char]),
            '*' if rest.as_str().starts_with('*') => {
                let begins = same.is_empty() || same.ends_with('/');
                rest = rest.as_str().trim_start_matches('*').chars();
                let ends = rest.as_str().is_empty() || rest.as_str().starts_with('/');
                // To globset only a component of its own reaches over slashes.
                same.push_str(if begins && ends { "**" } else { "{*,*/**/*}" });
            }
            '[' => match class(rest.as_str()) {
                Some((class, length)) => {
                    same.push_str(&class);
                    rest = rest.as_str()[length..].chars();
                }
                // It isn't closed, which globset says.
                None => same.push(char),
            },
            _ => same.push(char),
        }
    }
    same
}

/// A class of characters without the slash, from what follows its opening bracket, of which so
/// many bytes belong to it.
fn class(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix(['!', '^']);
    let (negated, inner) = (inner.is_some(), inner.unwrap_or(text));
    let mut ranges = Vec::new();
    let mut rest = inner.chars();
    loop {
        let from = rest.next()?;
        // As the first one it is one of the characters.
        if from == ']' && !ranges.is_empty() {
            break;
        }
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                rest = ahead;
                ranges.push((from, to));
            }
            _ => ranges.push((from, from)),
        }
    }
    let split = |(from, to): (char, char)| match from < '/' && '/' < to {
        true => vec![(from, '.'), ('0', to)],
        false => vec![(from, to)],
    };
    let mut ranges: Vec<_> = ranges.into_iter().flat_map(split).collect();
    if negated {
        ranges.push(('/', '/'));
    }
    // A closing bracket and a dash are themselves in these places only.
    ranges.sort_by_key(|range| (range.0 != ']', *range == ('-', '-')));
    let mut class = String::from(if negated { "[!" } else { "[" });
    for (from, to) in ranges {
        class.push(from);
        if from != to {
            class.extend(['-', to]);
        }
    }
    class.push(']');
    Some((class, text.len() - rest.as_str().len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    /// `+pattern` or `-pattern` each.
    fn filter(rules: &[&str]) -> Result<Filter, FilterError> {
        let rule = |rule: &&str| Rule { include: rule.starts_with('+'), pattern: rule[1..].into() };
        Filter::new(rules.iter().map(rule).collect())
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        // rules; a path, a directory where it ends with a slash; whether it is copied
        let cases: &[(&[&str], &str, bool)] = &[
            (&[], "a", true),
            (&["-*.o"], "a.o", false),
            (&["-*.o"], "x/y/a.o", false),
            (&["-*.o"], "a.o/b", true),
            (&["-*.o"], "a.c", true),
            (&["-*.o"], ".o", false),
            (&["-*"], "", true),
            (&["-*"], ".hidden", false),
            (&["+*.c", "-*"], "x/a.c", true),
            (&["+*.c", "-*"], "x/", false),
            (&["+*/", "+*.c", "-*"], "x/", true),
            (&["+*/", "+*.c", "-*"], "x", false),
            (&["-*", "+*.c"], "a.c", false),
            (&["-a/**.o"], "a/b.o", false),
            (&["-a/**.o"], "a/x/y/b.o", false),
            (&["-a/**.o"], "x/b.o", true),
            (&["-a**b"], "a/x/b", false),
            (&["-sub/*.o"], "sub/a.o", false),
            (&["-sub/*.o"], "x/sub/a.o", false),
            (&["-sub/*.o"], "xsub/a.o", true),
            (&["-sub/*.o"], "sub/x/a.o", true),
            (&["-/sub/*.o"], "sub/a.o", false),
            (&["-/sub/*.o"], "x/sub/a.o", true),
            (&["-/a"], "a", false),
            (&["-/a"], "b/a", true),
            (&["-sub/"], "sub/", false),
            (&["-sub/"], "x/sub/", false),
            (&["-sub/"], "sub", true),
            (&["-/sub/"], "x/sub/", true),
            (&["-sub/**"], "sub/", true),
            (&["-sub/**"], "sub/a", false),
            (&["-sub/**"], "x/sub/y/a", false),
            (&["-a/**/b"], "a/b", false),
            (&["-a/**/b"], "a/x/y/b", false),
            (&["-a/**/b"], "a/x/y/c", true),
            (&["-**/a"], "a", false),
            (&["-**"], "x/y", false),
            (&["-a?c"], "abc", false),
            (&["-a?c"], "a/c", true),
            (&["-a*c"], "a/c", true),
            (&["-a[!b]c"], "a/c", true),
            (&["-a[^b]c"], "abc", true),
            (&["-a[^b]c"], "axc", false),
            (&["-[a-c]x"], "bx", false),
            (&["-a[ -~]c"], "a/c", true),
            (&["-a[ -~]c"], "a-c", false),
            (&["-a[ -~]c"], "axc", false),
            (&["-a[x-]c"], "a-c", false),
            (&["-a[!x-]c"], "a-c", true),
            (&["-a[!]x]c"], "a]c", true),
            (&["-a[!]x]c"], "ayc", false),
            (&["-a[-x]c"], "a-c", false),
            (&["-[]{]x"], "{x", false),
            (&["-{a,b}"], "a", true),
            (&["-{a,b}"], "{a,b}", false),
            (&["-\\*"], "*", false),
            (&["-\\*"], "a", true),
            (&["-\\{"], "{", false),
            (&["-A"], "a", true),
            (&["-ä"], "ä", false),
            (&["-??"], "ä", false),
            (&["-a//"], "a/", false),
        ];
        for (rules, path, expected) in cases {
            let taken =
                filter(rules).unwrap().takes(Path::new(path.trim_end_matches('/')), path.ends_with('/'));
            assert_eq!(taken, *expected, "{rules:?} {path}");
        }
    }

    #[test]
    fn names_that_are_no_text_are_matched_by_their_bytes() {
        let name = |bytes: &[u8]| Path::new(OsStr::from_bytes(bytes)).to_owned();
        let filter = filter(&["+a?z", "-*z", "-sub/\u{fc}*"]).unwrap();
        assert!(filter.takes(&name(b"a\xffz"), false));
        assert!(!filter.takes(&name(b"a\xff\xfez"), false));
        assert!(!filter.takes(&name(b"\xff/\xffz"), false));
        assert!(filter.takes(&name(b"\xff/\xff"), false));
        assert!(!filter.takes(&name(b"\xff/sub/\xc3\xbc\xff"), false));
        assert!(filter.takes(&name(b"\xff/sub/\xfc\xff"), false));
    }

    #[test]
    fn a_pattern_that_means_nothing_is_named() {
        let reason = |pattern: &str| {
            let error = filter(&["-fine", &format!("-{pattern}"), "-fine"]).unwrap_err();
            assert_eq!(error.pattern, pattern);
            error.reason
        };
        assert_eq!(reason(""), Unfit::Empty);
        assert_eq!(reason("//"), Unfit::Empty);
        assert!(matches!(reason("[a"), Unfit::Syntax(_)));
        assert!(matches!(reason("[z-a]"), Unfit::Syntax(_)));
        assert!(matches!(reason("a\\"), Unfit::Syntax(_)));
        let rule = Rule { include: true, pattern: OsString::from_vec(vec![b'a', 0xff]) };
        assert_eq!(Filter::new(vec![rule]).unwrap_err().reason, Unfit::NotText);
    }

    /// What a pattern of stars, question marks and letters matches, said in another way.
    fn matches(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                matches(rest, path) || (!path.is_empty() && path[0] != b'/' && matches(pattern, &path[1..]))
            }
            ([b'?', rest @ ..], [byte, tail @ ..]) => *byte != b'/' && matches(rest, tail),
            ([byte, rest @ ..], [other, tail @ ..]) => byte == other && matches(rest, tail),
            _ => false,
        }
    }

    /// Likewise of a whole rule: anywhere at the end of a path, or from its beginning.
    fn rule_matches(pattern: &str, path: &[u8]) -> bool {
        if let Some(anchored) = pattern.strip_prefix('/') {
            return matches(anchored.as_bytes(), path);
        }
        let starts = (0..path.len()).filter(|at| *at == 0 || path[at - 1] == b'/');
        starts.into_iter().any(|at| matches(pattern.as_bytes(), &path[at..]))
    }

    proptest! {
        #[test]
        fn rules_decide_as_they_would_one_by_one(
            rules in prop::collection::vec((any::<bool>(), "/?([ab?]|\\*[ab]?){1,3}(/[ab?]{1,2})?", any::<bool>()), 0..5),
            path in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![b'a', b'b', 0xffu8]), 1..4), 1..4),
            is_directory in any::<bool>(),
        ) {
            let rules: Vec<_> = rules.into_iter().filter(|(_, pattern, _)| !pattern.contains("**")).collect();
            let path = path.join(&b'/');
            let deciding = rules.iter().find(|(_, pattern, directories_only)| {
                (is_directory || !directories_only) && rule_matches(pattern, &path)
            });
            let expected = deciding.is_none_or(|(include, ..)| *include);
            let typed = |(include, pattern, directories_only): &(bool, String, bool)| Rule {
                include: *include,
                pattern: format!("{pattern}{}", if *directories_only { "/" } else { "" }).into(),
            };
            let filter = Filter::new(rules.iter().map(typed).collect()).unwrap();
            prop_assert_eq!(filter.takes(Path::new(OsStr::from_bytes(&path)), is_directory), expected);
        }
    }
}
