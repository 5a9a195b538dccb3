//! Failures of many kinds where everything is asked to print backtraces.

use std::fs;

use netloom_testkit::Call;
use serde_json::json;

use crate::NETLOOM;

/// The command line, and a part of what it must say.
const KINDS: [(&[&str], &str); 20] = [
    (&[], "Usage"),
    (&["frobnicate"], "frobnicate"),
    (&["add"], "<NETWORK>"),
    (&["add", "nope", "/no/netns"], "nope"),
    (&["--json", "add", "nope", "/no/netns"], "nope"),
    (&["add", "net", "/no/netns"], "failed to find plugin"),
    (&["install", "--rollback", "x"], "cannot be used with"),
    (&["check", "nope", "/no/netns"], "nope"),
    (&["check", "net", "/no/netns"], "net"),
    (&["del", "nope", "/no/netns"], "nope"),
    (&["gc", "net"], "nothing was done"),
    (&["gc", "net", "--keep", "x", "--all"], "--all"),
    (&["gc", "net", "--keep", "x", "--yes"], "x"),
    (&["status", "nope"], "nope"),
    (&["status", "net"], "failed to find plugin"),
    (&["validate"], "cannot be used"),
    (&["validate", "broken"], "broken"),
    (&["version", "net"], "did not tell"),
    (&["install", "frobnicate"], "frobnicate"),
    (&["--cache-dir", "/dev/null/x", "list"], "/dev/null/x"),
];

#[test]
fn failures_of_twenty_kinds_end_with_their_words_and_full_backtraces() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    let conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "no-such-plugin"});
    write("net.conf", conf.to_string());
    write("broken.conf", "{".to_owned());
    for (arguments, part) in KINDS {
        for backtrace in ["1", "full"] {
            let call = Call::new(NETLOOM)
                .env("NETCONFPATH", folder.path())
                .env("CNI_PATH", folder.path())
                .env("RUST_BACKTRACE", backtrace)
                .env("RUST_LIB_BACKTRACE", backtrace);
            let outcome = arguments
                .iter()
                .fold(call, |call, word| call.arg(word))
                .run();
            assert!(matches!(outcome.code(), Some(1 | 2)), "{outcome}");
            assert!(outcome.stderr.contains(part), "no {part:?}: {outcome}");
            assert!(!outcome.stderr.contains("panicked"), "{outcome}");
        }
    }
}
