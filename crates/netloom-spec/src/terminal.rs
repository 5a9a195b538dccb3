//! Text that somebody else chose, fit for a terminal: a plugin, a file, or a pod that names its own
//! interfaces.
//!
//! Control characters move the cursor, colour what follows, or type into the terminal; others turn the
//! direction of writing, so that a line reads as what it is not. All are written as in Rust (`\u{1b}`).

use std::borrow::Cow;

/// One line: line breaks are escaped as well.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Line breaks and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |char| is_unsafe(char) && !matches!(char, '\n' | '\t'))
}

/// [`one_line`] of at most `longest` bytes, and how much more there was.
#[must_use]
pub fn bounded_line(text: &str, longest: usize) -> Cow<'_, str> {
    let line = one_line(text);
    if line.len() <= longest {
        return line;
    }
    let length = |char: char| match is_unsafe(char) {
        true => char.escape_default().count(),
        false => char.len_utf8(),
    };
    // For the words below.
    let room = longest.saturating_sub(40);
    let mut taken = 0;
    let fitting = text.chars().take_while(|char| {
        taken += length(*char);
        taken <= room
    });
    let cut: usize = fitting.map(char::len_utf8).sum();
    let (kept, more) = (&text[..cut], text.len() - cut);
    Cow::Owned(format!("{}… (and {more} bytes more)", one_line(kept)))
}

/// A JSON document: what is not safe stands in strings, and is written there as JSON has it (`\u009b`).
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    let is_unsafe = |char: char| is_unsafe(char) && char != '\n';
    if !document.contains(is_unsafe) {
        return Cow::Borrowed(document);
    }
    let mut safe = String::with_capacity(document.len() + 8);
    for char in document.chars() {
        match is_unsafe(char) {
            true => safe.push_str(&format!("\\u{:04x}", u32::from(char))),
            false => safe.push(char),
        }
    }
    Cow::Owned(safe)
}

fn escaped(text: &str, escapes: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escapes) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match escapes(char) {
            true => safe.extend(char.escape_default()),
            false => safe.push(char),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(char: char) -> bool {
    char.is_control() || is_turning(char)
}

/// Whether it turns or hides what stands around it: the controls of the bidirectional algorithm
/// (UAX #9), line and paragraph separators, and marks that cannot be seen.
fn is_turning(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_stays_as_it_is() {
        assert!(matches!(one_line("eth0 ✔ é"), Cow::Borrowed("eth0 ✔ é")));
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let text = "\x1b[31mX\u{9b}2J\u{202e}\r\n\tend\x7f";
        assert_eq!(
            one_line(text),
            r"\u{1b}[31mX\u{9b}2J\u{202e}\r\n\tend\u{7f}"
        );
        assert_eq!(lines("a\n\tb\x07"), "a\n\tb\\u{7}");
    }

    #[test]
    fn a_document_stays_the_same_document() {
        let name = "\u{9b}2J\u{202e}\u{7f}\x1b";
        let document = serde_json::to_string_pretty(&serde_json::json!({"name": name})).unwrap();
        let safe = json(&document);
        assert!(
            !safe.chars().any(|char| is_unsafe(char) && char != '\n'),
            "{safe}"
        );
        let read: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(read["name"], name);
    }

    #[test]
    fn what_is_too_long_is_cut_and_counted() {
        let text = "\x1b\u{e9}".repeat(10_000);
        let line = bounded_line(&text, 4096);
        assert!(line.len() <= 4096 && line.len() > 4000, "{}", line.len());
        let (kept, more) = line.split_once("… (and ").unwrap();
        let more: usize = more.split(' ').next().unwrap().parse().unwrap();
        let kept = kept.replace(r"\u{1b}", "\x1b").len();
        assert_eq!(kept + more, text.len());
        assert_eq!(bounded_line("short", 4096), "short");
    }
}
