//! The daemon, and what it says.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::deadline;

pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// The last of what it said.
    said: VecDeque<String>,
}

impl Daemon {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self {
            child,
            lines,
            said: VecDeque::new(),
        }
    }

    /// Waits until it says something, from where the last wait ended; gives back the line.
    pub(crate) fn until(&mut self, part: &str) -> String {
        let deadline = deadline();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("the daemon never said {part:?}, but {:#?}", self.said);
            };
            self.said.push_back(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits until it says something (`true`), or has ended.
    pub(crate) fn says(&mut self, part: &str) -> bool {
        let deadline = deadline();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return true,
                Ok(line) => self.said.push_back(line),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("neither {part:?} nor its end: {:#?}", self.said)
                }
            }
        }
    }

    /// The same for several, in any order.
    pub(crate) fn until_all(&mut self, parts: &[&str]) {
        let mut left = parts.to_vec();
        while !left.is_empty() {
            let line = self.until("");
            left.retain(|part| !line.contains(part));
        }
    }

    /// Sends a signal, which nsenter's program gets: it has taken nsenter's place.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it by a signal, and waits for that.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    /// Whether it has ended; nobody has waited for it yet.
    pub(crate) fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.is_ok_and(|it| it.contains(") Z "))
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
