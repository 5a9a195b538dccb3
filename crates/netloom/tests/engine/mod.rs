//! What the tests with podman and containerd have in common: an engine is run by a script, in a
//! throw-away host.

use netloom_testkit::probe::has_program;
use netloom_testkit::{PluginDir, is_release, product, skip};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether this is root and has these programs; if not, the test is skipped.
pub(crate) fn can_run(programs: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        skip("an engine's networks need root");
        return false;
    }
    let missing = programs.iter().find(|program| !has_program(program));
    if let Some(program) = missing {
        skip(&format!("{program} is not installed"));
    }
    missing.is_none()
}

/// Runs `tests/SCRIPT` with these arguments and a work directory: what it tried, what was left
/// behind, and its standard error.
pub(crate) fn run(script: &str, arguments: &[&Path]) -> (String, String, String) {
    let work = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(script);
    let output = Command::new("unshare")
        .args(["-m", "-n", "-i", "-u", "-p", "-f"])
        .args(["--kill-child", "--mount-proc"])
        .args(["timeout", "300", "bash"])
        .arg(script)
        .args(arguments)
        .arg(work.path())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{seen}\n{words}");
    // For whoever sees the test fail.
    eprintln!("{words}");
    let (tried, left) = seen.split_once("--- left behind\n").expect(&seen);
    (tried.to_owned(), left.trim().to_owned(), words.into_owned())
}

/// The command, small enough to be installed twenty times. A build for tests is stripped into
/// `folder`, where it is alone, so that it installs itself.
pub(crate) fn installable(folder: &Path) -> PathBuf {
    let netloom = product(env!("CARGO_BIN_EXE_netloom"));
    if is_release() {
        return netloom;
    }
    let small = folder.join("netloom");
    let mut strip = Command::new("strip");
    strip.args(["-s", "-o"]).arg(&small).arg(&netloom);
    assert!(strip.status().unwrap().success());
    small
}

/// Runs `work` on plugins that `netloom trace` wraps; what was traced.
pub(crate) fn traced(work: impl FnOnce(&Path)) -> String {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    let folder = tempfile::tempdir().unwrap();
    let (wrapped, log) = (folder.path().join("bin"), folder.path().join("trace.jsonl"));
    let mut install = Command::new(product(env!("CARGO_BIN_EXE_netloom")));
    install.args(["trace", "install"]).arg(&wrapped);
    install.arg("--from").arg(plugins.path());
    install.arg("--log").arg(&log);
    assert!(install.status().unwrap().success());
    work(&wrapped);
    std::fs::read_to_string(&log).unwrap()
}
