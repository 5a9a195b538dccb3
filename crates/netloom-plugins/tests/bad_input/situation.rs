//! Where the pod is, and what is in the way.

use serde_json::json;

use crate::Case;

pub(crate) fn cases() -> Vec<Case> {
    let netns = |what, path, names| Case::variables(what, json!({"CNI_NETNS": path}), 8, names);

    vec![
        netns(
            "a netns that does not exist",
            "/run/netns/nope",
            &["open netns", "/run/netns/nope"],
        ),
        netns(
            "a netns that is a plain file",
            "/run/netns/plain",
            &["open netns", "/run/netns/plain"],
        )
        .after("touch /run/netns/plain"),
        netns(
            "a netns that is a directory",
            "/etc",
            &["open netns", "/etc"],
        ),
        netns(
            "a netns that is another file of procfs",
            "/proc/self/status",
            &["/proc/self/status"],
        ),
        netns(
            "a netns that is a namespace of another kind",
            "/proc/self/ns/uts",
            &["/proc/self/ns/uts"],
        ),
        netns(
            "a netns that is the host's",
            "/proc/self/ns/net",
            &["/proc/self/ns/net"],
        ),
        Case::bridge(
            "a name that is taken",
            json!({}),
            999,
            &["eth0", "already exists"],
        )
        .after("ip -n one link add eth0 type veth peer name other"),
        Case::bridge(
            "a bridge that is none",
            json!({}),
            7,
            &["\"br0\" already exists but is not a bridge"],
        )
        .after("ip link add br0 type veth peer name br1"),
        Case::bridge(
            "a bridge with another address",
            json!({}),
            999,
            &[
                "already has an IP address different from",
                "10.1.0.1/24",
                "10.1.0.99/24",
                "br0",
            ],
        )
        .after("ip link add br0 type bridge; ip addr add 10.1.0.99/24 dev br0")
        .late(),
        Case::bridge(
            "an IPAM plugin that is not there",
            json!({"/ipam/type": "nosuch"}),
            999,
            &["failed to find plugin", "nosuch"],
        )
        .late(),
        Case::bridge(
            "an IPAM plugin with a path",
            json!({"/ipam/type": "../host-local"}),
            7,
            &["../host-local"],
        )
        .late(),
    ]
}
