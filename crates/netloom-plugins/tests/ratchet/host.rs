//! Links to the host and to its bridges, where the configuration lets pods have them.

use crate::lab::{Lab, conf, files, has, interfaces, lab, with};
use netloom_testkit::Pod;
use serde_json::{Value, json};

/// A link of a pod to the host, which is told its own address.
fn to(peer: &str, host_if: &str) -> Value {
    json!({"if": "up0", "addresses": ["10.7.0.2/24"], "peer": peer, "peerIf": host_if,
        "peerAddresses": if peer == "host" { json!(["10.7.0.1/24"]) } else { json!([]) }})
}

/// A configuration that lets pods have such links.
fn open(links: Value) -> Value {
    let mut conf = conf(links);
    conf["allowHost"] = json!(true);
    conf
}

fn result_of(lab: &Lab, pod: &Pod, conf: &Value) -> Value {
    let mut made = conf.clone();
    made["prevResult"] = lab.add(pod, conf);
    made
}

#[test]
fn a_link_to_the_host_comes_with_its_pod_and_goes_with_it() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot(&[]);
    let pod = lab.host.pod("one");
    let conf = open(json!([to("host", "to-one")]));
    let made = result_of(&lab, &pod, &conf);
    assert_eq!(interfaces(&made["prevResult"]), ["up0"]);
    assert!(pod.pings([10, 7, 0, 1]));
    lab.check(&pod, &made).succeeds_silently();
    lab.host.ip("addr del 10.7.0.1/24 dev to-one");
    lab.check(&pod, &made).fails().names(&["10.7.0.1"]);
    // A second ADD mends it.
    lab.add(&pod, &conf);
    assert!(pod.pings([10, 7, 0, 1]));
    lab.del(&pod, &made);
    assert!(!has(&pod, "up0"));
    assert_eq!(files(), [""; 0]);
    // And with a namespace that has gone.
    lab.add(&pod, &conf);
    pod.remove();
    lab.del(&pod, &conf);
    assert!(!lab.host.ip("link").contains("to-one"));
    assert_eq!(files(), [""; 0]);
    drop(pod);
    lab.assert_same(&before, &[]);
}

#[test]
fn pods_on_a_bridge_of_the_host_reach_each_other_by_it() {
    let Some(lab) = lab() else { return };
    lab.host
        .ip("link add br7 address 02:00:00:00:00:07 up type bridge");
    let before = lab.snapshot(&[]);
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let of_one = open(json!([to("bridge:br7", "port1")]));
    let mut of_two = open(json!([to("bridge:br7", "port2")]));
    of_two["runtimeConfig"]["links"][0]["addresses"] = json!(["10.7.0.3/24"]);
    let of_one = result_of(&lab, &one, &of_one);
    let of_two = result_of(&lab, &two, &of_two);
    assert!(lab.host.ip("-o link show port1").contains("master br7"));
    assert!(one.pings([10, 7, 0, 3]));
    lab.check(&one, &of_one).succeeds_silently();
    lab.host.ip("link set port1 nomaster");
    lab.check(&one, &of_one).fails().names(&["br7"]);
    lab.del(&one, &of_one);
    lab.del(&two, &of_two);
    drop((one, two));
    lab.assert_same(&before, &[]);
}

#[test]
fn what_stands_on_the_host_is_left_and_no_link_is_half_made() {
    let Some(lab) = lab() else { return };
    lab.host.ip("link add taken type veth peer name other");
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[&pod]);
    for (links, words) in [
        (json!([to("host", "taken")]), ["taken", "host"]),
        (json!([to("bridge:br8", "port1")]), ["br8", "make it first"]),
        (json!([to("bridge:taken", "port1")]), ["taken", "no bridge"]),
    ] {
        lab.call("ADD", &pod, &open(links))
            .run()
            .fails()
            .names(&words);
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn only_the_configuration_lets_a_pod_have_a_link_to_the_host() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[&pod]);
    let links = json!([to("host", "to-one")]);
    // The pod says it itself, in each place where it is heard.
    let mut told = links.clone();
    told[0]["allowHost"] = json!(true);
    for keys in [
        json!({"runtimeConfig": {"links": told, "allowHost": true}}),
        json!({"args": {"cni": {"links": told, "allowHost": true}}}),
        json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations":
            {"netloom.dev/links": told.to_string(), "allowHost": "true"}}}),
        json!({"links": links, "allowHost": false}),
    ] {
        let error = lab.call("ADD", &pod, &with(keys)).run().fails_with(7);
        error.names(&["\"host\"", "allowHost"]);
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
    // Of another pod's link, which this one is told too, nothing is made.
    let mut of_other = with(json!({"links": links, "allowHost": true}));
    of_other["links"][0]["pod"] = json!("default/other");
    lab.add(&pod, &of_other);
    assert!(!has(&pod, "up0") && !lab.host.ip("link").contains("to-one"));
}
