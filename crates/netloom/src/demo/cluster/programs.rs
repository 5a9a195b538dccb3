//! The programs that a cluster is made of, which end with the demo.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netloom_kernel::child;

use super::folder;
use crate::command::node;

/// How long a program may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(30);
const AT: &str = "192.0.2.254";

/// Where they are.
pub(super) struct Programs {
    etcd: PathBuf,
    pub(super) node: PathBuf,
}

impl Programs {
    /// Says what to install where one is missing.
    pub(super) fn find() -> Result<Self> {
        let etcd = node::in_path("etcd")
            .context("etcd is not installed: apt-get install etcd-server brings it")?;
        Ok(Self {
            etcd,
            node: node::find()?,
        })
    }

    /// Writes the network into the store.
    pub(super) fn node_init(&self, url: &str, network: &str) -> Result<String> {
        let output = Command::new(&self.node)
            .args(["init", "--insecure", "--etcd", url, "--network", network])
            .output()
            .with_context(|| format!("cannot run {}", self.node.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim());
        Ok(format!(
            "{network}, directly where hosts share a link and by vxlan elsewhere"
        ))
    }
}

/// A program that was started, and ends with this one.
pub(super) struct Running {
    child: Child,
    pub(super) log: PathBuf,
}

impl Running {
    /// Starts it, and waits until it says something on stderr.
    pub(super) fn start(mut command: Command, log: &Path, ready: &'static str) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = child::dies_with_us(&mut command).spawn();
        let mut child = child.with_context(|| format!("cannot run {:?}", command.get_program()))?;
        let stderr = child.stderr.take().context("a piped stderr is there")?;
        let (tell, told) = mpsc::channel();
        let file = log.to_owned();
        // What it says later must be read too, or it would wait for a reader.
        std::thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
                let _ = std::fs::write(&file, &text);
                if line.contains(ready) {
                    let _ = tell.send(());
                }
            }
        });
        let running = Self {
            child,
            log: log.to_owned(),
        };
        let until = Instant::now() + PATIENCE;
        match told.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => Ok(running),
            Err(_) => bail!(
                "{:?} does not start: {}",
                command.get_program(),
                super::last_words(log)
            ),
        }
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .context("cannot kill a program of the demo's own")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// etcd.
pub(super) struct Store {
    running: Running,
    pub(super) url: String,
}

impl Store {
    pub(super) fn start(programs: &Programs) -> Result<Self> {
        let folder = folder("etcd")?;
        let url = format!("http://{AT}:2379");
        let mut command = Command::new(&programs.etcd);
        command
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args([
                "--listen-peer-urls",
                "http://127.0.0.1:2380",
                "--logger=zap",
            ]);
        let running = Running::start(command, &folder.join("log"), "serving client traffic")?;
        Ok(Self { running, url })
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.running.kill()
    }
}
