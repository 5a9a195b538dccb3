//! Two hosts that share an underlay: one file, applied on each.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use netloom_testkit::{Host, product};

use crate::{File, NETLOOM};

const LAB: &str = r#"
name: lab
hosts: { a: { underlay: 192.0.2.1 }, b: { underlay: 192.0.2.2 } }
nodes: { r1: { host: a }, r2: { host: b }, r3: { host: b } }
links:
  - endpoints: ["r1:eth1:10.0.0.1/24", "r2:eth1:10.0.0.2/24"]
  - endpoints: ["r2:eth2:10.0.1.1/24", "r3:eth1:10.0.1.2/24"]
"#;

/// A host of its own network, mounts and `/run`, for as long as a process of it lives.
struct Machine(Child);

impl Machine {
    fn new() -> Self {
        let begin = "mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && echo up && exec cat";
        let mut child = Command::new("unshare")
            .args(["-m", "-n", "sh", "-c", begin])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    /// Runs a shell line in it.
    fn try_sh(&self, line: &str) -> Result<String, String> {
        let pid = self.0.id().to_string();
        let output = Command::new("nsenter")
            .args(["-t", &pid, "-m", "-n", "sh", "-c", line])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        self.try_sh(line)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[track_caller]
    fn topo(&self, verb: &str, file: &File) -> String {
        let program = product(NETLOOM);
        self.sh(&format!(
            "{} topo {verb} {}",
            program.display(),
            file.path().display()
        ))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the underlay between two machines.
fn join(host: &Host, [a, b]: &[Machine; 2]) {
    let (pa, pb) = (a.0.id(), b.0.id());
    host.sh(&format!(
        "ip link add under netns {pa} type veth peer name under netns {pb}"
    ));
    for (machine, address) in [(a, "192.0.2.1/24"), (b, "192.0.2.2/24")] {
        machine.sh(&format!(
            "ip link set under up; ip addr add {address} dev under"
        ));
    }
}

#[test]
fn each_side_makes_its_end_of_a_tunnel_and_full_packets_pass() {
    let Some(host) = Host::new() else { return };
    let machines = [Machine::new(), Machine::new()];
    join(&host, &machines);
    let [a, b] = &machines;
    let file = File::new(LAB);
    for machine in &machines {
        machine.topo("apply", &file);
        machine.topo("check", &file);
    }
    let shown = a.sh("ip -n lab-r1 -d link show eth1");
    assert!(
        shown.contains("mtu 1450") && shown.contains("local 192.0.2.1"),
        "{shown}"
    );
    // 1450 with 20 bytes of IP and 8 of ICMP, not to be cut up; one more is too long.
    a.sh("ip netns exec lab-r1 ping -c1 -W5 -M do -s 1422 10.0.0.2");
    assert!(
        a.try_sh("ip netns exec lab-r1 ping -c1 -W1 -M do -s 1423 10.0.0.2")
            .is_err()
    );
    b.sh("ip netns exec lab-r2 ping -c1 -W5 10.0.1.2");
    let mac = |machine: &Machine, node| {
        machine.sh(&format!(
            "ip -n lab-{node} -o link show eth1 | grep -o 'ether [^ ]*'"
        ))
    };
    assert_ne!(
        mac(a, "r1"),
        mac(b, "r2"),
        "LK-47: equal addresses on both sides"
    );
    assert!(
        a.try_sh("ls /run/netns/lab-r2").is_err(),
        "r2 is on the other host"
    );
    // A node starts anew while a process of it is still ending: until then the kernel has its
    // tunnel. And the underlay goes and comes.
    a.sh(
        "ip netns exec lab-r1 sh -c 'echo > /run/in; sleep 0.5' > /dev/null 2>&1 & \
         until [ -e /run/in ]; do :; done; rm /run/in; ip netns del lab-r1; ip link del under",
    );
    join(&host, &machines);
    for machine in &machines {
        machine.topo("apply", &file);
    }
    a.sh("ip netns exec lab-r1 ping -c1 -W5 10.0.0.2");
    for machine in &machines {
        machine.topo("destroy", &file);
        let links = machine.sh("ip -br link; find /run -mindepth 1");
        assert_eq!(links.lines().count(), 3, "{links}");
    }
}

#[test]
fn an_mtu_that_the_file_tells_is_the_same_on_both_sides() {
    let Some(host) = Host::new() else { return };
    let machines = [Machine::new(), Machine::new()];
    join(&host, &machines);
    let file = File::new(&LAB.replace(
        "b: { underlay: 192.0.2.2 }",
        "b: { underlay: 192.0.2.2, mtu: 1400 }",
    ));
    for (machine, node) in machines.iter().zip(["r1", "r2"]) {
        machine.topo("apply", &file);
        assert!(
            machine
                .sh(&format!("ip -n lab-{node} link show eth1"))
                .contains("mtu 1350")
        );
    }
}

#[test]
fn a_tunnel_whose_vni_another_link_of_the_host_has_is_refused_by_that_link_s_name() {
    let Some(host) = Host::new() else { return };
    let machines = [Machine::new(), Machine::new()];
    join(&host, &machines);
    let [a, _] = &machines;
    let file = File::new(&LAB.replace("10.0.0.2/24\"]", "10.0.0.2/24\"]\n    vni: 4242"));
    a.sh("ip link add other type vxlan id 4242 remote 192.0.2.2 local 192.0.2.1 dstport 4789");
    let apply = format!(
        "{} topo apply {}",
        product(NETLOOM).display(),
        file.path().display()
    );
    let error = a.try_sh(&apply).unwrap_err();
    assert!(
        error.contains("host has an interface \"other\"") && error.contains("VNI 4242"),
        "{error}"
    );
    assert!(a.sh("ip -br link").contains("other"), "it is left as it is");
    a.sh("ip link del other");
    a.topo("apply", &file);
}

#[test]
fn which_host_this_is_must_be_known() {
    let Some(_host) = Host::new() else { return };
    let file = File::new(LAB);
    file.refuses("plan", "say with --host which it is (a, b)");
    let path = file.path().display().to_string();
    crate::fails(
        &format!("topo plan {path} --host c"),
        "has no host of that name",
    );
    crate::succeeds(&format!("topo plan {path} --host b"));
    file.write(&LAB.replace("r2: { host: b }", "r2: {}"));
    crate::fails(
        &format!("topo plan {path} --host b"),
        "nothing says on which host r2 is",
    );
}
