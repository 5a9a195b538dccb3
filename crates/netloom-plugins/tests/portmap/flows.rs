//! UDP flows that connection tracking knows: those of a mapping are forgotten, and no others.

use crate::support::{BOTH, Lab, UdpServer, client, udp};
use netloom_testkit::Uplink;
use serde_json::json;
use std::net::SocketAddr;

/// The flows to a port of the host, as the kernel lists them.
fn flows(lab: &Lab, port: u16) -> Vec<String> {
    let all = lab.host.sh("cat /proc/net/nf_conntrack");
    let wanted = format!(" dport={port} ");
    all.lines()
        .filter(|line| line.contains(&wanted))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_flow_that_went_astray_before_add_goes_to_the_pod_after_it() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let one = lab.wire("one", 5);
        // What connection tracking sees must be somebody's business.
        lab.map(&one, udp(1, 1));
        for host in Uplink::HOST {
            let outside = uplink.outside.run(|| client(host));
            let to = SocketAddr::new(host, 5353);
            outside.send_to(b"early", to).unwrap();
            while flows(&lab, 5353).is_empty() {}
            let conf = lab.map_with(&one, udp(5353, 53), json!({"name": "second"}));
            let server = UdpServer::in_pod(&one.pod, 53);
            assert!(
                server.reached_by(&outside, to).is_some(),
                "{backend}: {host}"
            );
            lab.portmap.del(&conf, &one.pod).succeeds_silently();
            assert_eq!(
                flows(&lab, 5353),
                Vec::<String>::new(),
                "{backend}: gone after DEL"
            );
        }
    }
}

#[test]
fn a_flow_moves_to_the_pod_that_has_the_port_now() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
        let conf = lab.map(&one, udp(5353, 53));
        let (old, new) = (
            UdpServer::in_pod(&one.pod, 53),
            UdpServer::in_pod(&two.pod, 53),
        );
        let to = SocketAddr::new(Uplink::HOST[0], 5353);
        let outside = uplink.outside.run(|| client(to.ip()));
        assert!(old.reached_by(&outside, to).is_some(), "{backend}");
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        lab.map(&two, udp(5353, 53));
        assert!(new.reached_by(&outside, to).is_some(), "{backend}");
    }
}

#[test]
fn flows_of_others_survive_even_on_the_same_port() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
        lab.map(&two, udp(5454, 53));
        uplink
            .outside
            .sh("ip route add 10.1.0.0/24 via 198.51.100.2");
        let host = Uplink::HOST[0];
        let (through, other) = (
            UdpServer::in_pod(&two.pod, 5353),
            UdpServer::in_pod(&two.pod, 53),
        );
        let (v4, outside) = (two.v4, &uplink.outside);
        // Through the host to port 5353 of a pod; to another mapping; to port 53 of a pod.
        assert!(
            outside.run(|| through.reached(v4, 5353)).is_some(),
            "{backend}"
        );
        assert!(
            outside.run(|| other.reached(host, 5454)).is_some(),
            "{backend}"
        );
        assert!(outside.run(|| other.reached(v4, 53)).is_some(), "{backend}");
        let before = [flows(&lab, 5353), flows(&lab, 5454), flows(&lab, 53)].map(|f| f.len());
        assert!(
            before.iter().all(|count| *count > 0),
            "{backend}: {before:?}"
        );
        let conf = lab.map(&one, udp(5353, 53));
        let server = UdpServer::in_pod(&one.pod, 53);
        assert!(
            outside.run(|| server.reached(host, 5353)).is_some(),
            "{backend}"
        );
        assert_eq!(flows(&lab, 5353).len(), before[0] + 1, "{backend}");
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        let after = [flows(&lab, 5353), flows(&lab, 5454), flows(&lab, 53)].map(|f| f.len());
        assert_eq!(after, before, "{backend}");
    }
}

/// More ports than the kernel is given filters: the flows are listed then.
#[test]
fn flows_of_a_wide_range_move_with_it_too() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let uplink = lab.uplink();
    let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
    let range = json!([
        {"hostPort": 6000, "containerPort": 6000, "protocol": "udp", "range": 100},
    ]);
    let conf = lab.map(&one, range.clone());
    let (old, new) = (
        UdpServer::in_pod(&one.pod, 6099),
        UdpServer::in_pod(&two.pod, 6099),
    );
    for host in Uplink::HOST {
        let to = SocketAddr::new(host, 6099);
        let outside = uplink.outside.run(|| client(host));
        assert!(old.reached_by(&outside, to).is_some(), "{host}");
    }
    lab.portmap.del(&conf, &one.pod).succeeds_silently();
    assert_eq!(flows(&lab, 6099), Vec::<String>::new(), "gone after DEL");
    for host in Uplink::HOST {
        let to = SocketAddr::new(host, 6099);
        uplink
            .outside
            .run(|| client(host))
            .send_to(b"early", to)
            .unwrap();
    }
    lab.map(&two, range);
    for host in Uplink::HOST {
        let outside = uplink.outside.run(|| client(host));
        let to = SocketAddr::new(host, 6099);
        assert!(new.reached_by(&outside, to).is_some(), "{host}");
    }
}
