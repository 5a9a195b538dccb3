use crate::support::Lab;
use serde_json::json;
use std::fs;

/// Fails the ADD at its k-th netlink message, for every k, and looks at what is left.
#[test]
fn an_add_that_fails_anywhere_leaves_only_what_is_shared() {
    if !netloom_testkit::probe::has_program("strace") {
        return netloom_testkit::skip("needs strace");
    }
    for backend in ["nftables", "iptables"] {
        let mut failed = 0;
        for k in 1..80 {
            let Some(lab) = Lab::new() else { return };
            let pod = lab.host.pod("one");
            lab.ipam
                .answers(json!({"ips": [{"address": "10.1.0.5/24"}, {"address": "fd00:1::5/64"}]}));
            let conf = lab.routed(json!({
                "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend,
                "macspoofchk": true, "hairpinMode": true,
            }));
            let call = lab.bridge.call("ADD", &conf).pod(&pod);
            let inject = format!("inject=sendto,sendmsg:error=ENOBUFS:when={k}");
            let outcome = call
                .under("strace", &["-o", "/run/trace", "-e", &inject])
                .run();
            if outcome.is_success() {
                break;
            }
            failed += 1;
            let error = outcome.fails();
            assert!(!pod.ip("-o link").contains("eth0"), "{k}: {}", error.text());
            let left = lab.ruleset();
            assert!(
                !left.contains("id-of-one") && !left.contains("CNI-"),
                "{k}: {left}"
            );
            let links = lab.host.ip("-o link");
            assert!(!links.contains("veth"), "{k}: {links}");
            let calls = lab.ipam.calls();
            assert!(
                calls.is_empty() || calls == ["ADD", "DEL"],
                "{k}: {calls:?}"
            );
        }
        println!("{backend}: {failed} points of failure");
        assert!(failed > 10, "only {failed} points were tried");
        let trace = fs::read_to_string("/run/trace").unwrap_or_default();
        drop(trace);
    }
}

/// Kills the ADD at its k-th netlink message, for every k; then DEL must clean up.
#[test]
fn a_del_after_an_add_that_was_killed_anywhere_leaves_only_what_is_shared() {
    if !netloom_testkit::probe::has_program("strace") {
        return netloom_testkit::skip("needs strace");
    }
    let mut killed = 0;
    for k in 1..80 {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.host.pod("one");
        let conf = lab.routed(json!({
            "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
            "macspoofchk": true,
        }));
        let call = lab.bridge.call("ADD", &conf).pod(&pod);
        let inject = format!("inject=sendto,sendmsg:signal=SIGKILL:when={k}");
        if call
            .under("strace", &["-o", "/run/trace", "-e", &inject])
            .run()
            .is_success()
        {
            break;
        }
        killed += 1;
        lab.bridge.del(&conf, &pod).succeeds_silently();
        assert!(!pod.ip("-o link").contains("eth0"), "{k}");
        assert!(!lab.host.ip("-o link").contains("veth"), "{k}");
        assert!(
            !lab.ruleset().contains("id-of-one"),
            "{k}: {}",
            lab.ruleset()
        );
    }
    println!("{killed} points of death");
    assert!(killed > 10, "only {killed} points were tried");
}
