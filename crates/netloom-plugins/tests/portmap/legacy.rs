//! iptables of the old kind, whose rules nobody sees over netlink.

use crate::support::{Lab, Server, tcp};
use netloom_testkit::{Uplink, probe, skip};
use serde_json::json;
use std::os::unix::fs::symlink;

#[test]
fn with_the_old_iptables_ports_are_mapped_checked_and_unmapped() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    // In front of the host's PATH, under the names of today.
    let programs = tempfile::tempdir().unwrap();
    for family in ["iptables", "ip6tables"] {
        for verb in ["restore", "save"] {
            let old = format!("{family}-legacy-{verb}");
            if !probe::has_program(&old) {
                return skip(&format!("no {old}"));
            }
            let link = programs.path().join(format!("{family}-{verb}"));
            symlink(format!("/usr/sbin/{old}"), link).unwrap();
        }
    }
    let path = format!(
        "{}:{}",
        programs.path().display(),
        std::env::var("PATH").unwrap()
    );
    let saved = || lab.host.sh("iptables-legacy-save; ip6tables-legacy-save");
    if !saved().contains("*nat") && lab.host.sh("iptables-legacy -t nat -S || true").is_empty() {
        return skip("the kernel has no iptables of the old kind");
    }
    let uplink = lab.uplink();
    let one = lab.wire("one", 5);
    let conf = lab.conf(&one, tcp(8080, 80), json!({}));
    let call = |command: &str, conf| {
        lab.portmap
            .call(command, conf)
            .pod(&one.pod)
            .env("PATH", &path)
    };
    // Twice, as after a lost DEL.
    for _ in 0..2 {
        call("ADD", &conf).run().succeeds();
        assert_eq!(saved().matches("-A CNI-HOSTPORT-DNAT").count(), 2);
        assert_eq!(saved().matches("-j CNI-HOSTPORT-DNAT").count(), 4);
    }
    let server = Server::in_pod(&one.pod, 80);
    for host in Uplink::HOST {
        assert!(uplink.outside.run(|| server.reached(host, 8080)).is_some());
    }
    assert!(server.reached([127, 0, 0, 1], 8080).is_some());
    call("CHECK", &conf).run().succeeds_silently();
    // Known by its name alone.
    let bare = json!({"cniVersion": "1.1.0", "name": "net", "type": "portmap"});
    call("DEL", &bare).run().succeeds_silently();
    assert!(!saved().contains("CNI-DN-"), "{}", saved());
    call("CHECK", &conf)
        .run()
        .fails()
        .names(&["CNI-DN-", "not found"]);
}
