//! Servers, a daemon and files that say anything.

pub(crate) use super::daemon::fuzzing::daemon;
pub(crate) use super::rpc::client::fuzzing::client;

use super::clock::{Dice, Moment};
use super::identity::Identity;
use super::retry::Patience;
use super::store::Record;
use super::{v4, v6};
use crate::fuzzing::assert_one_line;
use netloom_spec::{AddResult, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const START: Moment = Duration::from_secs(1000);

/// A packet to the client's port (the first byte is 0), or the message alone, as an offer and then
/// as what grants it.
pub fn dhcp4(input: &[u8]) {
    use v4::machine::{Effect, Machine, Profile};
    use v4::message::{Kind, Message};
    let message = match input.split_first() {
        Some((0, packet)) => v4::frame::payload(packet).and_then(Message::parse),
        Some((_, message)) => Message::parse(message),
        None => None,
    };
    let Some(mut message) = message else { return };
    assert_eq!(
        Message::parse(&message.to_reply_bytes()).as_ref(),
        Some(&message)
    );
    let profile = Profile {
        client_id: b"\0cid/net/eth0".to_vec(),
        request: vec![3, 1],
        provide: vec![(12, b"pod".to_vec())],
        broadcast: false,
    };
    let mut machine = Machine::new(profile, Patience::default(), Dice::seeded(7));
    machine.set_mac(MAC);
    let sent = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Send(message, _) => Some(message.to_bytes().len()).map(|_| message.xid),
            Effect::Failed(failure) => Some(assert_one_line(&failure.to_string())).and(None),
            Effect::Note(text) => Some(assert_one_line(text)).and(None),
            Effect::Bound => None,
        })
    };
    message.chaddr = MAC;
    let mut effects = machine.start(START);
    for kind in [Kind::Offer, Kind::Ack] {
        message.kind = kind;
        message.xid = sent(&effects).unwrap_or_default();
        effects = machine.receive(START, &message, MAC);
    }
    sent(&effects);
    assert_eq!(effects.contains(&Effect::Bound), machine.lease().is_some());
    if let Some(lease) = machine.lease() {
        stored(lease);
        let mut result = AddResult::new();
        lease.describe(7, &mut result);
        reported(&result);
    }
    // Nobody answers from now on: the lease is asked for again until it ends.
    for _ in 0..64 {
        let Some(deadline) = machine.deadline() else {
            break;
        };
        sent(&machine.timer(deadline));
    }
    sent(&machine.release());
    assert!(machine.lease().is_none() && machine.deadline().is_none());
}

/// A message, as an advertisement and then as what grants it.
pub fn dhcp6(input: &[u8]) {
    use v6::machine::{Effect, Machine, Profile};
    use v6::message::{self, Kind, Message, Options};
    let Some(said) = Message::parse(input) else {
        return;
    };
    assert_eq!(Message::parse(&said.to_bytes()).as_ref(), Some(&said));
    let profile = Profile::from_digest(&[0; 32]);
    let mut ours = Options::default();
    ours.push(message::CLIENT_ID, profile.duid.clone());
    let options = Options::parse(&[ours.to_bytes(), said.options.to_bytes()].concat());
    let mut machine = Machine::new(profile, Patience::default(), Dice::seeded(3), None);
    let sent = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Send(message) => Some(message.to_bytes().len()).map(|_| message.xid),
            Effect::Failed(failure) => Some(assert_one_line(&failure.to_string())).and(None),
            Effect::Note(text) => Some(assert_one_line(text)).and(None),
            Effect::Bound => None,
        })
    };
    let mut effects = machine.start(START);
    for kind in [Kind::Advertise, Kind::Reply] {
        let mut answer = Message::new(kind, sent(&effects).unwrap_or_default());
        answer.options = options.clone();
        effects = machine.receive(START, &answer);
    }
    sent(&effects);
    assert_eq!(effects.contains(&Effect::Bound), machine.lease().is_some());
    if let Some(lease) = machine.lease() {
        stored(lease);
        let mut result = AddResult::new();
        lease.describe(&mut result);
        reported(&result);
    }
    for _ in 0..64 {
        let Some(deadline) = machine.deadline() else {
            break;
        };
        sent(&machine.timer(deadline));
    }
    sent(&machine.release());
    assert!(machine.lease().is_none() && machine.deadline().is_none());
}

/// A lease on disk: it is written again as it was, and a client can go on with it.
pub(crate) fn lease_file(content: &[u8]) {
    let record = match Record::parse(content) {
        Ok(record) => record,
        Err(error) => return assert_one_line(&error.to_string()),
    };
    stored(&record);
    let Record {
        identity,
        wanted,
        long_id,
        ipv4,
        ipv6,
        ..
    } = record;
    assert!(identity.file_name().len() == 37 && identity.client_id(long_id).len() <= 255);
    let (patience, now) = (Patience::default(), Duration::from_secs(5));
    let v4 = super::client4::Client4::new((&identity, long_id), &wanted, false, patience, ipv4);
    let v6 = super::client6::Client6::new(&identity, patience, ipv6);
    let mut result = AddResult::new();
    if let Some(lease) = v4.lease() {
        lease.describe(wanted.priority, &mut result);
    }
    if let Some(lease) = v6.lease() {
        lease.describe(&mut result);
    }
    drop(result.to_json(Version::LATEST));
    let site = super::port::PodInterface {
        netns: "/nonexistent".into(),
        if_name: identity.if_name,
        id: None,
    };
    use super::client::Client;
    let clients: [Box<dyn Client>; 2] = [Box::new(v4), Box::new(v6)];
    for mut client in clients {
        // Without a namespace each turn ends at once.
        client.timer(&site, client.deadline().unwrap_or(now), &|_| {});
    }
}

/// What is kept of a lease is read again as it was.
fn stored<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("a value is written");
    let again: T = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(again, *value);
}

/// What a server said can be told to the runtime, and no name in it can break a resolv.conf.
fn reported(result: &AddResult) {
    let text = result
        .to_json(Version::LATEST)
        .expect("a result is written");
    drop(AddResult::parse(text.as_bytes(), Version::LATEST).expect("what was written is read"));
    let names = result.dns.search.iter().chain([&result.dns.domain]);
    assert!(
        names
            .flat_map(|name| name.bytes())
            .all(super::domains::is_name_byte)
    );
}

/// An attachment, for calls.
pub(super) fn identity(args: &super::rpc::CmdArgs, network: &str) -> Identity {
    Identity {
        container_id: args.container_id.clone(),
        network: network.to_owned(),
        if_name: args.if_name.clone(),
    }
}
