//! Names as GNU's tools quote them in messages: `'a b'`, `"it's"`, `'a'$'\n''b'`, `''$'\377'`.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `path` so that a shell would read it back.
pub fn quote(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let text = std::str::from_utf8(bytes);
    if let Ok(text) = text
        && text.contains('\'')
        && !text.contains(['"', '\\', '$', '`', '!'])
        && !text.chars().any(char::is_control)
    {
        return format!("\"{text}\"");
    }
    let mut quoted = Quoted { text: String::from("'"), escaping: false };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' => quoted.plain("'\\''"),
                c if c.is_control() => quoted.escaped(c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => quoted.plain(c.encode_utf8(&mut [0; 4])),
            }
        }
        quoted.escaped(chunk.invalid());
    }
    quoted.text + "'"
}

/// The same, but as it is where a shell would read that back, too.
pub fn quote_if_needed(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:@_]{}".contains(byte) || *byte >= 0x80;
    let bytes = path.as_os_str().as_bytes();
    match path.to_str().filter(|_| !bytes.is_empty() && bytes.iter().all(plain)) {
        Some(text) => text.to_owned(),
        None => quote(path),
    }
}

/// Text inside an open quotation, `'` or `$'`.
struct Quoted {
    text: String,
    escaping: bool,
}

impl Quoted {
    fn plain(&mut self, text: &str) {
        if std::mem::replace(&mut self.escaping, false) {
            self.text.push_str("''");
        }
        self.text.push_str(text);
    }

    fn escaped(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !std::mem::replace(&mut self.escaping, true) {
                self.text.push_str("'$'");
            }
            let _ = match byte {
                b'\n' => write!(self.text, "\\n"),
                b'\t' => write!(self.text, "\\t"),
                b'\r' => write!(self.text, "\\r"),
                byte => write!(self.text, "\\{byte:03o}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn names_are_quoted_as_cp_does() {
        let check = |bytes: &[u8], expected| assert_eq!(quote(Path::new(OsStr::from_bytes(bytes))), expected);
        check(b"plain", "'plain'");
        check(b"a b", "'a b'");
        check(b"it's", "\"it's\"");
        check(b"a\nb", "'a'$'\\n''b'");
        check(b"\xff", "''$'\\377'");
        check(b"a\n", "'a'$'\\n'");
        check(b"it's\"x", "'it'\\''s\"x'");
        check(b"a\xff\xfe", "'a'$'\\377\\376'");
    }
}
