//! Files below directories.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::Kind;
use crate::describe::Told;

/// A longer file is told by its length and time alone.
const READ: u64 = 1024 * 1024;

pub(crate) fn observe(directories: &[PathBuf]) -> Vec<Told> {
    let mut found = Vec::new();
    for directory in directories {
        below(directory, &mut found);
    }
    found
}

/// What cannot be read is told as such; what vanished meanwhile is not there.
fn below(directory: &Path, found: &mut Vec<Told>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        found.push(Told {
            kind: Kind::File,
            name: path.display().to_string(),
            details: details(&path, &metadata),
        });
        if metadata.is_dir() {
            below(&path, found);
        }
    }
}

fn details(path: &Path, metadata: &fs::Metadata) -> String {
    let kind = metadata.file_type();
    let mode = metadata.mode() & 0o7777;
    if kind.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        return format!("link to {}", target.display());
    }
    let word = match () {
        () if kind.is_dir() => "directory",
        () if kind.is_socket() => "socket",
        () if kind.is_fifo() => "FIFO",
        () if kind.is_file() => return content(path, metadata),
        () => "device",
    };
    format!("{word}, mode {mode:04o}")
}

fn content(path: &Path, metadata: &fs::Metadata) -> String {
    let length = metadata.len();
    let digest = match length <= READ {
        true => fs::read(path).map(|bytes| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            hasher.finish()
        }),
        false => Ok(metadata.mtime().cast_unsigned()),
    };
    let mode = metadata.mode() & 0o7777;
    match digest {
        Ok(digest) => format!("{length} bytes, mode {mode:04o}, #{:08x}", digest as u32),
        Err(_) => format!("{length} bytes, mode {mode:04o}, cannot be read"),
    }
}
