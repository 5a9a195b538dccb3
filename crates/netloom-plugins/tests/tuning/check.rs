use crate::support::{Lab, OTHER_MAC, conf, everything};
use netloom_testkit::Pod;
use serde_json::json;

#[test]
fn drift_in_everything_that_add_set_is_named_and_nothing_is_mended() {
    type Drift = (fn(&Pod), &'static [&'static str]);
    let drifts: [Drift; 7] = [
        (
            |pod| drop(pod.ip("link set eth0 address 02:00:00:00:00:99")),
            &["Ethernet of eth0 is 02:00:00:00:00:71, current value is 02:00:00:00:00:99"],
        ),
        (
            |pod| drop(pod.ip("link set eth0 promisc off")),
            &["promisc of eth0 is true, current value is false"],
        ),
        (
            |pod| drop(pod.ip("link set eth0 mtu 1300")),
            &["MTU of eth0 is 1400, current value is 1300"],
        ),
        (
            |pod| drop(pod.ip("link set eth0 allmulticast off")),
            &["all-multicast mode of eth0 is true, current value is false"],
        ),
        (
            |pod| drop(pod.ip("link set eth0 txqueuelen 5")),
            &["Transmit Queue Length of eth0 is 77, current value is 5"],
        ),
        (
            |pod| drop(pod.sh("echo 1 > /proc/sys/net/ipv4/tcp_sack")),
            &["/proc/sys/net/ipv4/tcp_sack is 0, current value is 1"],
        ),
        (
            |pod| {
                pod.ip("link set eth0 down");
                pod.ip("link set eth0 name other");
            },
            &["Cannot find container link eth0"],
        ),
    ];
    for (drift, words) in drifts {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod("one");
        let mut conf = conf(everything());
        conf["sysctl"] = json!({"net.ipv4.tcp_sack": "0"});
        let result = lab.plugin.add(&conf, &pod).succeeds();
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        drift(&pod);
        let before = lab.snapshot(&[&pod]);
        let error = lab.plugin.check(&conf, &result, &pod).fails_with(999);
        error.names(words);
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn what_nobody_asked_for_is_no_drift() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let asked = conf(json!({"mac": OTHER_MAC.to_uppercase()}));
    let result = lab.plugin.add(&asked, &pod).succeeds();
    pod.ip("link set eth0 promisc on mtu 1300 txqueuelen 5 allmulticast on");
    lab.plugin.check(&asked, &result, &pod).succeeds_silently();
    // Unless the configuration says that it is off.
    let off = conf(json!({"promisc": false}));
    let error = lab.plugin.check(&off, &result, &pod).fails();
    error.names(&["promisc of eth0 is false, current value is true"]);
}

#[test]
fn a_result_and_a_namespace_are_needed() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let call = |conf| lab.plugin.call("CHECK", &conf).pod(&pod);
    let error = call(conf(json!({"prevResult": null}))).run().fails_with(7);
    error.names(&["Required prevResult missing"]);
    let gone = call(conf(json!({}))).env("CNI_NETNS", "/run/netns/gone");
    gone.run().fails_with(8).names(&["/run/netns/gone"]);
}

#[test]
fn a_sysctl_that_can_only_be_written_is_set_and_not_compared() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let conf = conf(json!({"sysctl": {"net.ipv4.route.flush": "1"}}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
}
