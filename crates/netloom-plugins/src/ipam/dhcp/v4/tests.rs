//! The machine with a server made of lines, and messages that nobody should send.

mod lease;

use super::frame;
use super::lease::Lease;
use super::machine::{Effect, Failure, Machine, Profile, To};
use super::message::{Kind, Message};
use super::option;
use crate::ipam::dhcp::clock::{Dice, Moment};
use crate::ipam::dhcp::retry::Patience;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::time::Duration;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 50);

fn at(seconds: u64) -> Moment {
    Duration::from_secs(1000 + seconds)
}

fn profile() -> Profile {
    Profile {
        client_id: b"\0cid/net/eth0".to_vec(),
        request: vec![3, 1],
        provide: vec![(12, b"pod".to_vec())],
        broadcast: false,
    }
}

fn machine() -> Machine {
    let mut machine = Machine::new(profile(), Patience::default(), Dice::seeded(7));
    machine.set_mac(MAC);
    machine
}

/// The one message among effects.
fn sent(effects: &[Effect]) -> (&Message, To) {
    let mut sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(message, to) => Some((message, *to)),
        _ => None,
    });
    let first = sent.next().unwrap();
    assert_eq!(sent.next(), None);
    first
}

fn reply(kind: Kind, to: &Message) -> Message {
    let mut reply = Message::new(kind, to.xid, to.chaddr);
    reply.yiaddr = ADDRESS;
    let options = &mut reply.options;
    options.set(option::SERVER, SERVER.octets());
    options.set(option::SUBNET_MASK, [255, 255, 255, 0]);
    options.set(option::ROUTERS, SERVER.octets());
    options.set(option::LEASE_TIME, 120u32.to_be_bytes());
    reply
}

fn bound() -> Machine {
    let mut machine = machine();
    let discover = machine.start(at(0));
    let offer = reply(Kind::Offer, sent(&discover).0);
    let request = machine.receive(at(0), &offer, SERVER_MAC);
    let ack = reply(Kind::Ack, sent(&request).0);
    assert_eq!(machine.receive(at(0), &ack, SERVER_MAC), [Effect::Bound]);
    machine
}

#[test]
fn a_lease_is_discovered_requested_and_held() {
    let mut machine = machine();
    let effects = machine.start(at(0));
    let (discover, to) = sent(&effects);
    assert_eq!((discover.kind, to), (Kind::Discover, To::Everybody));
    assert_eq!(
        discover.options.get(option::CLIENT_ID),
        Some(&b"\0cid/net/eth0"[..])
    );
    assert_eq!(
        discover.options.get(option::REQUEST_LIST),
        Some(&[3, 1][..])
    );
    assert_eq!(discover.options.get(option::MAX_SIZE), Some(&[5, 220][..]));
    assert_eq!(discover.options.get(12), Some(&b"pod"[..]));
    assert!(machine.is_acquiring() && machine.is_listening());

    let effects = machine.receive(at(1), &reply(Kind::Offer, discover), SERVER_MAC);
    let (request, to) = sent(&effects);
    assert_eq!(
        (request.kind, to, request.xid),
        (Kind::Request, To::Everybody, discover.xid)
    );
    assert_eq!(
        request.options.address(option::REQUESTED_ADDRESS),
        Some(ADDRESS)
    );
    assert_eq!(request.server(), Some(SERVER));

    let effects = machine.receive(at(2), &reply(Kind::Ack, request), SERVER_MAC);
    assert_eq!(effects, [Effect::Bound]);
    let lease = machine.lease().unwrap();
    assert_eq!(lease.address.to_string(), "10.7.0.50/24");
    // From when it was asked for, not from when the answer came.
    assert_eq!(lease.times.unwrap().expire, at(121));
    assert!(!machine.is_acquiring() && !machine.is_listening());
    let renew = machine.deadline().unwrap();
    assert!(renew <= at(61) && renew >= at(58), "{renew:?}");
}

#[test]
fn what_is_for_somebody_else_is_ignored() {
    let mut machine = machine();
    let effects = machine.start(at(0));
    let discover = sent(&effects).0;
    let mut other_xid = reply(Kind::Offer, discover);
    other_xid.xid ^= 1;
    let mut other_mac = reply(Kind::Offer, discover);
    other_mac.chaddr[5] ^= 1;
    let mut no_address = reply(Kind::Offer, discover);
    no_address.yiaddr = Ipv4Addr::UNSPECIFIED;
    for message in [other_xid, other_mac, no_address, reply(Kind::Ack, discover)] {
        assert_eq!(machine.receive(at(0), &message, SERVER_MAC), []);
    }
    let effects = machine.receive(at(0), &reply(Kind::Offer, discover), SERVER_MAC);
    let mut other_server = reply(Kind::Ack, sent(&effects).0);
    other_server.options.set(option::SERVER, [10, 7, 0, 2]);
    assert_eq!(machine.receive(at(0), &other_server, SERVER_MAC), []);
}

#[test]
fn a_silent_server_is_given_up_after_its_time_and_not_asked_too_often() {
    let mut machine = machine();
    machine.start(at(0));
    let (mut tries, mut waits) = (1, Vec::new());
    let mut last = at(0);
    loop {
        let deadline = machine.deadline().unwrap();
        waits.push((deadline - last).as_secs_f64());
        last = deadline;
        match machine.timer(deadline).as_slice() {
            [Effect::Send(message, To::Everybody)] => {
                assert_eq!(message.kind, Kind::Discover);
                tries += 1;
            }
            [Effect::Failed(failure)] => {
                assert_eq!(
                    failure.to_string(),
                    "no more tries: no DHCP server answered"
                );
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, at(208));
    assert!((9..=14).contains(&tries), "{tries}: {waits:?}");
    for (wait, about) in waits.iter().zip([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]) {
        let right = about * 0.74..=about * 1.26;
        assert!(right.contains(wait), "{waits:?}");
    }
    assert!(waits.iter().all(|wait| *wait <= 62.0), "{waits:?}");
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.timer(at(500)), []);
}

#[test]
fn nothing_is_done_before_its_time() {
    let mut machine = bound();
    assert_eq!(machine.timer(at(30)), []);
}

#[test]
fn a_request_without_answer_goes_back_to_looking() {
    let mut machine = machine();
    let effects = machine.start(at(0));
    let first = sent(&effects).0.clone();
    machine.receive(at(0), &reply(Kind::Offer, &first), SERVER_MAC);
    let mut kinds = Vec::new();
    while kinds.last() != Some(&Kind::Discover) {
        let deadline = machine.deadline().unwrap();
        kinds.push(sent(&machine.timer(deadline)).0.kind);
    }
    assert_eq!(kinds[..3], [Kind::Request; 3]);
    assert_eq!(kinds.len(), 4);
}

#[test]
fn a_server_that_always_refuses_is_given_up_in_time_and_blamed() {
    let mut machine = machine();
    let mut effects = machine.start(at(0));
    let (mut now, mut refusals) = (at(0), 0);
    let failure = loop {
        if let Some(Effect::Failed(failure)) = effects.last() {
            break failure.clone();
        }
        if let Some(Effect::Send(message, _)) = effects.first() {
            let message = message.clone();
            if message.kind == Kind::Discover {
                effects = machine.receive(now, &reply(Kind::Offer, &message), SERVER_MAC);
                continue;
            }
            let mut nak = reply(Kind::Nak, &message);
            nak.options.set(option::TEXT, b"wrong network".to_vec());
            refusals += 1;
            machine.receive(now, &nak, SERVER_MAC);
        }
        now = machine.deadline().unwrap();
        effects = machine.timer(now);
    };
    assert_eq!(now, at(208));
    assert!((4..40).contains(&refusals), "{refusals}");
    assert!(
        failure.to_string().contains("Nak (msg: \"wrong network\")"),
        "{failure}"
    );
}

#[test]
fn it_renews_with_its_server_then_with_any_then_expires() {
    let mut machine = bound();
    let mut seen = Vec::new();
    let failure = loop {
        let now = machine.deadline().unwrap();
        match machine.timer(now).as_slice() {
            [Effect::Send(message, to)] => {
                assert_eq!((message.kind, message.ciaddr), (Kind::Request, ADDRESS));
                assert_eq!(message.options.get(option::REQUESTED_ADDRESS), None);
                assert_eq!(message.server(), None);
                seen.push((now, *to));
            }
            [Effect::Failed(failure)] => break failure.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure, Failure::Expired(ADDRESS));
    let unicast = To::Server {
        from: ADDRESS,
        server: SERVER,
    };
    for (now, to) in &seen {
        let expected = if *now < at(105) {
            unicast
        } else {
            To::Everybody
        };
        assert_eq!(*to, expected, "{now:?}");
    }
    assert!(seen.iter().any(|(_, to)| *to == To::Everybody) && seen[0].1 == unicast);
    assert!(seen.len() < 40, "{}", seen.len());
    assert_eq!(machine.deadline(), None);
    // A lease that is lost was still granted by somebody.
    assert!(machine.lease().is_some());
}

#[test]
fn a_renewed_lease_lasts_from_when_it_was_asked_for() {
    let mut machine = bound();
    let now = machine.deadline().unwrap();
    let effects = machine.timer(now);
    let ack = reply(Kind::Ack, sent(&effects).0);
    let later = now + Duration::from_secs(5);
    assert_eq!(machine.receive(later, &ack, SERVER_MAC), [Effect::Bound]);
    let expire = machine.lease().unwrap().times.unwrap().expire;
    assert_eq!(expire, now + Duration::from_secs(120));
    assert!(!machine.is_listening());
}

#[test]
fn a_refused_renewal_starts_over_and_wants_the_same_address() {
    let mut machine = bound();
    let now = machine.deadline().unwrap();
    let effects = machine.timer(now);
    let nak = reply(Kind::Nak, sent(&effects).0);
    let effects = machine.receive(now, &nak, SERVER_MAC);
    let discover = sent(&effects).0.clone();
    assert_eq!(
        discover.options.address(option::REQUESTED_ADDRESS),
        Some(ADDRESS)
    );

    let mut same = machine.clone();
    let effects = same.receive(now, &reply(Kind::Offer, &discover), SERVER_MAC);
    let ack = reply(Kind::Ack, sent(&effects).0);
    assert_eq!(same.receive(now, &ack, SERVER_MAC), [Effect::Bound]);

    let mut offer = reply(Kind::Offer, &discover);
    let new = Ipv4Addr::new(10, 7, 0, 99);
    offer.yiaddr = new;
    let effects = machine.receive(now, &offer, SERVER_MAC);
    let mut ack = reply(Kind::Ack, sent(&effects).0);
    ack.yiaddr = new;
    let effects = machine.receive(now, &ack, SERVER_MAC);
    let (release, _) = sent(&effects);
    assert_eq!((release.kind, release.ciaddr), (Kind::Release, new));
    let moved = Failure::Moved { old: ADDRESS, new };
    assert_eq!(effects.last(), Some(&Effect::Failed(moved)));
}

#[test]
fn a_release_comes_from_the_leased_address() {
    let effects = bound().release();
    let (release, to) = sent(&effects);
    assert_eq!((release.kind, release.ciaddr), (Kind::Release, ADDRESS));
    assert_eq!(release.server(), Some(SERVER));
    assert_eq!(
        release.options.get(option::CLIENT_ID),
        Some(&b"\0cid/net/eth0"[..])
    );
    let server = To::ServerAtOnce {
        from: ADDRESS,
        server: SERVER,
        mac: SERVER_MAC,
    };
    assert_eq!(to, server);
}

#[test]
fn nothing_is_released_before_something_was_asked_for() {
    let mut machine = machine();
    let effects = machine.start(at(0));
    let discover = sent(&effects).0.clone();
    assert_eq!(machine.clone().release(), []);
    machine.receive(at(0), &reply(Kind::Offer, &discover), SERVER_MAC);
    assert_eq!(sent(&machine.release()).0.kind, Kind::Release);
    assert_eq!(machine.release(), []);
}

#[test]
fn a_provided_client_id_replaces_the_own_one_everywhere() {
    let mut profile = profile();
    profile.provide.push((option::CLIENT_ID, b"mine".to_vec()));
    let mut machine = Machine::new(profile, Patience::default(), Dice::seeded(1));
    machine.set_mac(MAC);
    let effects = machine.start(at(0));
    let discover = sent(&effects).0;
    assert_eq!(discover.options.get(option::CLIENT_ID), Some(&b"mine"[..]));
    machine.receive(at(0), &reply(Kind::Offer, discover), SERVER_MAC);
    let effects = machine.release();
    assert_eq!(
        sent(&effects).0.options.get(option::CLIENT_ID),
        Some(&b"mine"[..])
    );
}

#[test]
fn the_broadcast_flag_is_set_when_wanted() {
    let profile = Profile {
        broadcast: true,
        ..profile()
    };
    let mut machine = Machine::new(profile, Patience::default(), Dice::seeded(1));
    let effects = machine.start(at(0));
    let bytes = sent(&effects).0.to_bytes();
    assert!(Message::parse_request(&bytes).unwrap().broadcast);
}

#[test]
fn a_lease_without_end_is_never_renewed() {
    let mut machine = machine();
    let effects = machine.start(at(0));
    let effects = machine.receive(at(0), &reply(Kind::Offer, sent(&effects).0), SERVER_MAC);
    let mut ack = reply(Kind::Ack, sent(&effects).0);
    ack.options.set(option::LEASE_TIME, [0xff; 4]);
    machine.receive(at(0), &ack, SERVER_MAC);
    assert_eq!(
        (machine.deadline(), machine.lease().unwrap().times),
        (None, None)
    );
}

#[test]
fn options_in_parts_and_in_the_overloaded_fields_are_put_together() {
    let mut message = reply(Kind::Ack, &Message::new(Kind::Request, 1, MAC));
    message.options.set(200, vec![7; 300]);
    message.options.set(option::OVERLOAD, [3]);
    let mut bytes = message.to_reply_bytes();
    bytes[108..113].copy_from_slice(&[201, 2, 1, 2, 255]);
    bytes[44..48].copy_from_slice(&[202, 1, 9, 255]);
    let parsed = Message::parse(&bytes).unwrap();
    assert_eq!(parsed.options.get(200), Some(&[7; 300][..]));
    assert_eq!(parsed.options.get(201), Some(&[1, 2][..]));
    assert_eq!(parsed.options.get(202), Some(&[9][..]));
    assert_eq!(
        Message::parse_request(&bytes),
        None,
        "a reply is no request"
    );
}

#[test]
fn a_packet_is_read_back_and_others_are_not() {
    let mut packet = frame::packet(ADDRESS, SERVER, b"payload");
    assert_eq!(
        frame::payload(&packet),
        None,
        "it goes to the server's port"
    );
    packet[23] = 68;
    assert_eq!(frame::payload(&packet), Some(&b"payload"[..]));
    let mut padded = packet.clone();
    padded.extend([0; 20]);
    assert_eq!(frame::payload(&padded), Some(&b"payload"[..]));
    for (at, value) in [(0, 0x46), (0, 0x55), (9, 6), (12, 1), (3, 20), (25, 200)] {
        let mut bad = packet.clone();
        bad[at] = value;
        assert_eq!(frame::payload(&bad), None, "byte {at} = {value}");
    }
}

#[test]
fn the_checksum_of_udp_is_right() {
    // With the pseudo header the sum over all is 0 in ones' complement.
    let packet = frame::packet(ADDRESS, SERVER, b"odd");
    let mut words: Vec<u8> = packet[12..20].to_vec();
    words.extend([0, 17, 0, 11]);
    words.extend(&packet[20..]);
    words.push(0);
    let sum: u32 = words
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        drop(Message::parse(&bytes));
        let _ = frame::payload(&bytes);
    }

    #[test]
    fn no_options_make_a_lease_panic(area in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = reply(Kind::Ack, &Message::new(Kind::Request, 1, MAC)).to_reply_bytes();
        bytes.truncate(243);
        bytes.extend(area);
        if let Some(message) = Message::parse(&bytes)
            && let Ok(lease) = Lease::from_ack(&message, SERVER_MAC, at(0), &[121, 249, 3, 33])
        {
            let times = lease.times;
            prop_assert!(times.is_none_or(|times| times.renew >= at(3)));
            prop_assert!(times.is_none_or(|times| times.renew < times.expire));
        }
    }

    #[test]
    fn no_sequence_of_events_makes_the_machine_panic_or_stand_still(
        events in proptest::collection::vec((0u8..6, 0u64..400), 1..60),
    ) {
        let mut machine = machine();
        let mut now = at(0);
        let mut last = sent(&machine.start(now)).0.clone();
        for (event, wait) in events {
            now += Duration::from_secs(wait);
            let effects = match event {
                0 => machine.receive(now, &reply(Kind::Offer, &last), SERVER_MAC),
                1 => machine.receive(now, &reply(Kind::Ack, &last), SERVER_MAC),
                2 => machine.receive(now, &reply(Kind::Nak, &last), SERVER_MAC),
                _ => machine.timer(now),
            };
            for effect in effects {
                match effect {
                    Effect::Send(message, _) => last = message,
                    Effect::Failed(_) => return Ok(()),
                    _ => {}
                }
            }
            // All but a stopped machine will do something some time.
            prop_assert!(machine.deadline().is_some());
            if event > 2 {
                prop_assert!(machine.deadline().is_some_and(|deadline| deadline > now));
            }
        }
    }
}
