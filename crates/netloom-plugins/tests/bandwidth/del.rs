use crate::support::{Lab, both, conf, pod};
use netloom_testkit::Pod;
use serde_json::json;

#[test]
fn del_removes_everything_whatever_is_left_of_the_pod() {
    type Ruin = (&'static str, fn(&Lab, &Pod));
    let ruins: [Ruin; 5] = [
        ("whole", |_, _| {}),
        ("netns gone", |_, pod| pod.remove()),
        ("not a netns", |_, pod| pod.unmount()),
        ("link gone", |_, pod| drop(pod.ip("link del eth0"))),
        ("link renamed", |_, pod| {
            drop(pod.sh("ip link set eth0 down; ip link set eth0 name other"))
        }),
    ];
    for (what, ruin) in ruins {
        for with_result in [true, false] {
            let Some(lab) = Lab::new() else { return };
            let pod = lab.pod();
            let result = lab.plugin.add(&conf(both()), &pod).succeeds();
            ruin(&lab, &pod);
            let mut bare = conf(both());
            bare.as_object_mut().unwrap().remove("prevResult");
            for _ in 0..2 {
                let outcome = match with_result {
                    true => lab.plugin.del_with(&conf(both()), &result, &pod),
                    false => lab.plugin.del(&bare, &pod),
                };
                outcome.succeeds_silently();
                assert!(lab.ifbs().is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn the_hosts_end_is_as_it_was() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let before = lab.snapshot(&[&pod]);
    let mut bare = conf(both());
    bare.as_object_mut().unwrap().remove("prevResult");
    for del in [&conf(both()), &bare] {
        lab.plugin.add(&conf(both()), &pod).succeeds();
        lab.plugin.del(del, &pod).succeeds_silently();
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn an_empty_netns_a_bad_configuration_and_foreign_arguments_do_not_matter() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let before = lab.snapshot(&[&pod]);
    lab.plugin.add(&conf(both()), &pod).succeeds();
    let call = lab.plugin.call("DEL", &conf(both())).pod(&pod);
    call.env("CNI_NETNS", "").run().succeeds_silently();
    assert!(lab.ifbs().is_empty());
    lab.host
        .sh("tc qdisc del dev host-one root; tc qdisc del dev host-one ingress");
    lab.snapshot(&[&pod]).assert_same_as(&before);

    lab.plugin.add(&conf(both()), &pod).succeeds();
    let bad = conf(json!({"ingressRate": "x", "egressRate": 5, "prevResult": {"ips": "nonsense"}}));
    let call = lab.plugin.call("DEL", &bad).pod(&pod);
    call.env("CNI_ARGS", "FOO;;").run().succeeds_silently();
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn another_pod_at_the_same_path_and_another_network_are_let_be() {
    let Some(lab) = Lab::new() else { return };
    let one = lab.pod();
    lab.plugin.add(&conf(both()), &one).succeeds();
    let before = lab.snapshot(&[&one]);
    // The runtime gave the path to `one`; what is deleted is long gone.
    let mut stale = conf(both());
    stale["prevResult"]["interfaces"][0]["name"] = json!("host-gone");
    let call = lab.plugin.call("DEL", &stale).pod(&one);
    call.env("CNI_CONTAINERID", "gone")
        .run()
        .succeeds_silently();
    lab.snapshot(&[&one]).assert_same_as(&before);
    let mut other = stale.clone();
    other["name"] = json!("other");
    lab.plugin.del(&other, &one).succeeds_silently();
    lab.snapshot(&[&one]).assert_same_as(&before);
    drop(pod(&lab.host, "two"));
}
