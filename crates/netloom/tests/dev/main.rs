//! `netloom dev` at a terminal: an edit is tried, a broken build keeps what was there, and nothing stays.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use netloom_testkit::{Call, Host, product};
use rustix::pty::OpenptFlags;
use tempfile::TempDir;

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
/// On a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints what belongs there, and says its number on stderr.
fn script(number: u32, more: &str) -> String {
    format!(
        "#!/bin/sh\ncat >/dev/null\necho number {number} >&2\n{more}\n\
         [ \"$CNI_COMMAND\" != ADD ] || echo '{{}}'\nexit 0\n"
    )
}

fn project() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("netloom-dev-test-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::create_dir(dir.path().join("conf")).unwrap();
    let conf = r#"{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "hello"}]}"#;
    fs::write(dir.path().join("conf/10-n.conflist"), conf).unwrap();
    save(dir.path(), &script(1, ""));
    dir
}

/// As editors do: beside it, and then in its place.
fn save(project: &Path, text: &str) {
    let beside = project.join(".hello.swp");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, project.join("hello")).unwrap();
}

/// The program at a terminal of its own.
struct Session {
    child: Child,
    terminal: File,
    pieces: Receiver<String>,
    text: String,
    homes: TempDir,
}

impl Session {
    fn begin(project: &Path, arguments: &[&str]) -> Self {
        let own =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
                .unwrap();
        rustix::pty::grantpt(&own).unwrap();
        rustix::pty::unlockpt(&own).unwrap();
        let other =
            rustix::pty::ioctl_tiocgptpeer(&own, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let other = || -> OwnedFd { other.try_clone().unwrap() };
        let homes = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        let child = Command::new(product(Path::new(NETLOOM)))
            .arg("dev")
            .args(arguments)
            .current_dir(project)
            .env("NO_COLOR", "1")
            .env("CNI_PATH", "/nonexistent")
            .env("TMPDIR", homes.path())
            .process_group(0)
            .stdin(other())
            .stdout(other())
            .stderr(other())
            .spawn()
            .unwrap();
        let terminal = File::from(own);
        let mut reader = terminal.try_clone().unwrap();
        let (send, pieces) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if send
                    .send(String::from_utf8_lossy(&buffer[..count]).into_owned())
                    .is_err()
                {
                    return;
                }
            }
        });
        Self {
            child,
            terminal,
            pieces,
            text: String::new(),
            homes,
        }
    }

    /// What is said up to these words; they are not found again.
    fn until(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(words) {
                let rest = self.text.split_off(at + words.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.text.push_str(&piece),
                Err(_) => panic!("{words:?} was not said:\n{}", self.text),
            }
        }
    }

    /// One run, to its end.
    fn run(&mut self) -> String {
        self.until("q: quit")
    }

    fn press(&mut self, key: &str) {
        self.terminal.write_all(key.as_bytes()).unwrap();
    }

    fn is_clean(&self) -> bool {
        fs::read_dir(self.homes.path()).unwrap().next().is_none()
    }

    /// Whether any process has the home of this session in its command line.
    fn processes(&self) -> Vec<String> {
        let home = self.homes.path().to_str().unwrap().to_owned();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
        let lines = lines.map(|it| String::from_utf8_lossy(&it).replace('\0', " "));
        lines.filter(|line| line.contains(&home)).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_edit_is_tried_and_what_is_different_is_told() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let mut session = Session::begin(project.path(), &[]);
    let first = session.run();
    assert!(
        first.contains("run 1: the first run") && first.contains("✔ try      ADD pod1"),
        "{first}"
    );

    save(
        project.path(),
        &script(2, "[ \"$CNI_COMMAND\" != ADD ] || : >/run/left"),
    );
    let second = session.run();
    for words in [
        "run 2: hello changed",
        "✘ try",
        "left: host: file /run/left",
        "since the last run: new leak: host: file /run/left",
    ] {
        assert!(second.contains(words), "{words}: {second}");
    }
    assert!(
        second.find("✘ try") < second.find("✔ lint"),
        "red comes first: {second}"
    );

    save(project.path(), &script(3, ""));
    let third = session.run();
    assert!(
        third.contains("✔ try") && third.contains("left no more: host: file /run/left"),
        "{third}"
    );

    session.press("t");
    let whole = session.run();
    assert!(
        whole.contains("hello │ number 3") && whole.contains("Nothing is left."),
        "{whole}"
    );
    session.press("\n");
    assert!(session.run().contains("run 4: again"));
    session.press("q");
    let status = session.child.wait().unwrap();
    assert!(status.success() && session.is_clean(), "{status}");
}

#[test]
fn a_broken_build_shows_its_words_and_keeps_what_was_built_before() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let build =
        "grep -q error source && { echo 'source:1: it does not parse' >&2; exit 1; }; exit 0";
    fs::write(project.path().join("source"), "fine").unwrap();
    let mut session = Session::begin(project.path(), &["--cmd", build]);
    let first = session.run();
    assert!(
        first.contains("✔ build") && first.contains("✔ try"),
        "{first}"
    );
    // The plugin is broken together with its source: only what was built counts.
    fs::write(project.path().join("source"), "error").unwrap();
    let broken = session.run();
    for words in [
        "✘ build    failed; what was built before stays",
        "source:1: it does not parse",
    ] {
        assert!(broken.contains(words), "{words}: {broken}");
    }
    assert!(!broken.contains("try  "), "{broken}");
    session.press("t");
    assert!(session.run().contains("hello │ number 1"));
}

#[test]
fn a_hundred_saves_in_a_row_end_in_one_run() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let mut session = Session::begin(project.path(), &[]);
    session.run();
    for number in 0..100 {
        save(project.path(), &script(number, ""));
    }
    assert!(session.run().contains("run 2: "));
    // What comes next is asked for, and is the third.
    session.press("\n");
    let third = session.run();
    assert!(third.contains("run 3: again"), "{third}");
}

#[test]
fn nothing_stays_after_ctrl_c_in_a_step_nor_after_kill() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    for (signal, cleans) in [("INT", true), ("TERM", true), ("KILL", false)] {
        // The step that is under way hangs.
        save(
            project.path(),
            &script(1, "[ \"$CNI_COMMAND\" != ADD ] || sleep 1000"),
        );
        let mut session = Session::begin(project.path(), &[]);
        session.until("run 1");
        let deadline = Instant::now() + PATIENCE;
        while session.processes().is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let id = session.child.id();
        Command::new("kill")
            .args([&format!("-{signal}"), &id.to_string()])
            .status()
            .unwrap();
        let status = session.child.wait().unwrap();
        assert!(!status.success(), "{signal}");
        let deadline = Instant::now() + PATIENCE;
        while !session.processes().is_empty() {
            assert!(
                Instant::now() < deadline,
                "{signal}: {:?}",
                session.processes()
            );
            std::thread::yield_now();
        }
        if cleans {
            assert!(session.is_clean(), "{signal}");
        }
    }
}

#[test]
fn a_case_that_failed_is_asked_again_until_it_passes() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    save(project.path(), &script(1, ""));
    let mut session = Session::begin(project.path(), &[]);
    session.run();
    session.press("c");
    let all = session.run();
    assert!(
        all.contains("✘ conform") && all.contains("CF-001 (must) VERSION answers"),
        "{all}"
    );
    let version = r#"[ "$CNI_COMMAND" != VERSION ] || { echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}'; exit 0; }"#;
    save(project.path(), &script(2, version));
    let next = session.run();
    assert!(
        next.contains("✘ conform") && !next.contains("CF-001"),
        "{next}"
    );
}

#[test]
fn what_is_no_project_is_refused_and_nothing_is_made() {
    let empty = tempfile::tempdir().unwrap();
    let homes = tempfile::tempdir().unwrap();
    for (dir, words) in [
        (empty.path(), "conf"),
        (Path::new("/nonexistent"), "/nonexistent"),
    ] {
        let outcome = Call::new(product(Path::new(NETLOOM)))
            .env("TMPDIR", homes.path())
            .arg("dev")
            .arg(dir)
            .run();
        assert_eq!(outcome.code(), Some(2), "{outcome}");
        assert!(outcome.stderr.contains(words), "{outcome}");
        assert!(fs::read_dir(homes.path()).unwrap().next().is_none());
    }
}
