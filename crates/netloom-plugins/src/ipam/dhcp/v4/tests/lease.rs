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
    Lease::from_ack(&ack, SERVER_MAC, at(0), &[121, 249, 3, 33])
}

fn routes(change: impl FnOnce(&mut Message)) -> Vec<String> {
    routes_asked_for(&[121, 249, 3, 33], change)
}

/// The routes of a lease for which these options were asked for.
fn routes_asked_for(requested: &[u8], change: impl FnOnce(&mut Message)) -> Vec<String> {
    let text = |route: &LeaseRoute| match route.gw {
        Some(gw) => format!("{} via {gw}", route.dst),
        None => route.dst.to_string(),
    };
    let mut ack = reply(Kind::Ack, &Message::new(Kind::Request, 1, MAC));
    change(&mut ack);
    let lease = Lease::from_ack(&ack, SERVER_MAC, at(0), requested).unwrap();
    lease.routes.iter().map(text).collect()
}

/// The routes as an ADD returns them.
fn described(change: impl FnOnce(&mut Message)) -> Vec<String> {
    let mut result = netloom_spec::AddResult::new();
    lease(change).unwrap().describe(0, &mut result);
    let text = |route: &netloom_spec::Route| match (route.gw, route.scope) {
        (Some(gw), None) => format!("{} via {gw}", route.dst),
        (Some(gw), Some(253)) if gw.is_unspecified() => route.dst.to_string(),
        other => panic!("{other:?}"),
    };
    result.routes.iter().map(text).collect()
}

#[test]
fn a_router_outside_of_the_subnet_is_reached_on_the_link() {
    let single = |m: &mut Message| m.options.set(option::SUBNET_MASK, [255; 4]);
    assert_eq!(described(single), ["10.7.0.1/32", "0.0.0.0/0 via 10.7.0.1"]);
    // A route of the server's to the router serves, wherever it stands in the list.
    let classless = [0, 10, 7, 0, 1, 32, 10, 7, 0, 1, 0, 0, 0, 0];
    let both = |m: &mut Message| {
        single(m);
        m.options.set(option::CLASSLESS_ROUTES, classless);
    };
    assert_eq!(described(both), ["10.7.0.1/32", "0.0.0.0/0 via 10.7.0.1"]);
    // One router of several, once.
    let several = [8, 20, 10, 7, 0, 1, 8, 30, 10, 9, 0, 1, 0, 10, 9, 0, 1];
    assert_eq!(
        described(|m| m.options.set(option::CLASSLESS_ROUTES, several)),
        [
            "10.9.0.1/32",
            "20.0.0.0/8 via 10.7.0.1",
            "30.0.0.0/8 via 10.9.0.1",
            "0.0.0.0/0 via 10.9.0.1"
        ]
    );
}

#[test]
fn routes_that_were_not_asked_for_are_not_taken() {
    let all = |m: &mut Message| {
        m.options
            .set(option::STATIC_ROUTES, [172, 16, 3, 4, 10, 7, 0, 3]);
        m.options
            .set(option::CLASSLESS_ROUTES, [8, 20, 10, 7, 0, 1]);
        m.options
            .set(option::CLASSLESS_ROUTES_MICROSOFT, [8, 30, 10, 7, 0, 1]);
    };
    let none: [&str; 0] = [];
    assert_eq!(routes_asked_for(&[1, 6], all), none);
    assert_eq!(routes_asked_for(&[3], all), ["0.0.0.0/0 via 10.7.0.1"]);
    assert_eq!(routes_asked_for(&[33], all), ["172.16.0.0/16 via 10.7.0.3"]);
    assert_eq!(
        routes_asked_for(&[249, 3], all),
        ["30.0.0.0/8 via 10.7.0.1"]
    );
    assert_eq!(
        routes_asked_for(&[121, 249], all),
        ["20.0.0.0/8 via 10.7.0.1"]
    );
}

#[test]
fn addresses_that_no_host_can_have_are_no_lease_and_no_router() {
    let bad = [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [127, 9, 9, 9],
        [224, 0, 0, 1],
        [239, 1, 1, 1],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ];
    for address in bad {
        assert!(lease(|m| m.yiaddr = address.into()).is_err(), "{address:?}");
        let routers = [address, [10, 7, 0, 9]].concat();
        let second = lease(|m| m.options.set(option::ROUTERS, routers)).unwrap();
        assert_eq!(second.gateway, Some([10, 7, 0, 9].into()), "{address:?}");
        let mut machine = machine();
        let discover = machine.start(at(0));
        let mut offer = reply(Kind::Offer, sent(&discover).0);
        offer.yiaddr = address.into();
        assert_eq!(
            machine.receive(at(0), &offer, SERVER_MAC),
            [],
            "{address:?}"
        );
    }
    // Those of the subnet itself; a subnet of one or two has none.
    for last in [0, 255] {
        let of_the_subnet = |m: &mut Message| m.yiaddr = [10, 7, 0, last].into();
        assert!(lease(of_the_subnet).is_err(), "{last}");
        for length in [254, 255] {
            let small = |m: &mut Message| {
                of_the_subnet(m);
                m.options.set(option::SUBNET_MASK, [255, 255, 255, length]);
            };
            assert!(lease(small).is_ok(), "{last} {length}");
        }
    }
}

#[test]
fn a_server_that_does_not_name_itself_is_where_its_messages_come_from() {
    let nameless = |kind, to: &Message| {
        let mut message = reply(kind, to);
        message.options.set(option::SERVER, []);
        message.source = Some([10, 7, 0, 2].into());
        message
    };
    let mut machine = machine();
    let discover = machine.start(at(0));
    let request = machine.receive(at(0), &nameless(Kind::Offer, sent(&discover).0), SERVER_MAC);
    assert_eq!(sent(&request).0.options.get(option::SERVER), None);
    let ack = nameless(Kind::Ack, sent(&request).0);
    assert_eq!(machine.receive(at(0), &ack, SERVER_MAC), [Effect::Bound]);
    assert_eq!(machine.lease().unwrap().server, Ipv4Addr::new(10, 7, 0, 2));
    let released = machine.release();
    assert_eq!(sent(&released).0.server(), Some([10, 7, 0, 2].into()));
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
        // At its end a lease cannot be extended any more, nor is it to be extended all the time.
        (Some(120), Some(120), (60, 105)),
        (Some(0), Some(0), (60, 105)),
        (Some(1), Some(2), (3, 3)),
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

#[test]
fn a_lease_of_no_time_at_all_is_extended_every_three_seconds() {
    for seconds in [0u32, 1, 2, 5, 6] {
        let lease = lease(|m| m.options.set(option::LEASE_TIME, seconds.to_be_bytes()));
        let times = lease.unwrap().times.unwrap();
        let all = (times.renew, times.rebind, times.expire);
        assert_eq!(all, (at(3), at(5), at(6)), "{seconds}");
    }
}
