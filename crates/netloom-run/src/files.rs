//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname` of a pod, made in its directory.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use netloom_spec::Dns;

use crate::error::Result;
use crate::{DnsOptions, NetworkMode, Phase, Pod, PodSpec, Store};

/// The files, by their names in `/etc` and in the pod's directory.
pub(crate) const NAMES: [&str; 3] = ["resolv.conf", "hosts", "hostname"];

/// Writes all three before the pod begins.
pub(crate) fn write(store: &Store, pod: &Pod, spec: &PodSpec) -> Result<()> {
    pod.write("hostname", format!("{}\n", spec.hostname).as_bytes())?;
    pod.write("resolv.conf", resolv_conf(spec).as_bytes())?;
    pod.write("hosts", hosts(spec, &peers(store, pod, spec)?).as_bytes())
}

/// Writes `hosts` anew for a pod that runs, and for its peers.
pub(crate) fn refresh_hosts(store: &Store, pod: &Pod, spec: &PodSpec) -> Result<()> {
    let text = hosts(spec, &peers(store, pod, spec)?);
    pod.write_in_place("hosts", text.as_bytes())?;
    tell_peers(store, pod, spec)
}

/// Tells the others on its networks that a pod with a name has come, or is gone. Pods without a name
/// given by the user are nobody's peers, so that many of them cost nothing.
pub(crate) fn tell_peers(store: &Store, pod: &Pod, spec: &PodSpec) -> Result<()> {
    if spec.name.is_empty() || spec.attachments.is_empty() {
        return Ok(());
    }
    for other in store.list()? {
        let Ok(state) = other.state() else { continue };
        let lives = matches!(state.phase, Phase::Embryo | Phase::Run);
        if other.id() == pod.id() || !lives || !share_a_network(spec, &state.spec) {
            continue;
        }
        let text = hosts(&state.spec, &peers(store, &other, &state.spec)?);
        // In place: it is mounted into the pod.
        other.write_in_place("hosts", text.as_bytes())?;
    }
    Ok(())
}

/// The living pods with names on the same networks, and what they have there.
fn peers(store: &Store, pod: &Pod, spec: &PodSpec) -> Result<Vec<(IpAddr, String)>> {
    let mut found = Vec::new();
    if spec.attachments.is_empty() {
        return Ok(found);
    }
    let own: HashSet<_> = spec.attachments.iter().map(|it| &it.network).collect();
    for other in store.list()? {
        let Ok(state) = other.state() else { continue };
        let lives = matches!(state.phase, Phase::Embryo | Phase::Run);
        if other.id() == pod.id() || !lives || state.spec.name.is_empty() {
            continue;
        }
        let shared = state.spec.attachments.iter();
        let shared = shared.filter(|it| it.added && own.contains(&it.network));
        for address in shared.flat_map(|it| it.addresses()) {
            found.push((address, state.spec.name.clone()));
        }
    }
    Ok(found)
}

fn share_a_network(one: &PodSpec, other: &PodSpec) -> bool {
    let networks: HashSet<_> = one.attachments.iter().map(|it| &it.network).collect();
    let mut others = other.attachments.iter();
    others.any(|it| networks.contains(&it.network))
}

fn hosts(spec: &PodSpec, peers: &[(IpAddr, String)]) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    for (address, name) in &spec.hosts {
        let _ = writeln!(text, "{address}\t{name}");
    }
    let mut names = vec![spec.hostname.as_str()];
    if !spec.name.is_empty() && spec.name != spec.hostname {
        names.push(&spec.name);
    }
    let own: Vec<_> = spec
        .attachments
        .iter()
        .flat_map(crate::Attachment::addresses)
        .collect();
    for address in &own {
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    if own.is_empty() {
        let _ = writeln!(text, "127.0.1.1\t{}", names.join(" "));
    }
    for (address, name) in peers {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// What the user said; else the first network whose result says something; else the host's, or that of
/// the namespace's name as `ip netns exec` has it.
fn resolv_conf(spec: &PodSpec) -> String {
    if spec.dns != DnsOptions::default() {
        return of_dns(&Dns {
            nameservers: spec.dns.servers.iter().map(ToString::to_string).collect(),
            search: spec.dns.search.clone(),
            options: spec.dns.options.clone(),
            ..Dns::default()
        });
    }
    let results = spec.attachments.iter().filter_map(|it| it.result());
    if let Some(dns) = results.map(|it| it.dns).find(|dns| !dns.is_empty()) {
        return of_dns(&dns);
    }
    if let NetworkMode::Path(path) = &spec.network
        && let Some(name) = path.file_name()
        && let Ok(text) = fs::read_to_string(Path::new("/etc/netns").join(name).join("resolv.conf"))
    {
        return text;
    }
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    match spec.network {
        NetworkMode::Own => without_loopback(&text),
        _ => text,
    }
}

fn of_dns(dns: &Dns) -> String {
    let mut text = String::new();
    for server in &dns.nameservers {
        let _ = writeln!(text, "nameserver {}", one_word(server));
    }
    let mut search: Vec<_> = dns.search.iter().map(|it| one_word(it)).collect();
    if search.is_empty() && !dns.domain.is_empty() {
        search.push(one_word(&dns.domain));
    }
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let options: Vec<_> = dns.options.iter().map(|it| one_word(it)).collect();
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

/// A plugin's word cannot be two lines.
fn one_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A name server on the host's loopback is none in another namespace.
fn without_loopback(text: &str) -> String {
    let is_kept = |line: &&str| {
        let mut words = line.split_whitespace();
        let server = match words.next() {
            Some("nameserver") => words.next(),
            _ => None,
        };
        !server
            .and_then(|it| it.parse::<IpAddr>().ok())
            .is_some_and(|it| it.is_loopback())
    };
    text.lines()
        .filter(is_kept)
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_of_the_hosts_loopback_is_left_out() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a b\n";
        let expected = "# x\nnameserver 192.0.2.1\nsearch a b\n";
        assert_eq!(without_loopback(text), expected);
    }

    #[test]
    fn what_a_plugin_says_stays_a_word() {
        let dns = Dns {
            nameservers: vec!["192.0.2.1\noptions debug".into()],
            domain: "example.com".into(),
            ..Dns::default()
        };
        let expected = "nameserver 192.0.2.1\nsearch example.com\n";
        assert_eq!(of_dns(&dns), expected);
    }
}
