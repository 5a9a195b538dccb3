//! The pages of the book.

use std::path::{Path, PathBuf};

use netloom_testkit::{Block, blocks};

/// A page below `docs`.
pub(crate) struct Page {
    /// Its path below `docs`.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

/// The folder of the clone.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Whether pages are to be written anew.
pub(crate) fn writes() -> bool {
    std::env::var_os("NETLOOM_WRITE_DOCS").is_some()
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let path = root().join("docs").join(name);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
        Self {
            name: name.to_owned(),
            blocks: blocks(name, &text),
            text,
        }
    }

    /// Writes it anew with other texts in its blocks, where they differ.
    pub(crate) fn rewrite(&self, texts: &[String]) {
        let mut lines: Vec<String> = Vec::new();
        let mut old = self.text.lines().map(str::to_owned);
        let mut at = 0;
        for (block, text) in self.blocks.iter().zip(texts) {
            lines.extend(old.by_ref().take(block.line + 1 - at));
            lines.extend(text.lines().map(str::to_owned));
            let body = block.text.lines().count();
            old.by_ref().take(body).for_each(drop);
            at = block.line + 1 + body;
        }
        lines.extend(old);
        let text = lines.join("\n") + "\n";
        if text != self.text {
            std::fs::write(root().join("docs").join(&self.name), text).unwrap();
            println!("{}: written anew", self.name);
        }
    }
}

/// Every page of `docs`, by its name.
pub(crate) fn all() -> Vec<Page> {
    let mut names = Vec::new();
    find(&root().join("docs"), "", &mut names);
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

fn find(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            find(&path, &format!("{name}/"), names);
        } else if name.ends_with(".md") && name != "SUMMARY.md" {
            names.push(name);
        }
    }
}
