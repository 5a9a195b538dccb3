//! In which run of the kernel an attachment was cached: an extended attribute of its file, beside
//! libcni's format. What bears none counts as of this run.
//!
//! libcni writes over a file that is there, and the attribute stays. So it holds the file's time of
//! modification as well, and what was written since bears none.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{XattrFlags, fsetxattr, lgetxattr};

const CACHED_IN: &str = "user.netloom.boot";
/// Names the run of the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Notes on a file that was written to its end that it is of this run. Where that cannot be noted
/// it is not.
pub(super) fn mark(file: &File) {
    if let (Some(boot), Ok(written)) = (this(), file.metadata()) {
        let value = format!("{boot} {}", stamp(&written));
        let _ = fsetxattr(file, CACHED_IN, value.as_bytes(), XattrFlags::empty());
    }
}

/// Whether a file is known to be of an earlier run.
pub(super) fn is_earlier(path: &Path) -> bool {
    let mut value = [0_u8; 128];
    let Ok(length) = lgetxattr(path, CACHED_IN, &mut value) else {
        return false;
    };
    let Some((boot, written)) = std::str::from_utf8(&value[..length])
        .ok()
        .and_then(|value| value.split_once(' '))
    else {
        return false;
    };
    fs::symlink_metadata(path).is_ok_and(|now| stamp(&now) == written)
        && this().is_some_and(|this| this != boot)
}

/// The time of modification. Neither an attribute nor another name changes it.
fn stamp(file: &Metadata) -> String {
    format!("{}.{:09}", file.mtime(), file.mtime_nsec())
}

fn this() -> Option<String> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    Some(text.trim().to_owned()).filter(|boot| !boot.is_empty())
}
