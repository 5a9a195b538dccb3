//! etcd.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use super::deadline;

const PREFIX: &str = "/coreos.com/network";

/// What is heard of a member that starts.
type Told = mpsc::Receiver<Result<(), String>>;

/// Waits until a member serves.
fn serves(told: &Told) {
    match told.recv_timeout(super::PATIENCE) {
        Ok(Ok(())) => {}
        other => panic!("etcd does not start: {other:?}"),
    }
}

/// A member of a store, on the router.
pub(crate) struct Etcd {
    child: Option<Child>,
    number: u8,
    members: u8,
    arguments: Vec<String>,
    /// How etcdctl reaches it.
    reach: Vec<String>,
}

impl Etcd {
    /// A store of one member, with a network.
    pub(crate) fn start(network: &str) -> Self {
        let mut etcd = Self::member(1, 1);
        etcd.begin();
        etcd.put(&format!("{PREFIX}/config"), network);
        etcd
    }

    /// A member of a store of several, not started yet.
    pub(crate) fn member(number: u8, members: u8) -> Self {
        Self {
            child: None,
            number,
            members,
            arguments: Vec::new(),
            reach: vec![format!(
                "--endpoints=http://127.0.0.1:{}",
                client_port(number)
            )],
        }
    }

    /// With more arguments, and others for etcdctl.
    pub(crate) fn with(mut self, arguments: &[&str], reach: &[&str]) -> Self {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
        self.reach = reach.iter().map(ToString::to_string).collect();
        self
    }

    /// A store of so many members, each of which serves.
    pub(crate) fn together(members: u8) -> Vec<Self> {
        let mut all: Vec<Self> = (1..=members).map(|n| Self::member(n, members)).collect();
        let told: Vec<Told> = all.iter_mut().map(Self::spawn).collect();
        told.iter().for_each(serves);
        all
    }

    /// Whether it leads the store's members.
    pub(crate) fn leads(&self) -> bool {
        let status = self.ctl(&["endpoint", "status"]);
        status.split(", ").nth(4) == Some("true")
    }

    /// Starts it, and waits until it serves if it is alone.
    pub(crate) fn begin(&mut self) {
        let told = self.spawn();
        if self.members == 1 {
            serves(&told);
        }
    }

    /// Starts it; tells when it serves, or what it said last.
    fn spawn(&mut self) -> Told {
        let (number, members) = (self.number, self.members);
        let scheme = if self.arguments.is_empty() {
            "http"
        } else {
            "https"
        };
        let client = client_port(number);
        let cluster: Vec<String> = (1..=members)
            .map(|n| format!("m{n}=http://127.0.0.1:{}", peer_port(n)))
            .collect();
        let mut command = Command::new("etcd");
        command
            .arg(format!("--name=m{number}"))
            .arg(format!("--data-dir=/run/lab/etcd{number}"))
            .arg(format!(
                "--listen-client-urls={scheme}://127.0.0.1:{client},{scheme}://192.0.2.254:{client}"
            ))
            .arg(format!(
                "--advertise-client-urls={scheme}://192.0.2.254:{client}"
            ))
            .arg(format!(
                "--listen-peer-urls=http://127.0.0.1:{}",
                peer_port(number)
            ))
            .arg(format!(
                "--initial-advertise-peer-urls=http://127.0.0.1:{}",
                peer_port(number)
            ))
            .arg(format!("--initial-cluster={}", cluster.join(",")))
            .args([
                "--logger=zap",
                "--heartbeat-interval=100",
                "--election-timeout=1000",
            ])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("etcd: {error}"));
        let (tell, told) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // It says so when it serves clients.
                if line.contains("serving client traffic") {
                    let _ = tell.send(Ok(()));
                }
                said = line;
            }
            let _ = tell.send(Err(said));
        });
        self.child = Some(child);
        told
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Removes all that it knows. It must be killed.
    pub(crate) fn wipe(&self) {
        assert!(self.child.is_none());
        std::fs::remove_dir_all(format!("/run/lab/etcd{}", self.number)).unwrap();
    }

    /// Runs etcdctl; panics if it fails.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "etcdctl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(&self.reach)
            .args(arguments);
        command
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", key, value]);
    }

    /// The keys of hosts' parts of the network, and what they say.
    pub(crate) fn subnets(&self) -> Vec<(String, String)> {
        let text = self.ctl(&["get", "--prefix", &format!("{PREFIX}/subnets/")]);
        let lines: Vec<&str> = text.lines().collect();
        let pairs = lines.chunks(2).map(|pair| {
            let key = pair[0].rsplit_once('/').unwrap().1;
            (key.to_owned(), pair[1].to_owned())
        });
        pairs.collect()
    }

    /// Writes a host's record.
    pub(crate) fn announce(&self, key: &str, value: &str) {
        self.put(&format!("{PREFIX}/subnets/{key}"), value);
    }

    pub(crate) fn withdraw(&self, key: &str) {
        self.ctl(&["del", &format!("{PREFIX}/subnets/{key}")]);
    }

    /// Waits until the store says this of a key, from its first revision on: `PUT` or `DELETE`.
    pub(crate) fn until(&self, what: &str, key: &str) {
        let mut child = self
            .command(&["watch", "--rev=1", key])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let deadline = deadline();
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let line = told.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("the store never said {what} of {key}"));
            if line == what {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The URL for machines.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.arguments.is_empty() {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://192.0.2.254:{}", client_port(self.number))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn client_port(number: u8) -> u16 {
    2379 + 10 * u16::from(number)
}

fn peer_port(number: u8) -> u16 {
    2380 + 10 * u16::from(number)
}
