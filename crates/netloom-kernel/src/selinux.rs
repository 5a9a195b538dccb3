//! SELinux contexts.

use std::fs::OpenOptions;
use std::io::Write;

use crate::error::{Error, Result};

const FILE_SYSTEM: &str = "/sys/fs/selinux";
/// The context that the next program executed by this thread, or by its child, gets.
const OF_NEXT_EXECUTION: &str = "/proc/thread-self/attr/exec";

/// Whether SELinux is at work: its file system is mounted.
#[must_use]
pub fn is_enabled() -> bool {
    let magic = rustix::fs::statfs(FILE_SYSTEM).map(|stat| stat.f_type as u64);
    magic == Ok(libc::SELINUX_MAGIC as u64)
}

/// Sets the context in which the current thread, or a child that it starts, executes its next
/// program. An empty one takes that back.
///
/// # Errors
/// EINVAL if the policy knows no such context; `is_denied()` if it does not let this one set it.
pub fn set_context_of_next_execution(context: &str) -> Result<()> {
    let failed = |e| {
        let object = format!("\"{}\"", context.escape_default());
        Error::of_io("set SELinux context of next execution to", object, &e)
    };
    let mut file = OpenOptions::new()
        .write(true)
        .open(OF_NEXT_EXECUTION)
        .map_err(failed)?;
    // One write(2): the kernel takes each as a whole context, and an empty line as none.
    let line = if context.is_empty() { "\n" } else { context };
    file.write_all(line.as_bytes()).map_err(failed)
}
