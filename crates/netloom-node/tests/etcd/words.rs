//! What the daemon says to people: what is wrong, and what to do about it.

use rustix::process::Signal;

use crate::lab::{Etcd, Lab, network};

#[test]
fn what_cannot_be_is_refused_before_anything_is_done() {
    let Some(lab) = Lab::new() else { return };
    let one = lab.machine(1, 1);
    one.sh("echo secret > /run/netloom/password; chmod 644 /run/netloom/password");
    let url = ["run", "--etcd", "http://127.0.0.1:2379"];
    let wrong: [(&[&str], &str); 7] = [
        (&["run", "--etcd", "http://192.0.2.254:2379"], "--insecure"),
        (
            &["run", "--etcd", "https://192.0.2.254:2379"],
            "--etcd-cafile",
        ),
        (
            &[
                &url[..],
                &[
                    "--etcd-username",
                    "a",
                    "--etcd-password-file",
                    "/run/netloom/password",
                ],
            ]
            .concat(),
            "mode 0644, so others can read it: chmod 0600 /run/netloom/password",
        ),
        (
            &[&url[..], &["--name", "no name"]].concat(),
            "--name gives another",
        ),
        (&[&url[..], &["--iface", "eth9"]].concat(), "--iface eth9"),
        (
            &[&url[..], &["--listen", "0.0.0.0:9470"]].concat(),
            "--listen 0.0.0.0:9470",
        ),
        (
            &[&url[..], &["--remove-after", "soon"]].concat(),
            "a whole number of seconds",
        ),
    ];
    let before =
        one.sh("ip -d link; ip addr show scope global; ip route; nft list ruleset; find /etc/cni /run/flannel");
    for (words, part) in wrong {
        let output = one.node(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(part),
            "{words:?}: {said}"
        );
    }
    let after =
        one.sh("ip -d link; ip addr show scope global; ip route; nft list ruleset; find /etc/cni /run/flannel");
    assert_eq!(after, before);
}

#[test]
fn a_second_daemon_and_a_name_that_is_taken_are_refused() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _daemon = one.joined(&etcd.url(), &[]);
    let mut second = one.daemon(&etcd.url(), &[]);
    second.until("runs on this host already");
    assert_eq!(second.ended().code(), Some(1));
    let mut thief = two.daemon(&etcd.url(), &["--name", "m1"]);
    let line = thief.until("another machine");
    assert!(
        line.contains("machine-1") && line.contains("--name gives this one another"),
        "{line}"
    );
    assert_eq!(etcd.subnets().len(), 1);
}

#[test]
fn the_configuration_comes_with_the_plugins_and_goes_with_drain_and_uninstall() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let before = one.sh("ip link; ip addr show scope global; ip route; nft list ruleset");
    let _other = two.joined(&etcd.url(), &[]);
    one.sh("mkdir /run/netloom/empty");
    let mut daemon = one.daemon(&etcd.url(), &["--bin-dir", "/run/netloom/empty"]);
    let line = daemon.until("has no flannel, bridge, host-local, portmap");
    assert!(line.contains("netloom install --bin-dir"), "{line}");
    let conf = "test -e /etc/cni/net.d/10-netloom.conflist";
    assert!(!one.try_sh(conf).status.success());
    assert_eq!(one.node(&["status"]).status.code(), Some(1));
    daemon.end(Signal::TERM);
    let mut daemon = one.joined(&etcd.url(), &[]);
    let written = one.sh("ls -i /etc/cni/net.d");
    assert_eq!(one.node(&["status"]).status.code(), Some(0));
    daemon.end(Signal::TERM);
    let mut daemon = one.joined(&etcd.url(), &[]);
    assert_eq!(
        one.sh("ls -i /etc/cni/net.d"),
        written,
        "an equal file is not touched"
    );

    let refused = one.node(&["uninstall"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("stop it first"),
        "{said}"
    );
    assert!(one.node(&["drain"]).status.success());
    assert!(!one.try_sh(conf).status.success());
    one.sh("ip link set eth0 mtu 1450");
    daemon.until("the node is drained");
    one.sh("ip link set eth0 mtu 1500");
    one.until("the MTU of before", |m| m.told("/mtu") == 1430);
    assert!(!one.try_sh(conf).status.success(), "however much happens");
    assert!(one.node(&["drain", "--end"]).status.success());
    one.sh("ip link set eth0 mtu 1450");
    daemon.until("pods can start");
    assert!(one.try_sh(conf).status.success());
    one.sh("ip link set eth0 mtu 1500");
    daemon.end(Signal::TERM);
    assert!(one.node(&["uninstall", "--forget"]).status.success());
    assert_eq!(
        one.sh("ip link; ip addr show scope global; ip route; nft list ruleset"),
        before
    );
    let said = one.node(&["uninstall"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("nothing to do"));
}
