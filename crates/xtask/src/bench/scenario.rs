//! What is measured.

mod cluster;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Order;
use super::contender::{Addressing, Contender, Kind};
use super::ports::{publish_two_ports, publisher};
use super::side::Side;
use super::{host, pool};
use crate::process;
pub(crate) use cluster::{Part, claiming};

/// Contenders that do the same in turn.
pub(crate) struct Scenario {
    /// What `--only` selects, and the key in the JSON.
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) prepare: fn(&Scenario, &Order) -> Result<Vec<Contender>>,
    /// Whether pods need namespaces of their own.
    pub(crate) pods: bool,
    /// How many times `--rounds`.
    pub(crate) times: u16,
    /// How many rounds there are at most.
    pub(crate) most_rounds: u16,
    /// How many other pods of the same kind each side has meanwhile, beyond the one that always stays. CHECK is
    /// measured too then.
    pub(crate) crowd: u16,
    /// How many pods come at once; 0: one after another.
    pub(crate) at_once: u16,
    /// Whether connections are measured instead of calls.
    pub(crate) connects: bool,
    /// Whether the command's topologies are measured instead of plugins.
    pub(crate) topologies: bool,
    /// Whether whole pods of the command are measured.
    pub(crate) runs: bool,
    /// Which part of the cluster's daemon and plugin is measured, if any.
    pub(crate) cluster: Option<Part>,
    pub(crate) size: u32,
}

/// The scenario of `netloom topo`.
pub(crate) const TOPOLOGY: &str = "topology";
/// The scenario of `netloom run`.
pub(crate) const RUN: &str = "run";
/// The scenario of `netloom trace`.
pub(crate) const TRACE: &str = "trace";
const SIZES: [u32; 4] = [10, 1_000, 10_000, 60_000];
const MAPPINGS: [u32; 2] = [10, 10_000];
const CROWDS: [u16; 3] = [10, 250, 1_000];
const BURSTS: [u16; 4] = [1, 30, 100, 300];
/// The host's link that macvlans stand on.
const MASTER: &str = "parent0";
const FLOOR_SET: [&str; 2] = ["floor", "pods"];

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = pods_alone();
    all.extend(other_plugins());
    all.extend(growing());
    all.push(Scenario {
        most_rounds: 15,
        topologies: true,
        ..scenario(
            TOPOLOGY,
            "netloom topo: 500 links over 100 namespaces; again unchanged; destroy",
            |_, _| Ok(Vec::new()),
        )
    });
    all.push(Scenario {
        runs: true,
        ..scenario(
            RUN,
            "netloom run of true on a network; the floor is ADD and DEL; podman and ctr run the same",
            |_, _| Ok(Vec::new()),
        )
    });
    all.extend(cluster::parts());
    all.extend(crowds());
    // Last, and one side after the other: what 10,000 chains of iptables do to the host stays.
    all.extend(many_mappings());
    all
}

fn scenario(
    name: &str,
    what: &str,
    prepare: fn(&Scenario, &Order) -> Result<Vec<Contender>>,
) -> Scenario {
    Scenario {
        name: name.into(),
        what: what.into(),
        prepare,
        pods: true,
        times: 1,
        most_rounds: u16::MAX,
        crowd: 0,
        at_once: 0,
        connects: false,
        topologies: false,
        runs: false,
        cluster: None,
        size: 0,
    }
}

/// The start of a program, and pods on a bridge, one after another.
fn pods_alone() -> Vec<Scenario> {
    vec![
        Scenario {
            pods: false,
            times: 10,
            ..scenario("exec", "start and end; plugins answer VERSION", starts)
        },
        scenario("bridge", "bridge + host-local", |s, o| {
            bridges(s, o, &json!({}))
        }),
        scenario(
            "bridge-iptables",
            "the same, iptables masquerade on both sides",
            |s, o| {
                bridges(
                    s,
                    o,
                    &json!({ "ipMasq": true, "ipMasqBackend": "iptables" }),
                )
            },
        ),
        scenario(
            "bridge-nftables",
            "the same, ours with nftables, the peer's own masquerade",
            |s, o| {
                bridges(
                    s,
                    o,
                    &json!({ "ipMasq": true, "ipMasqBackend": "nftables" }),
                )
            },
        ),
    ]
}

fn other_plugins() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.push(scenario("ptp-static", "ptp + static", |s, o| {
        fixed(s, o, "ptp", None)
    }));
    all.push(scenario("macvlan-static", "macvlan + static", |s, o| {
        host::parent(MASTER)?;
        fixed(s, o, "macvlan", Some(MASTER))
    }));
    all.push(scenario(
        "chain-iptables",
        "bridge, portmap, firewall, bandwidth, tuning; two ports, both families; iptables on both sides",
        |s, o| chains(s, o, "iptables"),
    ));
    all.push(scenario(
        "chain-nftables",
        "the same, ours with nftables, the peer's own with iptables",
        |s, o| chains(s, o, "nftables"),
    ));
    all.push(Scenario {
        pods: false,
        times: 3,
        ..scenario(
            TRACE,
            "static through netloom trace; the floor is without",
            traced,
        )
    });
    all.push(Scenario {
        pods: false,
        ..scenario("static", "static alone", |s, o| {
            let mut all = fixed(s, o, "static", None)?;
            all.retain(|contender| contender.side != Side::Floor);
            Ok(all)
        })
    });
    all
}

/// What it costs a call that it is traced: the floor is the same plugin without the wrapper.
fn traced(scenario: &Scenario, order: &Order) -> Result<Vec<Contender>> {
    let folder = host::empty(&order.state.join(&scenario.name))?;
    let (wrappers, log) = (folder.join("bin"), folder.join("log.jsonl"));
    let command = order.command.as_ref().context("netloom was not built")?;
    let mut install = Command::new(command);
    install.args(["trace", "install"]).arg(&wrappers);
    install.arg("--from").arg(&order.ours).arg("--log").arg(log);
    process::run(&mut install)?;
    let mut all = fixed(scenario, order, "static", None)?;
    all.retain(|contender| contender.side != Side::Floor);
    for (contender, (side, from)) in all
        .iter_mut()
        .zip([(Side::Ours, &wrappers), (Side::Floor, &order.ours)])
    {
        contender.side = side;
        if let Kind::Plugin { folder, .. } = &mut contender.kind {
            folder.clone_from(from);
        }
    }
    Ok(all)
}

/// What takes longer the more there is, or the more come at once.
fn growing() -> Vec<Scenario> {
    let mut all = Vec::new();
    for size in SIZES {
        let name = format!("host-local-{size}");
        let what = format!("host-local alone, {size} reservations");
        all.push(Scenario {
            pods: false,
            size,
            ..scenario(&name, &what, pools)
        });
    }
    for at_once in BURSTS {
        let name = format!("burst-{at_once}");
        let what = format!("bridge + host-local, masqueraded, {at_once} pods at once");
        all.push(Scenario {
            at_once,
            ..scenario(&name, &what, |s, o| {
                bridges(
                    s,
                    o,
                    &json!({ "ipMasq": true, "ipMasqBackend": "nftables" }),
                )
            })
        });
    }
    all
}

/// Pods that come and go beside many. The crowds of all sides are there together, each on its own bridge.
fn crowds() -> Vec<Scenario> {
    let mut all = Vec::new();
    for crowd in CROWDS {
        // No name contains another, nor that of a scenario without a crowd.
        let beside = |kind: &str, what: &str, prepare| Scenario {
            crowd,
            most_rounds: 15,
            ..scenario(
                &format!("crowd-{crowd:04}-{kind}"),
                &format!("{what}, beside {crowd} other pods"),
                prepare,
            )
        };
        all.push(beside("switched", "bridge + host-local", |s, o| {
            bridges(s, o, &json!({}))
        }));
        all.push(beside("routed", "ptp + static", |s, o| {
            fixed(s, o, "ptp", None)
        }));
        all.push(beside("list", "the chain on nftables", |s, o| {
            let mut all = chains(s, o, "nftables")?;
            // Thousands of iptables chains take the peer hours.
            all.retain(|contender| contender.side != Side::Peer || s.crowd < 1_000);
            Ok(all)
        }));
    }
    all
}

fn many_mappings() -> Vec<Scenario> {
    let mut all = Vec::new();
    for size in MAPPINGS {
        all.push(Scenario {
            pods: false,
            times: 10,
            size,
            ..scenario(
                &format!("portmap-{size}"),
                &format!("portmap alone with nftables, {size} mappings"),
                |s, o| mappings(s, o, Side::Ours),
            )
        });
    }
    for size in MAPPINGS {
        all.push(Scenario {
            pods: false,
            most_rounds: 5,
            size,
            ..scenario(
                &format!("portmap-{size}-peer"),
                &format!("the peer's portmap with iptables, {size} mappings"),
                |s, o| mappings(s, o, Side::Peer),
            )
        });
    }
    all.push(Scenario {
        pods: false,
        times: 10,
        connects: true,
        size: MAPPINGS[1],
        ..scenario(
            "connect",
            "a TCP connection through the first and the last of 10,000 mappings, each side in a host of its own",
            |_, order| Ok([Side::Ours, Side::Peer].map(|side| publisher(order, side)).into()),
        )
    });
    all
}

fn starts(_: &Scenario, order: &Order) -> Result<Vec<Contender>> {
    let plugin = |folder: &PathBuf| Kind::Start {
        program: folder.join("bridge"),
        arguments: &[],
    };
    Ok(vec![
        Contender {
            side: Side::Ours,
            kind: plugin(&order.ours),
        },
        Contender {
            side: Side::Peer,
            kind: plugin(&order.peer),
        },
        Contender {
            side: Side::Floor,
            kind: Kind::Start {
                program: order.floor.clone(),
                arguments: &["nothing"],
            },
        },
    ])
}

/// Each side has its own bridge, pool and network name.
fn bridges(scenario: &Scenario, order: &Order, more: &Value) -> Result<Vec<Contender>> {
    let masquerades = more["ipMasq"] == true;
    let mut contenders = Vec::new();
    for (side, folder) in [(Side::Ours, &order.ours), (Side::Peer, &order.peer)] {
        let mut conf = conf(scenario, side, order, 16);
        conf["bridge"] = json!(host::bridge_name(side));
        conf["isGateway"] = json!(true);
        for (key, value) in more.as_object().into_iter().flatten() {
            let only_known_to_newer = key == "ipMasqBackend" && value == "nftables";
            if side == Side::Ours || !only_known_to_newer {
                conf[key] = value.clone();
            }
        }
        contenders.push(Contender {
            side,
            kind: Kind::Plugin {
                folder: folder.clone(),
                name: "bridge",
                conf,
                addressing: Addressing::Ipam,
            },
        });
    }
    // Chains of iptables have no floor worth naming: the program that changes them is most of it.
    if more["ipMasqBackend"] != "iptables" {
        contenders.push(floor(scenario, order, masquerades)?);
    }
    Ok(contenders)
}

/// The list that podman and many clusters use, each side with a bridge of its own.
fn chains(scenario: &Scenario, order: &Order, backend: &str) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for (side, folder) in [(Side::Ours, &order.ours), (Side::Peer, &order.peer)] {
        let mut bridge = conf(scenario, side, order, 16);
        bridge["bridge"] = json!(host::bridge_name(side));
        bridge["isGateway"] = json!(true);
        bridge["ipMasq"] = json!(true);
        let ranges = bridge["ipam"]["ranges"].as_array_mut();
        let second = json!([{ "subnet": side.network6() }]);
        ranges.context("ranges are a list")?.push(second);
        let mut plugins = vec![
            bridge,
            json!({ "type": "portmap" }),
            json!({ "type": "firewall" }),
            json!({ "type": "bandwidth", "ingressRate": 100_000_000, "ingressBurst": 10_000_000,
                "egressRate": 100_000_000, "egressBurst": 10_000_000 }),
            json!({ "type": "tuning", "sysctl": { "net.core.somaxconn": "500" } }),
        ];
        for plugin in &mut plugins {
            plugin["name"] = json!(side.name());
            plugin["cniVersion"] = json!("1.0.0");
            // The peer knows no other.
            if side == Side::Ours {
                plugin["backend"] = json!(backend);
                plugin["ipMasqBackend"] = json!(backend);
            }
        }
        let configure = publish_two_ports;
        contenders.push(Contender {
            side,
            kind: Kind::List {
                folder: folder.clone(),
                plugins,
                configure,
            },
        });
    }
    Ok(contenders)
}

/// Published ports of one side beside others, which a pod that stays has from port 20,000 on.
fn mappings(scenario: &Scenario, order: &Order, side: Side) -> Result<Vec<Contender>> {
    let contender = publisher(order, side);
    contender.publish(scenario.size, None)?;
    Ok(vec![contender])
}

/// A plugin whose pods get their addresses from the runtime, by way of `static`.
fn fixed(
    scenario: &Scenario,
    order: &Order,
    plugin: &'static str,
    master: Option<&'static str>,
) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for (side, folder) in [(Side::Ours, &order.ours), (Side::Peer, &order.peer)] {
        let mut conf = conf(scenario, side, order, 16);
        conf["ipam"] = json!({ "type": "static", "routes": [{ "dst": "0.0.0.0/0" }] });
        if let Some(master) = master {
            conf["master"] = json!(master);
        }
        contenders.push(Contender {
            side,
            kind: Kind::Plugin {
                folder: folder.clone(),
                name: plugin,
                conf,
                addressing: Addressing::Runtime,
            },
        });
    }
    contenders.push(Contender {
        side: Side::Floor,
        kind: Kind::FixedFloor {
            program: order.floor.clone(),
            verb: plugin,
            master,
        },
    });
    Ok(contenders)
}

fn floor(scenario: &Scenario, order: &Order, masquerades: bool) -> Result<Contender> {
    let bridge = host::bridge_name(Side::Floor);
    host::bridge(bridge, &format!("{}.0.1/16", Side::Floor.network()))?;
    if masquerades {
        host::masquerade(FLOOR_SET[0], FLOOR_SET[1])?;
    }
    let state = host::empty(&order.state.join(&scenario.name).join("floor"))?;
    let set = masquerades.then_some(FLOOR_SET);
    let kind = Kind::Floor {
        program: order.floor.clone(),
        bridge: bridge.into(),
        state,
        set,
    };
    Ok(Contender {
        side: Side::Floor,
        kind,
    })
}

fn pools(scenario: &Scenario, order: &Order) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for (side, folder) in [(Side::Ours, &order.ours), (Side::Peer, &order.peer)] {
        let conf = conf(scenario, side, order, 15);
        let data = order.state.join(&scenario.name).join(side.name());
        pool::fill(&data.join(side.name()), &side.network(), scenario.size)?;
        let kind = Kind::Plugin {
            folder: folder.clone(),
            name: "host-local",
            conf,
            addressing: Addressing::Ipam,
        };
        contenders.push(Contender { side, kind });
    }
    Ok(contenders)
}

/// A network of version 1.0.0, the newest that Debian's plugins know.
fn conf(scenario: &Scenario, side: Side, order: &Order, prefix: u8) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": side.name(),
        "type": "bridge",
        "ipam": {
            "type": "host-local",
            "dataDir": order.state.join(&scenario.name).join(side.name()),
            "ranges": [[{ "subnet": format!("{}.0.0/{prefix}", side.network()) }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        },
    })
}
