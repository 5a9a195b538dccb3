//! Pods with fixed addresses, or with none, live as well: no reservation tells of them, but the record
//! that ADD left, and the rules and ports themselves.

use crate::{Words as _, configure, host, netloom, path};
use netloom_testkit::{Call, Host, Plugin, Pod, Uplink, probe, skip};
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// The runtime gives every pod of this network its address.
fn fixed(backend: &str) -> Value {
    json!({"cniVersion": "1.1.0", "name": "fixed", "plugins": [
        {
            "type": "bridge", "bridge": "br0", "isDefaultGateway": true, "ipMasq": true,
            "ipMasqBackend": backend,
            "ipam": {"type": "static"}, "capabilities": {"ips": true}
        },
        {"type": "portmap", "backend": backend, "capabilities": {"portMappings": true}}
    ]})
}

/// Adds with port `8000 + last` of the host to port 80 of 10.21.0.`last`.
fn add(pod: &Pod, last: u16) -> Call {
    let ports = json!([{"hostPort": 8000 + last, "containerPort": 80, "protocol": "tcp"}]);
    let given = json!({"ips": [format!("10.21.0.{last}/24")], "portMappings": ports});
    let call = netloom(&["add", "fixed", path(pod), "--container-id"]);
    let call = call.arg(pod.container_id());
    call.env("CAP_ARGS", given.to_string())
}

/// The same, remembered by nobody but the plugins.
fn add_by_hand(pod: &Pod, last: u16) -> Call {
    add(pod, last).arg("--cache-dir").arg("/run/cache")
}

/// Whether the world sees the pod as the host, and reaches its port there.
fn is_whole(uplink: &Uplink, pod: &Pod, last: u16) -> Result<(), String> {
    let seen = pod.source_seen_by(&uplink.outside, Uplink::SERVER[0])?;
    if seen != Uplink::HOST[0] {
        return Err(format!("seen as {seen}"));
    }
    let server = pod.run(|| TcpListener::bind("0.0.0.0:80"));
    let server = server.map_err(|error| error.to_string())?;
    let port = SocketAddr::new(Uplink::HOST[0], 8000 + last);
    let connect = || TcpStream::connect_timeout(&port, Duration::from_secs(2));
    let client = uplink.outside.run(connect);
    drop(server);
    client
        .map(drop)
        .map_err(|error| format!("port {port}: {error}"))
}

/// Everything that may cut somebody off.
fn collect() {
    // Its exit status tells what it found.
    let _ = netloom(&["doctor", "--fix"]).run();
    netloom(&["gc", "fixed", "--yes"]).run().succeeds_silently();
    netloom(&["gc", "--yes"]).run().succeeds_silently();
}

fn rules_of(host: &Host, id: &str) -> usize {
    let rules = host.sh("nft list ruleset");
    rules.lines().filter(|line| line.contains(id)).count()
}

#[test]
fn who_was_added_by_hand_with_a_fixed_address_keeps_masquerade_and_ports() {
    let Some(host) = host() else { return };
    let uplink = host.uplink();
    for backend in ["nftables", "iptables"] {
        if backend == "iptables" && !probe::has_iptables() {
            skip("no iptables");
            continue;
        }
        configure("10-fixed.conflist", &fixed(backend));
        let names = ["cached", "hand", "dead"].map(|name| format!("{backend}-{name}"));
        let [cached, hand, dead] = names.map(|name| host.pod(&name));
        add(&cached, 2).run().succeeds();
        add_by_hand(&hand, 3).run().succeeds();
        add_by_hand(&dead, 4).run().succeeds();
        dead.ip("link del eth0");
        dead.remove();
        let words = netloom(&["gc", "fixed", "--dry-run"])
            .run()
            .succeeds_with_words();
        let line = format!("counted as living: {} eth0", hand.container_id());
        assert!(words.contains(&line), "{words}");
        collect();
        for (pod, last) in [(&cached, 2), (&hand, 3)] {
            assert_eq!(is_whole(&uplink, pod, last), Ok(()), "{backend} {last}");
        }
        assert_eq!(rules_of(&host, &dead.container_id()), 0, "{backend}");
        for pod in [&cached, &hand] {
            let ours = ["del", "fixed", path(pod), "--cache-dir"];
            let id = pod.container_id();
            let cache = ["/run/cache", "/var/lib/cni"][usize::from(pod.name() == cached.name())];
            netloom(&[&ours[..], &[cache, "--container-id", &id]].concat())
                .run()
                .succeeds_silently();
        }
    }
}

#[test]
fn who_go_added_with_a_fixed_address_keeps_masquerade_and_ports() {
    let Some(host) = host() else { return };
    if Plugin::debian("bridge").is_none() || !probe::has_iptables() {
        return skip("no plugins of Go, or no iptables");
    }
    let uplink = host.uplink();
    configure("10-fixed.conflist", &fixed("iptables"));
    let (cached, go) = (host.pod("cached"), host.pod("go"));
    add(&cached, 2).run().succeeds();
    let mut of_go = fixed("iptables");
    of_go["cniVersion"] = json!("1.0.0");
    fs::create_dir("/run/go.d").unwrap();
    fs::write("/run/go.d/10-fixed.conflist", of_go.to_string()).unwrap();
    add_by_hand(&go, 3)
        .env("CNI_PATH", "/usr/lib/cni")
        .env("NETCONFPATH", "/run/go.d")
        .run()
        .succeeds();
    assert!(
        !Path::new("/run/cni/attachments")
            .read_dir()
            .unwrap()
            .any(|it| {
                let target = fs::read_link(it.unwrap().path()).unwrap();
                target.to_str().unwrap().contains("id-of-go")
            })
    );
    assert_eq!(is_whole(&uplink, &go, 3), Ok(()));
    collect();
    for (pod, last) in [(&cached, 2), (&go, 3)] {
        assert_eq!(is_whole(&uplink, pod, last), Ok(()), "{}", pod.name());
    }
    // What died is as dead as ever.
    go.ip("link del eth0");
    collect();
    assert_eq!(rules_of(&host, "id-of-go"), 0);
}

/// A process in the namespace of a pod, which keeps it when its name is gone.
struct Inhabitant(Child);

impl Drop for Inhabitant {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn who_has_no_address_at_all_lives_by_the_record_of_its_link() {
    let Some(host) = host() else { return };
    if !probe::has_nft_family("bridge") {
        return skip("no nf_tables for bridges");
    }
    let conf = json!({
        "cniVersion": "1.1.0", "name": "wire", "type": "bridge", "bridge": "br0",
        "macspoofchk": true
    });
    configure("10-wire.conf", &conf);
    let pods = ["cached", "hand", "nameless", "unlinked"].map(|name| host.pod(name));
    for pod in &pods {
        let id = pod.container_id();
        let call = netloom(&["add", "wire", path(pod), "--container-id", &id]);
        let call = match pod.name() {
            "cached" => call,
            _ => call.arg("--cache-dir").arg("/run/cache"),
        };
        call.run().succeeds();
    }
    let [_, hand, nameless, unlinked] = &pods;
    let start = || Command::new("sleep").arg("1000").spawn().unwrap();
    let _inhabitant = Inhabitant(nameless.run(start));
    nameless.remove();
    unlinked.ip("link del eth0");
    netloom(&["gc", "wire", "--yes"]).run().succeeds_silently();
    for living in [hand, nameless] {
        assert!(
            rules_of(&host, &living.container_id()) > 0,
            "{}",
            living.name()
        );
    }
    assert_eq!(rules_of(&host, &unlinked.container_id()), 0);
}

#[test]
fn whose_name_is_cut_in_nf_tables_is_told_to_nobody_so_that_nothing_is_collected() {
    let Some(host) = host() else { return };
    let uplink = host.uplink();
    configure("10-fixed.conflist", &fixed("nftables"));
    let (cached, hand) = (host.pod("cached"), host.pod(&"h".repeat(90)));
    add(&cached, 2).run().succeeds();
    add_by_hand(&hand, 3).run().succeeds();
    // As netloom before had it.
    for record in fs::read_dir("/run/cni/attachments").unwrap() {
        fs::remove_file(record.unwrap().path()).unwrap();
    }
    let words = ["10.21.0.3 is of a pod that lives", "network \"fixed\""];
    netloom(&["gc", "fixed", "--yes"])
        .run()
        .fails_with_words(&words);
    assert_eq!(is_whole(&uplink, &hand, 3), Ok(()));
    hand.ip("link del eth0");
    netloom(&["gc", "fixed", "--yes"]).run().succeeds_silently();
    assert_eq!(rules_of(&host, "hhhhh"), 0);
}
