//! Lines for a shell.

/// A word that a POSIX shell takes as it is.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./=:,@%+".contains(char);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A text of several lines as a word for the `%b` of printf.
pub(crate) fn in_one_line(text: &str) -> String {
    word(&text.replace('\\', r"\\").replace('\n', r"\n"))
}

/// One line that does all the steps in a throw-away host.
pub(crate) fn in_throw_away_host(steps: &[String]) -> String {
    let script = steps.join("; ");
    format!("unshare -rnm sh -c {}", word(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_a_shell(line: &str) -> String {
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_quoted_word_comes_out_of_a_shell_as_it_was() {
        for text in ["", "a", "it's", "a b", "{\"a\": \"$x `y` \\\\ \\n\"}", "*"] {
            assert_eq!(out_of_a_shell(&format!("printf %s {}", word(text))), text);
        }
    }

    #[test]
    fn a_text_in_one_line_comes_out_as_it_was() {
        let text = "a\\n\tb\\\nc 'd' \\\\\n";
        let line = format!("printf %b {}", in_one_line(text));
        assert!(!line.contains('\n'));
        assert_eq!(out_of_a_shell(&line), text);
    }
}
