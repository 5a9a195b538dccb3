//! The program at the other end of a tap: what it gets, and who may be it.

use crate::TAP;
use crate::single_link::Lab;
use netloom_kernel::rtnl::Socket;
use netloom_testkit::{Pod, probe, skip};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    lab.plugin.add(&lab.conf(json!({})), &other).succeeds();
    let result = lab.plugin.add(&lab.conf(json!({})), &new).succeeds();
    let _cable = Cable::between(&[&other, &new]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let ips = ["198.51.100.51", "2001:db8:51::51"];
    for ip in ips {
        let ping = || other.pings(ip.parse::<IpAddr>().unwrap());
        while !ping() {
            assert!(
                Instant::now() < deadline,
                "{ip} is not tested for duplicates"
            );
        }
        other.ip(&format!(
            "neigh replace {ip} dev eth0 lladdr {GONE} nud stale"
        ));
    }
    new.sh("ip link set eth0 down; ip link set eth0 up");
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    // Nobody sends anything to the pod: only what is told changes the entries.
    for ip in ips {
        while !other.ip(&format!("neigh show {ip} dev eth0")).contains(mac) {
            assert!(Instant::now() < deadline, "{}", other.ip("neigh show"));
        }
    }
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
