//! The alias is the pod's to write: it neither names the host's device nor keeps it.

use crate::support::{Lab, MAC, NIC, bare, eth0};
use serde_json::json;

/// Names that root in the pod would like the host to have, or to clash with, and what is no name.
const ALIASES: [&str; 5] = ["cni0", "lo", "wire9", "cni:other", ""];

#[test]
fn the_device_comes_back_under_its_own_name_whatever_alias_the_pod_wrote() {
    for alias in ALIASES {
        for keys in [json!({}), json!({"device": null, "hwaddr": MAC})] {
            let Some(lab) = Lab::new() else { return };
            lab.host.ip("link add wire9 type veth peer name wire8");
            let before = lab.snapshot(&[]);
            let pod = lab.host.pod("one");
            let conf = bare(keys);
            let made = lab.plugin.add(&conf, &pod).succeeds();
            pod.ip(&format!("link set eth0 alias '{alias}'"));
            lab.plugin.gc(&conf, &[]).succeeds_silently();
            lab.plugin.del_with(&conf, &made, &pod).succeeds_silently();
            lab.assert_returned(alias);
            drop(pod);
            lab.snapshot(&[]).assert_same_as(&before);
        }
    }
}

#[test]
fn a_device_that_came_back_from_a_dead_pod_is_not_named_by_the_alias_either() {
    for alias in ALIASES {
        let Some(lab) = Lab::new() else { return };
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let conf = bare(json!({"device": null, "hwaddr": MAC}));
        let made = lab.plugin.add(&conf, &one).succeeds();
        one.ip(&format!("link set eth0 alias '{alias}'"));
        lab.container_dies(&one, "eth0", "eth0");
        // The next ADD takes it under its own name, and DEL of both gives it back as that.
        let second = lab.plugin.add(&conf, &two).succeeds();
        assert_eq!(eth0(&two)["ifalias"], NIC, "{alias}");
        lab.plugin.del_with(&conf, &made, &one).succeeds_silently();
        lab.plugin
            .del_with(&conf, &second, &two)
            .succeeds_silently();
        lab.assert_returned(alias);
    }
}

#[test]
fn a_late_del_gives_it_its_own_name() {
    for alias in ALIASES {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.host.pod("one");
        let conf = bare(json!({"device": null, "hwaddr": MAC}));
        let made = lab.plugin.add(&conf, &pod).succeeds();
        pod.ip(&format!("link set eth0 alias '{alias}'"));
        lab.container_dies(&pod, "eth0", "eth0");
        for _ in 0..2 {
            lab.plugin.del_with(&conf, &made, &pod).succeeds_silently();
            lab.assert_returned(alias);
        }
    }
}

/// A pod that holds one device writes the name of another into its alias.
#[test]
fn neither_gc_nor_add_takes_it_for_the_device_that_the_alias_names() {
    let Some(lab) = Lab::new() else { return };
    lab.host
        .ip("link add nic1 address 02:00:00:00:00:71 type veth peer name wire7");
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let first = bare(json!({"device": "nic1"}));
    let of_nic0 = bare(json!({}));
    lab.plugin.add(&first, &one).succeeds();
    one.ip(&format!("link set eth0 alias {NIC}"));
    lab.container_dies(&one, "eth0", "eth0");
    // Lent meanwhile, so that its name is free.
    lab.host.ip(&format!("link del {NIC}"));
    lab.plugin
        .gc(&of_nic0, &[(&one.container_id(), "eth0")])
        .succeeds_silently();
    assert!(lab.link("eth0").is_some(), "{}", lab.host.ip("link"));
    let error = lab.plugin.add(&of_nic0, &two).fails();
    error.names(&[NIC]);
    lab.plugin.del(&first, &one).succeeds_silently();
    assert!(lab.link("nic1").is_some(), "{}", lab.host.ip("link"));
}

/// The kernel moves no link with an alternative name that is taken where it goes.
#[test]
fn an_alternative_name_that_the_host_has_keeps_nothing_in_the_pod() {
    let Some(lab) = Lab::new() else { return };
    lab.host.ip("link add wire9 type veth peer name wire8");
    let pod = lab.host.pod("one");
    let conf = bare(json!({}));
    lab.plugin.add(&conf, &pod).succeeds();
    pod.ip(&format!(
        "link property add dev eth0 altname wire9 altname lo9 altname {NIC}"
    ));
    lab.plugin.del(&conf, &pod).succeeds_silently();
    lab.assert_returned("after all");
    // What is in nobody's way stays, as an administrator's does.
    assert_eq!(lab.link(NIC).unwrap()["altnames"], json!(["lo9"]));
}
