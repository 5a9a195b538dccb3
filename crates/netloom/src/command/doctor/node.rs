//! The cluster's daemon on this host: whether it runs, and what it lacks. That none has run since the
//! boot is for those plugins to say, by STATUS, that need one.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::Value;

use super::Finding;

/// Where `netloom-node` is by default.
const RUN_DIR: &str = "/run/netloom";
/// As long as the daemon reads its own file.
const LONGEST: u64 = 16 << 20;
/// Who runs it is not known here.
const START: &str = "systemctl start netloom-node; where a DaemonSet runs it, \
    kubectl -n netloom get pods -o wide tells why it does not";

pub(super) fn findings() -> Vec<Finding> {
    examine(Path::new(RUN_DIR))
}

fn examine(run_dir: &Path) -> Vec<Finding> {
    let path = run_dir.join("node.json");
    let status = match read(&path) {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            return vec![finding(what, "a daemon that starts writes it anew")];
        }
    };
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let reason = |pointer: &str| text(pointer).filter(|it| !it.is_empty());
    let name = text("/node").unwrap_or_default();
    if !listens(&run_dir.join("node.sock")) {
        let what = format!(
            "netloom-node of {name} has run since the boot and does not run now: addresses are not \
             claimed, and routes do not follow the other hosts"
        );
        return vec![finding(what, START)];
    }
    let mut findings = Vec::new();
    let look = "netloom node status";
    if status.pointer("/store/connected") != Some(&Value::Bool(true)) {
        let why = reason("/store/error").unwrap_or("it does not say why");
        let what = format!("netloom-node of {name} has no connection to the store: {why}");
        findings.push(finding(what, look));
    }
    if reason("/subnets").is_none() {
        let why = reason("/reason").unwrap_or("it does not say why");
        let what = format!("netloom-node of {name} has no part of the cluster's network: {why}");
        findings.push(finding(what, look));
    }
    findings
}

fn finding(what: String, mend: &str) -> Finding {
    Finding {
        kind: "cluster node",
        network: String::new(),
        what,
        mend: mend.into(),
    }
}

fn read(path: &Path) -> io::Result<Value> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Whether somebody is there. Its file of a lock is not touched: a daemon that starts now would fail.
fn listens(path: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let is_nobody = || {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let refused = connect(&socket, &SocketAddrUnix::new(path)?).err();
        let nobody = [rustix::io::Errno::CONNREFUSED, rustix::io::Errno::NOENT];
        Ok::<bool, rustix::io::Errno>(refused.is_some_and(|error| nobody.contains(&error)))
    };
    // Others than root may not ask, and one that is busy is there.
    !is_nobody().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// What is found where the daemon wrote this, and runs or not.
    fn found(status: &str, runs: bool) -> Vec<(String, String)> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("node.json"), status).unwrap();
        let listener = UnixListener::bind(dir.path().join("node.sock")).unwrap();
        let _kept = runs.then_some(listener);
        let findings = examine(dir.path()).into_iter();
        findings
            .map(|it| (it.what.clone(), it.mend.to_string()))
            .collect()
    }

    const WELL: &str =
        r#"{"node":"m1","subnets":"10.5.1.0/24","store":{"connected":true,"error":""}}"#;

    #[test]
    fn a_daemon_that_is_well_and_one_that_never_ran_are_not_named() {
        assert_eq!(found(WELL, true), []);
        assert_eq!(examine(tempfile::tempdir().unwrap().path()), []);
    }

    #[test]
    fn a_daemon_that_ended_is_named_with_the_command_that_starts_it() {
        let found = found(WELL, false);
        assert!(
            found[0].0.contains("of m1 has run since the boot"),
            "{found:?}"
        );
        assert!(found[0].1.starts_with("systemctl start netloom-node"));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_daemon_without_store_and_subnet_is_named_with_its_reasons() {
        let status = r#"{"node":"m1","subnets":"","reason":"no subnet is free",
            "store":{"connected":false,"error":"connection refused"}}"#;
        let words: Vec<String> = found(status, true).into_iter().map(|it| it.0).collect();
        assert!(
            words[0].ends_with("the store: connection refused"),
            "{words:?}"
        );
        assert!(
            words[1].ends_with("network: no subnet is free"),
            "{words:?}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_named() {
        let found = found("{", true);
        assert!(found[0].0.contains("node.json cannot be read"), "{found:?}");
    }

    #[test]
    fn a_pipe_in_place_of_the_file_is_named_and_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.json");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let found = examine(dir.path());
        assert!(found[0].what.ends_with("not a regular file"), "{found:?}");
    }
}
