//! A page, and the fenced blocks in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use netloom_testkit::{Block, blocks};

/// One page of docs/plugins.
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins")
}

/// The names of all pages.
pub(crate) fn names() -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter_map(|file| Some(file.strip_suffix(".md")?.to_owned()))
        .collect()
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let file = format!("{name}.md");
        let path = folder().join(&file);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
        Self {
            name: name.to_owned(),
            blocks: blocks(&file, &text),
            text,
        }
    }
}
