//! DEL removes everything, whatever is left of the pod.

use crate::support::{BOTH, Lab, conf, result};
use netloom_testkit::{Pod, Snapshot};
use serde_json::{Value, json};

#[test]
fn everything_goes_whatever_is_left_of_the_pod() {
    type Ruin = (&'static str, fn(&Pod), fn(&mut Value));
    let told: fn(&mut Value) = |_| {};
    let ruins: [Ruin; 7] = [
        ("whole", |_| {}, told),
        ("netns gone", Pod::remove, told),
        ("not a netns", Pod::unmount, told),
        (
            "no result",
            |_| {},
            |conf| drop(conf.as_object_mut().unwrap().remove("prevResult")),
        ),
        ("no result and no netns", Pod::remove, |conf| {
            drop(conf.as_object_mut().unwrap().remove("prevResult"));
        }),
        (
            "unreadable result",
            |_| {},
            |conf| conf["prevResult"] = json!({"ips": "nonsense"}),
        ),
        (
            "unreadable keys",
            |_| {},
            |conf| {
                for key in [
                    "backend",
                    "firewalldZone",
                    "ingressPolicy",
                    "iptablesAdminChainName",
                ] {
                    conf[key] = json!("a b\u{0}");
                }
            },
        ),
    ];
    for backend in BOTH {
        for (what, ruin, change) in ruins {
            let Some(lab) = Lab::with(backend) else {
                continue;
            };
            let other = lab.host.pod("two");
            let beside = conf(backend, &result(9), json!({}));
            lab.firewall.add(&beside, &other).succeeds();
            let before = Snapshot::take(&lab.host, &[]).without_shared(&[]);
            let pod = lab.host.pod("one");
            let mut conf = conf(backend, &result(5), json!({"ingressPolicy": "same-bridge"}));
            lab.firewall.add(&conf, &pod).succeeds();
            ruin(&pod);
            change(&mut conf);
            for _ in 0..2 {
                let call = lab.firewall.call("DEL", &conf).pod(&pod);
                let call = if what == "netns gone" {
                    call.env("CNI_NETNS", "")
                } else {
                    call
                };
                call.run().succeeds_silently();
            }
            if pod.path().exists() {
                pod.remove();
            }
            Snapshot::take(&lab.host, &[])
                .without_shared(&[])
                .assert_same_as(&before);
            assert!(
                !lab.traces().contains("10.1.0.5"),
                "{backend}, {what}: {}",
                lab.traces()
            );
            assert!(lab.traces().contains("10.1.0.9"), "{backend}, {what}");
        }
    }
}

#[test]
fn a_host_on_which_nothing_was_ever_made_stays_as_it_is() {
    for backend in BOTH {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let pod = lab.host.pod("one");
        let conf = conf(backend, &result(5), json!({}));
        lab.firewall.del(&conf, &pod).succeeds_silently();
        lab.firewall
            .gc(&with_version(&conf, "1.1.0"), &[])
            .succeeds_silently();
        assert_eq!(lab.host.sh("nft list ruleset").trim(), "", "{backend}");
    }
}

fn with_version(conf: &Value, version: &str) -> Value {
    let mut conf = conf.clone();
    conf["cniVersion"] = json!(version);
    conf
}
