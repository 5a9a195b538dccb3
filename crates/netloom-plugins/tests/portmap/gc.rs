//! GC and STATUS.

use crate::support::{BOTH, Lab, tcp};
use serde_json::json;

#[test]
fn gc_removes_what_is_stale_of_this_network_alone() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let (one, two, three) = (
            lab.attach("one", 5),
            lab.attach("two", 6),
            lab.attach("three", 7),
        );
        let conf = lab.map(&one, tcp(8080, 80));
        lab.map(&two, tcp(8081, 80));
        lab.map_with(&three, tcp(8082, 80), json!({"name": "other"}));
        one.pod.remove();
        let mut gc = conf.clone();
        gc.as_object_mut().unwrap().remove("prevResult");
        gc.as_object_mut().unwrap().remove("runtimeConfig");
        lab.portmap
            .gc(&gc, &[("id-of-two", "eth0")])
            .succeeds_silently();
        let left = lab.traces();
        let has = |id: &str| left.contains(id);
        assert!(
            !has("id-of-one") && has("id-of-two") && has("id-of-three"),
            "{backend}: {left}"
        );
        // Without a list nothing may be removed, with an empty one everything of the network.
        lab.portmap.call("GC", &gc).run().succeeds_silently();
        assert_eq!(lab.traces(), left, "{backend}");
        lab.portmap.gc(&gc, &[]).succeeds_silently();
        let left = lab.traces();
        assert!(
            !left.contains("id-of-two") && left.contains("id-of-three"),
            "{backend}: {left}"
        );
    }
}

#[test]
fn gc_tells_interfaces_of_one_container_apart_where_the_packet_filter_can() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let one = lab.attach("one", 5);
    lab.map(&one, tcp(8080, 80));
    let mut second = lab.conf(&one, tcp(8081, 80), json!({}));
    second["prevResult"]["interfaces"][2]["name"] = json!("net1");
    let call = lab.portmap.call("ADD", &second).pod(&one.pod);
    call.env("CNI_IFNAME", "net1").run().succeeds();
    assert!(lab.traces().contains("8080") && lab.traces().contains("8081"));
    lab.portmap
        .gc(&second, &[("id-of-one", "net1")])
        .succeeds_silently();
    let left = lab.traces();
    assert!(!left.contains("8080") && left.contains("8081"), "{left}");
}

#[test]
fn status_is_50_where_ports_cannot_be_mapped_and_7_for_a_bad_configuration() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let conf = json!({
            "cniVersion": "1.1.0", "name": "net", "type": "portmap", "backend": backend,
        });
        lab.portmap.status(&conf).succeeds_silently();
        let mut bad = conf.clone();
        bad["markMasqBit"] = json!(32);
        lab.portmap
            .status(&bad)
            .fails_with(7)
            .names(&["markMasqBit"]);
        if backend == "iptables" {
            let call = lab.portmap.call("STATUS", &conf).env("PATH", "/nowhere");
            call.run()
                .fails_with(50)
                .names(&["iptables-restore", "PATH"]);
        }
    }
}

#[test]
fn without_a_wish_it_is_iptables_where_that_is_installed_else_nftables() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let one = lab.attach("one", 5);
    let mut conf = lab.conf(&one, tcp(8080, 80), json!({}));
    conf.as_object_mut().unwrap().remove("backend");
    for (path, chain) in [(None, "CNI-DN-"), (Some("/nowhere"), "cni_hostport")] {
        let call = |command| {
            let call = lab.portmap.call(command, &conf).pod(&one.pod);
            path.map_or_else(|| call.clone(), |path| call.clone().env("PATH", path))
        };
        call("ADD").run().succeeds();
        let rules = lab.host.sh("nft list ruleset 2>/dev/null");
        assert!(rules.contains(chain), "{chain}: {rules}");
        call("CHECK").run().succeeds_silently();
        call("DEL").run().succeeds_silently();
        assert_eq!(lab.traces(), "");
    }
}
