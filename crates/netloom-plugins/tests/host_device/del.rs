use crate::support::{Lab, MAC, NIC, bare, conf, eth0, is_up, reserved};
use netloom_testkit::{Faults, Pod};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

type Ruin = fn(&Lab, &Pod);

/// What may have become of the pod, and whether the device can be had back.
const STATES: [(&str, bool, Ruin); 11] = [
    ("whole", true, |_, _| {}),
    ("down and without addresses", true, |_, pod| {
        pod.ip("addr flush dev eth0");
        pod.ip("link set eth0 down");
    }),
    ("renamed", true, |_, pod| {
        pod.ip("link set eth0 down");
        pod.ip("link set eth0 name other");
    }),
    ("renamed, with a stranger in its place", true, |_, pod| {
        pod.ip("link set eth0 down");
        pod.ip("link set eth0 name other");
        pod.ip("link add eth0 type veth peer name peer");
    }),
    ("another address", true, |_, pod| {
        drop(pod.ip("link set eth0 address 02:00:00:00:00:77"));
    }),
    ("container dead", true, |lab, pod| {
        lab.container_dies(pod, "eth0", "eth0")
    }),
    ("container dead, eth0 taken", true, |lab, pod| {
        lab.host.ip("link add eth0 type veth peer name peer");
        lab.container_dies(pod, "eth0", "dev17");
    }),
    ("renamed, then dead", true, |lab, pod| {
        lab.container_dies(pod, "eth0", "other")
    }),
    ("device gone", false, |_, pod| drop(pod.ip("link del eth0"))),
    ("netns unmounted", false, |_, pod| pod.unmount()),
    ("path missing", false, |_, pod| pod.remove()),
];

#[test]
fn the_device_comes_back_and_the_address_is_free_whatever_became_of_the_pod() {
    for (state, returns, ruin) in STATES {
        for previous in ["present", "absent", "unreadable"] {
            let Some(lab) = Lab::new() else { return };
            let pod = lab.host.pod("one");
            let mut conf = conf(json!({}));
            let result = lab.plugin.add(&conf, &pod).succeeds();
            match previous {
                "present" => conf["prevResult"] = result,
                "unreadable" => conf["prevResult"] = json!({"cniVersion": "0.1.0", "ips": 7}),
                _ => {}
            }
            ruin(&lab, &pod);
            let case = format!("{state}, prevResult {previous}");
            for _ in 0..2 {
                lab.plugin.del(&conf, &pod).succeeds_silently();
                assert_eq!(reserved(), Vec::<String>::new(), "{case}");
                if returns && state == "another address" {
                    assert!(lab.link(NIC).is_some(), "{case}");
                } else if returns {
                    lab.assert_returned(&case);
                }
            }
            if state.contains("stranger") {
                assert!(pod.ip("-o link").contains("eth0@peer"), "{case}");
            }
            if state.contains("taken") {
                assert!(lab.host.ip("-o link").contains("eth0@peer"), "{case}");
            }
        }
    }
}

#[test]
fn without_a_netns_the_address_is_freed_and_the_host_is_looked_at() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({}));
    lab.plugin.add(&conf, &pod).succeeds();
    lab.container_dies(&pod, "eth0", "eth0");
    for _ in 0..2 {
        let call = lab.plugin.call("DEL", &conf).pod(&pod);
        call.env("CNI_NETNS", "").run().succeeds_silently();
        lab.assert_returned("netns empty");
        assert_eq!(reserved(), Vec::<String>::new());
    }
}

#[test]
fn a_taken_name_on_the_host_leaves_the_device_in_the_pod_until_it_is_free() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    lab.host.ip("link add nic0 type veth peer name peer");
    let error = lab.plugin.del_with(&conf, &result, &pod).fails_with(11);
    error.names(&[
        "failed to rename device \"eth0\" to \"nic0\"",
        "the host has another link",
    ]);
    let link = eth0(&pod);
    assert_eq!(
        (&link["address"], &link["ifalias"]),
        (&json!(MAC), &json!(NIC))
    );
    assert!(is_up(&link));
    lab.host.ip("link del nic0");
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    lab.assert_returned("after the conflict");
}

fn count_of(text: &str, file: &str) -> usize {
    let content = fs::read_to_string(file).unwrap_or_default();
    content.matches(text).count()
}

#[test]
fn a_name_that_is_taken_at_the_last_moment_sends_the_device_back_to_the_pod() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = bare(json!({}));
    lab.plugin.add(&conf, &pod).succeeds();
    let del = lab.plugin.call("DEL", &conf).pod(&pod);
    let Some(points) = Faults::points(&del) else {
        return;
    };
    // The last request is the one that moves the device.
    let requests = points.list().iter().filter(|point| point.name == "sendto");
    let last = requests.count();
    let inject = format!("inject=sendto:delay_enter=3000000:when={last}");
    lab.plugin.add(&conf, &pod).succeeds();
    let slow = del.under("strace", &["-o", "/run/trace", "-e", &inject]);
    let outcome = std::thread::scope(|scope| {
        let del = scope.spawn(|| slow.run());
        // strace writes a call down before it delays it.
        let deadline = Instant::now() + Duration::from_secs(60);
        while count_of("sendto(", "/run/trace") < last {
            assert!(
                Instant::now() < deadline,
                "it never comes to the last request"
            );
        }
        lab.host.ip("link add nic0 type veth peer name peer");
        del.join().unwrap()
    });
    outcome.fails_with(11).names(&["\"eth0\"", "\"nic0\""]);
    let link = eth0(&pod);
    assert_eq!(
        (&link["address"], &link["ifalias"]),
        (&json!(MAC), &json!(NIC))
    );
    assert!(is_up(&link));
    assert!(lab.link("eth0").is_none());
}

#[test]
fn a_taken_name_on_the_host_keeps_a_device_that_came_back_under_the_one_it_has() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = bare(json!({}));
    lab.plugin.add(&conf, &pod).succeeds();
    lab.container_dies(&pod, "eth0", "eth0");
    lab.host.ip("link add nic0 type veth peer name peer");
    let error = lab.plugin.del(&conf, &pod).fails_with(11);
    error.names(&["\"eth0\"", "\"nic0\""]);
    assert_eq!(lab.link("eth0").unwrap()["ifalias"], NIC);
    lab.host.ip("link del nic0");
    lab.plugin.del(&conf, &pod).succeeds_silently();
    lab.assert_returned("after the conflict");
}

#[test]
fn of_two_devices_in_one_pod_each_del_takes_its_own() {
    for keys in [
        [json!({"device": "nic0"}), json!({"device": "nic1"})],
        [
            json!({"device": null, "hwaddr": MAC}),
            json!({"device": null, "hwaddr": "02:00:00:00:00:71"}),
        ],
    ] {
        let Some(lab) = Lab::new() else { return };
        lab.host
            .ip("link add nic1 address 02:00:00:00:00:71 type veth peer name peer");
        let pod = lab.host.pod("one");
        let call = |command: &str, which: usize| {
            let name = ["eth0", "net1"][which];
            let call = lab
                .plugin
                .call(command, &bare(keys[which].clone()))
                .pod(&pod);
            call.env("CNI_IFNAME", name).run()
        };
        call("ADD", 0).succeeds();
        call("ADD", 1).succeeds();
        // The container exchanges their names.
        for (from, to) in [("eth0", "tmp"), ("net1", "eth0"), ("tmp", "net1")] {
            pod.ip(&format!("link set {from} down"));
            pod.ip(&format!("link set {from} name {to}"));
        }
        call("DEL", 0).succeeds_silently();
        lab.assert_returned("the first");
        assert!(lab.link("nic1").is_none());
        if keys[0]["device"] == NIC {
            call("DEL", 0).succeeds_silently();
            assert!(lab.link("nic1").is_none());
        }
        call("DEL", 1).succeeds_silently();
        assert_eq!(lab.link("nic1").unwrap()["address"], "02:00:00:00:00:71");
    }
}

#[test]
fn links_of_others_with_an_alias_are_left_alone() {
    for keys in [json!({}), json!({"device": null, "hwaddr": MAC})] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.host.pod("one");
        let conf = bare(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        // The administrator's own words on the device, and on another with the same address.
        lab.host.ip("link set nic0 alias wan up");
        lab.host.ip(&format!(
            "link add bond7 address {MAC} type veth peer name peer"
        ));
        lab.host.ip("link set bond7 alias lan up");
        pod.remove();
        let before = lab.snapshot(&[]);
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        lab.plugin.del(&conf, &pod).succeeds_silently();
        lab.snapshot(&[]).assert_same_as(&before);
        assert_eq!(lab.link(NIC).unwrap()["ifalias"], "wan");
    }
}

#[test]
fn a_device_whose_id_is_gone_is_found_by_its_alias() {
    let Some(lab) = Lab::new() else { return };
    crate::support::buses(&lab.host);
    let pod = lab.host.pod("one");
    let keys: Value = json!({"device": null, "runtimeConfig": {"deviceID": "mlx5_core.sf.4"}});
    let conf = conf(keys);
    lab.plugin.add(&conf, &pod).succeeds();
    lab.host.sh("umount /sys/bus");
    lab.plugin.del(&conf, &pod).succeeds_silently();
    lab.assert_returned("id gone");
}

#[test]
fn a_device_that_lost_its_alias_is_named_unless_the_configuration_knows_its_name() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let by_address = bare(json!({"device": null, "hwaddr": MAC}));
    lab.plugin.add(&by_address, &pod).succeeds();
    // As with what an older release lent.
    lab.host.sh("rm -r /run/cni/attachments");
    pod.ip("link set eth0 alias ''");
    let error = lab.plugin.del(&by_address, &pod).fails();
    error.names(&["failed to find original ifname for \"eth0\" (alias is not set)"]);
    let by_name = bare(json!({}));
    let result = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "mac": MAC, "sandbox": "/run/netns/one"}]
    });
    lab.plugin
        .del_with(&by_name, &result, &pod)
        .succeeds_silently();
    lab.assert_returned("by name");
}
