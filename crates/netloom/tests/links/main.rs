//! `netloom link`, `netloom topo` and `koko` as a user runs them, in throw-away hosts.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod containerlab;
mod engines;
mod faults;
mod hosts;
mod koko;
mod mirror;
mod page;
mod parallel;
mod quality;
mod single;
mod topo;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};

use netloom_testkit::{Call, Host, Outcome, Pod, Snapshot, product};

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");

/// `netloom` with these arguments, split at blanks.
fn netloom(line: &str) -> Call {
    line.split_whitespace()
        .fold(Call::new(product(NETLOOM)), |call, it| call.arg(it))
}

/// The command as `koko`.
fn koko(line: &str) -> Outcome {
    let name = Path::new("/run/koko");
    if !name.exists() {
        std::os::unix::fs::symlink(product(NETLOOM), name).unwrap();
    }
    let call = Call::new(name);
    line.split_whitespace()
        .fold(call, |call, it| call.arg(it))
        .run()
}

#[track_caller]
fn succeeds(line: &str) -> String {
    let outcome = netloom(line).run();
    assert!(outcome.is_success(), "{outcome}");
    outcome.stdout
}

#[track_caller]
fn fails(line: &str, words: &str) {
    let outcome = netloom(line).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    assert!(outcome.stderr.contains(words), "no {words:?} in\n{outcome}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
}

/// A host with namespaces of these names.
fn host<const N: usize>(names: [&str; N]) -> Option<(Host, [Pod; N])> {
    let host = Host::new()?;
    let pods = names.map(|name| host.pod(name));
    Some((host, pods))
}

fn snapshot(host: &Host, pods: &[Pod]) -> Snapshot {
    Snapshot::take(host, &pods.iter().collect::<Vec<_>>())
}

/// Writes a topology file outside of what snapshots see.
struct File(tempfile::TempDir);

impl File {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().unwrap());
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("lab.yaml")
    }

    #[track_caller]
    fn topo(&self, verb: &str) -> String {
        succeeds(&format!("topo {verb} {}", self.path().display()))
    }

    #[track_caller]
    fn refuses(&self, verb: &str, words: &str) {
        fails(&format!("topo {verb} {}", self.path().display()), words);
    }
}
