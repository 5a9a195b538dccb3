//! Keys of host-local, and its pool.

use serde_json::{Value, json};

use crate::Case;

/// Reservations of another container, or of this one, in the pool of the network.
const OTHER_HAS_2: &str = "mkdir -p /var/lib/cni/networks/net
    printf 'other\\r\\neth0' > /var/lib/cni/networks/net/10.1.0.2";
const WE_HAVE_7: &str = "mkdir -p /var/lib/cni/networks/net
    printf 'id-of-one\\r\\neth0' > /var/lib/cni/networks/net/10.1.0.7";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = ranges();
    cases.extend(sets());
    cases.extend(keys());
    cases.extend(reservations());
    cases.extend(through_the_bridge());
    cases
}

fn ranges() -> Vec<Case> {
    let subnet = |what, cidr, names| Case::pool(what, json!({"/ipam/subnet": cidr}), 7, names);
    let range = |range: Value| json!({"/ipam/subnet": null, "/ipam/ranges": [[range]]});
    let upside_down = range(json!({
        "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.5",
    }));
    vec![
        subnet("a bad CIDR", "10.1.0.0/33", &["ipam.subnet", "10.1.0.0/33"]),
        subnet(
            "a CIDR without a length",
            "10.1.0.0",
            &["ipam.subnet", "10.1.0.0"],
        ),
        subnet(
            "an address with leading zeros",
            "10.01.0.0/24",
            &["ipam.subnet", "10.01.0.0/24"],
        ),
        subnet(
            "a subnet with host bits",
            "10.1.0.5/24",
            &["10.1.0.5/24", "network address is 10.1.0.0"],
        ),
        Case::pool(
            "a start outside its subnet",
            json!({"/ipam/rangeStart": "10.2.0.5"}),
            7,
            &["RangeStart", "10.2.0.5", "10.1.0.0/24"],
        ),
        Case::pool(
            "an end outside its subnet",
            json!({"/ipam/rangeEnd": "10.2.0.5"}),
            7,
            &["RangeEnd", "10.2.0.5", "10.1.0.0/24"],
        ),
        Case::pool(
            "an end before its start",
            upside_down,
            7,
            &["10.1.0.5", "10.1.0.9"],
        ),
        Case::pool(
            "the network address as a start",
            json!({"/ipam/rangeStart": "10.1.0.0"}),
            7,
            &["RangeStart 10.1.0.0 is the network address of 10.1.0.0/24"],
        ),
        Case::pool(
            "the broadcast address as an end",
            json!({"/ipam/rangeEnd": "10.1.0.255"}),
            7,
            &["RangeEnd 10.1.0.255 is the broadcast address of 10.1.0.0/24"],
        ),
        Case::pool(
            "a gateway of the other family",
            json!({"/ipam/gateway": "fd00::1"}),
            7,
            &["gateway fd00::1 is IPv6, and its subnet 10.1.0.0/24 is IPv4"],
        ),
        Case::pool(
            "a gateway outside its subnet",
            json!({"/ipam/gateway": "10.2.0.1"}),
            7,
            &["gateway 10.2.0.1 not in network 10.1.0.0/24"],
        ),
        Case::pool(
            "a range without subnet",
            range(json!({"rangeStart": "10.1.0.9"})),
            7,
            &["subnet is missing"],
        ),
        Case::pool(
            "a bad gateway",
            json!({"/ipam/gateway": "10.1.0"}),
            7,
            &["ipam.gateway", "10.1.0"],
        ),
    ]
}

fn sets() -> Vec<Case> {
    let only = |sets: Value| json!({"/ipam/subnet": null, "/ipam/ranges": sets});
    let families = only(json!([[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]]));
    let overlap = json!({"/ipam/ranges": [[{"subnet": "10.1.0.128/25"}]]});
    let flat = json!({"/ipam/ranges": [{"subnet": "10.2.0.0/24"}]});
    let old = json!({"/cniVersion": "0.2.0", "/ipam/ranges": [[{"subnet": "10.2.0.0/24"}]]});
    vec![
        Case::pool(
            "no ranges",
            json!({"/ipam/subnet": null}),
            7,
            &["no IP ranges specified"],
        ),
        Case::pool(
            "an empty set",
            only(json!([[]])),
            7,
            &["empty range set", "ipam.ranges[0]"],
        ),
        Case::pool("ranges that are not nested", flat, 6, &["ipam.ranges[0]"]),
        Case::pool(
            "sets that overlap",
            overlap,
            7,
            &["range set 0 overlaps with 1"],
        ),
        Case::pool(
            "two families in one set",
            families,
            7,
            &["mixed address families"],
        ),
        Case::pool("two IPv4 sets in an old version", old, 7, &["0.2.0"]),
    ]
}

fn keys() -> Vec<Case> {
    vec![
        Case::pool(
            "no ipam",
            json!({"/ipam": null}),
            7,
            &["missing 'ipam' key"],
        ),
        Case::pool(
            "a bad route",
            json!({"/ipam/routes": [{"dst": "default"}]}),
            7,
            &["ipam.routes[0].dst", "default"],
        ),
        Case::pool(
            "a resolvConf that is not there",
            json!({"/ipam/resolvConf": "/nope"}),
            7,
            &["resolvConf", "/nope"],
        ),
        Case::pool(
            "a dataDir that is a number",
            json!({"/ipam/dataDir": 1}),
            6,
            &["ipam.dataDir", "1"],
        ),
        Case::pool(
            "a dataDir that is a file",
            json!({}),
            5,
            &["/var/lib/cni/networks"],
        )
        .after("touch /var/lib/cni/networks"),
    ]
}

fn reservations() -> Vec<Case> {
    let wanted = |ip: &str| json!({"/runtimeConfig": {"ips": [ip]}});
    let tiny = json!({"/ipam/subnet": "10.1.0.0/30"});
    let no_address = json!({"/args": {"cni": {"ips": ["ten"]}}});
    vec![
        Case::pool(
            "a requested address outside",
            wanted("10.9.0.9"),
            7,
            &["all requested IPs", "10.9.0.9", "10.1.0.1-10.1.0.254"],
        ),
        Case::pool(
            "a requested address that is none",
            no_address,
            7,
            &["ips", "ten"],
        ),
        Case::pool(
            "the gateway as requested address",
            wanted("10.1.0.1"),
            7,
            &["10.1.0.1", "gateway"],
        ),
        Case::pool(
            "a requested address that is taken",
            wanted("10.1.0.2"),
            11,
            &["requested IP address 10.1.0.2 is not available", "other"],
        )
        .after(OTHER_HAS_2)
        .late(),
        Case::pool(
            "a second ADD",
            json!({}),
            999,
            &["10.1.0.7 has been allocated to id-of-one"],
        )
        .after(WE_HAVE_7)
        .late(),
        Case::pool(
            "an exhausted pool",
            tiny.clone(),
            11,
            &[
                "no IP addresses available in range set",
                "10.1.0.1-10.1.0.2",
            ],
        )
        .after(OTHER_HAS_2)
        .late(),
        Case::pool(
            "the status of an exhausted pool",
            tiny,
            50,
            &["no IP addresses available", "10.1.0.1-10.1.0.2"],
        )
        .of("STATUS")
        .after(OTHER_HAS_2)
        .late(),
    ]
}

/// The delegate's errors come through the bridge as they are.
fn through_the_bridge() -> Vec<Case> {
    let args = json!({"CNI_ARGS": "IgnoreUnknown=1;IP=ten"});
    vec![
        Case::variables(
            "through the bridge: a bad IP in CNI_ARGS",
            args,
            4,
            &["IP=ten"],
        )
        .late(),
        Case::bridge(
            "through the bridge: a bad CIDR",
            json!({"/ipam/subnet": "10.1.0.0/33"}),
            7,
            &["ipam.subnet", "10.1.0.0/33"],
        )
        .late(),
        Case::bridge(
            "through the bridge: an exhausted pool",
            json!({"/ipam/subnet": "10.1.0.0/30"}),
            11,
            &["no IP addresses available in range set"],
        )
        .after(OTHER_HAS_2)
        .late(),
    ]
}
