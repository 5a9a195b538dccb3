//! What a server grants.

use super::super::clock::Moment;
use super::super::domains;
use super::super::times::Times;
use super::message::{self, Message, Options};
use ipnet::{IpNet, Ipv6Net};
use netloom_spec::{AddResult, Dns, IpConfig};
use serde::{Deserialize, Serialize};
use std::net::Ipv6Addr;

/// A granted address with what came with it, and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Lease {
    pub(in super::super) address: Ipv6Addr,
    /// The server's DUID.
    pub(in super::super) server: Vec<u8>,
    pub(in super::super) dns: Dns,
    /// When it ends and when to ask for more; `None` for never.
    pub(in super::super) times: Option<Times>,
}

/// Why an answer grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Denied {
    /// The answer is not for this client, or not whole.
    #[error("an answer without address or server")]
    Nothing,
    /// The server said why (RFC 8415, section 21.13).
    #[error("the server answered status {code}{}", text(.message))]
    Status { code: u16, message: String },
}

/// The server does not know the lease.
pub(in super::super) const NO_BINDING: u16 = 3;

fn text(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message:?}")
    }
}

impl Lease {
    /// Reads what an answer to a message sent at `asked` grants.
    pub(in super::super) fn from_answer(
        answer: &Message,
        iaid: u32,
        asked: Moment,
    ) -> Result<Self, Denied> {
        let options = &answer.options;
        refuse_status(options)?;
        let server = options.get(message::SERVER_ID).ok_or(Denied::Nothing)?;
        let ours = |ia: &&[u8]| ia.starts_with(&iaid.to_be_bytes());
        let ia = options.all(message::IA_NA).find(ours);
        let (fixed, inner) = ia
            .and_then(|ia| ia.split_first_chunk::<12>())
            .ok_or(Denied::Nothing)?;
        let inner = Options::parse(inner);
        refuse_status(&inner)?;
        let (address, preferred, valid) = inner
            .all(message::IA_ADDRESS)
            .filter_map(granted)
            .find(|(address, _, valid)| *valid > 0 && can_be_a_hosts(*address))
            .ok_or(Denied::Nothing)?;
        // Zero leaves the times to the client; they then follow from when addresses are preferred.
        let given = |at| Some(seconds(fixed, at)).filter(|time| *time != 0);
        let renew = given(4).unwrap_or(preferred / 2);
        let rebind = given(8).unwrap_or(preferred / 10 * 8);
        Ok(Self {
            address,
            server: server.to_vec(),
            dns: dns(options),
            times: Times::new(asked, valid, Some(renew), Some(rebind)),
        })
    }

    /// Adds what this lease grants to the result of an ADD. DHCPv6 tells no length of the prefix
    /// and no router: those come with router advertisements.
    pub(in super::super) fn describe(&self, result: &mut AddResult) {
        let address = Ipv6Net::from(self.address);
        result.ips.push(IpConfig::new(IpNet::V6(address)));
        let dns = &mut result.dns;
        dns.nameservers.extend(self.dns.nameservers.iter().cloned());
        for domain in &self.dns.search {
            if !dns.search.contains(domain) {
                dns.search.push(domain.clone());
            }
        }
    }
}

/// Whether a host can have the address on a network: it is none of loopback, of a group, or IPv4's.
fn can_be_a_hosts(address: Ipv6Addr) -> bool {
    let none = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    !none && address.to_ipv4_mapped().is_none()
}

/// Address, preferred and valid lifetime.
fn granted(option: &[u8]) -> Option<(Ipv6Addr, u32, u32)> {
    let (fixed, inner) = option.split_first_chunk::<24>()?;
    refuse_status(&Options::parse(inner)).ok()?;
    let (address, _) = fixed.split_first_chunk::<16>()?;
    Some((
        Ipv6Addr::from(*address),
        seconds(fixed, 16),
        seconds(fixed, 20),
    ))
}

fn seconds(bytes: &[u8], at: usize) -> u32 {
    let quad = bytes.get(at..at + 4).and_then(|quad| quad.try_into().ok());
    quad.map_or(0, u32::from_be_bytes)
}

fn refuse_status(options: &Options) -> Result<(), Denied> {
    let Some(([a, b], message)) = options
        .get(message::STATUS)
        .and_then(|status| status.split_first_chunk::<2>())
    else {
        return Ok(());
    };
    match u16::from_be_bytes([*a, *b]) {
        0 => Ok(()),
        code => Err(Denied::Status {
            code,
            message: String::from_utf8_lossy(message).into_owned(),
        }),
    }
}

fn dns(options: &Options) -> Dns {
    let servers = options.get(message::NAME_SERVERS).unwrap_or_default();
    let (servers, _) = servers.as_chunks::<16>();
    Dns {
        nameservers: servers
            .iter()
            .map(|server| Ipv6Addr::from(*server).to_string())
            .collect(),
        search: options
            .get(message::SEARCH)
            .map(domains::compressed)
            .unwrap_or_default(),
        ..Dns::default()
    }
}
