//! What `netloom new` makes builds without a network, can be tried, and keeps the specification.

use std::fs;
use std::path::Path;
use std::process::Command;

use netloom_testkit::{Call, Host, Sample, skip};

use crate::{NETLOOM, failed, long_run, project};

const KINDS: [&str; 6] = ["interface", "chained", "ipam", "meta", "shell", "python"];

/// Builds it where all of them are built, with the versions that this tree has.
fn build(dir: &Path, root: &Path) -> Result<(), String> {
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline"])
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    fs::create_dir_all(dir.join("target/debug")).unwrap();
    fs::copy(target.join("debug/hello"), dir.join("target/debug/hello")).unwrap();
    Ok(())
}

#[test]
fn each_kind_of_a_new_plugin_builds_is_tried_and_passes_at_should() {
    let Some(_host) = Host::new() else { return };
    let sample = Sample::of_this_run();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = fs::canonicalize(root).unwrap();
    for (number, kind) in KINDS.into_iter().enumerate() {
        if !sample.has(number) {
            continue;
        }
        let project = project();
        let dir = project.path().join("hello");
        let new = Call::new(NETLOOM)
            .arg("new")
            .arg("hello")
            .arg("--kind")
            .arg(kind);
        let made = new.arg("--dir").arg(&dir).arg("--netloom").arg(&root).run();
        assert!(made.is_success(), "{made}");
        let mut plugin = dir.join("hello");
        if dir.join("Cargo.toml").exists() {
            match build(&dir, &root) {
                Ok(()) => plugin = dir.join("target/debug/hello"),
                Err(words) if words.contains("offline") => {
                    return skip("cargo has not got every crate without a network");
                }
                Err(words) => panic!("{kind}: {words}"),
            }
        }
        let tried = Call::new(NETLOOM)
            .env("CNI_PATH", "/nonexistent")
            .arg("try")
            .arg(&dir)
            .run();
        assert!(tried.is_success(), "{kind}: {tried}");
        assert!(tried.stdout.contains("Nothing is left."), "{kind}: {tried}");
        let (document, status) = long_run(&["--level", "should", plugin.to_str().unwrap()]);
        let failed = failed(&document["plugins"][0]);
        assert_eq!(status, Some(0), "{kind}: {failed:#?}");
    }
}
