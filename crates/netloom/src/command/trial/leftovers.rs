//! What is left after the last DEL, and what of it is meant to stay.

use netloom_observe::{Change, Difference, Kind, Object};
use netloom_spec::NetworkConfigList;

/// Something that was not there before the first step.
pub(super) struct Left {
    pub(super) what: String,
    /// The step it came in.
    pub(super) step: String,
    /// All attachments share it, and no DEL may take it away.
    pub(super) is_shared: bool,
}

/// Tables of nf_tables in which netloom and the reference keep chains for all pods, and those of
/// iptables.
const SHARED_TABLES: [&str; 12] = [
    "inet cni_plugins_masquerade",
    "inet cni_hostport",
    "inet netloom",
    "inet netloom_firewall",
    "bridge cni_plugins_macspoof",
    "bridge cni_plugins",
    "ip nat",
    "ip filter",
    "ip mangle",
    "ip6 nat",
    "ip6 filter",
    "ip6 mangle",
];

/// The chains of iptables that the reference makes once for all pods.
const SHARED_CHAINS: [&str; 6] = [
    "CNI-FORWARD",
    "CNI-ADMIN",
    "CNI-HOSTPORT-DNAT",
    "CNI-HOSTPORT-SETMARK",
    "CNI-HOSTPORT-MASQ",
    "CNI-ISOLATION-STAGE",
];

/// The runtime's own: the cache and the installed plugins.
pub(super) fn is_own(object: &Object) -> bool {
    object.kind == Kind::File && object.name.starts_with("/run/netloom")
}

/// The switch that others follow.
pub(super) fn is_forwarding(object: &Object) -> bool {
    object.kind == Kind::Sysctl
        && ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"].contains(&object.name.as_str())
}

/// What the kernel changes itself where forwarding is switched.
pub(super) fn follows_forwarding(object: &Object) -> bool {
    let keys = ["forwarding", "accept_redirects"];
    let key = object.name.rsplit('/').next().unwrap_or_default();
    object.kind == Kind::Sysctl && keys.contains(&key) && !is_forwarding(object)
}

/// `None`: it is not the plugins', or it does not matter.
pub(super) fn judge(it: &Difference, step: String, network: &NetworkConfigList) -> Option<Left> {
    if is_own(&it.object) {
        return None;
    }
    let what = match &it.change {
        Change::Added(details) if details.is_empty() => it.object.to_string(),
        Change::Changed(..) if it.object.kind == Kind::File => format!("{} changed", it.object),
        Change::Added(details) => format!("{} ({})", it.object, shown(it, details)),
        Change::Changed(before, after) => format!("{} ({before} → {after})", it.object),
        Change::Removed(_) => format!("{} is gone", it.object),
    };
    Some(Left {
        what,
        step,
        is_shared: is_shared(it, network),
    })
}

fn is_shared(it: &Difference, network: &NetworkConfigList) -> bool {
    let object = &it.object;
    if object.place != "host" || matches!(it.change, Change::Removed(_)) {
        return false;
    }
    let bridge = bridge_of(network);
    let of_bridge = |name: &str| bridge.as_deref().is_some_and(|bridge| name == bridge);
    match object.kind {
        Kind::Link => of_bridge(&object.name),
        Kind::Address => object.name.rsplit(' ').next().is_some_and(of_bridge),
        Kind::Sysctl => {
            is_forwarding(object)
                || follows_forwarding(object)
                || object.name.split('/').any(of_bridge)
        }
        Kind::Table => SHARED_TABLES.contains(&object.name.as_str()),
        Kind::Chain | Kind::Set => {
            let (table, name) = object.name.rsplit_once(' ').unwrap_or_default();
            let is_ip = ["ip ", "ip6 "]
                .iter()
                .any(|family| table.starts_with(family));
            let known =
                SHARED_CHAINS.contains(&name) || name.chars().all(|c| c.is_ascii_uppercase());
            SHARED_TABLES.contains(&table) && (!is_ip || known)
        }
        Kind::ChainRule => is_shared_rule(&object.name),
        Kind::File => is_shared_file(&object.name, &it.change),
        _ => false,
    }
}

/// Rules that serve all pods name no pod: they look into sets, or jump to shared chains.
fn is_shared_rule(name: &str) -> bool {
    let (place, words) = name.split_once(": ").unwrap_or((name, ""));
    let (table, _) = place.rsplit_once(' ').unwrap_or_default();
    let is_ip = ["ip ", "ip6 "]
        .iter()
        .any(|family| table.starts_with(family));
    let to_shared = SHARED_CHAINS.iter().any(|chain| words.contains(chain));
    SHARED_TABLES.contains(&table) && (!is_ip || to_shared || words.is_empty())
        || is_ip && words.is_empty()
        || is_ip && SHARED_CHAINS.iter().any(|chain| place.contains(chain))
}

fn is_shared_file(path: &str, change: &Change) -> bool {
    let is_directory = matches!(change, Change::Added(it) if it.starts_with("directory"));
    let name = path.rsplit('/').next().unwrap_or_default();
    let in_state = path.starts_with("/var/lib/cni") || path.starts_with("/run/cni");
    path == "/run/xtables.lock"
        || in_state && (is_directory || name == "lock" || name.ends_with(".lock"))
        || in_state && (name.starts_with("last_reserved_ip.") || path.contains("/.netloom"))
        || path.starts_with("/var/lib/cni/locks/")
        || path == "/var/lib/cni"
}

/// The bridge that the network shares, if it has one.
fn bridge_of(network: &NetworkConfigList) -> Option<String> {
    let plugin = network
        .plugins
        .iter()
        .find(|it| it.plugin_type() == "bridge")?;
    let name = plugin.get("bridge").and_then(|it| it.as_str());
    Some(
        name.filter(|it| !it.is_empty())
            .unwrap_or("cni0")
            .to_owned(),
    )
}

/// A file's details without the digest, which tells people nothing.
pub(super) fn shown<'d>(it: &Difference, details: &'d str) -> &'d str {
    match it.object.kind {
        Kind::File => details.split(", #").next().unwrap_or(details),
        _ => details,
    }
}
