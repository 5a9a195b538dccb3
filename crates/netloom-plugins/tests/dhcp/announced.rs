//! Telling the wire of a leased address, as `tests/announcements` has it for the other IPAM plugins.

use crate::acquire::wait_until;
use crate::lan::Lan;
use crate::running::Running;
use netloom_testkit::{Host, Plugin, PluginDir, Pod, probe, skip};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");
/// The address of a machine that is gone.
const GONE: &str = "02:00:00:00:00:99";
const LEASED: [&str; 2] = ["10.7.1.77", "fd00:7::1077"];

/// A network on which the one pod gets [`LEASED`].
fn served(host: &Host) -> Option<Lan<'_>> {
    if !probe::has_ipv6() {
        skip("the kernel has no IPv6");
        return None;
    }
    let lan = Lan::new(host);
    host.ip("address add fd00:7::1/64 dev br0 nodad");
    let [v4, v6] = LEASED;
    let v4 = format!("--dhcp-host=id:id-of-new/net/eth0,{v4}");
    let v6 = format!("--dhcp-range={v6},{v6},64,2m");
    lan.serve(&[&v4, &v6]).then_some(lan)
}

fn lladdr(pod: &Pod, ip: &str) -> String {
    let entry = pod.ip(&format!("neigh show {ip} dev eth0"));
    let mut words = entry.split(' ').skip_while(|word| *word != "lladdr");
    words.nth(1).unwrap_or_default().to_owned()
}

/// Nobody sends anything to the pod or waits for it: only what is told changes the entries.
#[test]
fn who_knew_a_leased_address_at_another_place_is_told() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = served(&host) else { return };
    let (other, bin) = (lan.pod("other"), PluginDir::of(PROGRAM));
    other.sh(
        "ip addr add 10.7.0.9/16 dev eth0; ip addr add fd00:7::9/64 dev eth0 nodad
         ip link set eth0 up",
    );
    assert!(other.pings([10, 7, 0, 1]), "its port forwards");
    for ip in LEASED {
        other.ip(&format!(
            "neigh replace {ip} dev eth0 lladdr {GONE} nud stale"
        ));
    }
    let new = host.pod("new");
    let _daemon = Running::start(&bin, &[]);
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0",
        "ipam": {"type": "dhcp", "ipv6": true},
    });
    let result = Plugin::ours(&bin, "bridge").add(&conf, &new).succeeds();
    let given = |it: &Value| {
        it["address"]
            .as_str()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let ips: Vec<String> = result["ips"]
        .as_array()
        .unwrap()
        .iter()
        .map(given)
        .collect();
    assert_eq!(ips, LEASED);
    let mac = result["interfaces"][2]["mac"].as_str().unwrap();
    for ip in LEASED {
        wait_until(&format!("{ip} to be told"), || lladdr(&other, ip) == mac);
    }
}
