//! The machine with a server made of lines, and messages that nobody should send.

use super::lease::{Denied, Lease};
use super::machine::{Effect, Failure, Machine, Profile};
use super::message::{self, Kind, Message, Options};
use crate::ipam::dhcp::clock::{Dice, Moment};
use crate::ipam::dhcp::retry::Patience;
use proptest::prelude::*;
use std::net::Ipv6Addr;
use std::time::Duration;

const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfd00, 7, 0, 0, 0, 0, 0, 0x50);

fn at(seconds: u64) -> Moment {
    Duration::from_secs(1000 + seconds)
}

fn profile() -> Profile {
    Profile::from_digest(&std::array::from_fn(|index| index as u8))
}

fn machine() -> Machine {
    Machine::new(profile(), Patience::default(), Dice::seeded(3), None)
}

fn sent(effects: &[Effect]) -> Message {
    let mut sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(message) => Some(message.clone()),
        _ => None,
    });
    let first = sent.next().unwrap();
    assert_eq!(sent.next(), None);
    first
}

fn answer(kind: Kind, to: &Message, address: Ipv6Addr, status: Option<u16>) -> Message {
    let mut answer = Message::new(kind, to.xid);
    let client = to.options.get(message::CLIENT_ID).unwrap();
    answer.options.push(message::CLIENT_ID, client);
    answer.options.push(message::SERVER_ID, [0, 3, 9]);
    let mut inner = Options::default();
    match status {
        Some(code) => inner.push(message::STATUS, [&code.to_be_bytes()[..], b"why"].concat()),
        None => {
            let lifetimes = [100u32.to_be_bytes(), 120u32.to_be_bytes()].concat();
            inner.push(
                message::IA_ADDRESS,
                [&address.octets()[..], &lifetimes].concat(),
            );
        }
    }
    let ia = &to.options.get(message::IA_NA).unwrap()[..12];
    answer
        .options
        .push(message::IA_NA, [ia, &inner.to_bytes()].concat());
    answer.options.push(message::NAME_SERVERS, ADDRESS.octets());
    answer
        .options
        .push(message::SEARCH, b"\x01a\x03org\0".to_vec());
    answer
}

fn bound() -> Machine {
    let mut machine = machine();
    let solicit = sent(&machine.start(at(0)));
    let advertise = answer(Kind::Advertise, &solicit, ADDRESS, None);
    let request = sent(&machine.receive(at(0), &advertise));
    let reply = answer(Kind::Reply, &request, ADDRESS, None);
    assert_eq!(machine.receive(at(0), &reply), [Effect::Bound]);
    machine
}

#[test]
fn an_address_is_solicited_requested_and_held() {
    let mut machine = machine();
    let solicit = sent(&machine.start(at(0)));
    assert_eq!(solicit.kind, Kind::Solicit);
    let duid = solicit.options.get(message::CLIENT_ID).unwrap();
    assert_eq!(
        (duid.len(), &duid[..2], duid[8] >> 4, duid[10] >> 6),
        (18, &[0, 4][..], 8, 2)
    );
    assert_eq!(solicit.options.get(message::SERVER_ID), None);
    assert_eq!(Message::parse(&solicit.to_bytes()), Some(solicit.clone()));

    let advertise = answer(Kind::Advertise, &solicit, ADDRESS, None);
    let mut other = advertise.clone();
    other.xid ^= 1;
    assert_eq!(machine.receive(at(0), &other), []);
    let request = sent(&machine.receive(at(1), &advertise));
    assert_eq!(request.kind, Kind::Request);
    assert_eq!(
        request.options.get(message::SERVER_ID),
        Some(&[0, 3, 9][..])
    );
    let reply = answer(Kind::Reply, &request, ADDRESS, None);
    assert_eq!(machine.receive(at(2), &reply), [Effect::Bound]);
    let lease = machine.lease().unwrap();
    let times = lease.times.unwrap();
    // Half and four fifths of the preferred lifetime, from when it was asked for.
    assert_eq!(
        (times.renew, times.rebind, times.expire),
        (at(51), at(81), at(121))
    );

    let mut result = netloom_spec::AddResult::new();
    lease.describe(&mut result);
    let json = result.to_value(netloom_spec::Version::V1_1_0).unwrap();
    assert_eq!(
        json["ips"],
        serde_json::json!([{"address": "fd00:7::50/128"}])
    );
    assert_eq!(json["dns"]["search"], serde_json::json!(["a.org"]));
}

#[test]
fn a_silent_server_is_given_up_after_its_time() {
    let mut machine = machine();
    machine.start(at(0));
    let failure = loop {
        let now = machine.deadline().unwrap();
        match machine.timer(now).as_slice() {
            [Effect::Send(message)] => assert_eq!(message.kind, Kind::Solicit),
            [Effect::Failed(failure)] => {
                assert_eq!(now, at(208));
                break failure.to_string();
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure, "no more tries: no DHCPv6 server answered");
}

#[test]
fn a_server_without_addresses_is_blamed() {
    let mut machine = machine();
    let mut effects = machine.start(at(0));
    let failure = loop {
        match effects.as_slice() {
            [Effect::Failed(failure)] => break failure.to_string(),
            effects => {
                let advertise = answer(Kind::Advertise, &sent(effects), ADDRESS, Some(2));
                let note = machine.receive(machine.deadline().unwrap(), &advertise);
                assert!(matches!(note.as_slice(), [Effect::Note(_)]), "{note:?}");
            }
        }
        effects = machine.timer(machine.deadline().unwrap());
    };
    assert!(
        failure.contains("the server answered status 2: \"why\""),
        "{failure}"
    );
}

#[test]
fn it_renews_with_its_server_then_rebinds_with_any_then_expires() {
    let mut machine = bound();
    let mut seen = Vec::new();
    let failure = loop {
        let now = machine.deadline().unwrap();
        match machine.timer(now).as_slice() {
            [Effect::Send(message)] => {
                let server = message.options.get(message::SERVER_ID).is_some();
                seen.push((now < at(80), message.kind, server));
            }
            [Effect::Failed(failure)] => break failure.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure, Failure::Expired(ADDRESS));
    assert_eq!(seen.first(), Some(&(true, Kind::Renew, true)));
    assert_eq!(seen.last(), Some(&(false, Kind::Rebind, false)));
    assert!(seen.iter().all(|(early, kind, server)| {
        (*early, *server) == (*kind == Kind::Renew, *kind == Kind::Renew)
    }));
    assert!(seen.len() < 40, "{}", seen.len());
}

#[test]
fn a_forgotten_lease_is_solicited_again_and_must_be_the_same() {
    let mut machine = bound();
    let now = machine.deadline().unwrap();
    let renew = sent(&machine.timer(now));
    let effects = machine.receive(now, &answer(Kind::Reply, &renew, ADDRESS, Some(3)));
    let solicit = sent(&effects);
    assert_eq!(solicit.kind, Kind::Solicit);
    let new = Ipv6Addr::new(0xfd00, 7, 0, 0, 0, 0, 0, 0x99);
    let advertise = answer(Kind::Advertise, &solicit, new, None);
    let request = sent(&machine.receive(now, &advertise));
    let mut same = machine.clone();
    let reply = answer(Kind::Reply, &request, ADDRESS, None);
    assert_eq!(same.receive(now, &reply), [Effect::Bound]);
    let effects = machine.receive(now, &answer(Kind::Reply, &request, new, None));
    assert_eq!(sent(&effects).kind, Kind::Release);
    let moved = Failure::Moved { old: ADDRESS, new };
    assert_eq!(effects.last(), Some(&Effect::Failed(moved)));
}

#[test]
fn a_release_names_server_and_address() {
    let release = sent(&bound().release());
    assert_eq!(release.kind, Kind::Release);
    assert_eq!(
        release.options.get(message::SERVER_ID),
        Some(&[0, 3, 9][..])
    );
    let ia = release.options.get(message::IA_NA).unwrap();
    assert!(ia.windows(16).any(|bytes| bytes == ADDRESS.octets()));
    let mut machine = machine();
    machine.start(at(0));
    assert_eq!(machine.release(), []);
}

#[test]
fn a_link_that_becomes_usable_is_tried_at_once() {
    let mut machine = machine();
    machine.start(at(0));
    assert_eq!(sent(&machine.again(at(0))).kind, Kind::Solicit);
    assert_eq!(bound().again(at(1)), []);
}

#[test]
fn an_address_whose_time_is_over_is_none() {
    let solicit = sent(&machine().start(at(0)));
    let mut reply = answer(Kind::Reply, &solicit, ADDRESS, None);
    let iaid = profile().iaid;
    assert!(Lease::from_answer(&reply, iaid, at(0)).is_ok());
    assert_eq!(
        Lease::from_answer(&reply, iaid ^ 1, at(0)),
        Err(Denied::Nothing)
    );
    let mut bytes = reply.to_bytes();
    let valid = bytes
        .windows(4)
        .rposition(|quad| quad == 120u32.to_be_bytes())
        .unwrap();
    bytes[valid..valid + 4].fill(0);
    reply = Message::parse(&bytes).unwrap();
    assert_eq!(
        Lease::from_answer(&reply, iaid, at(0)),
        Err(Denied::Nothing)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Some(message) = Message::parse(&bytes) {
            drop(Lease::from_answer(&message, 0, at(0)));
        }
    }

    #[test]
    fn no_damage_to_an_answer_makes_it_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let solicit = sent(&machine().start(at(0)));
        let mut bytes = answer(Kind::Reply, &solicit, ADDRESS, None).to_bytes();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Some(message) = Message::parse(&bytes) {
            drop(Lease::from_answer(&message, profile().iaid, at(0)));
        }
    }
}
