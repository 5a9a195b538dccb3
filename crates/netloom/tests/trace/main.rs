//! `netloom trace`: the wrapper is transparent to the byte, and what it writes down is shown.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use netloom_testkit::{Call, Host, is_release, link_plugins, parallel, product};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::{Value, json};
use tempfile::TempDir;

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");

/// Plugins in `real`, wrappers in `wrapped`, and a log.
struct Traced(TempDir);

impl Traced {
    fn of(scripts: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("netloom-trace-")
            .tempdir()
            .unwrap();
        let traced = Self(dir);
        fs::create_dir(traced.real()).unwrap();
        for (name, script) in scripts {
            let path = traced.real().join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        traced
    }

    fn installed(scripts: &[(&str, &str)]) -> Self {
        let traced = Self::of(scripts);
        let outcome = traced.install().run();
        assert!(outcome.is_success(), "{outcome}");
        traced
    }

    fn install(&self) -> Call {
        netloom(&["trace", "install", "--from"])
            .arg(self.real().to_str().unwrap())
            .arg("--log")
            .arg(self.log().to_str().unwrap())
            .arg(self.wrapped().to_str().unwrap())
    }

    fn real(&self) -> PathBuf {
        self.0.path().join("real")
    }

    fn wrapped(&self) -> PathBuf {
        self.0.path().join("wrapped")
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("trace.jsonl")
    }

    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What the plugin and its wrapper do with the same call.
    fn both(&self, name: &str, stdin: &[u8]) -> [Output; 2] {
        [self.real(), self.wrapped()].map(|dir| {
            let mut command = command(&dir.join(name));
            // Where a plugin lies is the only difference.
            std::os::unix::process::CommandExt::arg0(&mut command, name);
            speak(command, stdin)
        })
    }
}

/// The command. One that is built for tests stands alone, so that the wrappers are of its own build and
/// not of whichever `netloom-plugins` was built last.
fn program() -> PathBuf {
    static ALONE: OnceLock<PathBuf> = OnceLock::new();
    if is_release() {
        return product(Path::new(NETLOOM));
    }
    let link = || {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alone");
        fs::create_dir_all(&dir).unwrap();
        let (draft, path) = (
            dir.join(std::process::id().to_string()),
            dir.join("netloom"),
        );
        fs::hard_link(NETLOOM, &draft).unwrap();
        fs::rename(&draft, &path).unwrap();
        // A rename between two names of one file does nothing.
        let _ = fs::remove_file(&draft);
        path
    };
    ALONE.get_or_init(link).clone()
}

fn netloom(arguments: &[&str]) -> Call {
    let call = Call::new(program());
    arguments.iter().fold(call, |call, it| call.arg(it))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["one", "two words"]).env_clear();
    command
        .env("CNI_COMMAND", "ADD")
        .env("CNI_CONTAINERID", "c1")
        .env("PATH", "/usr/bin:/bin");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn speak(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A plugin need not read its request.
        scope.spawn(move || drop(to.write_all(stdin)));
        child.wait_with_output().unwrap()
    })
}

#[test]
fn a_wrapper_passes_on_arguments_environment_streams_and_status_to_the_byte() {
    let traced = Traced::installed(&[
        (
            "says",
            "for it in \"$@\"; do echo \"[$it]\"; done; env | sort; cat; echo err >&2; exit 7",
        ),
        ("copies", "exec cat"),
        ("silent", "exec true"),
        ("deaf", "echo '{\"code\": 11}'; exit 1"),
        ("killed", "echo half; kill -9 $$"),
        (
            "floods",
            "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2",
        ),
    ]);
    let odd = b"{\"a\": 1.0}\n\xff\x00\xfe no newline at the end";
    let long = vec![b'x'; 600_000];
    for name in ["says", "copies", "silent", "deaf", "killed", "floods"] {
        for stdin in [&b""[..], odd, &long] {
            let [plain, wrapped] = traced.both(name, stdin);
            assert!(plain.stdout == wrapped.stdout, "{name}: stdout");
            assert!(plain.stderr == wrapped.stderr, "{name}: stderr");
            assert_eq!(plain.status, wrapped.status, "{name}");
        }
    }
    let records = traced.records();
    assert_eq!(records.len(), 18);
    let killed = records.iter().find(|it| it["plugin"] == "killed").unwrap();
    assert_eq!(
        (&killed["signal"], &killed["exit"]),
        (&json!(9), &Value::Null)
    );
    assert_eq!(records[0]["env"]["CNI_CONTAINERID"], "c1");
    assert_eq!(records[0]["stderr"], "err\n");
}

#[test]
fn who_kills_the_wrapper_kills_the_plugin_and_who_asks_it_to_end_asks_the_plugin() {
    let traced = Traced::installed(&[
        ("waits", "echo $$; exec sleep 1000"),
        (
            "obeys",
            "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1000 & wait $!; done",
        ),
    ]);
    let start = |name: &str| {
        let mut child = command(&traced.wrapped().join(name)).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        let mut reader = std::io::BufReader::new(stdout);
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        (child, line, reader)
    };
    let (mut child, process, _rest) = start("waits");
    let process = rustix::process::Pid::from_raw(process.trim().parse().unwrap()).unwrap();
    let process = pidfd_open(process, PidfdFlags::empty()).unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "the plugin goes on");

    let (mut child, _, _rest) = start("obeys");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(traced.records().last().unwrap()["stdout"], "ready\nbye\n");
}

#[test]
fn two_hundred_calls_at_once_are_two_hundred_whole_lines() {
    let traced = Traced::installed(&[("copies", "exec cat")]);
    let request = vec![b'y'; 20_000];
    parallel(200, 200, |_| {
        let output = speak(command(&traced.wrapped().join("copies")), &request);
        assert!(output.status.success() && output.stdout == request);
    });
    let records = traced.records();
    assert_eq!(records.len(), 200);
    assert!(
        records
            .iter()
            .all(|it| it["stdout"].as_str().unwrap().len() == 20_000)
    );
}

#[test]
fn a_log_that_cannot_be_written_and_broken_settings_change_nothing_but_a_line_of_stderr() {
    let traced = Traced::installed(&[("says", "cat; echo err >&2; exit 5")]);
    let settings = traced.wrapped().join(".netloom-trace.json");
    let text = fs::read_to_string(&settings).unwrap();
    let with_log = |log: &str| text.replace(traced.log().to_str().unwrap(), log);
    for (text, words) in [
        (
            with_log("/nonexistent/trace.jsonl"),
            "cannot write to /nonexistent/trace.jsonl",
        ),
        (with_log("/dev/full"), "cannot write to /dev/full"),
        ("{".to_owned(), ".netloom-trace.json: "),
        ("{\"directories\": []}".to_owned(), ".netloom-trace.json: "),
    ] {
        fs::write(&settings, text).unwrap();
        let mut call = command(&traced.wrapped().join("says"));
        call.env(
            "CNI_PATH",
            format!("{}:{}", traced.wrapped().display(), traced.real().display()),
        );
        let output = speak(call, b"words");
        assert_eq!(output.status.code(), Some(5), "{words}");
        assert_eq!(output.stdout, b"words", "{words}");
        let said = String::from_utf8(output.stderr).unwrap();
        let (own, others): (Vec<_>, Vec<_>) = said
            .lines()
            .partition(|line| line.starts_with("netloom trace: "));
        assert_eq!(others, ["err"], "{said}");
        assert!(own.len() == 1 && own[0].contains(words), "{words}: {said}");
    }
}

#[test]
fn two_directories_of_wrappers_do_not_call_each_other_and_an_empty_element_is_no_directory() {
    let traced = Traced::installed(&[("says", "cat")]);
    let second = traced.0.path().join("second");
    let mut install = netloom(&["trace", "install", "--from"]);
    for argument in [traced.wrapped(), traced.real()] {
        install = install.arg(argument.to_str().unwrap()).arg("--from");
    }
    let install = install
        .arg(traced.real().to_str().unwrap())
        .arg("--log")
        .arg(traced.log().to_str().unwrap())
        .arg(second.to_str().unwrap())
        .run();
    assert!(install.is_success(), "{install}");
    let output = speak(command(&second.join("says")), b"words");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"words"[..])
    );
    assert_eq!(traced.records().len(), 1, "once");

    // Without settings, and from a directory in which anybody may have put a program of that name.
    fs::remove_file(second.join(".netloom-trace.json")).unwrap();
    let mut call = command(&second.join("says"));
    call.env("CNI_PATH", format!(":{}", traced.wrapped().display()))
        .current_dir(traced.real());
    let output = speak(call, b"words");
    assert_eq!(output.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        error["msg"]
            .as_str()
            .unwrap()
            .contains("has the plugin \"says\""),
        "{error}"
    );
}

#[test]
fn delegates_are_shown_within_the_plugin_that_called_them_and_a_call_can_be_made_again() {
    let Some(host) = Host::new() else { return };
    let traced = Traced::of(&[("loud", "cat > /dev/null; echo 'a word' >&2; echo '{}'")]);
    link_plugins(NETLOOM, traced.real().join("ours"));
    let from = traced.real().join("ours");
    let install = traced
        .install()
        .arg("--from")
        .arg(from.to_str().unwrap())
        .run();
    assert!(install.is_success(), "{install}");
    let pod = host.pod("one");
    fs::create_dir_all("/etc/cni/net.d").unwrap();
    let conf = json!({"cniVersion": "1.0.0", "name": "mynet", "plugins": [
        {"type": "bridge", "apiToken": "hush",
         "ipam": {"type": "host-local", "subnet": "10.16.0.0/16"}},
        {"type": "loud"},
    ]});
    fs::write("/etc/cni/net.d/10-mynet.conflist", conf.to_string()).unwrap();
    let path = pod.path().to_str().unwrap();
    let wrapped = traced.wrapped();
    for verb in ["add", "del"] {
        let call = netloom(&[verb, "mynet", path]).env("CNI_PATH", wrapped.to_str().unwrap());
        let outcome = call.run();
        assert!(outcome.is_success(), "{outcome}");
    }
    let log = traced.log();
    assert!(!fs::read_to_string(&log).unwrap().contains("hush"));
    let log = log.to_str().unwrap();
    let shown = netloom(&["trace", "show", "--json", "--log", log]).run();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown[0]["command"], "ADD");
    assert_eq!(shown[0]["calls"][0]["plugin"], "bridge");
    assert_eq!(shown[0]["calls"][0]["calls"][0]["plugin"], "host-local");
    assert_eq!(shown[0]["calls"][1]["stderr"], "a word\n");
    assert_eq!(shown[1]["command"], "DEL");
    let last = netloom(&["trace", "show", "--last", "--log", log]).run();
    assert!(
        last.stdout.contains(" DEL ") && !last.stdout.contains(" ADD "),
        "{last}"
    );
    assert!(last.stdout.contains("loud │ a word"), "{last}");
    let none = netloom(&["trace", "show", "--id", "nobody", "--log", log]).run();
    assert_eq!(none.stdout, "", "{none}");

    let number = shown[0]["calls"][0]["number"].to_string();
    let before = traced.records().len();
    let again = netloom(&["trace", "replay", &number, "--log", log]).run();
    assert!(again.is_success(), "{again}");
    for words in [
        "+ pod1: address 10.16.0.2/16 on eth0",
        "ended as recorded: exit 0",
    ] {
        assert!(again.stdout.contains(words), "{words}: {again}");
    }
    assert_eq!(
        traced.records().len(),
        before,
        "a replay is no call of the runtime's"
    );
    assert!(
        !host.ip("-o link").contains("cni0:") || host.ip("-o link").matches("veth").count() == 0
    );
}

#[test]
fn run_shows_what_a_program_called_and_ends_with_its_status() {
    let Some(_host) = Host::new() else { return };
    let traced = Traced::of(&[("loud", "echo 'a word' >&2; exit 1")]);
    let line = "echo '{}' | CNI_COMMAND=ADD ${CNI_PATH%%:*}/loud; exit 4";
    let outcome = netloom(&["trace", "run", "--from"])
        .arg(traced.real().to_str().unwrap())
        .arg("--")
        .arg("sh")
        .arg("-c")
        .arg(line)
        .run();
    assert_eq!(outcome.code(), Some(4), "{outcome}");
    assert!(outcome.stdout.contains("loud │ a word"), "{outcome}");
}

#[test]
fn uninstall_takes_wrappers_and_nothing_else_and_wrong_requests_change_nothing() {
    let traced = Traced::installed(&[("one", "exec true"), ("two", "exec true")]);
    let (real, wrapped) = (traced.real(), traced.wrapped());
    fs::write(wrapped.join("notes"), "mine").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let removed = netloom(&["trace", "uninstall", &text(&wrapped)]).run();
    assert!(
        removed.is_success() && removed.stdout.contains("one, two"),
        "{removed}"
    );
    let left: Vec<_> = fs::read_dir(&wrapped)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, ["notes"]);

    let empty = traced.0.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (real, empty, wrapped, log) = (
        text(&real),
        text(&empty),
        text(&wrapped),
        text(&traced.log()),
    );
    let cases: [(&[&str], &str); 7] = [
        (
            &["install", &real, "--from", &real],
            "is where the plugins are",
        ),
        (
            &["install", &wrapped, "--from", &empty],
            "no plugin to trace",
        ),
        (&["uninstall", &empty], "holds no wrapper"),
        (&["uninstall", "/nonexistent"], "does not exist"),
        (&["replay", "0", "--log", &log], "and no 0"),
        (&["show", "--follow", "--json", "--log", &log], "--json"),
        (&["run"], "CMD"),
    ];
    fs::write(&log, "").unwrap();
    for (arguments, words) in cases {
        let call = arguments
            .iter()
            .fold(netloom(&["trace"]), |call, it| call.arg(it));
        let outcome = call.run();
        assert_eq!(outcome.code(), Some(2), "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
    let there = fs::read_dir(&real).unwrap().count();
    assert_eq!((there, fs::read_dir(&empty).unwrap().count()), (2, 0));
    fs::write(Path::new(&empty).join("one"), "another's").unwrap();
    let outcome = netloom(&["trace", "install", &empty, "--from", &real, "--log", &log]).run();
    assert_eq!(outcome.code(), Some(2), "{outcome}");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 1);
}
