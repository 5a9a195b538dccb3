//! Docker and podman: the process of a container, asked over the unix socket of their API.
//!
//! HTTP/1.0, so that the answer ends with the connection and comes in one piece.

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The longest answer that is read: a container's description has some 10 KiB.
const LONGEST: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A container engine.
pub(super) struct Engine {
    name: &'static str,
    /// The variable that names another socket.
    variable: &'static str,
    sockets: &'static [&'static str],
    /// How its socket comes to be.
    start: &'static str,
}

pub(super) const DOCKER: Engine = Engine {
    name: "docker",
    variable: "DOCKER_HOST",
    sockets: &["/run/docker.sock", "/var/run/docker.sock"],
    start: "systemctl start docker",
};

/// podman's socket speaks Docker's language.
pub(super) const PODMAN: Engine = Engine {
    name: "podman",
    variable: "CONTAINER_HOST",
    sockets: &["/run/podman/podman.sock"],
    start: "systemctl start podman.socket",
};

impl Engine {
    /// The first process of a container, which must run.
    pub(super) fn pid_of(&self, container: &str) -> Result<u32> {
        let socket = self.socket()?;
        let answer = self
            .ask(&socket, &format!("/v1.41/containers/{container}/json"))
            .with_context(|| {
                let (name, start) = (self.name, self.start);
                format!("ask {name} at {} (`{start}` starts it)", socket.display())
            })?;
        let (status, body) = split(&answer).context("the answer is no HTTP")?;
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        if status == 404 {
            bail!("{} has no container {container}", self.name);
        }
        if status != 200 {
            let words = document["message"].as_str().unwrap_or("no reason given");
            bail!("{} answers {status}: {}", self.name, words.escape_debug());
        }
        let pid = document["State"]["Pid"].as_u64().unwrap_or(0);
        match u32::try_from(pid) {
            Ok(pid) if pid > 0 => Ok(pid),
            _ => bail!("container {container} of {} does not run", self.name),
        }
    }

    fn socket(&self) -> Result<PathBuf> {
        let (name, variable) = (self.name, self.variable);
        if let Some(host) = env::var_os(variable).filter(|host| !host.is_empty()) {
            let text = host.to_string_lossy();
            return match text.strip_prefix("unix://") {
                Some(path) => Ok(path.into()),
                None => bail!("{variable} is \"{text}\"; only unix:///PATH is understood"),
            };
        }
        let mut sockets = self.sockets.iter().map(PathBuf::from);
        sockets.find(|path| path.exists()).with_context(|| {
            format!(
                "{name} does not run: there is no {} (`{}` starts it)",
                self.sockets[0], self.start
            )
        })
    }

    fn ask(&self, socket: &PathBuf, path: &str) -> Result<Vec<u8>> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.name)?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The status and the body of an answer.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let line = head.lines().next()?.strip_prefix("HTTP/1.")?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}";
        assert_eq!(split(answer), Some((200, &b"{}"[..])));
        assert_eq!(
            split(b"HTTP/1.1 404 Not Found\r\n\r\n"),
            Some((404, &b""[..]))
        );
        for other in ["", "HTTP/1.1 200 OK", "SSH-2.0\r\n\r\n", "HTTP/1.1\r\n\r\n"] {
            assert_eq!(split(other.as_bytes()), None, "{other}");
        }
    }
}
