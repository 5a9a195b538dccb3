//! Who is missing when the kernel says that a program which is there does not exist.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The longest first line that the kernel reads, in bytes (`BINPRM_BUF_SIZE`).
const LONGEST: u64 = 256;

/// Names the interpreter in place of "No such file or directory" for a plugin that exists.
pub(super) fn blame(plugin: &Path, cause: io::Error) -> io::Error {
    if cause.kind() != ErrorKind::NotFound || !plugin.is_file() {
        return cause;
    }
    let mut start = Vec::new();
    let read = File::open(plugin).and_then(|file| file.take(LONGEST).read_to_end(&mut start));
    let missing = match (read, start.strip_prefix(b"#!")) {
        (Err(_), _) => return cause,
        (Ok(_), Some(line)) => format!("its interpreter {:?} does not exist", first_word(line)),
        (Ok(_), None) => "the dynamic loader that it asks for does not exist".to_owned(),
    };
    io::Error::new(ErrorKind::NotFound, missing)
}

fn first_word(line: &[u8]) -> String {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    line.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}
