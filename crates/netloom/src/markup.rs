//! Words of others in XML: names of links, aliases, and paths are chosen by whoever made them.

use netloom_spec::terminal;

/// Text inside an element or an attribute of XML or HTML. Control characters, which XML does not have
/// at all, and those that turn the direction of writing, are written as in Rust.
pub(crate) fn xml(text: &str) -> String {
    let line = terminal::one_line(text);
    escaped(&line)
}

/// The same for several lines.
pub(crate) fn xml_lines(text: &str) -> String {
    let lines = terminal::lines(text);
    escaped(&lines)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // No characters of XML 1.0.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// How many columns a terminal, or a font whose letters are all equally wide, takes for it.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Two for the scripts of East Asia and for pictures.
fn columns(char: char) -> usize {
    let wide = matches!(u32::from(char),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f9ff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

/// At most so many columns, with an ellipsis for what is left out.
pub(crate) fn fitted(text: &str, columns_at_most: usize) -> String {
    let line = terminal::one_line(text);
    if width(&line) <= columns_at_most {
        return line.into_owned();
    }
    let mut fitted = String::new();
    let mut taken = 1;
    for char in line.chars() {
        taken += columns(char);
        if taken > columns_at_most {
            break;
        }
        fitted.push(char);
    }
    fitted.push('…');
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_markup() {
        let name = "<script>alert('x')</script>&\"\u{1b}[2J\u{202e}\n\u{0}\u{ffff}";
        let safe = xml(name);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{1b}', '\u{202e}', '\n', '\u{0}']));
        assert!(
            safe.starts_with("&lt;script&gt;alert(&#39;x&#39;)"),
            "{safe}"
        );
    }

    #[test]
    fn what_is_fitted_is_never_wider_than_asked() {
        for text in [
            "",
            "abc",
            "abcdefghij",
            "漢字漢字漢字",
            "a漢b字c漢",
            "\u{1b}\u{1b}\u{1b}",
        ] {
            for columns in 1..12 {
                assert!(
                    width(&fitted(text, columns)) <= columns,
                    "{text:?} in {columns}"
                );
            }
        }
        assert_eq!(fitted("abcdefghij", 5), "abcd…");
    }
}
