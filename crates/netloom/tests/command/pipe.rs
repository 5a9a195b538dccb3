//! Output that nobody reads.

use std::process::{Command, Stdio};

use netloom_testkit::product;

use super::NETLOOM;

#[test]
fn the_command_ends_quietly_when_nobody_reads_its_output() {
    for arguments in [["version"].as_slice(), &["list"], &["doctor"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let empty = tempfile::tempdir().unwrap();
        let output = Command::new(product(NETLOOM))
            .args(arguments)
            .env("NETCONFPATH", empty.path())
            .env("CNI_PATH", empty.path())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!words.contains("panicked"), "{arguments:?}: {words}");
        if arguments == ["version"] {
            assert_eq!(output.status.code(), Some(141), "{words}");
        }
    }
}
