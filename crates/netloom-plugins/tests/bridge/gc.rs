use crate::support::Lab;
use netloom_testkit::{probe, skip};
use serde_json::{Value, json};

fn conf(lab: &Lab, name: &str, backend: &str) -> Value {
    lab.routed(json!({
        "name": name, "isGateway": true, "ipMasq": true, "ipMasqBackend": backend,
        "macspoofchk": true,
    }))
}

#[test]
fn what_belongs_to_no_valid_attachment_goes_and_the_rest_stays() {
    for backend in ["nftables", "iptables"] {
        let Some(lab) = Lab::new() else { return };
        if !probe::has_nft_family("bridge") || !probe::has_iptables() {
            return skip("no nf_tables of family bridge, or no iptables");
        }
        let pods = ["lost", "kept", "other"].map(|name| lab.host.pod(name));
        for (index, pod) in pods.iter().enumerate() {
            let (v4, v6) = (
                format!("10.1.0.{}/24", index + 5),
                format!("fd00:1::{}/64", index + 5),
            );
            lab.ipam
                .answers(json!({"ips": [{"address": v4}, {"address": v6}]}));
            let network = if pod.name() == "other" {
                "second"
            } else {
                "net"
            };
            lab.bridge
                .add(&conf(&lab, network, backend), pod)
                .succeeds();
        }
        pods[0].remove();
        let gc = |valid: &[(&str, &str)]| {
            lab.bridge
                .gc(&conf(&lab, "net", backend), valid)
                .succeeds_silently();
            lab.ruleset() + &lab.host.sh("iptables-save; ip6tables-save")
        };
        let left = gc(&[("id-of-kept", "eth0")]);
        assert!(!left.contains("id-of-lost"), "{backend}: {left}");
        assert!(
            left.contains("id-of-kept") && left.contains("id-of-other"),
            "{backend}: {left}"
        );
        let again = gc(&[("id-of-kept", "eth0")]);
        assert!(again.contains("id-of-kept"), "{backend}: {again}");
        let none = gc(&[]);
        assert!(!none.contains("id-of-kept"), "{backend}: {none}");
        assert!(none.contains("id-of-other"), "{backend}: {none}");
        if backend == "nftables" {
            let of_other = none.matches(" masquerade ").count();
            assert_eq!((of_other, none.matches("\tset ").count()), (2, 2), "{none}");
        }
    }
}

#[test]
fn a_request_without_a_list_of_attachments_removes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(&lab, "net", "nftables");
    lab.bridge.add(&conf, &pod).succeeds();
    let _ = lab.bridge.call("GC", &conf).run();
    assert!(lab.ruleset().contains("id-of-one"));
}

#[test]
fn an_attachment_by_another_interface_name_does_not_keep_the_first() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(&lab, "net", "nftables");
    lab.bridge.add(&conf, &pod).succeeds();
    lab.bridge
        .gc(&conf, &[("id-of-one", "net1")])
        .succeeds_silently();
    assert!(!lab.ruleset().contains("id-of-one"));
}
