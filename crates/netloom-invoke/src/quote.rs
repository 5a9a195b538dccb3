//! Showing what a plugin printed: in one line, of bounded length, without what a terminal would act on.

/// The longest quotation, in bytes: an error with it stays below 4 KiB.
const LONGEST: usize = 3 * 1024;

/// The beginning of `text` in quotes, with escapes for line breaks and control characters, and how much was left out.
pub(crate) fn beginning(text: &str) -> String {
    let mut length = 0;
    let fitting = text.chars().take_while(|char| {
        length += char.escape_debug().count().max(char.len_utf8());
        length <= LONGEST
    });
    let cut: usize = fitting.map(char::len_utf8).sum();
    match text.len() - cut {
        0 => format!("{text:?}"),
        more => format!("{:?} (and {more} bytes more)", &text[..cut]),
    }
}

/// The end of `text`, likewise: the last words of a program that died tell most.
pub(crate) fn end(text: &str) -> String {
    let mut length = 0;
    let fitting = text.chars().rev().take_while(|char| {
        length += char.escape_debug().count().max(char.len_utf8());
        length <= LONGEST
    });
    let kept: usize = fitting.map(char::len_utf8).sum();
    match text.len() - kept {
        0 => format!("{text:?}"),
        more => format!("(after {more} bytes more) {:?}", &text[more..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_quoted_whole() {
        assert_eq!(beginning("a\n\x1b[31m"), r#""a\n\u{1b}[31m""#);
        assert_eq!(end("a\n"), r#""a\n""#);
    }

    #[test]
    fn what_is_too_long_is_cut_and_counted() {
        let long = format!("first{}last", "\x1b\u{e9}".repeat(100_000));
        for quoted in [beginning(&long), end(&long)] {
            assert!(quoted.len() < 4096, "{}", quoted.len());
            assert!(quoted.contains("bytes more"), "{quoted}");
        }
        assert!(beginning(&long).starts_with("\"first"));
        assert!(end(&long).ends_with("last\""));
    }
}
