//! Claims on one port that stack: the newest is in force, and when it goes the next one is again.

use crate::support::{BOTH, GATEWAY, Lab, Server, Wired, tcp};
use netloom_testkit::{ORDERS_OF_THREE, Plugin, Uplink};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// The ways to the port: from outside, to the gateway, to the loopback addresses.
const TO: [&str; 4] = ["198.51.100.2", "2001:db8:51::2", "127.0.0.1", "::1"];

/// A pod with a server, and the configuration that it was mapped with.
struct Claimant {
    wired: Wired,
    server: Server,
    conf: Value,
}

fn claimants(lab: &Lab) -> Vec<Claimant> {
    let pods = NAMES.iter().zip(5..).map(|(name, last)| {
        let wired = lab.wire(name, last);
        let server = Server::in_pod(&wired.pod, 80);
        Claimant {
            conf: lab.map(&wired, tcp(8080, 80)),
            server,
            wired,
        }
    });
    pods.collect()
}

/// Exactly this one answers at the port, whichever way it is asked, and the others' CHECK names it.
fn is_in_force(lab: &Lab, uplink: &Uplink, claimants: &[Claimant], newest: usize, left: &[usize]) {
    let backend = lab.backend;
    for to in TO.map(|to| to.parse::<std::net::IpAddr>().unwrap()) {
        let answer = match to.is_loopback() {
            true => claimants[newest].server.reached(to, 8080),
            false => {
                let server = &claimants[newest].server;
                uplink.outside.run(|| server.reached(to, 8080))
            }
        };
        assert!(answer.is_some(), "{backend}: {newest} of {left:?} at {to}");
    }
    // The host masquerades what the pod sends to itself.
    for to in GATEWAY {
        let Claimant { wired, server, .. } = &claimants[newest];
        let answer = wired.pod.run(|| server.reached(to, 8080));
        assert!(answer.is_some(), "{backend}: {newest} to itself by {to}");
    }
    for claimant in left {
        let Claimant { wired, conf, .. } = &claimants[*claimant];
        let check = lab.portmap.check(conf, &wired.result, &wired.pod);
        if *claimant == newest {
            check.succeeds_silently();
        } else {
            let id = format!("id-of-{}", NAMES[newest]);
            check.fails().names(&["8080/tcp", "shadowed", &id]);
        }
    }
}

#[test]
fn the_newest_claim_on_a_port_is_in_force_whoever_leaves_first() {
    for backend in BOTH {
        for order in ORDERS_OF_THREE {
            let Some(lab) = Lab::new(backend) else {
                continue;
            };
            let uplink = lab.uplink();
            let claimants = claimants(&lab);
            let mut left = vec![0, 1, 2];
            is_in_force(&lab, &uplink, &claimants, 2, &left);
            for gone in order {
                let Claimant { wired, conf, .. } = &claimants[gone];
                lab.portmap.del(conf, &wired.pod).succeeds_silently();
                left.retain(|claimant| *claimant != gone);
                if let Some(newest) = left.last() {
                    is_in_force(&lab, &uplink, &claimants, *newest, &left);
                }
            }
            assert_eq!(lab.traces(), "", "{backend}, {order:?}");
        }
    }
}

#[test]
fn gc_gives_the_port_back_to_the_newest_that_lives() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let claimants = claimants(&lab);
        let mut gc = claimants[0].conf.clone();
        gc.as_object_mut().unwrap().remove("prevResult");
        gc.as_object_mut().unwrap().remove("runtimeConfig");
        // The newest has crashed.
        claimants[2].wired.pod.remove();
        let valid = [("id-of-one", "eth0"), ("id-of-two", "eth0")];
        lab.portmap.gc(&gc, &valid).succeeds_silently();
        is_in_force(&lab, &uplink, &claimants, 1, &[0, 1]);
        // One that waits.
        claimants[0].wired.pod.remove();
        lab.portmap.gc(&gc, &valid[1..]).succeeds_silently();
        is_in_force(&lab, &uplink, &claimants, 1, &[1]);
        let left = lab.traces();
        assert!(
            !left.contains("id-of-one") && !left.contains("id-of-three"),
            "{backend}: {left}"
        );
    }
}

#[test]
fn an_add_repeated_is_the_newest_claim() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let claimants = claimants(&lab);
        lab.map(&claimants[0].wired, tcp(8080, 80));
        is_in_force(&lab, &uplink, &claimants, 0, &[0, 1, 2]);
        let Claimant { wired, conf, .. } = &claimants[0];
        lab.portmap.del(conf, &wired.pod).succeeds_silently();
        is_in_force(&lab, &uplink, &claimants, 2, &[1, 2]);
    }
}

/// Go's plugin knows iptables alone, and puts its claim behind those that are there.
#[test]
fn a_claim_of_the_reference_comes_back_too() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let Some(go) = Plugin::debian("portmap") else {
        return;
    };
    let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
    let server = [&one, &two].map(|wired| Server::in_pod(&wired.pod, 80));
    let mut conf = lab.conf(&one, tcp(8080, 80), json!({"cniVersion": "1.0.0"}));
    conf.as_object_mut().unwrap().remove("backend");
    conf["prevResult"]["cniVersion"] = json!("1.0.0");
    go.add(&conf, &one.pod).succeeds();
    let at = [10, 1, 0, 1];
    assert!(server[0].reached(at, 8080).is_some());
    let ours = lab.map(&two, tcp(8080, 80));
    assert!(server[1].reached(at, 8080).is_some(), "the newest");
    let check = lab.portmap.check(&conf, &one.result, &one.pod);
    check.fails().names(&["8080/tcp", "id-of-two"]);
    lab.portmap.del(&ours, &two.pod).succeeds_silently();
    assert!(
        server[0].reached(at, 8080).is_some(),
        "the reference's again"
    );
}

/// Three of both implementations, however they came and go. DEL is the other one's where both can.
#[test]
fn of_claims_by_both_implementations_the_newest_of_those_in_front_is_in_force() {
    let by_go = [
        [true, false, false],
        [false, true, false],
        [false, false, true],
        [true, true, false],
        [true, false, true],
        [false, true, true],
    ];
    for (by_go, order) in by_go.into_iter().zip(ORDERS_OF_THREE) {
        let Some(lab) = Lab::new("iptables") else {
            return;
        };
        let Some(go) = Plugin::debian("portmap") else {
            return;
        };
        let case = format!("{by_go:?} {order:?}");
        let (mut claimants, mut claims) = (Vec::new(), Vec::new());
        for (number, name) in NAMES.iter().enumerate() {
            let wired = lab.wire(name, 5 + u8::try_from(number).unwrap());
            let mut conf = lab.conf(&wired, tcp(8080, 80), json!({"cniVersion": "1.0.0"}));
            conf.as_object_mut().unwrap().remove("backend");
            conf["prevResult"]["cniVersion"] = json!("1.0.0");
            let plugin = if by_go[number] { &go } else { &lab.portmap };
            plugin.add(&conf, &wired.pod).succeeds();
            // Go's come behind those that are there, ours in front of them.
            let at = if by_go[number] { claims.len() } else { 0 };
            claims.insert(at, number);
            let server = Server::in_pod(&wired.pod, 80);
            claimants.push(Claimant {
                wired,
                server,
                conf,
            });
        }
        for gone in order {
            let (first, shadowed) = claims.split_first().unwrap();
            let answer = claimants[*first].server.reached([10, 1, 0, 1], 8080);
            assert!(answer.is_some(), "{case}: {first} of {claims:?}");
            for claimant in shadowed {
                let Claimant { wired, conf, .. } = &claimants[*claimant];
                let check = lab.portmap.check(conf, &wired.result, &wired.pod);
                let id = format!("id-of-{}", NAMES[*first]);
                check.fails().names(&["8080/tcp", &id]);
            }
            let Claimant { wired, conf, .. } = &claimants[gone];
            // Go's DEL leaves the way from `::1` of ours, which only ours removes.
            let plugin = if by_go[gone] && gone == 1 {
                &go
            } else {
                &lab.portmap
            };
            plugin.del(conf, &wired.pod).succeeds();
            claims.retain(|claimant| *claimant != gone);
        }
        assert_eq!(lab.traces(), "", "{case}");
    }
}

/// An administrator gave the network another name while pods of it live.
#[test]
fn del_finds_its_own_whatever_the_network_is_called_now() {
    for backend in BOTH {
        for told in [true, false] {
            if backend == "iptables" && !told {
                // Its chains do not tell interfaces apart: without the pod's address they are left to GC.
                continue;
            }
            let Some(lab) = Lab::new(backend) else {
                continue;
            };
            let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
            let server = Server::in_pod(&one.pod, 80);
            lab.map(&one, tcp(8080, 80));
            let conf = lab.map(&two, tcp(8080, 80));
            let mut renamed = conf.clone();
            renamed["name"] = json!("another-name");
            if !told {
                renamed.as_object_mut().unwrap().remove("runtimeConfig");
            }
            // Another interface of the container has nothing to do with it.
            let other = lab.portmap.call("DEL", &{
                let mut conf = renamed.clone();
                conf.as_object_mut().unwrap().remove("prevResult");
                conf
            });
            other
                .pod(&two.pod)
                .env("CNI_IFNAME", "net1")
                .run()
                .succeeds_silently();
            assert!(
                lab.traces().contains("id-of-two"),
                "{backend}: of another interface"
            );
            lab.portmap.del(&renamed, &two.pod).succeeds_silently();
            let left = lab.traces();
            assert!(
                !left.contains("id-of-two"),
                "{backend}, told {told}: {left}"
            );
            assert!(server.reached([10, 1, 0, 1], 8080).is_some(), "{backend}");
        }
    }
}

/// iptables' chains are called by the hash of network and container put together.
#[test]
fn two_that_put_together_are_one_name_keep_their_ports() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
    let server = [&one, &two].map(|wired| Server::in_pod(&wired.pod, 80));
    let call = |command: &str, wired: &Wired, network: &str, id: &str, port: u16| {
        let conf = lab.conf(wired, tcp(port, 80), json!({"name": network}));
        let call = lab.portmap.call(command, &conf).pod(&wired.pod);
        call.env("CNI_CONTAINERID", id).run()
    };
    call("ADD", &one, "net", "1id-of-x", 8080).succeeds();
    call("ADD", &two, "net1", "id-of-x", 8081).succeeds();
    let at = [10, 1, 0, 1];
    assert!(server[0].reached(at, 8080).is_some());
    assert!(server[1].reached(at, 8081).is_some());
    call("CHECK", &one, "net", "1id-of-x", 8080).succeeds_silently();
    call("CHECK", &two, "net1", "id-of-x", 8081).succeeds_silently();
    for _ in 0..2 {
        call("DEL", &two, "net1", "id-of-x", 8081).succeeds_silently();
        assert!(server[0].reached(at, 8080).is_some(), "not the other's");
    }
    call("DEL", &one, "net", "1id-of-x", 8080).succeeds_silently();
    assert_eq!(lab.traces(), "");
}
