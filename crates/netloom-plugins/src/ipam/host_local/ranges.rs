//! Ranges of addresses and sets of them.

use super::address::{from_number, number, same_family};
use ipnet::IpNet;
use netloom_spec::net;
use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;

/// One range as it is written in a configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeText {
    #[serde(with = "net::optional_cidr")]
    pub(super) subnet: Option<IpNet>,
    #[serde(rename = "rangeStart", with = "net::ip")]
    pub(super) start: Option<IpAddr>,
    #[serde(rename = "rangeEnd", with = "net::ip")]
    pub(super) end: Option<IpAddr>,
    #[serde(with = "net::ip")]
    pub(super) gateway: Option<IpAddr>,
}

/// The addresses from `start` to `end`, both included, of one subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    subnet: IpNet,
    start: IpAddr,
    end: IpAddr,
    /// Never given to a container. It need not lie inside the subnet.
    gateway: IpAddr,
}

/// A pool of ranges of one family, from which an attachment gets one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<Range>);

/// Why a range or a set of ranges cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RangeError {
    #[error("subnet is missing; every range needs one, for example \"10.1.0.0/16\"")]
    NoSubnet,
    #[error("Network {0} too small to allocate from; the longest usable prefix is /{1}")]
    TooSmall(IpNet, u8),
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
    #[error("empty range set; it needs at least one range")]
    EmptySet,
    #[error("mixed address families; IPv4 and IPv6 ranges belong in range sets of their own")]
    MixedFamilies,
    #[error("subnets {0} and {1} overlap")]
    Overlap(String, String),
}

impl Range {
    /// Fills in what the text leaves out: the gateway and the start are the subnet's first
    /// address, the end is its last, without an IPv4 subnet's broadcast address.
    pub(super) fn new(text: &RangeText) -> Result<Self, RangeError> {
        let subnet = usable(text.subnet.ok_or(RangeError::NoSubnet)?)?;
        let first = from_number(number(subnet.network()) + 1, subnet.network());
        let start = text.start.map_or(first, |start| start.to_canonical());
        let end = text
            .end
            .map_or_else(|| last(subnet), |end| end.to_canonical());
        if !subnet.contains(&start) {
            return Err(RangeError::StartOutside(start, subnet));
        }
        if !subnet.contains(&end) {
            return Err(RangeError::EndOutside(end, subnet));
        }
        if end < start {
            return Err(RangeError::Reversed { start, end, subnet });
        }
        let gateway = text.gateway.map_or(first, |gateway| gateway.to_canonical());
        Ok(Self {
            subnet,
            start,
            end,
            gateway,
        })
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        same_family(self.start, address) && self.start <= address && address <= self.end
    }

    fn overlaps(&self, other: &Self) -> bool {
        same_family(self.start, other.start) && self.start <= other.end && other.start <= self.end
    }

    pub(super) fn start(&self) -> IpAddr {
        self.start
    }

    pub(super) fn end(&self) -> IpAddr {
        self.end
    }

    pub(super) fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// How many addresses it has to give, the gateway's not counted.
    pub(super) fn size(&self) -> u128 {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let between = number(self.end()).saturating_sub(number(self.start()));
        let gateway = u128::from(self.contains(self.gateway()));
        between.saturating_add(1).saturating_sub(gateway)
    }

    pub(super) fn prefix_len(&self) -> u8 {
        self.subnet.prefix_len()
    }
}

impl RangeSet {
    pub(super) fn new(texts: &[RangeText]) -> Result<Self, RangeError> {
        let ranges = texts
            .iter()
            .map(Range::new)
            .collect::<Result<Vec<_>, _>>()?;
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
    pub(super) fn ranges(&self) -> &[Range] {
        &self.0
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.0[0].start.is_ipv4()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.range_of(address).is_some()
    }

    pub(super) fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.0.iter().find(|range| range.contains(address))
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
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

/// Refuses a subnet that has no room for a gateway and a container, or is not a network's address.
fn usable(subnet: IpNet) -> Result<IpNet, RangeError> {
    let longest = subnet.max_prefix_len() - 2;
    if subnet.prefix_len() > longest {
        return Err(RangeError::TooSmall(subnet, longest));
    }
    if subnet.addr() != subnet.network() {
        return Err(RangeError::HostBits { subnet });
    }
    Ok(subnet)
}

/// The last address to give out. IPv6 has no broadcast address.
fn last(subnet: IpNet) -> IpAddr {
    let all_ones = subnet.broadcast();
    from_number(number(all_ones) - u128::from(all_ones.is_ipv4()), all_ones)
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
        Range::new(range).map(|range| format!("{range} via {}", range.gateway))
    }

    #[test]
    fn a_subnet_alone_gives_everything_but_network_and_ipv4_broadcast() {
        for (subnet, expected) in [
            ("10.1.0.0/24", "10.1.0.1-10.1.0.254 via 10.1.0.1"),
            ("10.1.0.4/30", "10.1.0.5-10.1.0.6 via 10.1.0.5"),
            ("0.0.0.0/0", "0.0.0.1-255.255.255.254 via 0.0.0.1"),
            ("fd00::/64", "fd00::1-fd00::ffff:ffff:ffff:ffff via fd00::1"),
            ("fd00::4/126", "fd00::5-fd00::7 via fd00::5"),
        ] {
            assert_eq!(summary(&text(subnet, "", "", "")).unwrap(), expected);
        }
    }

    #[test]
    fn a_gateway_may_lie_outside_and_mapped_addresses_are_ipv4() {
        let range = text(
            "10.1.0.0/24",
            "::ffff:10.1.0.9",
            "10.1.0.9",
            "::ffff:192.0.2.1",
        );
        assert_eq!(summary(&range).unwrap(), "10.1.0.9-10.1.0.9 via 192.0.2.1");
    }

    #[test]
    fn a_bad_range_is_refused_in_the_words_of_the_reference() {
        for (range, words) in [
            (text("", "", "", ""), "subnet is missing"),
            (
                text("10.1.0.0/31", "", "", ""),
                "Network 10.1.0.0/31 too small to allocate from",
            ),
            (
                text("fd00::/127", "", "", ""),
                "Network fd00::/127 too small to allocate from",
            ),
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
