//! SVG as text. Everything has a class and nothing a colour, so that one style sheet draws it light and
//! dark, in a page and as a file.

use std::fmt::{Display, Write as _};

/// A drawing that grows. Places are in pixels from the top left.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    body: String,
}

/// Where a text has its place.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// it begins there
    Start,
    /// its middle is there
    Middle,
    /// it ends there
    End,
}

/// A place in a drawing.
pub type Point = (f64, f64);

impl Drawing {
    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): Point, (x2, y2): Point) {
        self.add(format_args!(
            r#"<line class="{class}" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            Short(x1),
            Short(y1),
            Short(x2),
            Short(y2)
        ));
    }

    /// A line through `points`, each list for itself; `closed` down to `floor` as a surface.
    pub fn path(&mut self, class: &str, points: &[Point]) {
        let Some((first, rest)) = points.split_first() else { return };
        let _ = write!(self.body, r#"<path class="{class}" d="M{} {}"#, Short(first.0), Short(first.1));
        for point in rest {
            let _ = write!(self.body, "L{} {}", Short(point.0), Short(point.1));
        }
        self.body.push_str("\"/>\n");
    }

    /// Many rectangles of one class: x, y, width and height each.
    pub fn cells(&mut self, class: &str, cells: &[[f64; 4]]) {
        if cells.is_empty() {
            return;
        }
        let _ = write!(self.body, r#"<path class="{class}" d=""#);
        for [x, y, width, height] in cells.iter().map(|cell| cell.map(Short)) {
            let _ = write!(self.body, "M{x} {y}h{width}v{height}h-{width}z");
        }
        self.body.push_str("\"/>\n");
    }

    /// A dot.
    pub fn dot(&mut self, class: &str, (x, y): Point) {
        self.add(format_args!(r#"<circle class="{class}" cx="{}" cy="{}" r="3.5"/>"#, Short(x), Short(y)));
    }

    /// A text.
    pub fn text(&mut self, class: &str, anchor: Anchor, (x, y): Point, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(format_args!(
            r#"<text class="{class}" text-anchor="{anchor}" x="{}" y="{}">{}</text>"#,
            Short(x),
            Short(y),
            Escaped(text)
        ));
    }

    /// A rectangle that can't be seen and tells something to who points at it.
    pub fn hint(&mut self, (x, y): Point, (width, height): Point, text: &str) {
        self.add(format_args!(
            r#"<rect class="hint" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>"#,
            Short(x),
            Short(y),
            Short(width),
            Short(height),
            Escaped(text)
        ));
    }

    /// The drawing as an element of a page.
    pub fn element(&self, class: &str, (width, height): (u32, u32), label: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
            Escaped(label),
            self.body
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// To a tenth of a pixel, without a `.0`.
#[derive(Clone, Copy)]
struct Short(f64);

impl Display for Short {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        let sign = if tenths < 0 { "-" } else { "" };
        let tenths = tenths.unsigned_abs();
        match tenths % 10 {
            0 => write!(out, "{sign}{}", tenths / 10),
            rest => write!(out, "{sign}{}.{rest}", tenths / 10),
        }
    }
}

/// Text as XML and HTML have it, in elements and in attributes. What XML has no place for (control
/// characters) is shown as U+FFFD.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                '\n' | '\t' => out.write_char(character)?,
                character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                    out.write_char('\u{fffd}')?;
                }
                character => out.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let text = Escaped("</script><b a='\"&\u{1b}\0>\n").to_string();
        assert_eq!(text, "&lt;/script&gt;&lt;b a=&#39;&quot;&amp;\u{fffd}\u{fffd}&gt;\n");
    }

    #[test]
    fn places_are_to_a_tenth_of_a_pixel() {
        let texts = [0.0, 3.0, 3.1234, -0.04, -2.55, 100.96].map(|place| Short(place).to_string());
        assert_eq!(texts, ["0", "3", "3.1", "0", "-2.6", "101"]);
    }
}
