//! What Debian's Go plugin makes is ours to check and delete, and the reverse.

use crate::support::{Lab, conf, result};
use netloom_testkit::{Plugin, Snapshot};
use serde_json::json;

fn lab() -> Option<(Lab, Plugin)> {
    let lab = Lab::with("iptables")?;
    let go = Plugin::debian("firewall")?;
    Some((lab, go))
}

#[test]
fn what_go_added_we_check_and_delete_without_residue() {
    for policy in ["open", "same-bridge"] {
        for version in ["0.4.0", "1.0.0"] {
            let Some((lab, go)) = lab() else { return };
            let (pod, other) = (lab.host.pod("one"), lab.host.pod("two"));
            let mut given = result(5);
            given["cniVersion"] = json!(version);
            let keys = json!({"ingressPolicy": policy, "cniVersion": version});
            let conf = conf("iptables", &given, keys.clone());
            go.add(&conf_for(&conf, 9), &other).succeeds();
            let before = Snapshot::take(&lab.host, &[&pod]).without_shared(&[]);
            let made = go.add(&conf, &pod).succeeds();
            lab.firewall.check(&conf, &made, &pod).succeeds_silently();
            for _ in 0..2 {
                lab.firewall.del(&conf, &pod).succeeds_silently();
                Snapshot::take(&lab.host, &[&pod])
                    .without_shared(&[])
                    .assert_same_as(&before);
            }
            // What Go made for it all, ours finds and does not make twice.
            let shared = shared(&lab);
            lab.firewall.add(&conf, &pod).succeeds();
            lab.firewall.del(&conf, &pod).succeeds_silently();
            assert_eq!(self::shared(&lab), shared, "{policy}");
        }
    }
}

#[test]
fn what_we_added_go_checks_and_deletes_but_for_a_chain_that_our_gc_takes() {
    for policy in ["open", "same-bridge"] {
        let Some((lab, go)) = lab() else { return };
        let (pod, other) = (lab.host.pod("one"), lab.host.pod("two"));
        let mut conf = conf("iptables", &result(5), json!({"ingressPolicy": policy}));
        lab.firewall.add(&conf_for(&conf, 9), &other).succeeds();
        let before = Snapshot::take(&lab.host, &[&pod]).without_shared(&[]);
        let made = lab.firewall.add(&conf, &pod).succeeds();
        let rules = shared(&lab);
        go.check(&conf, &made, &pod).succeeds_silently();
        assert_eq!(
            shared(&lab),
            rules,
            "Go's CHECK finds all that it would make"
        );
        go.del(&conf, &pod).succeeds_silently();
        assert!(
            !lab.traces().contains("-A CNI-FORWARD -s 10.1.0.5/32"),
            "{}",
            lab.traces()
        );
        conf["cniVersion"] = json!("1.1.0");
        lab.firewall
            .gc(&conf, &[("id-of-two", "eth0")])
            .succeeds_silently();
        Snapshot::take(&lab.host, &[&pod])
            .without_shared(&[])
            .assert_same_as(&before);
    }
}

#[test]
fn a_go_pod_and_ours_with_one_address_leave_each_other_their_rules() {
    let Some((lab, go)) = lab() else { return };
    let (ours, gos) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = conf("iptables", &result(5), json!({}));
    go.add(&conf, &gos).succeeds();
    lab.firewall.add(&conf, &ours).succeeds();
    lab.firewall.del(&conf, &ours).succeeds_silently();
    go.check(&conf, &result(5), &gos).succeeds_silently();
}

/// The same for another address.
fn conf_for(conf: &serde_json::Value, last: u8) -> serde_json::Value {
    let mut other = conf.clone();
    let version = conf["cniVersion"].clone();
    other["prevResult"] = result(last);
    other["prevResult"]["cniVersion"] = version;
    other
}

/// The rules that all pods share.
fn shared(lab: &Lab) -> Vec<String> {
    let rules = lab
        .host
        .sh("iptables-save -t filter; ip6tables-save -t filter");
    let ours = |line: &&str| line.contains("CNI firewall plugin");
    rules.lines().filter(ours).map(str::to_owned).collect()
}
