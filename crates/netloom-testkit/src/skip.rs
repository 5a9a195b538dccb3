//! Telling that a test could not run here, and why.

use std::fs::OpenOptions;
use std::io::Write;

/// Reports that the running test cannot be done on this machine; the test then returns.
///
/// The reason is printed, and appended as one line (`test name: reason`) to the file named by
/// `$NETLOOM_SKIPS`, so that a run can count what it did not prove.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    println!("SKIPPED {test}: {reason}");
    let Some(path) = std::env::var_os("NETLOOM_SKIPS") else {
        return;
    };
    let line = format!("{test}: {}\n", reason.replace('\n', " "));
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("cannot append to $NETLOOM_SKIPS {path:?}: {error}");
    }
}
