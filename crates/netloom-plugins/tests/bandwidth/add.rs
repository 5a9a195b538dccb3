use crate::support::{HOST_END, Lab, both, conf, conf_in, previous, wire};
use netloom_testkit::Trace;
use serde_json::{Value, json};

#[test]
fn both_directions_are_shaped_with_upstreams_names_and_numbers_in_every_version() {
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod();
        let conf = conf_in(version, both());
        let result = lab.plugin.add(&conf, &pod).succeeds();
        let qdiscs = lab.qdiscs(HOST_END);
        let bucket = "qdisc tbf 1: root rate 8Mbit burst 20000b/1 mpu 0b lat 25ms";
        assert!(qdiscs.contains(bucket), "{qdiscs}");
        assert!(
            qdiscs.contains("qdisc ingress ffff: parent ffff:fff1"),
            "{qdiscs}"
        );

        // sha512("netid-of-one") by sha512sum.
        let hash = lab.host.sh("printf netid-of-one | sha512sum");
        let ifb = format!("bwp{}", &hash[..12]);
        assert_eq!(lab.ifbs(), std::slice::from_ref(&ifb));
        let qdiscs = lab.qdiscs(&ifb);
        let bucket = "qdisc tbf 1: root rate 16Mbit burst 40000b/1 mpu 0b lat 25ms";
        assert!(qdiscs.contains(bucket), "{qdiscs}");
        let filter = lab
            .host
            .sh(&format!("tc filter show dev {HOST_END} ingress"));
        assert_eq!(
            filter.matches("Egress Redirect to device").count(),
            1,
            "{filter}"
        );
        assert!(
            filter.contains(&ifb) && filter.contains("flowid 1:1"),
            "{filter}"
        );

        let link: Value =
            serde_json::from_str(&lab.host.ip(&format!("-j link show {ifb}"))).unwrap();
        let link = &link[0];
        assert_eq!(link["mtu"], 1400);
        assert_eq!(link["txqlen"], Value::Null, "no queue of its own");
        let alias = link["ifalias"].as_str().unwrap();
        assert!(
            alias.ends_with(", net: net, if: eth0, id: id-of-one"),
            "{alias}"
        );

        let mut expected = previous(version, HOST_END, "eth0", "one")["interfaces"].clone();
        let mut own = json!({"name": ifb, "mac": link["address"]});
        if version >= "1.1.0" {
            own["mtu"] = json!(1400);
        }
        expected.as_array_mut().unwrap().push(own);
        assert_eq!(result["interfaces"], expected);
        assert_eq!(result["ips"], conf["prevResult"]["ips"]);
        if version >= "0.4.0" {
            lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        }
    }
}

#[test]
fn one_direction_alone_needs_nothing_of_the_other() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let before = lab.snapshot(&[&pod]);
    let ingress = conf(json!({"ingressRate": 8_000_000, "ingressBurst": 160_000}));
    let result = lab.plugin.add(&ingress, &pod).succeeds();
    assert_eq!(result["interfaces"], ingress["prevResult"]["interfaces"]);
    assert!(lab.ifbs().is_empty() && !lab.qdiscs(HOST_END).contains("ingress"));
    lab.plugin
        .check(&ingress, &result, &pod)
        .succeeds_silently();
    lab.plugin
        .del_with(&ingress, &result, &pod)
        .succeeds_silently();
    lab.snapshot(&[&pod]).assert_same_as(&before);

    let egress = conf(json!({"egressRate": 8_000_000, "egressBurst": 160_000}));
    let result = lab.plugin.add(&egress, &pod).succeeds();
    assert!(!lab.qdiscs(HOST_END).contains("tbf"));
    lab.plugin.check(&egress, &result, &pod).succeeds_silently();
    lab.plugin.del(&egress, &pod).succeeds_silently();
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn no_limit_is_nothing_done_and_the_runtimes_limits_count_unless_the_configuration_has_one() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let before = lab.snapshot(&[&pod]);
    let runtime = json!({"bandwidth": both()});
    for keys in [
        json!({}),
        json!({"ingressRate": 0}),
        json!({"runtimeConfig": {}}),
        json!({"egressBurst": 0, "runtimeConfig": runtime}),
        json!({"ingressLatency": 5, "unshapedSubnets": ["10.0.0.0/8"]}),
    ] {
        let conf = conf(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(result["interfaces"], conf["prevResult"]["interfaces"]);
        lab.snapshot(&[&pod]).assert_same_as(&before);
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    }
    let conf = conf(json!({"runtimeConfig": runtime, "ingressLatency": 5}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    let qdiscs = lab.qdiscs(HOST_END);
    assert!(
        qdiscs.contains("rate 8Mbit") && qdiscs.contains("lat 5ms"),
        "{qdiscs}"
    );
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
}

#[test]
fn two_interfaces_of_a_container_on_one_network_have_an_ifb_each() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    wire(&lab.host, &pod, "net1", "host-net1");
    let first = conf(both());
    let mut second = first.clone();
    second["prevResult"] = previous("1.1.0", "host-net1", "net1", "one");
    let call = |command: &str, conf: &Value| {
        let call = lab.plugin.call(command, conf).pod(&pod);
        call.env("CNI_IFNAME", "net1").run()
    };
    for first_goes_first in [true, false] {
        let result = lab.plugin.add(&first, &pod).succeeds();
        let other = call("ADD", &second).succeeds();
        assert_eq!(lab.ifbs().len(), 2);
        assert_ne!(
            result["interfaces"][2]["name"],
            other["interfaces"][2]["name"]
        );
        lab.plugin.check(&first, &result, &pod).succeeds_silently();
        second["prevResult"] = other;
        call("CHECK", &second).succeeds_silently();
        let stays = if first_goes_first {
            lab.plugin.del(&first, &pod).succeeds_silently();
            &second["prevResult"]
        } else {
            call("DEL", &second).succeeds_silently();
            &result
        };
        assert_eq!(
            lab.ifbs(),
            [stays["interfaces"][2]["name"].as_str().unwrap()]
        );
        call("DEL", &second).succeeds_silently();
        lab.plugin.del(&first, &pod).succeeds_silently();
        assert!(lab.ifbs().is_empty());
        second["prevResult"] = previous("1.1.0", "host-net1", "net1", "one");
    }
}

#[test]
fn subnets_make_classes_with_filters_for_either_family() {
    for (key, default) in [("unshapedSubnets", "0x30"), ("shapedSubnets", "0x1")] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod();
        let before = lab.snapshot(&[&pod]);
        let mut conf = conf(both());
        conf[key] = json!(["10.0.0.0/8", "fd00:db8::/33"]);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        let ifb = lab.ifbs()[0].clone();
        for (link, rate, offsets) in [(HOST_END, "8Mbit", [12, 8]), (&ifb, "16Mbit", [16, 24])] {
            let qdiscs = lab.qdiscs(link);
            let htb = format!("htb 1: root r2q 10 default {default} ");
            assert!(qdiscs.contains(&htb), "{qdiscs}");
            assert!(qdiscs.contains("bfifo 130: parent 1:30"), "{qdiscs}");
            let classes = lab.host.sh(&format!("tc class show dev {link}"));
            let shaped = format!("rate {rate} ceil {rate}");
            assert!(
                classes.contains("class htb 1:30") && classes.contains(&shaped),
                "{classes}"
            );
            let filters = lab.host.sh(&format!("tc filter show dev {link} parent 1:"));
            let [v4, v6] = offsets;
            for words in [
                format!("match 0a000000/ff000000 at {v4}"),
                format!("match fd000db8/ffffffff at {v6}"),
            ] {
                assert!(filters.contains(&words), "{filters}");
            }
        }
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn a_burst_that_no_packet_fits_in_is_told() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let keys = json!({"egressRate": 8_000_000, "egressBurst": 8000});
    let add = lab.plugin.add(&conf(keys), &pod);
    add.succeeds();
    assert!(add.stderr.contains("egressBurst is 1000 bytes"), "{add}");
    lab.plugin.del(&conf(json!({})), &pod).succeeds_silently();
    let add = lab.plugin.add(&conf(both()), &pod);
    assert_eq!(add.stderr, "", "{add}");
}

/// The reference's rounding makes no time of it, which the kernel refuses.
#[test]
fn a_burst_of_less_than_a_microsecond_is_one_that_the_kernel_takes() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    for (rate, burst) in [
        (10_000_000_000_u64, 8000),
        (1_000_000_000_000, 12_112),
        (u64::MAX, 8),
    ] {
        let keys = json!({
            "ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst,
        });
        let conf = conf(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin.del(&conf, &pod).succeeds_silently();
    }
}

#[test]
fn nothing_is_executed_and_nothing_sleeps() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    for command in ["ADD", "CHECK", "DEL"] {
        let Some(trace) = Trace::of(&lab.plugin.call(command, &conf(both())).pod(&pod)) else {
            return;
        };
        assert!(trace.outcome.is_success(), "{}", trace.outcome);
        assert!(trace.executions().is_empty() && trace.sleeps().is_empty());
        let sent = trace.count("sendto");
        println!(
            "{command}: {} system calls, {sent} to the kernel's netlink",
            trace.calls.len()
        );
    }
}
