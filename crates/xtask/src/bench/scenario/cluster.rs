//! The plugin `cluster` and the daemon of a cluster's node, with a real etcd.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Addressing, Contender, Kind, Order, Scenario, Side, conf, scenario};

/// Which of the cluster's parts is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// ADD and DEL while the node holds free addresses.
    AtHand,
    /// ADD while it holds none, with so many members of etcd.
    Claim { members: u8 },
    /// A node that joins many others.
    Peers { vxlan: bool },
}

/// All that `--only cluster` selects.
pub(super) fn parts() -> Vec<Scenario> {
    let part = |name: &str, what: &str, times, most_rounds, part| Scenario {
        pods: false,
        times,
        most_rounds,
        cluster: Some(part),
        ..scenario(name, what, |_, _| Ok(Vec::new()))
    };
    vec![
        Scenario {
            prepare: at_hand,
            ..part(
                "cluster-at-hand",
                "cluster alone, an address at hand; the floor is our host-local",
                5,
                u16::MAX,
                Part::AtHand,
            )
        },
        part(
            "cluster-claim-1",
            "cluster, each ADD claims; the floor is a bare transaction; one member of etcd",
            2,
            200,
            Part::Claim { members: 1 },
        ),
        part(
            "cluster-claim-3",
            "the same, three members of etcd",
            2,
            200,
            Part::Claim { members: 3 },
        ),
        part(
            "cluster-host-gw",
            "a fresh node and 5,000 others, host-gw; the floor is ip -batch; again unchanged",
            1,
            5,
            Part::Peers { vxlan: false },
        ),
        part(
            "cluster-vxlan",
            "the same, vxlan; the floor is ip -batch, bridge -batch, ip -batch",
            1,
            5,
            Part::Peers { vxlan: true },
        ),
    ]
}

/// The plugin beside our host-local, each with one range of the same size, both on the same disk.
fn at_hand(scenario: &Scenario, order: &Order) -> Result<Vec<Contender>> {
    let cluster = pool(scenario, order, &json!({ "grant": 64 }), &json!({}));
    Ok(vec![
        cluster,
        Contender {
            side: Side::Floor,
            kind: Kind::Plugin {
                folder: order.ours.clone(),
                name: "host-local",
                conf: conf(scenario, Side::Floor, order, 16),
                addressing: Addressing::Ipam,
            },
        },
    ])
}

/// The plugin with this much more said about its addresses, and of their range.
fn pool(scenario: &Scenario, order: &Order, ipam: &Value, range: &Value) -> Contender {
    let mut conf = conf(scenario, Side::Ours, order, 16);
    let merge = |into: &mut Value, more: &Value| {
        for (key, value) in more.as_object().into_iter().flatten() {
            into[key] = value.clone();
        }
    };
    merge(&mut conf["ipam"]["ranges"][0][0], range);
    merge(&mut conf["ipam"], ipam);
    conf["ipam"]["type"] = json!("cluster");
    Contender {
        side: Side::Ours,
        kind: Kind::Plugin {
            folder: order.ours.clone(),
            name: "cluster",
            conf,
            addressing: Addressing::Ipam,
        },
    }
}

/// The plugin on block `number` alone, of which the node holds nothing yet, so that an ADD has to claim; one address
/// at a time.
pub(crate) fn claiming(scenario: &Scenario, order: &Order, number: u16) -> Contender {
    let network = Side::Ours.network();
    let (high, low) = (number / 4, number % 4 * 64);
    let range = json!({
        "rangeStart": format!("{network}.{high}.{}", low + 1),
        "rangeEnd": format!("{network}.{high}.{}", low + 62),
    });
    pool(scenario, order, &json!({ "grant": 1 }), &range)
}
