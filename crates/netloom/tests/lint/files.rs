//! Files and directories.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::{lint, told};

const GOOD: &str = r#"{"cniVersion": "1.1.0", "name": "blue", "plugins": [{"type": "ptp",
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"}}]}"#;

#[test]
fn files_beside_each_other_are_judged_together() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("10-blue.conflist", GOOD);
    write("20-blue.conflist", GOOD);
    write(
        "30-red.conflist",
        &GOOD
            .replace("blue", "red")
            .replace("10.1.0.0/16", "10.1.2.0/24"),
    );
    write("10-blue.conflist.bak", GOOD);
    let findings = told(&lint(&["--format", "json"]).arg(folder.path()).run());
    let rules = |name: &str| -> Vec<&str> {
        let of_file = findings
            .iter()
            .filter(|it| it["file"].as_str().unwrap().ends_with(name));
        of_file.map(|it| it["rule"].as_str().unwrap()).collect()
    };
    assert_eq!(rules("10-blue.conflist"), [""; 0]);
    assert_eq!(rules("20-blue.conflist"), ["NL401", "NL402"]);
    assert_eq!(rules("30-red.conflist"), ["NL402", "NL304"]);
    assert_eq!(rules(".bak"), ["NL403"]);
    let overlap = findings.iter().find(|it| it["rule"] == "NL304").unwrap();
    let message = overlap["message"].as_str().unwrap();
    assert!(message.ends_with(", and those of 1 more"), "{message}");
}

#[test]
fn fix_keeps_the_mode_and_leaves_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.conflist");
    fs::write(&file, GOOD.replace("\"subnet\"", "\"subent\"")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    lint(&["--fix"]).arg(&file).run().succeeds_silently();
    assert_eq!(fs::read_to_string(&file).unwrap(), GOOD);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_read_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("binary.conf"), b"\xff\xfe").unwrap();
    for (arguments, words) in [
        (vec!["/nonexistent"], "expected a file, a directory or -"),
        (vec!["--format", "yaml"], "yaml"),
        (vec!["/dev/null"], "not a regular file"),
        (vec![folder.path().to_str().unwrap()], "binary.conf"),
    ] {
        let outcome = lint(&arguments).run();
        assert_eq!(outcome.code(), Some(2), "{outcome}");
        assert!(outcome.stderr.contains(words), "{outcome}");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn stdin_is_judged_and_printed_when_it_is_mended() {
    let wrong = GOOD.replace("\"ptp\"", "\"ptp\", \"ipMasq\": \"yes\"");
    let outcome = lint(&["--format", "github", "-"])
        .stdin(wrong.as_bytes())
        .run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    assert!(
        outcome.stdout.starts_with("::error file=-,line=1,"),
        "{outcome}"
    );
    let outcome = lint(&["-"]).stdin(wrong.as_bytes()).run();
    for part in [
        "error[NL003]: ipMasq: expected true or false",
        "write true",
        "━━━━━",
    ] {
        assert!(outcome.stdout.contains(part), "{outcome}");
    }
}

#[test]
fn hostile_text_reaches_no_terminal() {
    let text = "{\"name\": \"n\", \"type\": \"bridge\", \"\\u001b[31mx\": \"\u{9b}31m\u{202e}\", \"mtu\": \"\u{1b}]0;x\u{7}\"}";
    let outcome = lint(&["-"]).stdin(text.as_bytes()).run();
    let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!outcome.stdout.contains(bad), "{:?}", outcome.stdout);
}
