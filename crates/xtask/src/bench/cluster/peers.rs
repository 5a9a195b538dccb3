//! A node that joins 5,000 others: from its start to the last route, beside `ip -batch`; and its restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::daemon::Daemon;
use super::routes::{Listener, OURS};
use super::store::Store;
use super::{Ground, NETWORK, UPLINK, config_key, fresh};
use crate::bench::Order;
use crate::bench::host;
use crate::bench::report::{Figure, Row};
use crate::bench::scenario::Scenario;
use crate::bench::side::Side;
use crate::process;

const PEERS: u16 = 5_000;
const TUNNEL: &str = "flannel.1";
/// What is told of the daemon's memory.
const MEMORY: [&str; 2] = [
    "netloom-node's memory at its peak (VmHWM)",
    "of it, pages of the program's file (RssFile)",
];
/// Between two measurements: what the kernel put off is mostly done by then.
const PAUSE: Duration = Duration::from_millis(200);
/// Pods can start when the first comparison with the kernel is done; that with the store's list is done by then too.
const SETTLED: Duration = Duration::from_secs(2);

/// A row for the start and one for the restart; what memory it took.
pub(crate) fn measure(
    scenario: &Scenario,
    order: &Order,
    vxlan: bool,
) -> Result<(Vec<Row>, [Figure; 2])> {
    let ground = Ground::prepare(order)?;
    let store = Store::start(&order.state.join("etcd"), 1)?;
    let mode = if vxlan { "vxlan" } else { "host-gw" };
    let config = format!(r#"{{"Network":"10.0.0.0/8","Backend":{{"Type":"{mode}"}}}}"#);
    let mut records = vec![(config_key(), config)];
    records.extend((0..PEERS).map(|number| Peer(number).record(vxlan)));
    store.connect()?.put(&records)?;
    let floor = Floor::prepare(&order.state, vxlan)?;
    let (mut start, mut again) = (Row::new(scenario, "start"), Row::new(scenario, "again"));
    let mut memory = MEMORY.map(|what| Figure::new(scenario, what, "MB"));
    for _ in 0..order.rounds.min(scenario.most_rounds) {
        start
            .samples
            .entry(Side::Floor)
            .or_default()
            .push(floor.round()?);
        clear(vxlan)?;
        let round = round(order, &store)?;
        let ours = |row: &mut Row, time| {
            row.samples.entry(Side::Ours).or_default().push(time);
        };
        ours(&mut start, round.start);
        ours(&mut again, round.again);
        for (figure, value) in memory.iter_mut().zip(round.memory) {
            figure.values.push(value);
        }
        clear(vxlan)?;
    }
    drop((store, ground));
    Ok((vec![start, again], memory))
}

/// What a fresh start and a restart came to.
struct Round {
    start: Duration,
    again: Duration,
    /// The daemon's, as [`MEMORY`] says.
    memory: [f64; 2],
}

fn round(order: &Order, store: &Store) -> Result<Round> {
    fresh()?;
    std::thread::sleep(PAUSE);
    let listener = Listener::open()?;
    let mut daemon = Daemon::start(order, &store.url())?;
    let last = listener.until(usize::from(PEERS))?;
    let start = last.duration_since(daemon.0.started);
    daemon.until("pods can start")?;
    let memory = daemon.memory()?;
    drop(daemon);
    std::thread::sleep(PAUSE);
    listener.changes()?;
    let mut daemon = Daemon::start(order, &store.url())?;
    daemon.until("pods can start")?;
    let again = daemon.0.started.elapsed();
    std::thread::sleep(SETTLED);
    let changes = listener.changes()?;
    ensure!(
        changes == 0,
        "a restart with all in place changed {changes} objects"
    );
    Ok(Round {
        start,
        again,
        memory,
    })
}

/// Takes all routes away, and the tunnel with what is on it.
fn clear(vxlan: bool) -> Result<()> {
    host::ip(&["route", "flush", "proto", &OURS.to_string()])?;
    if vxlan {
        host::ip(&["link", "del", TUNNEL])?;
    }
    Ok(())
}

/// One of the other nodes.
struct Peer(u16);

impl Peer {
    /// Its pods' network, without its length.
    fn pods(&self) -> String {
        format!("10.{}.{}.0", 1 + self.0 / 250, self.0 % 250)
    }

    fn address(&self) -> String {
        format!("172.20.{}.{}", 1 + self.0 / 250, 1 + self.0 % 250)
    }

    fn mac(&self) -> String {
        let [high, low] = self.0.to_be_bytes();
        format!("02:00:00:00:{high:02x}:{low:02x}")
    }

    /// What it has written into the store.
    fn record(&self, vxlan: bool) -> (String, String) {
        let (address, mac) = (self.address(), self.mac());
        let backend = match vxlan {
            true => format!(r#""vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}"#),
            false => r#""host-gw""#.to_owned(),
        };
        let key = format!("{NETWORK}/subnets/{}-24", self.pods());
        let value =
            format!(r#"{{"PublicIP":"{address}","PublicIPv6":null,"BackendType":{backend}}}"#);
        (key, value)
    }

    fn route(&self, vxlan: bool) -> String {
        let pods = self.pods();
        match vxlan {
            true => {
                format!("route replace {pods}/24 via {pods} dev {TUNNEL} onlink proto {OURS}\n")
            }
            false => format!(
                "route replace {pods}/24 via {} dev {} proto {OURS}\n",
                self.address(),
                UPLINK[0]
            ),
        }
    }
}

/// The same objects by iproute2.
struct Floor {
    /// Programs, each with its file.
    batches: Vec<(&'static str, PathBuf)>,
    vxlan: bool,
}

impl Floor {
    fn prepare(state: &Path, vxlan: bool) -> Result<Self> {
        let mut batches = Vec::new();
        let mut batch = |program, name: &str, line: &dyn Fn(Peer) -> String| -> Result<()> {
            let file = state.join(name);
            let lines: String = (0..PEERS).map(|number| line(Peer(number))).collect();
            fs::write(&file, lines)?;
            batches.push((program, file));
            Ok(())
        };
        if vxlan {
            batch("ip", "neighbours", &|peer| {
                let (ip, mac) = (peer.pods(), peer.mac());
                format!("neigh replace {ip} lladdr {mac} dev {TUNNEL} nud permanent\n")
            })?;
            batch("bridge", "forwarding", &|peer| {
                let (ip, mac) = (peer.address(), peer.mac());
                format!("fdb replace {mac} dst {ip} dev {TUNNEL} self permanent\n")
            })?;
        }
        batch("ip", "routes", &|peer| peer.route(vxlan))?;
        Ok(Self { batches, vxlan })
    }

    /// From the start of the first program to the last route.
    fn round(&self) -> Result<Duration> {
        if self.vxlan {
            let words = format!(
                "link add {TUNNEL} type vxlan id 1 local 172.20.0.1 dev {} dstport 8472 nolearning",
                UPLINK[0]
            );
            host::ip(&words.split(' ').collect::<Vec<_>>())?;
            host::ip(&["link", "set", TUNNEL, "up"])?;
        }
        std::thread::sleep(PAUSE);
        let listener = Listener::open()?;
        let begin = Instant::now();
        for (program, file) in &self.batches {
            process::run(Command::new(program).arg("-batch").arg(file))?;
        }
        Ok(listener.until(usize::from(PEERS))?.duration_since(begin))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn every_peer_is_another_one() {
        let distinct = |of: fn(&Peer) -> String| -> BTreeSet<String> {
            (0..PEERS).map(|number| of(&Peer(number))).collect()
        };
        for texts in [distinct(Peer::pods), distinct(Peer::address)] {
            assert_eq!(texts.len(), usize::from(PEERS));
            assert!(texts.iter().all(|text| text.parse::<Ipv4Addr>().is_ok()));
        }
        assert_eq!(distinct(Peer::mac).len(), usize::from(PEERS));
        let (key, value) = Peer(0).record(true);
        assert_eq!(key, "/coreos.com/network/subnets/10.1.0.0-24");
        serde_json::from_str::<serde_json::Value>(&value).unwrap();
    }
}
