//! Where a topology was applied: a hint for the time when its file says otherwise. What is there, and
//! whose it is, is asked of the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::links::at::At;

const DIRECTORY: &str = "/run/netloom/topologies";

fn path(topology: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{topology}.json"))
}

/// The places that a topology may have something in, besides those of its file.
pub(super) fn read(topology: &str) -> BTreeSet<At> {
    let text = fs::read_to_string(path(topology)).unwrap_or_default();
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let places = document["places"].as_array().into_iter().flatten();
    places
        .filter_map(|place| At::parse(place.as_str()?).ok())
        .collect()
}

/// Notes the places, before anything is made in them.
pub(super) fn write(topology: &str, places: &BTreeSet<At>) -> Result<()> {
    if read(topology) == *places {
        return Ok(());
    }
    let path = path(topology);
    let failed = || format!("write {}", path.display());
    fs::create_dir_all(DIRECTORY).with_context(failed)?;
    let places: Vec<String> = places.iter().map(At::to_string).collect();
    let draft = path.with_extension("json.new");
    let text = json!({ "topology": topology, "places": places }).to_string();
    let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
        let _ = fs::remove_dir(DIRECTORY);
    }
    written.with_context(failed)
}

/// Forgets a topology that has nothing any more.
pub(super) fn remove(topology: &str) {
    let path = path(topology);
    let _ = fs::remove_file(path.with_extension("json.new"));
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir(DIRECTORY);
}
