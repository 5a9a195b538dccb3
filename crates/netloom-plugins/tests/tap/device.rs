//! What the device in the pod is, what CHECK says of it, and where none can be made.

use crate::TAP;
use crate::single_link::{Lab, eth0, info, sysctl};
use netloom_testkit::Call;
use serde_json::{Value, json};

#[test]
fn the_device_is_what_the_configuration_says() {
    let Some(lab) = Lab::new(TAP) else { return };
    let runtime = json!({"mac": "02:00:00:00:00:43"});
    for (keys, expected) in [
        (
            json!({"owner": null, "mtu": null}),
            json!({"type": "tap", "pi": false, "vnet_hdr": false, "multi_queue": false, "persist": true}),
        ),
        (
            json!({"owner": 0}),
            json!({"user": "root", "vnet_hdr": false}),
        ),
        (
            json!({"owner": 12345, "group": 54321}),
            json!({"user": 12345, "group": 54321, "vnet_hdr": true, "pi": false}),
        ),
        (
            json!({"multiQueue": true, "owner": 12345, "group": 54321, "mac": "02:00:00:00:00:41", "mtu": 65521}),
            json!({"multi_queue": true, "pi": false}),
        ),
        (
            json!({"mac": "02:00:00:00:00:41", "runtimeConfig": runtime}),
            json!({"persist": true}),
        ),
    ] {
        let pod = lab.host.pod("one");
        let conf = lab.layer2(keys.clone());
        let result = lab.plugin.add(&conf, &pod).succeeds();
        let (link, info) = (eth0(&pod), info(&pod));
        for (key, value) in expected.as_object().unwrap() {
            let named = info[key] == *value || info[key].as_str() == Some(&value.to_string());
            assert!(named, "{keys}: {key} is {} in {info}", info[key]);
        }
        for id in ["user", "group"] {
            let asked = if id == "user" { "owner" } else { id };
            let given = keys
                .get(asked)
                .map_or(id == "user", |value| !value.is_null());
            assert_eq!(info.get(id).is_some(), given, "{keys}: {info}");
        }
        let mac = keys["runtimeConfig"]["mac"]
            .as_str()
            .or(keys["mac"].as_str());
        assert!(
            mac.is_none_or(|mac| link["address"] == mac),
            "{keys}: {link}"
        );
        let mtu = keys
            .get("mtu")
            .map_or(Some(1400), Value::as_u64)
            .unwrap_or(1500);
        assert_eq!(link["mtu"], mtu, "{keys}");
        assert!(link["flags"].as_array().unwrap().contains(&json!("UP")));
        let listed = json!({"name": "eth0", "mac": link["address"], "mtu": mtu, "sandbox": pod.path().to_str().unwrap()});
        assert_eq!(result["interfaces"], json!([listed]));
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        assert!(!pod.ip("-o link").contains("eth0"));
    }
}

#[test]
fn the_mac_address_of_cni_args_wins_over_the_configurations() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    let conf = lab.layer2(json!({"mac": "02:00:00:00:00:41", "group": 5}));
    let args = [(
        "CNI_ARGS",
        "IgnoreUnknown=1;K8S_POD_NAME=x;MAC=02:00:00:00:00:42",
    )];
    lab.add_with(&conf, &pod, &args).succeeds();
    assert_eq!(eth0(&pod)["address"], "02:00:00:00:00:42");
    let args = [("CNI_ARGS", "FOO=1")];
    lab.plugin.del(&conf, &pod).succeeds_silently();
    let error = lab.add_with(&conf, &pod, &args).fails();
    error.names(&["ARGS: unknown args [\"FOO=1\"]"]);
}

#[test]
fn with_a_bridge_in_the_pod_it_is_a_port_of_it() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    pod.ip("link add br0 type bridge");
    let conf = lab.layer2(json!({"bridge": "br0"}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert_eq!(eth0(&pod)["master"], "br0");
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    pod.ip("link set eth0 nomaster");
    let error = lab.plugin.check(&conf, &result, &pod).fails();
    error.names(&["eth0 is not a port of br0"]);
    pod.ip("link del br0");
    let error = lab.plugin.check(&conf, &result, &pod).fails();
    error.names(&["Bridge br0 in the container not found"]);
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    assert!(!pod.ip("-o link").contains("eth0"));
}

#[test]
fn with_addresses_neighbours_are_told_and_without_nothing_is_set() {
    let Some(lab) = Lab::new(TAP) else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    lab.plugin.add(&lab.quick(json!({})), &one).succeeds();
    assert_eq!(sysctl(&one, "net/ipv4/conf/eth0/arp_notify"), "1");
    let dns = json!({"search": ["example.org"]});
    let result = lab
        .plugin
        .add(&lab.layer2(json!({"dns": dns})), &two)
        .succeeds();
    assert_eq!(sysctl(&two, "net/ipv4/conf/eth0/arp_notify"), "0");
    assert_eq!((&result["dns"], result.get("ips")), (&dns, None));
}

#[test]
fn check_takes_any_owner_and_group_where_its_configuration_names_none() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    let made = lab.layer2(json!({"owner": 12345, "group": 54321}));
    let result = lab.plugin.add(&made, &pod).succeeds();
    lab.plugin.check(&made, &result, &pod).succeeds_silently();
    let without = lab.layer2(json!({"owner": null, "group": null}));
    lab.plugin
        .check(&without, &result, &pod)
        .succeeds_silently();
    let other = lab.layer2(json!({"owner": 12345, "group": 8}));
    let error = lab.plugin.check(&other, &result, &pod).fails();
    error.names(&["eth0 has group 54321, not 8"]);
}

#[test]
fn status_is_50_where_no_tap_or_no_label_can_be_made() {
    let Some(lab) = Lab::new(TAP) else { return };
    let conf = lab.layer2(json!({}));
    lab.plugin.status(&conf).succeeds_silently();
    lab.host.sh("mount -t tmpfs none /dev/net");
    let error = lab.plugin.status(&conf).fails_with(50);
    error.names(&["cannot make tap devices", "/dev/net/tun"]);
    let pod = lab.host.pod("one");
    let error = lab.plugin.add(&conf, &pod).fails();
    error.names(&["failed to create tap \"eth0\"", "/dev/net/tun"]);
    lab.host.sh("umount /dev/net");
}

/// With SELinux the label is that of a context; without it a context is refused.
#[test]
fn a_context_is_given_or_refused() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    let keys = |context: &str| json!({"selinuxContext": context, "group": 8, "multiQueue": true});
    let known = lab.host.sh("cat /proc/filesystems").contains("selinuxfs");
    if !known {
        let labelled = lab.layer2(keys("system_u:system_r:container_t:s0"));
        let words = ["selinuxContext", "container_t", "not enabled"];
        lab.plugin.status(&labelled).fails_with(50).names(&words);
        lab.plugin.add(&labelled, &pod).fails_with(2).names(&words);
        assert!(!pod.ip("-o link").contains("eth0"));
        return;
    }
    // The fresh /sys of a host does not have it yet.
    lab.host.sh("mount -t selinuxfs none /sys/fs/selinux");
    let own = lab.host.sh("cat /proc/self/attr/current");
    let own = own.trim_end_matches(['\n', '\0']);
    let labelled = lab.quick(keys(own));
    lab.plugin.status(&labelled).succeeds_silently();
    let result = lab.plugin.add(&labelled, &pod).succeeds();
    let info = info(&pod);
    assert_eq!(
        (&info["multi_queue"], &info["persist"]),
        (&json!(true), &json!(true))
    );
    lab.plugin
        .check(&labelled, &result, &pod)
        .succeeds_silently();
    lab.plugin
        .del_with(&labelled, &result, &pod)
        .succeeds_silently();
    let unknown = lab.quick(keys("no such context"));
    let error = lab.plugin.add(&unknown, &pod).fails();
    error.names(&["selinuxContext", "no such context"]);
    assert!(!pod.ip("-o link").contains("eth0"));
}

/// What ADD executes when a label is asked for: this program, by its own command line.
#[test]
fn the_program_makes_a_tap_by_its_command_line() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    let create = |words: &[&str]| {
        let call = words
            .iter()
            .fold(Call::new(lab.plugin.program()), |call, word| call.arg(word));
        pod.run(|| call.run())
    };
    let made = create(&["create", "eth0", "true", "7", "-"]);
    assert_eq!((made.code(), made.stdout.as_str()), (Some(0), ""), "{made}");
    let info = info(&pod);
    assert_eq!(
        (&info["multi_queue"], &info["persist"]),
        (&json!(true), &json!(true))
    );
    assert!(info["user"] == 7 || info["user"] == "7" || info["user"].is_string());
    assert!(info.get("group").is_none(), "{info}");
    let taken = create(&["create", "eth0", "true", "7", "-"]);
    assert_eq!(taken.code(), Some(17), "{taken}");
    assert!(
        taken
            .stderr
            .contains("create tap device \"eth0\": File exists"),
        "{taken}"
    );
    assert_eq!(
        create(&["create", "with/slash", "false", "-", "-"]).code(),
        Some(1)
    );
}
