//! Ranges of addresses and sets of them.

use super::address::{from_number, number, same_family};
use crate::wiring::nobody;
use ipnet::IpNet;
use netloom_spec::net;
use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;

/// One range as it is written in a configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RangeText {
    #[serde(with = "net::optional_cidr")]
    pub(crate) subnet: Option<IpNet>,
    #[serde(rename = "rangeStart", with = "net::ip")]
    pub(crate) start: Option<IpAddr>,
    #[serde(rename = "rangeEnd", with = "net::ip")]
    pub(crate) end: Option<IpAddr>,
    #[serde(with = "net::ip")]
    pub(crate) gateway: Option<IpAddr>,
}

/// The addresses from `start` to `end`, both included, of one subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    subnet: IpNet,
    start: IpAddr,
    end: IpAddr,
    /// Never given to a container. A subnet of one or two addresses has one only where it is named.
    gateway: Option<IpAddr>,
}

/// A pool of ranges of one family, from which an attachment gets one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeSet(Vec<Range>);

/// Why a range or a set of ranges cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeError {
    #[error("subnet is missing; every range needs one, for example \"10.1.0.0/16\"")]
    NoSubnet,
    #[error(
        "Network has host bits set. For a subnet mask of length {} the network address is {} (subnet is {subnet})",
        .subnet.prefix_len(), .subnet.network()
    )]
    HostBits { subnet: IpNet },
    #[error("RangeStart {0} not in network {1}")]
    StartOutside(IpAddr, IpNet),
    #[error("RangeEnd {0} not in network {1}")]
    EndOutside(IpAddr, IpNet),
    #[error("RangeEnd {end} not in network {subnet} at or after RangeStart {start}")]
    Reversed {
        start: IpAddr,
        end: IpAddr,
        subnet: IpNet,
    },
    #[error("{key} {address} is the {which} address of {subnet}, which no pod can have; {hint}")]
    Unusable {
        key: &'static str,
        address: IpAddr,
        which: &'static str,
        subnet: IpNet,
        hint: String,
    },
    #[error("range {start}-{end} has addresses of {block}, which no pod can have")]
    OfNobody {
        start: IpAddr,
        end: IpAddr,
        block: IpNet,
    },
    #[error("gateway {gateway} is {}, and its subnet {subnet} is {}; a gateway has its subnet's family",
        family(.gateway.is_ipv4()), family(.subnet.addr().is_ipv4()))]
    GatewayFamily { gateway: IpAddr, subnet: IpNet },
    #[error(
        "gateway {gateway} not in network {subnet}; pods can reach one of their own subnet only"
    )]
    GatewayOutside { gateway: IpAddr, subnet: IpNet },
    #[error(
        "gateway {gateway} is the broadcast address of {subnet}, which no host can have; the last is {last}"
    )]
    GatewayBroadcast {
        gateway: IpAddr,
        subnet: IpNet,
        last: IpAddr,
    },
    #[error("nothing to give out of {0}: its one address is the gateway {1}")]
    OnlyGateway(String, IpAddr),
    #[error("empty range set; it needs at least one range")]
    EmptySet,
    #[error("mixed address families; IPv4 and IPv6 ranges belong in range sets of their own")]
    MixedFamilies,
    #[error("subnets {0} and {1} overlap")]
    Overlap(String, String),
}

impl Range {
    /// Fills in what the text leaves out: the gateway and the start are the subnet's first
    /// address, the end is its last. Where the subnet has more than two addresses, that is without
    /// its network address, and without an IPv4 subnet's broadcast address.
    pub(crate) fn new(text: &RangeText) -> Result<Self, RangeError> {
        let subnet = network(text.subnet.ok_or(RangeError::NoSubnet)?)?;
        let (first, last) = usable(subnet);
        let start = text.start.map_or(first, |start| start.to_canonical());
        let end = text.end.map_or(last, |end| end.to_canonical());
        if !subnet.contains(&start) {
            return Err(RangeError::StartOutside(start, subnet));
        }
        if !subnet.contains(&end) {
            return Err(RangeError::EndOutside(end, subnet));
        }
        for (key, address) in [("RangeStart", start), ("RangeEnd", end)] {
            let (which, hint) = if address < first {
                ("network", format!("the first is {first}"))
            } else if address > last {
                ("broadcast", format!("the last is {last}"))
            } else {
                continue;
            };
            return Err(RangeError::Unusable {
                key,
                address,
                which,
                subnet,
                hint,
            });
        }
        if end < start {
            return Err(RangeError::Reversed { start, end, subnet });
        }
        if let Some(block) = nobody::block(start, end) {
            return Err(RangeError::OfNobody { start, end, block });
        }
        let range = Self {
            subnet,
            start,
            end,
            gateway: gateway_of(text, subnet)?,
        };
        if let Some(gateway) = range.gateway
            && is_small(subnet)
            && range.size() == 0
        {
            return Err(RangeError::OnlyGateway(range.to_string(), gateway));
        }
        Ok(range)
    }

    /// The same, with this gateway or none, whose address is given like any other if there is none.
    pub(crate) fn with_gateway(self, gateway: Option<IpAddr>) -> Self {
        Self { gateway, ..self }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        same_family(self.start, address) && self.start <= address && address <= self.end
    }

    fn overlaps(&self, other: &Self) -> bool {
        same_family(self.start, other.start) && self.start <= other.end && other.start <= self.end
    }

    pub(crate) fn start(&self) -> IpAddr {
        self.start
    }

    pub(crate) fn end(&self) -> IpAddr {
        self.end
    }

    pub(crate) fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }

    /// How many addresses it has to give, the gateway's not counted.
    pub(crate) fn size(&self) -> u128 {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let between = number(self.end()).saturating_sub(number(self.start()));
        let gateway = u128::from(self.gateway.is_some_and(|gateway| self.contains(gateway)));
        between.saturating_add(1).saturating_sub(gateway)
    }

    pub(crate) fn prefix_len(&self) -> u8 {
        self.subnet.prefix_len()
    }
}

impl RangeSet {
    pub(crate) fn new(texts: &[RangeText]) -> Result<Self, RangeError> {
        let ranges = texts
            .iter()
            .map(Range::new)
            .collect::<Result<Vec<_>, _>>()?;
        Self::of(ranges)
    }

    /// Of these ranges.
    pub(crate) fn of(ranges: Vec<Range>) -> Result<Self, RangeError> {
        let first = ranges.first().ok_or(RangeError::EmptySet)?;
        if ranges
            .iter()
            .any(|range| !same_family(range.start, first.start))
        {
            return Err(RangeError::MixedFamilies);
        }
        for (index, a) in ranges.iter().enumerate() {
            if let Some(b) = ranges[index + 1..].iter().find(|b| a.overlaps(b)) {
                return Err(RangeError::Overlap(a.to_string(), b.to_string()));
            }
        }
        Ok(Self(ranges))
    }

    /// The ranges, at least one.
    pub(crate) fn ranges(&self) -> &[Range] {
        &self.0
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        self.0[0].start.is_ipv4()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.range_of(address).is_some()
    }

    pub(crate) fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.0.iter().find(|range| range.contains(address))
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.overlaps(b)))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Refuses a subnet that is not a network's address.
fn network(subnet: IpNet) -> Result<IpNet, RangeError> {
    if subnet.addr() != subnet.network() {
        return Err(RangeError::HostBits { subnet });
    }
    Ok(subnet)
}

/// The first and the last address that a pod can have. On a link between two (RFC 3021, RFC 6164)
/// and for a single address there is neither a network nor a broadcast address. IPv6 never has a
/// broadcast address.
fn usable(subnet: IpNet) -> (IpAddr, IpAddr) {
    let (network, all_ones) = (subnet.network(), subnet.broadcast());
    if is_small(subnet) {
        return (network, all_ones);
    }
    let broadcast = u128::from(all_ones.is_ipv4());
    (
        from_number(number(network) + 1, network),
        from_number(number(all_ones) - broadcast, all_ones),
    )
}

/// Whether a subnet has one or two addresses.
fn is_small(subnet: IpNet) -> bool {
    subnet.max_prefix_len() - subnet.prefix_len() <= 1
}

/// The gateway that the text names, or the first address where one can be spared.
fn gateway_of(text: &RangeText, subnet: IpNet) -> Result<Option<IpAddr>, RangeError> {
    let Some(gateway) = text.gateway.map(|gateway| gateway.to_canonical()) else {
        return Ok((!is_small(subnet)).then(|| usable(subnet).0));
    };
    if !same_family(gateway, subnet.addr()) {
        return Err(RangeError::GatewayFamily { gateway, subnet });
    }
    if !subnet.contains(&gateway) {
        return Err(RangeError::GatewayOutside { gateway, subnet });
    }
    // The network address serves as one since Linux 5.14, and that of IPv6 is the routers' (RFC 4291).
    let (_, last) = usable(subnet);
    if gateway > last {
        return Err(RangeError::GatewayBroadcast {
            gateway,
            subnet,
            last,
        });
    }
    Ok(Some(gateway))
}

fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(subnet: &str, start: &str, end: &str, gateway: &str) -> RangeText {
        let ip = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        RangeText {
            subnet: (!subnet.is_empty()).then(|| subnet.parse().unwrap()),
            start: ip(start),
            end: ip(end),
            gateway: ip(gateway),
        }
    }

    fn summary(range: &RangeText) -> Result<String, RangeError> {
        Range::new(range).map(|range| match range.gateway {
            Some(gateway) => format!("{range} via {gateway}"),
            None => range.to_string(),
        })
    }

    #[test]
    fn a_subnet_alone_gives_everything_but_network_and_ipv4_broadcast() {
        for (subnet, expected) in [
            ("10.1.0.0/24", "10.1.0.1-10.1.0.254 via 10.1.0.1"),
            ("10.1.0.4/30", "10.1.0.5-10.1.0.6 via 10.1.0.5"),
            ("fd00::/64", "fd00::1-fd00::ffff:ffff:ffff:ffff via fd00::1"),
            ("fd00::4/126", "fd00::5-fd00::7 via fd00::5"),
        ] {
            assert_eq!(summary(&text(subnet, "", "", "")).unwrap(), expected);
        }
    }

    #[test]
    fn a_subnet_of_one_or_two_addresses_gives_them_all_but_a_gateway_that_is_named() {
        for (subnet, gateway, expected) in [
            ("10.1.0.4/31", "", "10.1.0.4-10.1.0.5"),
            ("10.1.0.4/31", "10.1.0.4", "10.1.0.4-10.1.0.5 via 10.1.0.4"),
            ("10.1.0.4/32", "", "10.1.0.4-10.1.0.4"),
            ("254.255.255.255/32", "", "254.255.255.255-254.255.255.255"),
            ("fd00::4/127", "", "fd00::4-fd00::5"),
            ("fd00::7/128", "", "fd00::7-fd00::7"),
        ] {
            let range = text(subnet, "", "", gateway);
            assert_eq!(summary(&range).unwrap(), expected);
        }
        let explicit = text("10.1.0.4/31", "10.1.0.4", "10.1.0.5", "");
        assert_eq!(summary(&explicit).unwrap(), "10.1.0.4-10.1.0.5");
    }

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        for (subnet, block) in [
            ("0.0.0.0/8", "0.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/8"),
            ("127.5.0.0/16", "127.0.0.0/8"),
            ("126.0.0.0/7", "127.0.0.0/8"),
            ("239.1.2.4/31", "224.0.0.0/4"),
            ("255.0.0.0/24", "255.0.0.0/8"),
            ("ff05::/64", "ff00::/8"),
        ] {
            let error = summary(&text(subnet, "", "", "")).unwrap_err().to_string();
            assert!(error.contains(&format!("addresses of {block}")), "{error}");
        }
        for (subnet, start, end) in [
            ("0.0.0.0/0", "10.0.0.1", "10.0.0.9"),
            ("126.0.0.0/7", "", "126.255.255.254"),
            ("240.0.0.0/24", "", ""),
        ] {
            assert!(summary(&text(subnet, start, end, "")).is_ok(), "{subnet}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let range = text(
            "10.1.0.0/24",
            "::ffff:10.1.0.9",
            "10.1.0.9",
            "::ffff:10.1.0.254",
        );
        assert_eq!(summary(&range).unwrap(), "10.1.0.9-10.1.0.9 via 10.1.0.254");
    }

    #[test]
    fn a_range_that_no_pod_can_use_is_refused_by_name() {
        for (range, words) in [
            (
                text("10.1.0.0/24", "", "", "fd00::1"),
                "gateway fd00::1 is IPv6, and its subnet 10.1.0.0/24 is IPv4",
            ),
            (
                text("fd00::/64", "", "", "10.1.0.1"),
                "gateway 10.1.0.1 is IPv4, and its subnet fd00::/64 is IPv6",
            ),
            (
                text("10.1.0.0/24", "", "", "10.1.1.1"),
                "gateway 10.1.1.1 not in network 10.1.0.0/24",
            ),
            (
                text("10.1.0.0/30", "", "", "10.1.0.3"),
                "gateway 10.1.0.3 is the broadcast address of 10.1.0.0/30, which no host can have; \
                 the last is 10.1.0.2",
            ),
            (
                text("10.1.0.0/32", "", "", "10.1.0.0"),
                "its one address is the gateway 10.1.0.0",
            ),
            (
                text("10.1.0.0/24", "10.1.0.0", "", ""),
                "RangeStart 10.1.0.0 is the network address of 10.1.0.0/24, which no pod can have; \
                 the first is 10.1.0.1",
            ),
            (
                text("10.1.0.0/24", "10.1.0.0", "10.1.0.0", ""),
                "RangeStart 10.1.0.0 is the network address",
            ),
            (
                text("fd00::/64", "fd00::", "", ""),
                "RangeStart fd00:: is the network address of fd00::/64",
            ),
            (
                text("10.1.0.0/24", "", "10.1.0.255", ""),
                "RangeEnd 10.1.0.255 is the broadcast address of 10.1.0.0/24, which no pod can \
                 have; the last is 10.1.0.254",
            ),
            (
                text("10.1.0.0/24", "10.1.0.255", "", "10.1.0.1"),
                "RangeStart 10.1.0.255 is the broadcast address of 10.1.0.0/24",
            ),
        ] {
            let error = Range::new(&range).unwrap_err().to_string();
            assert!(error.contains(words), "{error:?} lacks {words:?}");
        }
        // The kernel has routes by all of these.
        for gateway in [
            "10.1.0.0",
            "10.1.0.254",
            "fd00::",
            "fd00::ffff:ffff:ffff:ffff",
        ] {
            let subnet = ["10.1.0.0/24", "fd00::/64"][usize::from(gateway.contains(':'))];
            assert!(
                Range::new(&text(subnet, "", "", gateway)).is_ok(),
                "{gateway}"
            );
        }
        assert!(Range::new(&text("10.1.0.0/31", "", "", "10.1.0.1")).is_ok());
        let last_of_ipv6 = text("fd00::/126", "", "fd00::3", "");
        assert_eq!(
            summary(&last_of_ipv6).unwrap(),
            "fd00::1-fd00::3 via fd00::1"
        );
    }

    #[test]
    fn a_bad_range_is_refused_in_the_words_of_the_reference() {
        for (range, words) in [
            (text("", "", "", ""), "subnet is missing"),
            (
                text("10.1.2.3/16", "", "", ""),
                "Network has host bits set. For a subnet mask of length 16 the network address is 10.1.0.0",
            ),
            (
                text("10.1.0.0/16", "10.2.0.1", "", ""),
                "RangeStart 10.2.0.1 not in network 10.1.0.0/16",
            ),
            (
                text("10.1.0.0/16", "fd00::1", "", ""),
                "RangeStart fd00::1 not in network",
            ),
            (
                text("10.1.0.0/16", "", "10.2.0.1", ""),
                "RangeEnd 10.2.0.1 not in network",
            ),
            (
                text("10.1.0.0/16", "10.1.0.9", "10.1.0.5", ""),
                "at or after RangeStart 10.1.0.9",
            ),
        ] {
            let error = Range::new(&range).unwrap_err().to_string();
            assert!(error.contains(words), "{error:?} lacks {words:?}");
        }
    }

    #[test]
    fn a_set_holds_one_family_without_overlaps() {
        let a = text("10.1.0.0/24", "", "", "");
        let b = text("10.1.0.0/16", "10.1.0.254", "", "");
        let c = text("10.1.0.0/16", "10.1.0.255", "", "");
        let six = text("fd00::/64", "", "", "");
        assert_eq!(RangeSet::new(&[]), Err(RangeError::EmptySet));
        assert_eq!(
            RangeSet::new(&[a.clone(), six.clone()]),
            Err(RangeError::MixedFamilies)
        );
        assert!(matches!(
            RangeSet::new(&[a.clone(), b]),
            Err(RangeError::Overlap(..))
        ));
        let set = RangeSet::new(&[a.clone(), c]).unwrap();
        assert_eq!(
            set.to_string(),
            "10.1.0.1-10.1.0.254,10.1.0.255-10.1.255.254"
        );
        assert!(set.contains("10.1.0.255".parse().unwrap()));
        assert!(!set.contains("10.1.255.255".parse().unwrap()));
        assert!(!set.contains("::a01:5".parse().unwrap()));
        assert!(!set.overlaps(&RangeSet::new(&[six]).unwrap()));
        assert!(set.overlaps(&RangeSet::new(&[a]).unwrap()));
    }
}
