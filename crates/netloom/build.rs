//! Takes the tables of keys from the reference pages (docs/plugins), for `netloom explain`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

// A link to docs/plugins, so that the published crate has them too.
const PAGES: &str = "reference";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PAGES}");
    let mut pages: Vec<PathBuf> = fs::read_dir(PAGES)?
        .map(|entry| entry.map(|it| it.path()))
        .collect::<io::Result<_>>()?;
    pages.sort();
    let mut rows = String::new();
    for page in &pages {
        let plugin = page.file_stem().unwrap_or_default().to_string_lossy();
        for [keys, kind, default, meaning] in table(&fs::read_to_string(page)?) {
            // Keys that share a row are explained alike.
            for key in keys.split('`').skip(1).step_by(2) {
                let row = (&plugin, key, &kind, &default, &meaning);
                let _ = writeln!(rows, "{row:?},");
            }
        }
    }
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(Path::new(&out).join("keys.rs"), format!("&[\n{rows}]"))
}

/// The rows under `| key | type | default | meaning |`.
fn table(page: &str) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        is_inside = match line {
            "| key | type | default | meaning |" => true,
            line => is_inside && line.starts_with('|'),
        };
        // A bar in a cell is written as \\|.
        let line = line.replace("\\|", "\u{0}");
        let cells = line.trim_matches('|').split('|');
        let cells = cells.map(|cell| cell.trim().replace('\u{0}', "|"));
        let row: Option<[String; 4]> = cells.collect::<Vec<_>>().try_into().ok();
        rows.extend(row.filter(|row| is_inside && row[0].starts_with('`')));
    }
    rows
}
