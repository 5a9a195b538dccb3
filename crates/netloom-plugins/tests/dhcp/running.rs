//! A daemon that runs, and what it writes.

use netloom_testkit::PluginDir;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub(crate) const SOCKET: &str = "/run/cni/dhcp.sock";
pub(crate) const LEASES: &str = "/run/cni/dhcp.sock.leases";
const LIMIT: Duration = Duration::from_secs(40);

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

/// A daemon; killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: Arc<Log>,
}

impl Running {
    /// Our own daemon, listening.
    pub(crate) fn start(bin: &PluginDir, flags: &[&str]) -> Self {
        let mut command = Command::new(bin.path().join("dhcp"));
        let daemon = Self::spawn(command.arg("daemon").args(flags));
        daemon.wait_for("listening at", 1);
        daemon
    }

    /// The reference's, which does not say when it listens.
    pub(crate) fn start_quiet(program: &Path, flags: &[&str]) -> Self {
        let daemon = Self::spawn(Command::new(program).arg("daemon").args(flags));
        let deadline = Instant::now() + LIMIT;
        while UnixStream::connect(SOCKET).is_err() {
            assert!(Instant::now() < deadline, "{program:?} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Log::default());
        let theirs = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                theirs.lines.lock().unwrap().0.push(line);
                theirs.changed.notify_all();
            }
            theirs.lines.lock().unwrap().1 = true;
            theirs.changed.notify_all();
        });
        Self { child, log }
    }

    /// Waits until that many lines contain a text.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str, times: usize) {
        let found = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).count();
        let guard = self.log.lines.lock().unwrap();
        let (guard, timeout) = self
            .log
            .changed
            .wait_timeout_while(guard, LIMIT, |(lines, ended)| {
                !*ended && found(lines) < times
            })
            .unwrap();
        let waited = !timeout.timed_out() && found(&guard.0) >= times;
        let log = guard.0.join("\n");
        // A panic must not poison the lock: the log is printed once more when this is dropped.
        drop(guard);
        assert!(waited, "{times} × {text:?} is not in the log:\n{log}");
    }

    pub(crate) fn log(&self) -> String {
        self.log.lines.lock().unwrap().0.join("\n")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as nothing can prevent.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a service manager does.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// The processor time it has used, in ticks.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid()))
            .unwrap()
            .count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("--- daemon\n{}", self.log());
        }
    }
}
