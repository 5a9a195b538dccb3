//! The lists of plugins in README.md and docs/SUMMARY.md. Each has a line for every plugin, made of
//! the plugin's page.

use netloom_plugins::registry::PLUGINS;
use std::path::PathBuf;

use crate::page::{Page, names};

/// A list of lines in a file of the clone.
struct List {
    file: &'static str,
    /// The line before it.
    after: &'static str,
    /// How each of its lines begins, and no line behind it.
    begins: &'static str,
    lines: Vec<String>,
}

impl List {
    fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(self.file)
    }

    /// Asserts that the file has these lines, or makes it so.
    fn assert_is_written(&self) {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let start = text.find(self.after).map(|at| at + self.after.len());
        let start = start.unwrap_or_else(|| panic!("{} has no {:?}", self.file, self.after));
        let (before, rest) = text.split_at(start);
        let found = rest.split_inclusive('\n');
        let found: String = found
            .take_while(|line| line.starts_with(self.begins))
            .collect();
        let wanted: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        if found == wanted {
            return;
        }
        assert!(
            std::env::var_os("NETLOOM_WRITE_DOCS").is_some(),
            "{}: the list of plugins is not what docs/plugins has. \
             `NETLOOM_WRITE_DOCS=1 cargo test -p netloom-plugins --test docs` writes it:\n{wanted}",
            self.file
        );
        let rest = &rest[found.len()..];
        std::fs::write(self.path(), format!("{before}{wanted}{rest}")).unwrap();
    }
}

/// The first sentence of a page, as a cell of a table.
fn first_sentence(name: &str) -> String {
    let text = Page::read(name).text;
    let paragraph = text.split("\n\n").nth(1).unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = line.split(". ").next().unwrap_or_default();
    let sentence = sentence.trim_end_matches('.');
    assert!(
        !sentence.is_empty() && !sentence.contains(['[', '|']),
        "docs/plugins/{name}.md: the first sentence is a row of README's table: it says what the plugin does, \
         without a link and without |, not {sentence:?}"
    );
    sentence.to_owned()
}

#[test]
fn readme_has_a_row_of_every_plugin_with_the_first_sentence_of_its_page() {
    let pages = names();
    let named = PLUGINS.iter().map(|plugin| plugin.name());
    let row = |name| {
        format!(
            "| [{name}](docs/plugins/{name}.md) | {} |",
            first_sentence(name)
        )
    };
    let list = List {
        file: "README.md",
        after: "\n| plugin | what it does |\n|---|---|\n",
        begins: "| [",
        lines: named.filter(|it| pages.contains(*it)).map(row).collect(),
    };
    list.assert_is_written();
}

#[test]
fn the_book_lists_every_page_of_a_plugin() {
    let line = |name: &String| format!("  - [{name}](plugins/{name}.md)");
    let list = List {
        file: "docs/SUMMARY.md",
        after: "\n- [Plugins]()\n",
        begins: "  - ",
        lines: names().iter().map(line).collect(),
    };
    list.assert_is_written();
}
