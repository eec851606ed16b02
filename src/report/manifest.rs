//! Checksums of files as b3sum writes them, so that `b3sum --check` takes them.
//!
//! ```text
//! <64 hexadecimal digits>  <path>
//! ```
//!
//! Where the path has a backslash, a newline or a carriage return, the line begins with a backslash
//! and they are written `\\\\`, `\\n` and `\\r` (b3sum/what_does_check_do.md of BLAKE3). Bytes that are no
//! UTF-8 become U+FFFD, as b3sum has it, and its `--check` refuses such a line.

use std::io::{self, Write};
use std::path::Path;

use crate::digest::Digest;

/// Writes the line of one file.
///
/// # Errors
/// Those of `out`.
pub fn write_checksum(out: &mut impl Write, path: &Path, hash: &Digest) -> io::Result<()> {
    let mut line = String::new();
    let path = path.to_string_lossy();
    let is_escaped = path.contains(['\\', '\n', '\r']);
    if is_escaped {
        line.push('\\');
    }
    hash.iter().for_each(|byte| line.push_str(&format!("{byte:02x}")));
    line.push_str("  ");
    for letter in path.chars() {
        match letter {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            letter => line.push(letter),
        }
    }
    line.push('\n');
    // All of it or, as far as that can be had, nothing.
    out.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_b3sum() {
        let line = |path: &str, content: &[u8]| {
            let mut out = Vec::new();
            write_checksum(&mut out, Path::new(path), blake3::hash(content).as_bytes()).unwrap();
            String::from_utf8(out).unwrap()
        };
        // Both by b3sum 1.2.0.
        let plain = "f2f21520bebe5d07c6813b972de3617a0a0d50a36be3784e9fece54cff8d8032  a b\n";
        assert_eq!(line("a b", b"w"), plain);
        let newline = "\\08112a9e334ce73042b531c25668cf5cb12a1ee040a4326afeac065461079a06  n\\nl\n";
        assert_eq!(line("n\nl", b"y"), newline);
        let backslash = "\\3ae7d805f6789a6402acb70ad4096a85a56bf6804eaf25c0493ac697548d30b5  a\\\\b\n";
        assert_eq!(line("a\\b", b"x"), backslash);
    }
}
