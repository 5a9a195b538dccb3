//! Pods that publish ports.

use serde_json::{Value, json};

use super::contender::{Contender, Kind};
use super::side::{Pod, Side};
use super::{Order, host};

/// What a runtime says of a pod with two published ports.
pub(super) fn publish_two_ports(conf: &mut Value, pod: &Pod) {
    if conf["type"] == "portmap" {
        let port = |number: u16, protocol| json!({ "hostPort": number, "containerPort": 80, "protocol": protocol });
        let first = 20_000 + 2 * pod.number;
        conf["runtimeConfig"] =
            json!({ "portMappings": [port(first, "tcp"), port(first + 1, "udp")] });
    }
}

/// portmap alone: ours with nftables, the peer's with iptables.
pub(super) fn publisher(order: &Order, side: Side) -> Contender {
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": side.name(), "type": "portmap",
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [{ "name": "eth0", "sandbox": host::SPARE }],
            "ips": [{ "address": format!("{}.0.0/16", side.network()), "interface": 0 }],
        },
    });
    let folder = if side == Side::Ours {
        conf["backend"] = json!("nftables");
        order.ours.clone()
    } else {
        order.peer.clone()
    };
    Contender {
        side,
        kind: Kind::List {
            folder,
            plugins: vec![conf],
            configure: publish_one_port,
        },
    }
}

/// A port and an address of its own for each pod.
fn publish_one_port(conf: &mut Value, pod: &Pod) {
    let port = 10_000 + pod.number;
    let address = &mut conf["prevResult"]["ips"][0]["address"];
    let [high, low] = (pod.number + 2).to_be_bytes();
    *address = json!(
        address
            .as_str()
            .unwrap_or_default()
            .replace(".0.0/", &format!(".{high}.{low}/"))
    );
    conf["runtimeConfig"] = json!({
        "portMappings": [{ "hostPort": port, "containerPort": 80, "protocol": "tcp" }],
    });
}
