//! Enough of Rust's lexical structure to tell code from words about code.

use std::iter::Peekable;
use std::str::Chars;

/// Blanks comments and the insides of string and character literals; every line stays on its number.
pub(crate) fn code_only(text: &str) -> String {
    let mut lexer = Lexer {
        rest: text.chars().peekable(),
        code: String::with_capacity(text.len()),
    };
    lexer.run();
    lexer.code
}

struct Lexer<'t> {
    rest: Peekable<Chars<'t>>,
    code: String,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.rest.next() {
            match (c, self.rest.peek().copied()) {
                ('/', Some('/')) => self.blank_line(),
                ('/', Some('*')) => self.blank_block(),
                ('"', _) => self.blank_string(),
                ('r', Some('"' | '#')) if !self.inside_word() => self.blank_raw(),
                ('\'', _) => self.character_or_lifetime(),
                _ => self.code.push(c),
            }
        }
    }

    /// Whether the letter just read continues an identifier: `for"` is not a raw string; `br"` and `cr"` are.
    fn inside_word(&self) -> bool {
        let mut before = self.code.chars().rev();
        let last = before.next();
        let prefixed = matches!(last, Some('b' | 'c')) && !before.next().is_some_and(is_word);
        !prefixed && last.is_some_and(is_word)
    }

    fn blank(&mut self, c: char) {
        self.code.push(if c == '\n' { '\n' } else { ' ' });
    }

    fn blank_line(&mut self) {
        self.blank('/');
        while let Some(c) = self.rest.next_if(|&c| c != '\n') {
            self.blank(c);
        }
    }

    fn blank_block(&mut self) {
        let mut depth = 1;
        self.rest.next();
        self.code.push_str("  ");
        while depth > 0 {
            let Some(c) = self.rest.next() else { return };
            self.blank(c);
            let opens = c == '/' && self.rest.peek() == Some(&'*');
            let closes = c == '*' && self.rest.peek() == Some(&'/');
            if opens || closes {
                self.rest.next();
                self.code.push(' ');
                depth = if opens { depth + 1 } else { depth - 1 };
            }
        }
    }

    fn blank_string(&mut self) {
        self.code.push('"');
        while let Some(c) = self.rest.next() {
            match c {
                '"' => return self.code.push('"'),
                '\\' => {
                    self.blank(c);
                    if let Some(escaped) = self.rest.next() {
                        self.blank(escaped);
                    }
                }
                _ => self.blank(c),
            }
        }
    }

    fn blank_raw(&mut self) {
        self.code.push('r');
        let mut hashes = 0;
        while self.rest.next_if_eq(&'#').is_some() {
            self.code.push('#');
            hashes += 1;
        }
        if self.rest.next_if_eq(&'"').is_none() {
            return; // a raw identifier
        }
        self.code.push('"');
        while let Some(c) = self.rest.next() {
            self.blank(c);
            let mut seen = 0;
            while c == '"' && seen < hashes && self.rest.next_if_eq(&'#').is_some() {
                self.blank('#');
                seen += 1;
            }
            if c == '"' && seen == hashes {
                return;
            }
        }
    }

    /// `'x'` and `'\n'` are characters; `'a` without a closing quote is a lifetime.
    fn character_or_lifetime(&mut self) {
        self.code.push('\'');
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('\\'), _) => {
                self.rest.next();
                self.rest.next();
                self.code.push_str("  ");
                while let Some(c) = self.rest.next() {
                    self.blank(c);
                    if c == '\'' {
                        return;
                    }
                }
            }
            (Some(_), Some('\'')) => {
                self.rest.next();
                self.rest.next();
                self.code.push_str(" '");
            }
            _ => {}
        }
    }
}

/// Blanks every module under `cfg(test)`; returns how many lines that are too.
pub(crate) fn without_tests(code: &str) -> (String, usize) {
    const TEST: &str = "#[cfg(test)]";
    let (mut shipped, mut done, mut lines) = (String::with_capacity(code.len()), 0, 0);
    for (at, _) in code.match_indices(TEST) {
        let rest = &code[at + TEST.len()..];
        let Some(length) = item_end(rest).filter(|_| at >= done && is_module(rest)) else {
            continue;
        };
        let end = at + TEST.len() + length;
        shipped.push_str(&code[done..at]);
        shipped.extend(
            code[at..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        lines += code[at..end].lines().count();
        done = end;
    }
    shipped.push_str(&code[done..]);
    (shipped, lines)
}

/// Whether the code begins with a module, after other attributes.
fn is_module(code: &str) -> bool {
    let mut lines = code.lines().map(str::trim);
    let item = lines.find(|line| !line.is_empty() && !line.starts_with("#["));
    item.is_some_and(|line| line.split_whitespace().any(|word| word == "mod"))
}

/// Where the item ends that the code begins with: behind its `;`, or the brace that closes it.
pub(crate) fn item_end(code: &str) -> Option<usize> {
    let (mut depth, mut opened) = (0_usize, false);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                opened |= c == '{' && depth == 1;
            }
            ')' | ']' | '}' => {
                depth = depth.checked_sub(1)?;
                if opened && depth == 0 {
                    return Some(at + 1);
                }
            }
            ';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Whether the character can be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The numbers, from 1, of the lines in which `word` stands as a word of its own.
pub(crate) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let holds = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    };
    (1..)
        .zip(code.lines())
        .filter(|(_, line)| holds(line))
        .map(|(number, _)| number)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        for text in [
            "// unsafe\n",
            "/* a /* nested unsafe */ unsafe */",
            "let a = \"unsafe \\\" unsafe\";",
            "let a = r#\"unsafe \" unsafe\"#;",
            "let a = br\"unsafe\";",
            "/// unsafe\nfn f() {}",
        ] {
            assert_eq!(lines_with(&code_only(text), "unsafe"), [0; 0], "{text}");
        }
    }

    #[test]
    fn code_after_a_literal_is_code() {
        for text in [
            "let q = '\"'; unsafe {}",
            "let q = '\\''; unsafe {}",
            "let s = \"a\\\\\"; unsafe {}",
            "let s = r\"\\\"; unsafe {}",
            "fn f<'a>(x: &'a str) { unsafe {} }",
            "for r#type in 0..1 { unsafe {} }",
            "/* x */ unsafe {}",
        ] {
            assert_eq!(lines_with(&code_only(text), "unsafe"), [1], "{text}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = "/*\n\n*/ \"a\nb\"\nunsafe {}\n";
        assert_eq!(lines_with(&code_only(text), "unsafe"), [5]);
    }

    #[test]
    fn modules_of_tests_are_left_out_wherever_they_stand() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n\n\
                    #[cfg(test)]\n#[allow(x)]\nmod c {\n    fn d() { {} }\n}\nfn e() {}\n\
                    #[cfg(test)]\nfn f(x: [u8; 2]) {}\n";
        let (shipped, lines) = without_tests(code);
        let kept: Vec<&str> = shipped
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        assert_eq!(
            kept,
            [
                "fn a() {}",
                "fn b() {}",
                "fn e() {}",
                "#[cfg(test)]",
                "fn f(x: [u8; 2]) {}"
            ]
        );
        assert_eq!((lines, shipped.lines().count()), (7, code.lines().count()));
    }

    #[test]
    fn a_part_of_a_word_is_not_the_word() {
        assert_eq!(lines_with("unsafe_code notunsafe\nunsafe", "unsafe"), [2]);
    }
}
