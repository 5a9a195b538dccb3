use crate::support::{Lab, MAC, STATE, conf, eth0, everything, file, files};
use netloom_testkit::Pod;
use serde_json::json;
use std::fs;

#[test]
fn del_gives_back_what_was_and_a_second_one_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    pod.ip("link set eth0 promisc on allmulticast on mtu 1450 txqueuelen 5");
    let before = lab.snapshot(&[&pod]);
    let mut conf = conf(everything());
    conf["allmulti"] = json!(false);
    for with_result in [true, false] {
        let result = lab.plugin.add(&conf, &pod).succeeds();
        for _ in 0..2 {
            let del = match with_result {
                true => lab.plugin.del_with(&conf, &result, &pod),
                false => lab.plugin.del(&conf, &pod),
            };
            del.succeeds_silently();
            lab.snapshot(&[&pod]).assert_same_as(&before);
        }
    }
}

#[test]
fn del_removes_the_backup_whatever_is_left_of_the_pod() {
    type Ruin = (&'static str, fn(&Pod));
    let ruins: [Ruin; 4] = [
        ("netns gone", |pod| pod.remove()),
        ("not a netns", |pod| pod.unmount()),
        ("link gone", |pod| drop(pod.ip("link del eth0"))),
        ("backup broken", |pod| {
            fs::write(file(pod), "{\"mac\": 7, \"mtu").unwrap();
        }),
    ];
    for (what, ruin) in ruins {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod("one");
        let conf = conf(everything());
        lab.plugin.add(&conf, &pod).succeeds();
        ruin(&pod);
        for _ in 0..2 {
            lab.plugin.del(&conf, &pod).succeeds_silently();
            assert!(files().is_empty(), "{what}");
        }
    }
}

#[test]
fn an_empty_netns_a_bad_configuration_and_foreign_arguments_do_not_matter() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    lab.plugin.add(&conf(everything()), &pod).succeeds();
    let call = lab.plugin.call("DEL", &conf(everything())).pod(&pod);
    call.env("CNI_NETNS", "").run().succeeds_silently();
    assert!(files().is_empty());

    pod.ip(&format!(
        "link set eth0 address {MAC} mtu 1500 txqueuelen 1000"
    ));
    lab.plugin.add(&conf(everything()), &pod).succeeds();
    let bad = conf(json!({"mac": 7, "mtu": "x", "sysctl": 5, "prevResult": {"ips": "nonsense"}}));
    let call = lab.plugin.call("DEL", &bad).pod(&pod);
    call.env("CNI_ARGS", "FOO;;").run().succeeds_silently();
    assert!(files().is_empty());
    assert_eq!(
        (&eth0(&pod)["mtu"], &eth0(&pod)["txqlen"]),
        (&json!(1500), &json!(1000))
    );
}

#[test]
fn a_renamed_interface_is_known_again_and_another_pods_is_let_be() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let conf = conf(everything());
    lab.plugin.add(&conf, &pod).succeeds();
    pod.sh("ip link set eth0 down; ip link set eth0 name other");
    lab.plugin.del(&conf, &pod).succeeds_silently();
    assert!(pod.ip("link show other").contains("mtu 1500"));
    lab.host.ip("link del host-one");
    drop(pod);

    let pod = lab.pod("one");
    lab.plugin.add(&conf, &pod).succeeds();
    let other = lab.pod("two");
    other.ip("link set eth0 mtu 1300");
    // The runtime gave its path to somebody else.
    let call = lab.plugin.call("DEL", &conf).pod(&pod);
    call.env("CNI_NETNS", other.path())
        .run()
        .succeeds_silently();
    assert_eq!(eth0(&other)["mtu"], 1300);
    assert!(files().is_empty());
}

#[test]
fn what_the_kernel_will_not_set_is_told_and_does_not_keep_the_pod() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let conf = conf(json!({"mtu": 1400, "txQLen": 5}));
    lab.plugin.add(&conf, &pod).succeeds();
    let text = fs::read_to_string(file(&pod)).unwrap();
    fs::write(file(&pod), text.replace("1500", "12")).unwrap();
    let del = lab.plugin.del(&conf, &pod);
    del.succeeds_silently();
    assert!(
        del.stderr.contains("failed to restore mtu 12 of \"eth0\""),
        "{del}"
    );
    assert_eq!(
        eth0(&pod)["txqlen"],
        1000,
        "the others are restored all the same"
    );
    assert!(files().is_empty());
}

#[test]
fn another_directory_is_used_and_the_attachments_of_others_are_not_touched() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let conf = conf(json!({"mtu": 1400, "dataDir": "/run/own/backups"}));
    fs::create_dir_all(STATE).unwrap();
    fs::write(file(&pod), "{\n \"mtu\": 1234\n}").unwrap();
    lab.plugin.add(&conf, &pod).succeeds();
    assert!(fs::exists("/run/own/backups/id-of-one_eth0.json").unwrap());
    lab.plugin.del(&conf, &pod).succeeds_silently();
    assert!(!fs::exists("/run/own/backups/id-of-one_eth0.json").unwrap());
    assert_eq!(files(), ["id-of-one_eth0.json"]);
    assert_eq!(eth0(&pod)["mtu"], 1500);
}
