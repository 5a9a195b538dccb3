//! What is left after the last DEL, and what of it is meant to stay.

use netloom_observe::{Change, Difference, Kind, Object};
use netloom_plugins::registry::PLUGINS;
use netloom_spec::NetworkConfigList;

use super::host;

/// Something that was not there before the first step.
pub(super) struct Left {
    pub(super) what: String,
    /// The step it came in.
    pub(super) step: String,
    /// All attachments share it, and no DEL may take it away; or it ends with the pod.
    pub(super) is_shared: bool,
}

/// Tables of nf_tables that netloom and the reference keep for all pods.
const TABLES: [&str; 5] = [
    "inet cni_plugins_masquerade",
    "inet cni_plugins_firewall",
    "ip cni_hostport",
    "ip6 cni_hostport",
    "bridge nat",
];

/// The sets whose elements are no pod's.
const SETS: [&str; 3] = ["bridges", "within", "isolated"];

/// Tables of iptables, which come with their first use.
const OF_IPTABLES: [&str; 4] = ["nat", "filter", "mangle", "raw"];

/// How the names of iptables' chains begin that the plugins make once for all pods.
const CHAINS: [&str; 4] = [
    "CNI-FORWARD",
    "CNI-ADMIN",
    "CNI-HOSTPORT-",
    "CNI-ISOLATION-STAGE-",
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
    let is_gone = matches!(it.change, Change::Removed(_));
    if object.place != "host" && object.kind == Kind::Sysctl {
        // It ends with the pod, and nothing of CNI gives it back.
        return true;
    }
    if object.place != "host" || is_gone || object.name.contains(host::CONTAINER) {
        return false;
    }
    let bridge = bridge_of(network);
    let of_bridge = |name: &str| bridge.as_deref().is_some_and(|bridge| name == bridge);
    match object.kind {
        Kind::Link => of_bridge(&object.name),
        Kind::Address => object.name.rsplit(' ').next().is_some_and(of_bridge),
        Kind::Sysctl => {
            let is_forwarding = is_forwarding(object) || follows_forwarding(object);
            is_forwarding || object.name.split('/').any(of_bridge)
        }
        Kind::Table | Kind::Chain | Kind::ChainRule | Kind::Set | Kind::Element => {
            is_shared_filter(object)
        }
        Kind::File => is_shared_file(&object.name, &it.change),
        _ => false,
    }
}

/// Whether something of nf_tables or iptables serves all pods.
fn is_shared_filter(object: &Object) -> bool {
    let mut words = object.name.splitn(4, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (family, table, inner, rest) = (next(), next(), next(), next());
    let chain = inner.trim_end_matches(':');
    let is_built_in = chain.chars().all(|letter| letter.is_ascii_uppercase());
    let serves_all = CHAINS.iter().any(|known| chain.starts_with(known));
    let to_shared = CHAINS
        .iter()
        .any(|known| rest.contains(&format!(" {known}")));
    let is_ours = TABLES.contains(&format!("{family} {table}").as_str());
    let is_iptables = ["ip", "ip6"].contains(&family) && OF_IPTABLES.contains(&table);
    match object.kind {
        Kind::Table => is_ours || is_iptables,
        Kind::Element => is_ours && SETS.contains(&inner),
        // A chain of a pod bears its name, in tables of any family.
        // A family of nf_tables, no plugin's name.
        Kind::Chain if is_ours && family == "bridge" => is_built_in,
        Kind::Chain if is_iptables => is_built_in || serves_all,
        Kind::ChainRule if is_iptables => {
            let of_all = chain.starts_with("CNI-HOSTPORT-") && !rest.contains("CNI-DN-");
            // Of nf_tables' words only comment and verdict are known: a mark that passes has none.
            of_all || to_shared || rest.starts_with("\"CNI ")
        }
        _ => is_ours,
    }
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
    network.plugins.iter().find_map(|conf| {
        let plugin = netloom_plugin::find(PLUGINS, conf.plugin_type())?;
        let link = plugin.host_link(conf)?;
        link.bridge().map(str::to_owned)
    })
}

/// A file's details without the digest, which tells people nothing.
pub(super) fn shown<'d>(it: &Difference, details: &'d str) -> &'d str {
    match it.object.kind {
        Kind::File => details.split(", #").next().unwrap_or(details),
        _ => details,
    }
}
