//! What a lease takes from an acknowledgement.

use super::{MAC, SERVER_MAC, at, machine, reply, sent};
use crate::ipam::dhcp::v4::lease::{Lease, LeaseRoute, Unusable};
use crate::ipam::dhcp::v4::machine::Effect;
use crate::ipam::dhcp::v4::message::{Kind, Message};
use crate::ipam::dhcp::v4::option;
use std::net::Ipv4Addr;

fn lease(change: impl FnOnce(&mut Message)) -> Result<Lease, Unusable> {
    let mut ack = reply(Kind::Ack, &Message::new(Kind::Request, 1, MAC));
    change(&mut ack);
    Lease::from_ack(&ack, SERVER_MAC, at(0))
}

fn routes(change: impl FnOnce(&mut Message)) -> Vec<String> {
    let text = |route: &LeaseRoute| match route.gw {
        Some(gw) => format!("{} via {gw}", route.dst),
        None => route.dst.to_string(),
    };
    lease(change).unwrap().routes.iter().map(text).collect()
}

#[test]
fn routes_are_read_from_the_three_options_by_their_order() {
    let old = |m: &mut Message| {
        m.options.set(
            option::STATIC_ROUTES,
            [172, 16, 3, 4, 10, 7, 0, 3, 0, 0, 0, 0, 10, 7, 0, 3],
        )
    };
    assert_eq!(routes(|_| {}), ["0.0.0.0/0 via 10.7.0.1"]);
    assert_eq!(
        routes(old),
        ["172.16.0.0/16 via 10.7.0.3", "0.0.0.0/0 via 10.7.0.1"]
    );
    let classless = [
        16, 10, 9, 10, 7, 0, 2, 0, 10, 7, 0, 9, 25, 10, 8, 0, 200, 0, 0, 0, 0,
    ];
    let both = |m: &mut Message| {
        old(m);
        m.options.set(option::CLASSLESS_ROUTES, classless);
    };
    assert_eq!(
        routes(both),
        [
            "10.9.0.0/16 via 10.7.0.2",
            "0.0.0.0/0 via 10.7.0.9",
            "10.8.0.128/25"
        ]
    );
    // Impossible from the second route on.
    for broken in [
        &classless[..11],
        &[16, 10, 9, 10, 7, 0, 2, 33, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ] {
        let broken = |m: &mut Message| m.options.set(option::CLASSLESS_ROUTES, broken);
        assert_eq!(routes(broken), ["10.9.0.0/16 via 10.7.0.2"]);
    }
}

#[test]
fn the_result_has_what_the_lease_has() {
    let lease = lease(|ack| {
        ack.options.set(option::MTU, 1400u16.to_be_bytes());
        ack.options
            .set(option::NAME_SERVERS, [10, 7, 0, 1, 9, 9, 9, 9]);
        ack.options.set(option::DOMAIN, b"example.org\0".to_vec());
        ack.options.set(option::SEARCH, b"\x01a\0".to_vec());
        ack.options
            .set(option::CLASSLESS_ROUTES, [8, 10, 0, 0, 0, 0]);
    });
    let mut result = netloom_spec::AddResult::new();
    lease.unwrap().describe(7, &mut result);
    let json = result.to_value(netloom_spec::Version::V1_1_0).unwrap();
    let expected = serde_json::json!({
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.7.0.50/24", "gateway": "10.7.0.1"}],
        "routes": [{"dst": "10.0.0.0/8", "gw": "0.0.0.0", "mtu": 1400, "priority": 7, "scope": 253}],
        "dns": {"nameservers": ["10.7.0.1", "9.9.9.9"], "domain": "example.org", "search": ["a"]},
    });
    assert_eq!(json, expected);
}

#[test]
fn an_acknowledgement_that_grants_nothing_says_what_is_missing() {
    let mut machine = machine();
    let effects = machine.start(at(0));
    let effects = machine.receive(at(0), &reply(Kind::Offer, sent(&effects).0), SERVER_MAC);
    let mut ack = reply(Kind::Ack, sent(&effects).0);
    ack.options.set(option::SUBNET_MASK, []);
    let effects = machine.receive(at(0), &ack, SERVER_MAC);
    let [Effect::Failed(failure)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(
        failure.to_string(),
        "DHCP option Subnet Mask not found in DHCPACK"
    );
    for change in [
        (|m: &mut Message| m.options.set(option::SUBNET_MASK, [255, 0, 255, 0]))
            as fn(&mut Message),
        |m| m.yiaddr = Ipv4Addr::UNSPECIFIED,
        |m| m.yiaddr = Ipv4Addr::new(224, 0, 0, 1),
        |m| m.options.set(option::SERVER, [1]),
    ] {
        assert!(lease(change).is_err());
    }
}

#[test]
fn text_that_is_no_domain_does_not_reach_a_resolv_conf() {
    let lease = lease(|m| {
        m.options
            .set(option::DOMAIN, b"a\nnameserver 6.6.6.6".to_vec())
    });
    assert_eq!(lease.unwrap().dns.domain, "");
}

#[test]
fn odd_times_are_put_in_order() {
    for (renew, rebind, expected) in [
        (None, None, (60, 105)),
        (Some(5), Some(10), (5, 10)),
        (Some(500), Some(10), (10, 10)),
        (Some(5), Some(500), (5, 105)),
    ] {
        let lease = lease(|m| {
            for (code, value) in [(58, renew), (59, rebind)] {
                if let Some(value) = value {
                    m.options.set(code, u32::to_be_bytes(value));
                }
            }
        });
        let times = lease.unwrap().times.unwrap();
        assert_eq!(
            (times.renew, times.rebind),
            (at(expected.0), at(expected.1))
        );
    }
}
