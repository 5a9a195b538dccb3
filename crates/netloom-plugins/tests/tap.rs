//! The tap plugin on the real kernel, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod single_link;

use netloom_kernel::rtnl::Socket;
use netloom_testkit::{Call, Pod, Scene, Trace, assert_no_residue, probe, skip};
use serde_json::{Value, json};
use single_link::{Lab, Subject, eth0, every, faults, info, plugin_dir, sysctl};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TAP: Subject = Subject {
    name: "tap",
    kind: "tun",
    keys: || json!({"mtu": 1400, "owner": 1000}),
    subnets: ["198.51.100.", "2001:db8:51::"],
    outside: |_| {},
};

/// Plays the programs at the other ends: takes the taps called eth0 in these namespaces and carries
/// frames between them, as a virtual switch does. Ends with its stdin.
const CABLE: &str = r#"
import ctypes, fcntl, os, select, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
TUNSETIFF, TAP, NO_PI = 0x400454ca, 2, 0x1000
ends = []
for path in sys.argv[1:]:
    with open(path) as netns:
        assert libc.setns(netns.fileno(), 0x40000000) == 0
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"eth0", TAP | NO_PI))
    ends.append(fd)
print("ready", flush=True)
while True:
    ready, _, _ = select.select(ends + [0], [], [])
    if 0 in ready:
        break
    for end in ready:
        frame = os.read(end, 70000)
        for other in ends:
            if other != end:
                try:
                    os.write(other, frame)
                except OSError:
                    pass
"#;

/// A running [`CABLE`]; it ends when this is dropped.
struct Cable(Child);

impl Cable {
    fn between(pods: &[&Pod]) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", CABLE])
            .args(pods.iter().map(|pod| pod.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn has_python() -> bool {
    let found = probe::has_program("python3");
    if !found {
        skip("no python3, which plays the virtual machine");
    }
    found
}

/// Attaches to the pod's tap as a user and group without privileges; what the kernel says.
fn attach_as(pod: &Pod, user: u32, group: u32, flags: u16) -> String {
    let program = format!(
        "import fcntl, os, struct\n\
         fd = os.open('/dev/net/tun', os.O_RDWR)\n\
         os.setgroups([]); os.setgid({group}); os.setuid({user})\n\
         try:\n\
         \x20   fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'eth0', {flags}))\n\
         \x20   print('attached')\n\
         except OSError as error:\n\
         \x20   print(error.strerror)\n"
    );
    let output = pod.run(|| {
        Command::new("python3")
            .args(["-c", &program])
            .output()
            .unwrap()
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const ATTACH: u16 = 0x1002;
const ATTACH_QUEUE: u16 = 0x1102;

#[test]
fn a_pod_has_its_addresses_in_every_version() {
    // What is behind a tap is up to the program at its other end.
    every::serves_every_version(TAP, &[]);
}

#[test]
fn frames_pass_between_the_pod_and_the_program_at_the_other_end() {
    let Some(lab) = Lab::new(TAP) else { return };
    if !has_python() {
        return;
    }
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    lab.plugin.add(&lab.conf(json!({})), &one).succeeds();
    lab.plugin.add(&lab.conf(json!({})), &two).succeeds();
    let _cable = Cable::between(&[&one, &two]);
    let second = Ipv4Addr::new(198, 51, 100, 51);
    assert!(one.pings(second));
    let seen = one.source_seen_by(&two, second);
    assert_eq!(seen, Ok(IpAddr::from([198, 51, 100, 50])));
    // Duplicate address detection has begun with the carrier.
    for pod in [&one, &two] {
        pod.run(|| {
            let socket = Socket::open().unwrap();
            let index = socket.get_link("eth0").unwrap().index;
            let deadline = Instant::now() + Duration::from_secs(10);
            socket.wait_addresses_settled(index, deadline).unwrap();
        });
    }
    let second: IpAddr = "2001:db8:51::51".parse().unwrap();
    assert!(one.pings(second));
}

/// ADD has nobody to tell, as the program at the other end comes later. From then on the kernel does it
/// whenever the link comes up.
#[test]
fn who_knew_an_address_at_another_place_is_told_when_the_link_comes_up() {
    const GONE: &str = "02:00:00:00:00:99";
    let Some(lab) = Lab::new(TAP) else { return };
    if !has_python() {
        return;
    }
    let (other, new) = (lab.host.pod("other"), lab.host.pod("new"));
    lab.plugin.add(&lab.quick(json!({})), &other).succeeds();
    let result = lab.plugin.add(&lab.quick(json!({})), &new).succeeds();
    let _cable = Cable::between(&[&other, &new]);
    let ip = "198.51.100.51";
    assert!(other.pings(ip.parse::<IpAddr>().unwrap()));
    other.ip(&format!(
        "neigh replace {ip} dev eth0 lladdr {GONE} nud stale"
    ));
    new.sh("ip link set eth0 down; ip link set eth0 up");
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // Nobody sends anything to the pod: only what is told changes the entry.
    while !other.ip(&format!("neigh show {ip} dev eth0")).contains(mac) {
        assert!(Instant::now() < deadline, "{}", other.ip("neigh show"));
    }
}

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
fn only_its_owner_and_group_may_attach_and_several_only_if_it_has_queues() {
    let Some(lab) = Lab::new(TAP) else { return };
    if !has_python() {
        return;
    }
    for (keys, user, group, flags, answer) in [
        (json!({}), 1000, 1000, ATTACH, "attached"),
        (json!({}), 1001, 1000, ATTACH, "Operation not permitted"),
        (
            json!({"owner": null, "group": 2000}),
            1001,
            2000,
            ATTACH,
            "attached",
        ),
        (
            json!({"owner": null, "group": 2000}),
            1001,
            2001,
            ATTACH,
            "Operation not permitted",
        ),
        (
            json!({"group": 2000}),
            1000,
            2001,
            ATTACH,
            "Operation not permitted",
        ),
        (json!({"owner": null}), 1001, 1001, ATTACH, "attached"),
        (
            json!({"multiQueue": true}),
            1000,
            1000,
            ATTACH_QUEUE,
            "attached",
        ),
        (
            json!({"multiQueue": true}),
            1000,
            1000,
            ATTACH,
            "Invalid argument",
        ),
        (json!({}), 1000, 1000, ATTACH_QUEUE, "Invalid argument"),
    ] {
        let pod = lab.host.pod("one");
        lab.plugin.add(&lab.layer2(keys.clone()), &pod).succeeds();
        assert_eq!(attach_as(&pod, user, group, flags), answer, "{keys}");
    }
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
fn check_names_what_is_no_longer_as_add_made_it() {
    let again = "ip link del eth0; ip tuntap add name eth0 mode ";
    let own: [(&str, &[&str]); 5] = [
        (
            "ip link set eth0 address 02:00:00:00:00:99",
            &["eth0", "02:00:00:00:00:99"],
        ),
        ("tap user 7", &["eth0 has owner 7, not 1000"]),
        ("tap", &["eth0 has owner none, not 1000"]),
        (
            "tap user 1000 multi_queue",
            &["eth0 has multiQueue true, not false"],
        ),
        ("tun user 1000", &["eth0 not of type tap"]),
    ];
    let drifts: Vec<_> = own
        .into_iter()
        .map(|(change, names)| {
            let made = change.starts_with('t');
            let change = if made {
                format!("{again}{change}")
            } else {
                change.to_owned()
            };
            let change: &'static str = change.leak();
            (json!({}), (change, names))
        })
        .collect();
    every::check_names_each_drift(TAP, &drifts);
}

#[test]
fn check_is_right_about_its_result_and_later_plugins() {
    every::check_knows_its_result(TAP);
}

#[test]
fn del_succeeds_twice_and_frees_the_address_whatever_is_left() {
    every::del_works_in_every_state(TAP);
}

#[test]
fn del_takes_a_bad_configuration_and_goes_on_past_a_failing_ipam_plugin() {
    every::del_takes_what_it_gets(TAP);
}

#[test]
fn del_leaves_links_of_another_kind_and_of_another_pod_alone() {
    every::del_leaves_what_is_not_its_own(TAP);
}

#[test]
fn gc_and_status_speak_for_ipam() {
    every::gc_and_status_are_forwarded(TAP, false);
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

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let cases: [(Value, u64, &[&str]); 8] = [
        (
            json!({"mtu": 67}),
            7,
            &["invalid mtu 67", "between 68 and 65521"],
        ),
        (json!({"mtu": 65522}), 7, &["invalid mtu 65522"]),
        (json!({"mac": "02:00"}), 7, &["mac", "02:00"]),
        (
            json!({"mac": "01:00:00:00:00:01"}),
            7,
            &["mac", "01:00:00:00:00:01"],
        ),
        (json!({"owner": -1}), 7, &["owner", "-1"]),
        (
            json!({"owner": 4_294_967_295_u32}),
            7,
            &["owner", "4294967295"],
        ),
        (
            json!({"bridge": "br9"}),
            999,
            &["failed to get bridge \"br9\" in the container"],
        ),
        (
            json!({"bridge": "lo"}),
            7,
            &["bridge", "\"lo\"", "is not a bridge"],
        ),
    ];
    every::bad_requests_change_nothing(TAP, &cases);
}

#[test]
fn a_tap_of_that_name_is_not_taken_over() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    pod.ip("tuntap add name eth0 mode tap user 7");
    let before = lab.before(&pod);
    let error = lab.plugin.add(&lab.quick(json!({})), &pod).fails();
    error.names(&["\"eth0\"", "already exists", "/run/netns/one"]);
    lab.assert_as_before(&before, &pod);
}

#[test]
fn the_dns_is_the_ipam_plugins_unless_the_configuration_has_its_own() {
    every::dns_is_ipams_or_the_configurations(TAP);
}

#[test]
fn routes_are_programmed_with_all_their_attributes() {
    every::routes_are_programmed_whole(TAP);
}

#[test]
fn a_link_of_the_host_by_the_pods_name_is_not_in_the_way() {
    every::a_name_taken_on_the_host_does_not_matter(TAP);
}

#[test]
fn nothing_is_executed() {
    let Some(lab) = Lab::new(TAP) else { return };
    let pod = lab.host.pod("one");
    let conf = lab.quick(json!({"multiQueue": true, "mac": "02:00:00:00:00:41"}));
    for command in ["ADD", "DEL"] {
        let call = lab.plugin.call(command, &conf).pod(&pod);
        let Some(trace) = Trace::of(&call) else {
            return;
        };
        let executed = trace.executions();
        assert!(executed.is_empty(), "{executed:?}");
    }
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

#[test]
fn an_add_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_reserved(TAP, &json!({"mac": "02:00:00:00:00:41", "group": 8}));
}

#[test]
fn an_add_to_a_bridge_that_fails_or_dies_anywhere_leaves_nothing() {
    let plugins = plugin_dir();
    let scene = || {
        let lab = Lab::with_plugins(TAP, plugins.clone())?;
        let pod = lab.host.pod("one");
        pod.ip("link add br0 address 02:00:00:00:00:01 type bridge");
        let conf = lab.layer2(json!({"bridge": "br0"}));
        Some(Scene {
            add: lab.plugin.call("ADD", &conf).pod(&pod),
            del: lab.plugin.call("DEL", &conf).pod(&pod),
            pods: vec![pod, lab.uplink.outside],
            bridges: Vec::new(),
            host: lab.host,
        })
    };
    if let Some(tally) = assert_no_residue("tap in a bridge", None, scene) {
        assert!(tally.has_points(11, 6), "{tally}");
    }
}

#[test]
fn a_del_that_fails_or_dies_anywhere_is_completed_by_the_next() {
    faults::del_is_completed(TAP);
}
