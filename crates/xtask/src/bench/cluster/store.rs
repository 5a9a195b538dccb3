//! etcd.

use std::path::Path;

use anyhow::{Context, Result};

use super::daemon::Running;
use super::gateway::Gateway;
use crate::bench::host;
use crate::process;

/// The members of a store, on the disk.
pub(super) struct Store {
    _members: Vec<Running>,
}

impl Store {
    /// Starts the members; each serves then.
    pub(super) fn start(folder: &Path, members: u8) -> Result<Self> {
        let program = process::find_program("etcd");
        let program = program.context("etcd is not installed (package etcd-server)")?;
        host::empty(folder)?;
        let mut running = Vec::new();
        for number in 1..=members {
            let arguments = arguments(folder, number, members);
            running.push(Running::start(&program, &arguments)?);
        }
        for member in &mut running {
            member.until("serving client traffic").context("etcd")?;
        }
        Ok(Self { _members: running })
    }

    /// Where the first member serves.
    pub(super) fn url(&self) -> String {
        client(1)
    }

    pub(super) fn connect(&self) -> Result<Gateway> {
        Gateway::connect(&client(1))
    }
}

fn client(number: u8) -> String {
    format!("http://127.0.0.1:{}", 2379 + 10 * u16::from(number))
}

fn peer(number: u8) -> String {
    format!("http://127.0.0.1:{}", 2380 + 10 * u16::from(number))
}

fn arguments(folder: &Path, number: u8, members: u8) -> Vec<String> {
    let cluster = (1..=members).map(|n| format!("m{n}={}", peer(n)));
    let cluster: Vec<String> = cluster.collect();
    vec![
        format!("--name=m{number}"),
        format!("--data-dir={}", folder.join(number.to_string()).display()),
        format!("--listen-client-urls={}", client(number)),
        format!("--advertise-client-urls={}", client(number)),
        format!("--listen-peer-urls={}", peer(number)),
        format!("--initial-advertise-peer-urls={}", peer(number)),
        format!("--initial-cluster={}", cluster.join(",")),
        "--logger=zap".into(),
    ]
}
