//! The door of the fuzz targets (`fuzz/`): every question of this crate, put to a kernel that
//! answers with whatever the fuzzer likes. Not part of any other build.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::netlink::{Channel, HEADER_LEN};
use crate::nft::{Family as NftFamily, Key, Table};
use crate::rtnl::{Family, RouteFilter, tc};
use crate::{conntrack, nft, rtnl};

/// Set in the first byte: the rest is datagrams as they come, not one message's payload.
const RAW: u8 = 0x80;
const NLMSG_DONE: u16 = 3;
const LINK: u32 = 2;
const TABLE: Table<'_> = Table::new(NftFamily::Inet, "t");

/// Puts the question that the first byte chooses. What comes of it may be anything but a panic.
pub fn netlink(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let question = usize::from(choice & !RAW);
    let answer = if choice & RAW == 0 {
        framed(rest)
    } else {
        rest.to_vec()
    };
    let questions = [ROUTING, NFTABLES, CONNECTIONS].concat();
    questions[question % questions.len()](&answer);
}

type Question = fn(&[u8]);

const ROUTING: &[Question] = &[
    |answer| ask(answer, |s| s.list_links()),
    |answer| ask(answer, |s| s.find_link(LINK)),
    |answer| ask(answer, |s| s.list_addresses(LINK)),
    |answer| ask(answer, |s| s.list_all_addresses()),
    |answer| {
        ask(answer, |s| {
            s.list_routes(&RouteFilter::main(Family::V4).table(rtnl::table::ANY))
        })
    },
    |answer| ask(answer, |s| s.list_rules(Family::V4)),
    |answer| ask(answer, |s| s.list_neighbours(Family::V4, LINK)),
    |answer| ask(answer, |s| s.list_bridge_vlans(LINK)),
    |answer| ask(answer, |s| s.list_namespace_ids()),
    |answer| ask(answer, |s| s.find_qdisc(LINK, tc::Handle::ROOT)),
    |answer| ask(answer, |s| s.find_class(LINK, tc::Handle::ROOT)),
    |answer| ask(answer, |s| s.list_filters(LINK, tc::Handle::ROOT)),
    |answer| ask(answer, |s| s.remove_link(LINK)),
];

const NFTABLES: &[Question] = &[
    |answer| ask_nft(answer, |s| s.list_tables(NftFamily::Inet)),
    |answer| ask_nft(answer, |s| s.list_chains(&TABLE)),
    |answer| ask_nft(answer, |s| s.list_rules(&TABLE, "c")),
    |answer| ask_nft(answer, |s| s.list_sets(&TABLE)),
    |answer| ask_nft(answer, |s| s.list_elements(&TABLE, "s")),
    |answer| ask_nft(answer, |s| s.get_element(&TABLE, "s", &Key::new())),
    |answer| ask_nft(answer, |s| s.generation()),
];

const CONNECTIONS: &[Question] = &[
    |answer| {
        with(answer, |channel| {
            let socket = conntrack::Socket::on(channel);
            if let Ok(entries) = socket.list(Family::V4, 17, None) {
                // What was understood can be said to the kernel again.
                drop(socket.remove(&entries));
            }
        });
    },
    |answer| {
        with(answer, |channel| {
            drop(conntrack::Socket::on(channel).count())
        })
    },
];

fn ask<T>(answer: &[u8], question: impl FnOnce(&rtnl::Socket) -> crate::Result<T>) {
    with(answer, |channel| drop(question(&rtnl::Socket::on(channel))));
}

fn ask_nft<T>(answer: &[u8], question: impl FnOnce(&nft::Socket) -> crate::Result<T>) {
    with(answer, |channel| drop(question(&nft::Socket::on(channel))));
}

fn with(answer: &[u8], question: impl FnOnce(Channel)) {
    let answered: Result<(Channel, OwnedFd), Errno> = Channel::answered(std::iter::once(answer));
    // More than a datagram can hold.
    if let Ok((channel, _kernel)) = answered {
        question(channel);
    }
}

/// The payload as the answer to the first request, and the end of a dump.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut answer = message(0, payload);
    answer.resize(answer.len().next_multiple_of(4), 0);
    answer.extend(message(NLMSG_DONE, &[0; 4]));
    answer
}

fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = (HEADER_LEN + payload.len()) as u32;
    let (flags, sequence, port) = (0_u16, 1_u32, 0_u32);
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &sequence.to_ne_bytes(),
        &port.to_ne_bytes(),
        payload,
    ]
    .concat()
}
