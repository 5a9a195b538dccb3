//! The table in docs/upgrade.md.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::subject::Exception;

const NOTES: &str = "<!-- notes -->\n";

/// Tests are threads, and each has a row of one file.
static WRITING: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/upgrade.md")
}

fn read() -> String {
    std::fs::read_to_string(path()).unwrap()
}

/// The plugins that the table has a row of.
pub(crate) fn rows() -> BTreeSet<String> {
    let names = read();
    let names = names.lines().filter_map(|line| line.strip_prefix("| "));
    let names = names.filter_map(|line| Some(line.split_once(" |")?.0.to_owned()));
    names.filter(|name| name != "plugin").collect()
}

/// Asserts that the page says of a plugin what was measured, or makes it so.
pub(crate) fn assert_has_row(plugin: &str, cells: &[Option<&'static Exception>]) {
    let row = row(plugin, cells);
    let _one = WRITING.lock().unwrap_or_else(|poison| poison.into_inner());
    println!("{}\n{}", row.0, row.1.join("\n"));
    let page = read();
    if std::env::var_os("NETLOOM_WRITE_DOCS").is_some() {
        return std::fs::write(path(), with(&page, plugin, &row)).unwrap();
    }
    assert_eq!(
        row,
        row_of(&page, plugin),
        "docs/upgrade.md says otherwise of {plugin}; NETLOOM_WRITE_DOCS=1 writes it"
    );
}

/// The line of the table, and those of the notes.
type Row = (String, Vec<String>);

fn row(plugin: &str, cells: &[Option<&'static Exception>]) -> Row {
    let mut line = format!("| {plugin} |");
    let mut notes: Vec<String> = Vec::new();
    for cell in cells {
        let word = match cell {
            None => "yes".to_owned(),
            Some(exception) => {
                let note = format!("- {plugin}: {}", exception.note);
                if !notes.contains(&note) {
                    notes.push(note);
                }
                "see below".to_owned()
            }
        };
        line.push_str(&format!(" {word} |"));
    }
    notes.sort_unstable();
    (line, notes)
}

fn row_of(page: &str, plugin: &str) -> Row {
    let lines = |start: String| {
        let of = page.lines().filter(move |line| line.starts_with(&start));
        of.map(str::to_owned).collect::<Vec<_>>()
    };
    let line = lines(format!("| {plugin} |")).concat();
    (line, lines(format!("- {plugin}: ")))
}

/// The page with a row and its notes in place of what it had.
fn with(page: &str, plugin: &str, (row, notes): &Row) -> String {
    let mut text = String::new();
    for line in page.split_inclusive('\n') {
        if line.starts_with(&format!("| {plugin} |")) {
            text.push_str(&format!("{row}\n"));
        } else if !line.starts_with(&format!("- {plugin}: ")) {
            text.push_str(line);
        }
    }
    let (before, after) = text.split_once(NOTES).unwrap();
    let mut all: Vec<&str> = after.lines().take_while(|l| l.starts_with("- ")).collect();
    let rest: String = after.split_inclusive('\n').skip(all.len()).collect();
    all.extend(notes.iter().map(String::as_str));
    all.sort_unstable();
    let all: String = all.iter().map(|note| format!("{note}\n")).collect();
    format!("{before}{NOTES}{all}{rest}")
}
