//! ADD and DEL with a fault at every system call: nothing is left.

use crate::support::{BOTH, Lab, PROGRAM, tcp};
use netloom_testkit::{Plugin, PluginDir, Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};

/// Alone, beside the port of another, and with a port that another has: it is the other's again.
const BESIDE: [Option<u16>; 3] = [None, Some(8081), Some(8080)];

/// A pod that is about to get two ports, in both families, beside another with one port. portmap makes nothing in it, so the
/// result of the plugin before is all there is of it.
fn scene(plugins: &PluginDir, backend: &'static str, beside: Option<u16>) -> Option<Scene> {
    let lab = Lab::new(backend)?;
    lab.host.sh("ip link add br0 type bridge
         ip address add 10.1.0.1/24 dev br0
         ip address add fd00:1::1/64 dev br0 nodad
         ip link set br0 up");
    // It is shared, and stays; so it is there before.
    lab.host
        .sh("echo 1 > /proc/sys/net/ipv4/conf/br0/route_localnet");
    let portmap = Plugin::ours(plugins, "portmap");
    let conf = |last: u8, mappings: Value| {
        json!({
            "cniVersion": "1.1.0", "name": "net", "type": "portmap", "backend": backend,
            "runtimeConfig": {"portMappings": mappings},
            "prevResult": {"cniVersion": "1.1.0", "ips": [
                {"address": format!("10.1.0.{last}/24")}, {"address": format!("fd00:1::{last}/64")},
            ]},
        })
    };
    let one = lab.host.pod("one");
    let mappings = json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8053, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
    ]);
    let call = |command| portmap.call(command, &conf(5, mappings.clone())).pod(&one);
    let (add, del) = (call("ADD"), call("DEL"));
    let mut pods = vec![one];
    if let Some(port) = beside {
        let two = lab.host.pod("two");
        portmap.add(&conf(6, tcp(port, 80)), &two).succeeds();
        pods.push(two);
    }
    Some(Scene {
        pods,
        host: lab.host,
        add,
        del,
        bridges: vec!["br0".into()],
    })
}

#[test]
fn no_fault_of_an_add_leaves_anything() {
    let plugins = PluginDir::of(PROGRAM);
    for backend in BOTH {
        for beside in BESIDE {
            let name = format!("portmap ADD, {backend}, beside another: {beside:?}");
            let Some(tally) = assert_no_residue(&name, None, || scene(&plugins, backend, beside))
            else {
                return;
            };
            assert!(tally.has_points(21, 5), "{tally}");
        }
    }
}

#[test]
fn no_fault_of_iptables_restore_leaves_anything() {
    let plugins = PluginDir::of(PROGRAM);
    let scene = || scene(&plugins, "iptables", Some(8081));
    let within = assert_no_residue("within iptables-restore", Some("iptables-restore"), scene);
    let Some(tally) = within else { return };
    assert!(tally.has_points(11, 6), "{tally}");
}

#[test]
fn a_del_with_a_fault_is_completed_by_the_next() {
    let plugins = PluginDir::of(PROGRAM);
    for backend in BOTH {
        let name = format!("portmap DEL, {backend}");
        let Some(tally) = assert_del_completes(&name, || scene(&plugins, backend, Some(8080)))
        else {
            return;
        };
        assert!(tally.has_points(11, 6), "{tally}");
    }
}
