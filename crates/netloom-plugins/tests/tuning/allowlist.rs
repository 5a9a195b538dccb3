//! `/etc/cni/tuning/allowlist.conf`.

use crate::support::{Lab, conf, sysctl};
use serde_json::{Value, json};

fn wanted() -> Value {
    conf(json!({"sysctl": {"net.ipv4.tcp_sack": "0", "net.ipv4.conf.IFNAME.arp_filter": "1"}}))
}

#[test]
fn what_is_on_the_list_is_set_and_without_a_list_everything_is() {
    for list in [
        "rm -f allowlist.conf",
        "echo '^net.ipv4.tcp_sack$' > allowlist.conf; echo ' arp_ ' >> allowlist.conf",
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod("one");
        lab.host.sh(&format!(
            "mkdir -p /etc/cni/tuning; cd /etc/cni/tuning; {list}"
        ));
        lab.plugin.add(&wanted(), &pod).succeeds();
        assert_eq!(sysctl(&pod, "net/ipv4/tcp_sack"), "0");
        assert_eq!(sysctl(&pod, "net/ipv4/conf/eth0/arp_filter"), "1");
    }
}

#[test]
fn what_is_not_on_it_is_refused_and_a_list_that_cannot_be_used_allows_nothing() {
    const UNUSABLE: &str = "no sysctl is allowed while /etc/cni/tuning/allowlist.conf";
    for (list, words) in [
        (
            "echo '^net.ipv4.tcp_sack$' > allowlist.conf",
            "Sysctl net.ipv4.conf.IFNAME.arp_filter is not allowed. Only the following sysctls are \
             allowed: [^net.ipv4.tcp_sack$]",
        ),
        // The list speaks of keys as they are spelled.
        (
            "echo 'net.ipv4.(tcp_sack|conf.eth0)' > allowlist.conf",
            "Sysctl net.ipv4.conf.IFNAME.arp_filter is not allowed",
        ),
        (
            ": > allowlist.conf",
            "is not allowed. Only the following sysctls are allowed: []",
        ),
        (
            "echo 'net.(' > allowlist.conf; echo net >> allowlist.conf",
            UNUSABLE,
        ),
        ("printf 'net\\377' > allowlist.conf", UNUSABLE),
        ("mkdir allowlist.conf", UNUSABLE),
        ("ln -s nowhere allowlist.conf", UNUSABLE),
        ("cd ..; rmdir tuning; echo net > tuning", UNUSABLE),
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod("one");
        lab.host.sh(&format!(
            "mkdir -p /etc/cni/tuning; cd /etc/cni/tuning; {list}"
        ));
        let before = lab.snapshot(&[&pod]);
        let mut all = wanted();
        all["mtu"] = json!(1400);
        lab.plugin.add(&all, &pod).fails().names(&[words]);
        // What it says holds for sysctls from arguments too.
        let mut args = conf(json!({}));
        args["args"] = json!({"cni": {"sysctl": all["sysctl"]}});
        lab.plugin.add(&args, &pod).fails().names(&["allowed"]);
        lab.plugin.status(&wanted()).fails_with(50).names(&[words]);
        lab.snapshot(&[&pod]).assert_same_as(&before);
        // Who sets no sysctl does not need it, nor do CHECK and DEL.
        lab.plugin.add(&conf(json!({"mtu": 1400})), &pod).succeeds();
        lab.plugin.del(&wanted(), &pod).succeeds_silently();
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}
