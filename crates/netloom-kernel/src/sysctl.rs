//! Kernel parameters under `/proc/sys`.
//!
//! Keys are paths below `/proc/sys`: `net/ipv4/conf/eth0/arp_notify`. Dots are not separators, for
//! links are called `eth0.5`. Those of `net/` belong to the network namespace of the current
//! thread.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Reads a value, without the newline at its end.
///
/// # Errors
/// `is_absent()` if there is no such key; EINVAL if the key leaves `/proc/sys`.
pub fn get(key: &str) -> Result<String> {
    let failed = |error: Errno| Error::of_io("read sysctl", quoted(key), &error.into());
    let file = open(&path(key)?, OFlags::RDONLY).map_err(failed)?;
    let mut value = Vec::new();
    loop {
        let mut part = [0; 256];
        match rustix::io::read(&file, &mut part) {
            Ok(0) => break,
            Ok(length) => value.extend_from_slice(&part[..length]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut text = String::from_utf8(value).map_err(|_| failed(Errno::ILSEQ))?;
    text.truncate(text.trim_end_matches('\n').len());
    Ok(text)
}

/// Writes a value.
///
/// # Errors
/// `is_absent()` if there is no such key; EINVAL if the kernel refuses the value or the key leaves
/// `/proc/sys`.
pub fn set(key: &str, value: &str) -> Result<()> {
    let failed = |error: Errno| {
        let object = format!("{} to \"{}\"", quoted(key), value.escape_default());
        Error::of_io("set sysctl", object, &error.into())
    };
    let file = open(&path(key)?, OFlags::WRONLY).map_err(failed)?;
    // One write(2): the kernel takes each as a whole new value.
    let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, value.as_bytes()));
    match written.map_err(failed)? {
        all if all == value.len() => Ok(()),
        _ => Err(failed(Errno::IO)),
    }
}

/// Without the standard library's questions about the file's size, which these files have none of.
fn open(path: &str, how: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::io::retry_on_intr(|| rustix::fs::open(path, how | OFlags::CLOEXEC, Mode::empty()))
}

/// Writes a value unless the key has it. Says whether it was written.
///
/// # Errors
/// As [`get`] and [`set`].
pub fn set_if_different(key: &str, value: &str) -> Result<bool> {
    if get(key)?
        .split_ascii_whitespace()
        .eq(value.split_ascii_whitespace())
    {
        return Ok(false);
    }
    set(key, value)?;
    Ok(true)
}

fn quoted(key: &str) -> String {
    format!("\"{}\"", key.escape_default())
}

/// The path of a key, which never leaves `/proc/sys`.
fn path(key: &str) -> Result<String> {
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
    if key.split('/').any(bad) {
        return Err(Error::new("find sysctl", quoted(key), libc::EINVAL)
            .with_words("a key is names joined by \"/\", such as net/ipv4/ip_forward"));
    }
    Ok(format!("/proc/sys/{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_proc_sys() {
        for key in [
            "",
            "/etc/passwd",
            "net/../../etc/passwd",
            "net//ipv4",
            "net/./x",
            "net/",
            "..",
        ] {
            let error = get(key).unwrap_err();
            assert_eq!(error.errno(), libc::EINVAL, "{key}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_key() {
        let error = get("net/ipv4/conf/no-such-link/arp_notify").unwrap_err();
        assert!(error.is_absent());
        assert_eq!(
            error.to_string(),
            "read sysctl \"net/ipv4/conf/no-such-link/arp_notify\": No such file or directory (2)"
        );
    }

    #[test]
    fn a_value_is_read_without_its_newline() {
        assert_eq!(get("kernel/ostype").unwrap(), "Linux");
    }
}
