//! Files and directories, by path, mode, owner and content.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Found, Kind};

/// Contents up to this many bytes are kept as they are: a difference is then easy to read.
const SHORT: usize = 300;

/// The directory itself, if it exists, and everything below it.
pub(super) fn under(directory: &Path) -> Found {
    let mut found = Found::new();
    walk(directory, &mut found);
    found
}

fn walk(path: &Path, found: &mut Found) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    let kind = metadata.file_type();
    let mut value = json!({
        "mode": format!("{:o}", metadata.mode() & 0o7777),
        "owner": format!("{}:{}", metadata.uid(), metadata.gid()),
    });
    if kind.is_dir() {
        value["type"] = json!("directory");
    } else if kind.is_symlink() {
        value["target"] = json!(fs::read_link(path).unwrap_or_default());
    } else if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device()
    {
        value["type"] = json!(format!("{kind:?}"));
    } else {
        value["content"] = content(path);
    }
    let name = path.to_string_lossy().into_owned();
    found.push((Kind::File, name, value));
    if kind.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| walk(&entry.path(), found));
    }
}

fn content(path: &Path) -> Value {
    match fs::read(path) {
        Ok(bytes) if bytes.len() <= SHORT => json!(String::from_utf8_lossy(&bytes)),
        Ok(bytes) => {
            let digest = Sha256::digest(&bytes);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"bytes": bytes.len(), "sha256": digest})
        }
        // A namespace that is mounted on a file has no content.
        Err(_) => json!("(unreadable)"),
    }
}
