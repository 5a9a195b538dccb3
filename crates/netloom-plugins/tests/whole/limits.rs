//! What a plugin may cost: memory, executions, time spent waiting.

use std::path::Path;

use netloom_testkit::{Call, Host, Plugin, PluginDir, Trace, peak_memory, probe, skip};
use serde_json::{Value, json};

use crate::PROGRAM;

/// The most memory that may be resident during a call of the binary that is shipped, in KiB.
const MEMORY: u64 = 6 * 1024;
/// The same for a build for tests, which is large, and so is what of it is mapped: the more, the more of
/// it the kernel has at hand.
const MEMORY_OF_TEST_BUILD: u64 = 3 * MEMORY;

fn conf(backend: &str) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend, "macspoofchk": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]]
        }
    })
}

/// A plugin of the binary that is shipped, which `cargo xtask test` names the directory of, and the
/// most memory that it may take; without one, a plugin of this build.
fn measured(plugins: &PluginDir, name: &str) -> (Plugin, u64) {
    match std::env::var_os("NETLOOM_RELEASE_BIN") {
        Some(shipped) => (Plugin::at(Path::new(&shipped), name), MEMORY),
        None => (Plugin::ours(plugins, name), MEMORY_OF_TEST_BUILD),
    }
}

/// Asserts success, and a peak of resident memory under `most` KiB.
#[track_caller]
fn is_modest(command: &str, call: &Call, most: u64) {
    let Some((kib, outcome)) = peak_memory(call) else {
        return;
    };
    outcome.succeeds();
    println!("{command} takes {kib} KiB");
    assert!(kib < most, "{command} takes {kib} KiB, more than {most}");
}

#[test]
fn no_command_takes_six_megabytes() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let (bridge, most) = measured(&plugins, "bridge");
    let mut conf = conf("nftables");
    let (pod, other) = (host.pod("one"), host.pod("other"));
    bridge.add(&conf, &other).succeeds();
    conf["cni.dev/valid-attachments"] =
        json!([{"containerID": other.container_id(), "ifname": "eth0"}]);
    for command in ["STATUS", "ADD", "DEL", "GC"] {
        is_modest(command, &bridge.call(command, &conf).pod(&pod), most);
    }
}

/// A record and a link of each of many pods are read at once.
#[test]
fn a_pod_with_many_links_takes_no_more() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let (ratchet, most) = measured(&plugins, "ratchet");
    let conf = |links: Vec<Value>| {
        json!({
            "cniVersion": "1.1.0", "name": "net", "type": "ratchet",
            "runtimeConfig": {"links": links}, "cni.dev/valid-attachments": [],
            "prevResult": {"cniVersion": "1.1.0", "ips": [], "interfaces": []}
        })
    };
    let args =
        |name: &str| format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}");
    let names: Vec<String> = (0..32).map(|number| format!("pod{number}")).collect();
    let pods: Vec<_> = names.iter().map(|name| host.pod(name)).collect();
    for (name, pod) in names.iter().zip(&pods) {
        let link = json!({"if": "up0", "peer": "default/hub", "peerIf": format!("to-{name}")});
        let call = ratchet.call("ADD", &conf(vec![link])).pod(pod);
        call.env("CNI_ARGS", args(name)).run().succeeds();
    }
    let links = names.iter().map(|name| {
        json!({"if": format!("to-{name}"), "peer": format!("default/{name}"), "peerIf": "up0",
            "addresses": ["10.0.0.1/24", "fd00::1/64"]})
    });
    let conf = conf(links.collect());
    let hub = host.pod("hub");
    for command in ["STATUS", "ADD", "DEL", "GC"] {
        let call = ratchet.call(command, &conf).pod(&hub);
        is_modest(command, &call.env("CNI_ARGS", args("hub")), most);
        let made = hub.ip("-o link").matches("to-pod").count();
        assert_eq!(made >= 32, command == "ADD", "{command}: {made}");
    }
}

#[test]
fn memory_does_not_grow_with_the_pool() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let (host_local, most) = measured(&plugins, "host-local");
    host.sh(
        "mkdir -p /var/lib/cni/networks/net; cd /var/lib/cni/networks/net
         for a in $(seq 1 78); do for b in $(seq 0 255); do
            printf 'id-%s-%s\\r\\neth0' $a $b > 10.1.$a.$b; done; done",
    );
    // The first call reads what another program has written, all of it, and that once.
    let (first, second) = (host.pod("one"), host.pod("two"));
    host_local.add(&conf("nftables"), &first).succeeds();
    for command in ["ADD", "DEL"] {
        let call = host_local.call(command, &conf("nftables")).pod(&second);
        is_modest(command, &call, most);
    }
}

#[test]
fn memory_does_not_grow_with_the_routes_of_the_pod() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let (bridge, most) = measured(&plugins, "bridge");
    let mut first = conf("nftables");
    let pod = host.pod("one");
    first["prevResult"] = bridge.add(&first, &pod).succeeds();
    // By a link of the pod's own, and so by none of the plugin's.
    pod.sh(
        "ip link add own0 type veth peer name own1; ip link set own0 up; ip link set own1 up
         ip address add 172.16.0.1/24 dev own0
         for a in $(seq 0 199); do for b in $(seq 0 249); do for c in 0 64 128 192; do
            echo route add 11.$a.$b.$c/26 dev own0
         done; done; done | ip -batch -",
    );
    let mut second = conf("nftables");
    second["name"] = json!("second");
    second["bridge"] = json!("br1");
    second["ipam"]["ranges"] = json!([[{"subnet": "10.2.0.0/16"}], [{"subnet": "fd00:2::/64"}]]);
    let call = |command: &str, conf: &Value| {
        let call = bridge.call(command, conf).pod(&pod);
        call.env("CNI_IFNAME", "eth1")
    };
    is_modest("ADD", &call("ADD", &second), most);
    is_modest("CHECK", &bridge.call("CHECK", &first).pod(&pod), most);
    is_modest("DEL", &call("DEL", &second), most);
    let (sbr, most) = measured(&plugins, "sbr");
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "sbr", "prevResult": first["prevResult"],
    });
    for command in ["ADD", "CHECK", "DEL"] {
        is_modest(command, &sbr.call(command, &conf).pod(&pod), most);
    }
}

/// 32 MiB of a configuration are read, and no more.
#[test]
fn memory_does_not_grow_with_a_document_without_end() {
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let pod = host.pod("one");
    let mut document =
        br#"{"cniVersion": "1.1.0", "name": "net", "type": "bridge", "x": ""#.to_vec();
    document.resize(100 << 20, b'a');
    document.extend(br#""}"#);
    let bridge = Plugin::ours(&plugins, "bridge");
    for command in ["ADD", "CHECK", "DEL"] {
        let call = bridge.call(command, &Value::Null).pod(&pod);
        let Some((kib, outcome)) = peak_memory(&call.stdin(document.clone())) else {
            return;
        };
        outcome.fails_with(6).names(&["larger than 32 MiB"]);
        assert!(kib < 128 * 1024, "{command} takes {kib} KiB");
    }
}

/// How many times what a usual call takes a call with as many mappings as there are ports may take: that
/// is 6 KiB for each.
const OF_ALL_PORTS: u64 = 60;

#[test]
fn memory_for_all_ports_of_a_host_is_bounded() {
    if !probe::has_nft_family("ip") {
        return skip("the kernel has no nf_tables of IPv4");
    }
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    let (bridge, (portmap, most)) = (
        Plugin::ours(&plugins, "bridge"),
        measured(&plugins, "portmap"),
    );
    let pod = host.pod("one");
    let made = bridge.add(&conf("nftables"), &pod).succeeds();
    let mappings: Vec<Value> = (1..=65_000)
        .map(|port| json!({"hostPort": port, "containerPort": port, "protocol": "tcp"}))
        .collect();
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "portmap", "backend": "nftables",
        "runtimeConfig": {"portMappings": mappings}, "prevResult": made,
    });
    for command in ["ADD", "CHECK", "DEL"] {
        let call = portmap.call(command, &conf).pod(&pod);
        is_modest(command, &call, most * OF_ALL_PORTS);
    }
}

/// ADD, CHECK, DEL, GC and STATUS of a second pod, each traced.
fn traces(backend: &str) -> Option<Vec<(&'static str, Trace)>> {
    let host = Host::new()?;
    let plugins = PluginDir::of(PROGRAM);
    let bridge = Plugin::ours(&plugins, "bridge");
    let mut conf = conf(backend);
    bridge.add(&conf, &host.pod("other")).succeeds();
    let pod = host.pod("one");
    let mut traces = Vec::new();
    for command in ["STATUS", "ADD", "CHECK", "DEL", "DEL", "GC"] {
        let trace = Trace::of(&bridge.call(command, &conf).pod(&pod))?;
        let answer = trace.outcome.succeeds();
        if command == "ADD" {
            conf["prevResult"] = answer;
        }
        if command == "DEL" {
            conf["cni.dev/valid-attachments"] = json!([]);
        }
        traces.push((command, trace));
    }
    Some(traces)
}

#[test]
fn with_nftables_nothing_is_executed_and_nothing_waits_for_time() {
    for (command, trace) in traces("nftables").unwrap_or_default() {
        assert!(
            trace.executions().is_empty(),
            "{command}: {:?}",
            trace.executions()
        );
        assert!(trace.sleeps().is_empty(), "{command}: {:?}", trace.sleeps());
    }
}

#[test]
fn with_iptables_a_family_costs_one_execution() {
    if !probe::has_iptables() {
        return skip("no iptables on this machine");
    }
    for (command, trace) in traces("iptables").unwrap_or_default() {
        let programs = trace.executions();
        let most = match command {
            "ADD" => 2,
            // To look and to change.
            "CHECK" | "DEL" | "GC" => 4,
            _ => 0,
        };
        assert!(programs.len() <= most, "{command} executes {programs:?}");
        assert!(trace.sleeps().is_empty(), "{command}: {:?}", trace.sleeps());
    }
}
