//! A program that runs meanwhile, and what it says; the daemon.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::{UPLINK, beside};
use crate::bench::Order;

/// However busy the machine is, what is to happen happens within this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// It is killed when this is dropped.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
    pub(super) started: Instant,
}

impl Running {
    pub(super) fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let started = Instant::now();
        let mut child = beside(program, arguments)?;
        let (tell, lines) = mpsc::channel();
        let stderr = child.stderr.take().context("a piped stderr is there")?;
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody has to hear it.
                let _ = tell.send(line);
            }
        });
        Ok(Self {
            child,
            lines,
            started,
        })
    }

    /// Waits until it says something, from where the last wait ended.
    pub(super) fn until(&mut self, part: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.map_err(|_| anyhow!("it never said {part:?}; at the end {said:?}"))?;
            if line.contains(part) {
                return Ok(());
            }
            said = line;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The daemon of this node.
pub(super) struct Daemon(pub(super) Running);

impl Daemon {
    pub(super) fn start(order: &Order, url: &str) -> Result<Self> {
        let program = order.node.as_ref();
        let program = program.context(
            "there is no netloom-node: it needs protobuf-compiler and libprotobuf-dev to be built",
        )?;
        let conf = order.state.join("conf").display().to_string();
        let bin = order.ours.display().to_string();
        let words = [
            "run",
            "--insecure",
            "--etcd",
            url,
            "--name",
            "bench",
            "--iface",
            UPLINK[0],
            "--bin-dir",
            &bin,
            "--conf-dir",
            &conf,
        ];
        Running::start(program, &words.map(str::to_owned)).map(Self)
    }

    pub(super) fn until(&mut self, part: &str) -> Result<()> {
        self.0.until(part).context("netloom-node")
    }

    /// The most memory that it had in use so far, and how much is its file's now, both in MB.
    pub(super) fn memory(&self) -> Result<[f64; 2]> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.child.id()))?;
        ensure!(
            status.starts_with("Name:\tnetloom-node\n"),
            "the process is not netloom-node yet"
        );
        let of = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kb = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kb: f64 = kb.with_context(|| format!("no {name} in /proc"))?.parse()?;
            Ok(kb * 1024.0 / 1e6)
        };
        Ok([of("VmHWM:")?, of("RssFile:")?])
    }
}
