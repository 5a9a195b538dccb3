//! In which run of the kernel an attachment was cached: an extended attribute of its file, beside
//! libcni's format. What bears none counts as of this run.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{XattrFlags, fsetxattr, lgetxattr};

const CACHED_IN: &str = "user.netloom.boot";
/// Names the run of the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Notes on a file that it is of this run. Where that cannot be noted it is not.
pub(super) fn mark(file: &File) {
    if let Some(boot) = this() {
        let _ = fsetxattr(file, CACHED_IN, boot.as_bytes(), XattrFlags::empty());
    }
}

/// Whether a file is known to be of an earlier run.
pub(super) fn is_earlier(path: &Path) -> bool {
    let mut value = [0_u8; 64];
    let noted = lgetxattr(path, CACHED_IN, &mut value);
    noted.is_ok_and(|length| {
        length > 0 && this().is_some_and(|boot| value[..length] != *boot.as_bytes())
    })
}

fn this() -> Option<String> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    Some(text.trim().to_owned()).filter(|boot| !boot.is_empty())
}
