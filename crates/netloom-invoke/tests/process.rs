//! Real executables: what reaches them, what comes back, and how they may fail.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netloom_invoke::{Cancellation, Error, Exec, Limits, ProcessExec, Stderr};
use netloom_spec::Error as CniError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::CWD;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Long enough for a loaded machine; nothing here waits for it unless it fails.
const SOON: Duration = Duration::from_secs(20);

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, content: &str) -> PathBuf {
        let path = self.path("plugin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn script(&self, script: &str) -> PathBuf {
        self.write(&format!("#!/bin/sh\n{script}\n"))
    }
}

fn path_variable() -> Vec<(OsString, OsString)> {
    vec![("PATH".into(), std::env::var_os("PATH").unwrap())]
}

/// Executes a script with stderr captured.
fn exec(script: &str, stdin: &[u8]) -> (Result<Vec<u8>, Error>, Vec<u8>) {
    let dir = Dir::new();
    let (stderr, memory) = Stderr::memory();
    let exec = ProcessExec {
        time_limit: Some(SOON),
        stderr,
        ..ProcessExec::default()
    };
    let done = exec.exec_plugin(&dir.script(script), stdin, &path_variable());
    let memory = memory.lock().unwrap().clone();
    (done, memory)
}

fn error_of(script: &str) -> Error {
    exec(script, b"").0.unwrap_err()
}

#[test]
fn the_request_reaches_stdin_and_stdout_comes_back() {
    let (stdout, stderr) = exec("cat; echo '!'", b"request");
    assert_eq!((stdout.unwrap(), stderr), (b"request!\n".to_vec(), vec![]));
}

#[test]
fn the_environment_is_exactly_the_one_given() {
    let dir = Dir::new();
    // The interpreter's argument comes first, so cat prints the environment and then this file.
    let content = "#!/bin/cat /proc/self/environ\n";
    let env = [("CNI_COMMAND", "ADD"), ("CNI_ARGS", ""), ("X", "a=b\nc")];
    let env = env.map(|(name, value)| (name.into(), value.into()));
    let stdout = ProcessExec::default()
        .exec_plugin(&dir.write(content), b"", &env)
        .unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let environ = stdout.strip_suffix(content).unwrap();
    let mut found: Vec<_> = environ.split_terminator('\0').collect();
    found.sort_unstable();
    assert_eq!(found, ["CNI_ARGS=", "CNI_COMMAND=ADD", "X=a=b\nc"]);
}

#[test]
fn a_megabyte_on_every_stream_at_once_does_not_block() {
    let script =
        "head -c 1048576 /dev/zero >&2; head -c 524288 /dev/zero; head -c 524288; cat >/dev/null";
    let (stdout, stderr) = exec(script, &vec![b'x'; 1 << 20]);
    assert_eq!((stdout.unwrap().len(), stderr.len()), (1 << 20, 1 << 20));
}

#[test]
fn a_plugin_that_writes_without_end_is_killed_after_a_megabyte() {
    for script in ["exec yes", "head -c 1048577 /dev/zero"] {
        let error = error_of(script);
        assert!(
            matches!(
                error,
                Error::TooMuchOutput {
                    limit: 1_048_576,
                    ..
                }
            ),
            "{script}: {error}"
        );
    }
}

#[test]
fn what_is_shown_of_endless_output_is_one_line_of_four_kilobytes() {
    for script in [
        "head -c 200000 /dev/urandom; exit 1",
        "head -c 200000 /dev/urandom >&2; exit 1",
    ] {
        let text = error_of(script).to_string();
        assert!(text.len() <= 4096 && text.contains("bytes more"), "{text}");
        assert!(!text.contains(char::is_control), "{text}");
    }
}

#[test]
fn an_interpreter_that_is_missing_is_named() {
    let dir = Dir::new();
    let plugin = dir.write("#!/usr/bin/no-such-shell -e\necho {}\n");
    let error = ProcessExec::default()
        .exec_plugin(&plugin, b"", &[])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("its interpreter \"/usr/bin/no-such-shell\" does not exist"),
        "{text}"
    );
}

#[test]
fn a_request_that_is_not_read_is_no_error() {
    let (stdout, _) = exec("exec 0<&-; echo done", &vec![b'x'; 1 << 20]);
    assert_eq!(stdout.unwrap(), b"done\n");
}

#[test]
fn closing_stdout_and_stderr_early_is_not_the_end() {
    let (stdout, stderr) = exec(
        "echo said; exec 1>&- 2>&-; cat >/dev/null; exit 0",
        &[b'x'; 100],
    );
    assert_eq!((stdout.unwrap(), stderr), (b"said\n".to_vec(), vec![]));
}

#[test]
fn stderr_is_kept_of_plugins_that_succeed_and_that_fail() {
    assert_eq!(exec("echo note >&2", b"").1, b"note\n");
    let (error, stderr) = exec(
        "echo note >&2; echo '{\"code\":7,\"msg\":\"m\"}'; exit 1",
        b"",
    );
    assert_eq!(stderr, b"note\n");
    assert!(
        matches!(error, Err(Error::Plugin { error, .. }) if error.code == 7 && error.msg == "m")
    );
}

#[test]
fn stderr_arrives_while_the_plugin_runs() {
    struct Answer(PathBuf);
    impl Write for Answer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            fs::write(&self.0, "go\n")?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = Dir::new();
    let fifo = dir.path("fifo");
    rustix::fs::mkfifoat(CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let plugin = dir.script(&format!(
        "echo ready >&2; read word <{}; echo $word",
        fifo.display()
    ));
    let exec = ProcessExec {
        time_limit: Some(SOON),
        stderr: Stderr::Capture(Arc::new(Mutex::new(Answer(fifo)))),
        ..ProcessExec::default()
    };
    assert_eq!(
        exec.exec_plugin(&plugin, b"", &path_variable()).unwrap(),
        b"go\n"
    );
}

/// Runs only when the next test executes this program again.
#[test]
fn helper_that_executes_a_plugin_which_logs_and_fails() {
    let Some(mode) = std::env::var_os("NETLOOM_TEST_STDERR") else {
        return;
    };
    let stderr = match mode.to_str() {
        Some("inherit") => Stderr::Inherit,
        _ => Stderr::PassThrough,
    };
    let exec = ProcessExec {
        stderr,
        ..ProcessExec::default()
    };
    let plugin = Dir::new();
    let plugin = plugin.script("echo note from the plugin >&2; exit 1");
    let error = exec
        .exec_plugin(&plugin, b"", &path_variable())
        .unwrap_err();
    println!("ERROR {error}");
}

#[test]
fn stderr_is_passed_through_even_if_the_plugin_fails() {
    let run = |mode: &str| {
        let name = "helper_that_executes_a_plugin_which_logs_and_fails";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", name, "--nocapture"])
            .env("NETLOOM_TEST_STDERR", mode);
        let output = command.output().unwrap();
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("note from the plugin\n")
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = r#"ERROR netplugin failed: "note from the plugin\n": exit status 1"#;
    assert!(run("pass").contains(expected));
    let expected = "ERROR netplugin failed with no error message: exit status 1";
    assert!(run("inherit").contains(expected));
}

#[test]
fn a_plugin_that_dies_without_json_has_code_0_and_the_known_texts() {
    for (script, expected) in [
        (
            "exit 3",
            "netplugin failed with no error message: exit status 3",
        ),
        (
            "echo no >&2; exit 1",
            r#"netplugin failed: "no\n": exit status 1"#,
        ),
        (
            "kill -KILL $$",
            "netplugin failed with no error message: signal: killed",
        ),
        (
            "echo x >&2; kill -TERM $$",
            r#"netplugin failed: "x\n": signal: terminated"#,
        ),
    ] {
        let error = CniError::from(error_of(script));
        assert_eq!((error.code, error.msg.as_str()), (0, expected));
    }
}

#[test]
fn output_of_a_failing_plugin_that_is_no_error_object_is_quoted() {
    let text = error_of("echo oops; exit 1").to_string();
    let start = r#"netplugin failed but error parsing its diagnostic message "oops\n": "#;
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn a_result_printed_before_death_is_not_taken_for_an_error_object() {
    let error = error_of(r#"echo '{"cniVersion":"1.0.0"}'; kill -KILL $$"#);
    assert!(matches!(error, Error::NoErrorObject { end, .. } if end == "signal: killed"));
}

#[test]
fn a_plugin_is_killed_with_all_it_started_when_its_time_is_up() {
    let dir = Dir::new();
    let plugin = dir.script(&format!(
        "echo working >&2; sleep 600 & echo $! >{}; wait",
        dir.path("pid").display()
    ));
    let limit = Duration::from_millis(500);
    let exec = ProcessExec {
        time_limit: Some(limit),
        stderr: Stderr::memory().0,
        ..ProcessExec::default()
    };
    let start = Instant::now();
    let error = exec
        .exec_plugin(&plugin, b"", &path_variable())
        .unwrap_err();
    assert!(start.elapsed() >= limit && start.elapsed() < SOON);
    assert_eq!(
        error.to_string(),
        format!(
            "netplugin failed: \"working\\n\": signal: killed: {plugin:?} did not finish within \
             its time limit of 500ms"
        )
    );
    let pid = fs::read_to_string(dir.path("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(ends(Pid::from_raw(pid).unwrap()));
}

/// Whether the process ends soon.
fn ends(pid: Pid) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(SOON).unwrap())).unwrap() == 1
}

#[test]
fn a_plugin_that_never_stops_talking_on_stderr_is_stopped_by_its_time_limit() {
    let dir = Dir::new();
    let exec = ProcessExec {
        time_limit: Some(Duration::from_millis(200)),
        stderr: Stderr::memory().0,
        ..ProcessExec::default()
    };
    let done = exec.exec_plugin(&dir.script("yes >&2"), b"", &path_variable());
    assert!(matches!(done, Err(Error::TimeLimit { .. })));
}

#[test]
fn a_time_limit_that_is_longer_than_the_clock_is_none() {
    let dir = Dir::new();
    let exec = ProcessExec {
        time_limit: Some(Duration::MAX),
        stderr: Stderr::default(),
        ..ProcessExec::default()
    };
    assert_eq!(
        exec.exec_plugin(&dir.script("echo hi"), b"", &[]).unwrap(),
        b"hi\n"
    );
}

#[test]
fn a_process_left_behind_does_not_hold_up_the_caller() {
    let dir = Dir::new();
    let script = format!(
        "sleep 600 & echo $! >{}; echo '{{}}'",
        dir.path("pid").display()
    );
    let start = Instant::now();
    let exec = ProcessExec {
        stderr: Stderr::memory().0,
        ..ProcessExec::default()
    };
    let stdout = exec
        .exec_plugin(&dir.script(&script), b"", &path_variable())
        .unwrap();
    let pid = fs::read_to_string(dir.path("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    assert_eq!(stdout, b"{}\n");
    assert!(start.elapsed() < SOON);
}

fn open_for_writing(plugin: &Path) -> File {
    OpenOptions::new().append(true).open(plugin).unwrap()
}

fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Start { cause, .. } if cause.kind() == ErrorKind::ExecutableFileBusy)
}

#[test]
fn an_executable_that_stays_open_for_writing_is_an_error_in_bounded_time() {
    let dir = Dir::new();
    let plugin = dir.script("echo ran");
    let _writer = open_for_writing(&plugin);
    let start = Instant::now();
    let error = ProcessExec::default()
        .exec_plugin(&plugin, b"", &[])
        .unwrap_err();
    assert!(is_busy(&error), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn waiting_for_a_busy_executable_counts_towards_the_time_limit() {
    let dir = Dir::new();
    let plugin = dir.script("echo ran");
    let _writer = open_for_writing(&plugin);
    let start = Instant::now();
    let exec = ProcessExec {
        time_limit: Some(Duration::from_millis(50)),
        stderr: Stderr::default(),
        ..ProcessExec::default()
    };
    assert!(is_busy(&exec.exec_plugin(&plugin, b"", &[]).unwrap_err()));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_executable_that_is_closed_in_time_runs() {
    let dir = Dir::new();
    let plugin = dir.script("echo ran");
    let writer = open_for_writing(&plugin);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            drop(writer);
        });
        let stdout = ProcessExec::default()
            .exec_plugin(&plugin, b"", &[])
            .unwrap();
        assert_eq!(stdout, b"ran\n");
    });
}

#[test]
fn what_cannot_be_executed_is_named_with_the_kernels_reason() {
    let dir = Dir::new();
    let plugin = dir.write("#!/bin/sh\n");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o644)).unwrap();
    let error = ProcessExec::default()
        .exec_plugin(&plugin, b"", &[])
        .unwrap_err();
    assert!(error.to_string().contains("Permission denied"), "{error}");
}

#[test]
fn many_plugins_at_once_get_their_own_answers() {
    let dir = Dir::new();
    let plugin = dir.script("cat");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let plugin = &plugin;
            scope.spawn(move || {
                for turn in 0..10 {
                    let request = format!("{worker}-{turn}");
                    let exec = ProcessExec::default();
                    let stdout = exec.exec_plugin(plugin, request.as_bytes(), &path_variable());
                    assert_eq!(stdout.unwrap(), request.as_bytes());
                }
            });
        }
    });
}

/// A plugin that tells where it is in a file, starts a child, and waits for ever.
fn endless(dir: &Dir) -> (PathBuf, PathBuf) {
    let told = dir.path("told");
    let fifo = dir.path("fifo");
    rustix::fs::mkfifoat(CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let script = dir.script(&format!(
        "echo working >&2; (exec sleep 1000) & echo $! >{0}; cat {1}; wait",
        told.display(),
        fifo.display()
    ));
    (script, fifo)
}

#[test]
fn who_cancels_ends_the_plugin_and_all_it_started() {
    let dir = Dir::new();
    let (script, fifo) = endless(&dir);
    let cancellation = Cancellation::new().unwrap();
    let limits = Limits::none().cancelled_by(&cancellation);
    let (stderr, _) = Stderr::memory();
    let exec = ProcessExec {
        stderr,
        ..ProcessExec::default()
    };
    let done = std::thread::scope(|scope| {
        let call =
            scope.spawn(|| exec.exec_plugin_within(&script, b"{}", &path_variable(), &limits));
        // It opens when the plugin does, and so long after its child was started.
        drop(OpenOptions::new().write(true).open(&fifo).unwrap());
        cancellation.cancel();
        call.join().unwrap()
    });
    let error = done.unwrap_err();
    assert!(matches!(&error, Error::Cancelled { plugin, .. } if *plugin == script));
    assert_eq!(error.stderr(), Some("working\n"));
    let text = error.to_string();
    assert!(
        text.ends_with(r#"was cancelled by its caller; it said "working\n""#),
        "{text}"
    );
    assert_eq!(CniError::from(error).code, 11);
    let child: i32 = fs::read_to_string(dir.path("told"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(ends(Pid::from_raw(child).unwrap()));
    // What was cancelled is not started again.
    let again =
        exec.exec_plugin_within(&dir.script("touch $0.ran"), b"", &path_variable(), &limits);
    assert!(matches!(again, Err(Error::Cancelled { .. })));
    assert!(!dir.path("plugin.ran").exists());
}

#[test]
fn a_deadline_of_the_caller_ends_a_plugin_without_a_limit_of_its_own() {
    let dir = Dir::new();
    let plugin = dir.script("echo begun >&2; exec sleep 1000");
    let exec = ProcessExec {
        stderr: Stderr::memory().0,
        ..ProcessExec::default()
    };
    let limits = Limits::none().until(Instant::now() + Duration::from_millis(50));
    let error = exec
        .exec_plugin_within(&plugin, b"", &path_variable(), &limits)
        .unwrap_err();
    assert!(matches!(error, Error::TimeLimit { limit, .. } if limit <= Duration::from_millis(50)));
    let error = exec
        .exec_plugin_within(&plugin, b"", &path_variable(), &limits)
        .unwrap_err();
    assert!(matches!(error, Error::NoTime { .. }), "{error}");
    assert_eq!(CniError::from(error).code, 11);
}

#[test]
fn errors_keep_what_the_plugin_wrote_and_where_they_come_from() {
    let error = error_of(r#"echo log line; echo '{"code":7,"msg":"m"}'; echo why >&2; exit 1"#);
    assert_eq!(
        error.stdout(),
        Some("log line\n{\"code\":7,\"msg\":\"m\"}\n")
    );
    assert_eq!(error.stderr(), Some("why\n"));
    assert_eq!(error_of("yes; echo x >&2").stdout(), None);
    let start = ProcessExec::default()
        .exec_plugin(Path::new("/nowhere/plugin"), b"", &[])
        .unwrap_err();
    let source = std::error::Error::source(&start).unwrap();
    let source = source.downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), ErrorKind::NotFound);
}
