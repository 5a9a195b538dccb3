//! iptables, by one transaction per family.
//!
//! `iptables-restore` takes a whole table's changes at once and applies all or none of them, in
//! one process; `iptables` itself needs one process per rule.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{Access, MemfdFlags};

use crate::error::{Error, Result};

/// Seconds to wait for another user of the (legacy) tables.
const WAIT: &str = "5";

/// The address family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4: `iptables`.
    V4,
    /// IPv6: `ip6tables`.
    V6,
}

impl Family {
    fn restore(self) -> &'static str {
        match self {
            Self::V4 => "iptables-restore",
            Self::V6 => "ip6tables-restore",
        }
    }

    fn save(self) -> &'static str {
        match self {
            Self::V4 => "iptables-save",
            Self::V6 => "ip6tables-save",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Whether a family's `iptables-restore` is in `PATH`. Executes nothing.
#[must_use]
pub fn is_available(family: Family) -> bool {
    find(family.restore()).is_some()
}

/// Applies a script in the format of `iptables-save`, all or nothing, to the network namespace of
/// the current thread. Tables and chains that it does not name stay as they are.
///
/// ```text
/// *nat
/// :CNI-0123 - [0:0]
/// -A CNI-0123 -d 10.1.0.5/16 -j ACCEPT
/// COMMIT
/// ```
///
/// # Errors
/// `is_absent()` if the program is not in `PATH`; otherwise EINVAL with what the program said on
/// stderr.
pub fn restore(family: Family, script: &str) -> Result<()> {
    let program = family.restore();
    run(program, &["--noflush", "-w", WAIT], script.as_bytes()).map(drop)
}

/// A table, which has to be there, in the format of `iptables-save`, or all tables.
///
/// # Errors
/// As [`restore`]. EIO if the text is not whole: the program does not notice when it cannot write,
/// and what it left out would count as absent.
pub fn save(family: Family, table: Option<&str>) -> Result<String> {
    let program = family.save();
    let output = match table {
        Some(table) => run(program, &["-t", table], b"")?,
        None => run(program, &[], b"")?,
    };
    let text = String::from_utf8_lossy(&output).into_owned();
    if is_whole(&text) || (text.is_empty() && table.is_none()) {
        return Ok(text);
    }
    let error = Error::new("execute", format_args!("\"{program}\""), libc::EIO);
    Err(error.with_words("what it wrote is not whole"))
}

/// Every table begins and ends with a comment of its own; a warning may follow.
fn is_whole(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.starts_with("# Warning"));
    let begins = lines
        .next()
        .is_some_and(|line| line.starts_with("# Generated"));
    begins
        && lines
            .next_back()
            .is_some_and(|line| line.starts_with("# Completed"))
}

fn run(program: &'static str, arguments: &[&str], stdin: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: &io::Error| Error::of_io("execute", format_args!("\"{program}\""), error);
    let Some(path) = find(program) else {
        let error = Error::new("execute", format_args!("\"{program}\""), libc::ENOENT);
        return Err(error.with_words("it is not in PATH"));
    };
    // Its words go to memory: with two pipes to read at once, none may fill up.
    let mut said = words_file().map_err(|e| failed(&e))?;
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(said.try_clone().map_err(|e| failed(&e))?)
        .spawn()
        .map_err(|e| failed(&e))?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut pipe| pipe.write_all(stdin));
    let mut stdout = Vec::new();
    let read = child
        .stdout
        .take()
        .map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut stdout));
    // Whatever went wrong: it has ended, and changes nothing more, before anybody undoes.
    let status = child.wait().map_err(|e| failed(&e))?;
    if !status.success() {
        let words = words_of(&mut said, status);
        return Err(
            Error::new("execute", format_args!("\"{program}\""), libc::EINVAL).with_words(words),
        );
    }
    read.map_err(|e| failed(&e))?;
    // Reported last: a program that died says more itself than the broken pipe does.
    written.map_err(|e| failed(&e))?;
    Ok(stdout)
}

/// A file in memory, not inherited under its own descriptor.
fn words_file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("stderr", MemfdFlags::CLOEXEC)?;
    Ok(File::from(file))
}

/// What a failed program said, on one line.
fn words_of(said: &mut File, status: ExitStatus) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not worth another error: the status tells of the failure.
    let _ = said
        .seek(SeekFrom::Start(0))
        .and_then(|_| said.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        status.to_string()
    } else {
        lines.join("; ")
    }
}

/// Finds a program in `PATH`, without executing anything.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    path.as_bytes()
        .split(|byte| *byte == b':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| PathBuf::from(OsStr::from_bytes(directory)).join(program))
        .find(|file| rustix::fs::access(file, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_text_that_lacks_its_beginning_or_end_is_not_whole() {
        let whole =
            "# Generated by iptables-save v1.8.9\n*nat\n:A - [0:0]\nCOMMIT\n# Completed on Thu\n";
        assert!(is_whole(whole));
        let warned = format!("{whole}# Warning: iptables-legacy tables present\n");
        assert!(is_whole(&warned));
        for cut in [
            "",
            &whole[..40],
            &whole[40..],
            "# Generated by iptables-save",
        ] {
            assert!(!is_whole(cut), "{cut:?}");
        }
    }
}
