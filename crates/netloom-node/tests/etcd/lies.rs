//! Records that nobody should believe.

use crate::lab::{Etcd, Lab, network};

#[test]
fn lies_are_dropped_and_counted_and_change_nothing() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let one = lab.machine(1, 1);
    let _daemon = one.joined(&etcd.url(), &["--remove-after", "0"]);
    let own = etcd.subnets()[0].0.clone();
    let own = own.split('-').next().unwrap().to_owned();
    let good = |ip: &str, mac: &str| {
        format!(
            r#"{{"PublicIP":"{ip}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}}}"#
        )
    };
    let before = one.sh("ip route; ip -6 route; ip rule");
    let inside = format!("{own}-26");
    let lies = [
        ("0.0.0.0-0", good("192.0.2.66", "02:00:00:00:00:66"), "key"),
        (
            "10.6.0.0-24",
            good("192.0.2.66", "02:00:00:00:00:66"),
            "outside_network",
        ),
        (
            "10.0.0.0-8",
            good("192.0.2.66", "02:00:00:00:00:66"),
            "outside_network",
        ),
        (
            "127.0.0.0-8",
            good("192.0.2.66", "02:00:00:00:00:66"),
            "outside_network",
        ),
        (
            "192.0.2.0-24",
            good("192.0.2.66", "02:00:00:00:00:66"),
            "outside_network",
        ),
        (
            inside.as_str(),
            good("192.0.2.66", "02:00:00:00:00:66"),
            "own_subnet",
        ),
        (
            "10.5.254.0-24",
            good("192.0.2.1", "02:00:00:00:00:66"),
            "own_address",
        ),
        (
            "10.5.254.0-24",
            good("127.0.0.1", "02:00:00:00:00:66"),
            "address",
        ),
        (
            "10.5.254.0-24",
            good("192.0.2.66", "01:00:5e:00:00:01"),
            "mac",
        ),
        ("10.5.254.0-24", "not JSON".into(), "value"),
        ("10.5.254.0-24", "[".repeat(4000), "value"),
        ("10.5.254.0-24", " ".repeat(100_000), "value"),
        ("../../etc", good("192.0.2.66", "02:00:00:00:00:66"), "key"),
    ];
    for (key, value, reason) in &lies {
        etcd.announce(key, value);
        one.until(&format!("{key} {reason}"), |m| {
            m.told(&format!("/peers/refusedBy/{reason}")) == 1
        });
        assert_eq!(one.told("/peers/believed"), 0, "{key}");
        let metrics = one.sh("curl -s http://127.0.0.1:9470/metrics");
        let metric = format!("netloom_node_records_refused{{reason=\"{reason}\"}} 1\n");
        assert!(metrics.contains(&metric), "{metrics}");
        etcd.withdraw(key);
        one.until("it is gone", |m| {
            m.told("/peers/refused") == serde_json::json!([])
        });
    }
    assert_eq!(one.sh("ip route; ip -6 route; ip rule"), before);
    assert!(one.kernel().is_empty());
    assert_eq!(one.told("/ready"), true);
}

#[test]
fn a_network_that_is_wrong_is_named_and_leaves_a_host_as_it_is() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(r#"{"Network":"10.5.0.0/33"}"#);
    let one = lab.machine(1, 1);
    let mut daemon = one.daemon(&etcd.url(), &[]);
    daemon.until(r#"/coreos.com/network/config: Network "10.5.0.0/33""#);
    assert_eq!(one.told("/ready"), false);
    let ready = one.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9470/readyz");
    assert_eq!(ready, "503");
    etcd.put("/coreos.com/network/config", &network("host-gw"));
    daemon.until("pods can start");
    assert_eq!(one.sh("curl -s http://127.0.0.1:9470/readyz"), "ok\n");
    etcd.put("/coreos.com/network/config", r#"{"Network":"10.9.0.0/16"}"#);
    daemon.until("has no place for");
    assert_eq!(one.told("/ready"), true, "its pods run");
}

#[test]
fn a_route_of_somebody_else_is_left_alone_and_named() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("host-gw"));
    let one = lab.machine(1, 1);
    one.sh("ip route add 10.5.200.64/26 via 192.0.2.254");
    etcd.announce(
        "10.5.200.0-24",
        r#"{"PublicIP":"192.0.2.9","BackendType":"host-gw"}"#,
    );
    let _daemon = one.joined(&etcd.url(), &[]);
    one.until("the route in the way is named", |m| {
        m.told("/peers/unreachable")
            .to_string()
            .contains("10.5.200.64/26 of somebody else")
    });
    assert!(one.kernel().is_empty());
    one.sh("ip route del 10.5.200.64/26");
    one.until("the way is free", |m| {
        m.kernel().contains("10.5.200.0/24 via 192.0.2.9")
    });
}
