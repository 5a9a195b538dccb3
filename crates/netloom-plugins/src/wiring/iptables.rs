//! Rules of iptables as text: what is fed to `iptables-restore --noflush`, and what is read from
//! `iptables-save`. A rule is the words of a line that begins with `-A` and its chain.

pub(crate) mod direct;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod presence;

/// A table as `iptables-save` prints it.
#[derive(Debug)]
pub(crate) struct Saved {
    chains: Vec<String>,
    /// In order.
    pub(crate) rules: Vec<Vec<String>>,
}

impl Saved {
    pub(crate) fn parse(text: &str, table: &str) -> Self {
        let mut saved = Self {
            chains: Vec::new(),
            rules: Vec::new(),
        };
        let mut in_table = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                in_table = name == table;
            } else if in_table && let Some(chain) = line.strip_prefix(':') {
                saved
                    .chains
                    .extend(chain.split(' ').next().map(str::to_owned));
            } else if in_table && line.starts_with("-A ") {
                saved.rules.push(words(line));
            }
        }
        saved
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = &str> {
        self.chains.iter().map(String::as_str)
    }

    pub(crate) fn declares(&self, chain: &str) -> bool {
        self.chains().any(|known| known == chain)
    }

    pub(crate) fn has(&self, rule: &[String]) -> bool {
        self.count(rule) > 0
    }

    /// How many times the very same rule is there.
    pub(crate) fn count(&self, rule: &[String]) -> usize {
        self.rules.iter().filter(|known| *known == rule).count()
    }

    /// The rules of one chain.
    pub(crate) fn of_chain<'s>(&'s self, chain: &'s str) -> impl Iterator<Item = &'s [String]> {
        self.rules
            .iter()
            .map(Vec::as_slice)
            .filter(move |rule| rule.get(1).is_some_and(|word| word == chain))
    }
}

/// The word behind another in a rule: `value_of(rule, "-s")`.
pub(crate) fn value_of<'r>(rule: &'r [String], option: &str) -> Option<&'r str> {
    let at = rule.iter().position(|word| word == option)?;
    rule.get(at + 1).map(String::as_str)
}

/// Splits a saved line into words; a quoted word may hold spaces and `\"`.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// Adds a line that appends the rule to its chain.
pub(crate) fn append(script: &mut String, rule: &[String]) {
    write_rule(script, "-A", rule);
}

/// Adds a line that puts the rule at the head of its chain.
pub(crate) fn insert(script: &mut String, rule: &[String]) {
    write_rule(script, "-I", rule);
}

/// Adds a line that deletes one copy of the rule.
pub(crate) fn delete(script: &mut String, rule: &[String]) {
    write_rule(script, "-D", rule);
}

fn write_rule(script: &mut String, verb: &str, rule: &[String]) {
    script.push_str(verb);
    for word in &rule[1..] {
        script.push(' ');
        write_word(script, word);
    }
    script.push('\n');
}

fn write_word(script: &mut String, word: &str) {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./:!,+".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        script.push_str(word);
        return;
    }
    script.push('"');
    for char in word.chars() {
        if matches!(char, '"' | '\\') {
            script.push('\\');
        }
        script.push(char);
    }
    script.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_undo_what_write_word_does() {
        for text in ["plain", "two words", r#"a "quoted" \ one"#, ""] {
            let mut line = String::new();
            write_word(&mut line, text);
            assert_eq!(words(&line), [text]);
        }
    }

    #[test]
    fn only_the_table_that_is_asked_for_is_read() {
        let text = "*nat\n:A - [0:0]\n-A A -j B\nCOMMIT\n*filter\n:C - [0:0]\n-A C -s \"x y\" -j D\n\
                    -A C -s \"x y\" -j D\nCOMMIT\n";
        let saved = Saved::parse(text, "filter");
        assert!(saved.declares("C") && !saved.declares("A"));
        assert_eq!(saved.of_chain("C").count(), 2);
        let rule = words("-A C -s \"x y\" -j D");
        assert_eq!(
            (saved.count(&rule), value_of(&rule, "-s")),
            (2, Some("x y"))
        );
    }
}
