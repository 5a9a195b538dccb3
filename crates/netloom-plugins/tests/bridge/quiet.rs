use crate::support::Lab;
use netloom_testkit::{Call, SystemCall, Trace, probe, skip};
use serde_json::json;
use std::fs;

/// The system calls that a call makes, one per line, of all its threads and children.
fn traced(call: &Call) -> String {
    call.under("strace", &["-f", "-o", "/run/trace"])
        .run()
        .succeeds();
    fs::read_to_string("/run/trace").unwrap()
}

#[test]
fn nothing_is_executed_and_nothing_sleeps() {
    let Some(lab) = Lab::new() else { return };
    if !probe::has_program("strace") {
        return skip("needs strace");
    }
    let pools = "/run/pools";
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": pools});
    let conf = lab.conf(json!({
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "macspoofchk": true, "ipam": ipam,
    }));
    for name in ["first", "second"] {
        let pod = lab.host.pod(name);
        let add = traced(&lab.bridge.call("ADD", &conf).pod(&pod));
        let del = traced(&lab.bridge.call("DEL", &conf).pod(&pod));
        for (what, trace) in [("ADD", add), ("DEL", del)] {
            // The first execve is strace starting the plugin.
            assert_eq!(
                trace.matches("execve(").count(),
                1,
                "{what} of {name}: {trace}"
            );
            assert!(!trace.contains("nanosleep"), "{what} of {name} sleeps");
            // One of no time at all is the standard library's look at the first descriptors.
            let polls: Vec<_> = trace
                .lines()
                .filter(|line| line.contains("Timeout") && !line.contains(", 0) = 0 (Timeout)"))
                .collect();
            assert!(
                polls.is_empty(),
                "{what} of {name} waits for time to pass: {polls:?}"
            );
        }
    }
}

#[test]
fn an_add_beside_many_pods_makes_no_more_system_calls_than_the_first() {
    let Some(lab) = Lab::new() else { return };
    if !probe::has_program("strace") {
        return skip("needs strace");
    }
    let conf = lab.routed(json!({
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
    }));
    let mut counts = Vec::new();
    for index in 0..12 {
        let pod = lab.host.pod(&format!("pod{index}"));
        lab.ipam
            .answers(json!({"ips": [{"address": format!("10.1.0.{}/24", index + 5)}]}));
        let call = lab.bridge.call("ADD", &conf).pod(&pod);
        counts.push(
            traced(&call)
                .lines()
                .filter(|l| l.contains("sendto(") || l.contains("sendmsg("))
                .count(),
        );
    }
    assert!(counts[11] <= counts[1], "{counts:?}");
}

/// When it closes, the kernel waits for readers, and the removal of links waits for that.
#[test]
fn del_closes_its_nf_tables_socket_after_the_link_is_gone() {
    let Some(lab) = Lab::new() else { return };
    let conf = lab.routed(json!({
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "macspoofchk": true,
    }));
    let pod = lab.host.pod("one");
    lab.bridge.add(&conf, &pod).succeeds();
    let call = lab.bridge.call("DEL", &conf).pod(&pod);
    let Some(Trace { calls, outcome }) = Trace::of(&call) else {
        return;
    };
    outcome.succeeds_silently();
    let is_nf_tables =
        |call: &SystemCall| call.name == "socket" && call.text.contains("NETLINK_NETFILTER");
    let sockets = calls.iter().filter(|call| is_nf_tables(call)).count();
    assert_eq!(sockets, 1, "one socket for all of nf_tables");
    let opened = calls.iter().position(is_nf_tables).unwrap();
    let socket = calls[opened].text.rsplit("= ").next().unwrap();
    // 0x11 is RTM_DELLINK, whose name strace does not always know.
    let is_removal = |text: &str| text.contains("RTM_DELLINK") || text.contains("_type=0x11 ");
    let removal = calls
        .iter()
        .find(|call| call.name.starts_with("send") && is_removal(&call.text))
        .unwrap();
    let removed = calls
        .iter()
        .rposition(|call| call.thread == removal.thread && call.name.starts_with("recv"));
    // What else DEL does may outlast the removal: the IPAM plugin is executed.
    let released = calls.iter().rposition(|call| call.name.starts_with("wait"));
    let rest = removed.max(released).unwrap();
    let is_closing =
        |call: &SystemCall| call.name == "close" && call.text.starts_with(&format!("{socket})"));
    let closed = calls[opened..].iter().position(is_closing);
    // Never closed but by the end of the process is late enough.
    assert!(
        closed.is_none_or(|closed| opened + closed > rest),
        "closed before {rest}: {calls:#?}"
    );
}
