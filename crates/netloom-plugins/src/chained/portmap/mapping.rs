//! One port of the host, or a range of them, that leads to the pod.

use super::config::PortMapping;
use netloom_kernel::nft::Protocol;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// A valid entry of `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) protocol: Transport,
    /// The address of the host that it is for; none for every address of the families in `only`.
    pub(super) host_ip: Option<IpAddr>,
    /// An unspecified `hostIP` chooses the family all the same: true for IPv6.
    only_v6: Option<bool>,
    pub(super) host_port: u16,
    pub(super) container_port: u16,
    /// How many ports, from 1.
    pub(super) count: u16,
}

/// The transport protocols that can be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Sctp,
    Tcp,
    Udp,
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sctp => "sctp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// The protocol of a number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        [Self::Sctp, Self::Tcp, Self::Udp]
            .into_iter()
            .find(|protocol| protocol.number().0 == number)
    }

    pub(super) fn number(self) -> Protocol {
        match self {
            Self::Sctp => Protocol::SCTP,
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
        }
    }
}

impl Mapping {
    /// Validates one entry; the error is the message without its place.
    pub(super) fn new(raw: &PortMapping) -> Result<Self, String> {
        let protocol = match raw.protocol.to_ascii_lowercase().as_str() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "sctp" => Transport::Sctp,
            _ => {
                return Err(format!(
                    "invalid protocol {:?}: it must be \"tcp\", \"udp\" or \"sctp\"",
                    raw.protocol
                ));
            }
        };
        let container_port = port("container", "containerPort", raw.container_port)?;
        let host_port = port("host", "hostPort", raw.host_port)?;
        let most = 65536 - i64::from(host_port.max(container_port));
        if !(0..=most).contains(&raw.range) {
            return Err(format!(
                "invalid range {}: hostPort {host_port} and containerPort {container_port} \
                 leave room for 1 to {most} ports",
                raw.range
            ));
        }
        let ip = match raw.host_ip.as_str() {
            "" => None,
            text => Some(text.parse::<IpAddr>().map_err(|_| {
                format!("invalid hostIP {text:?}: it must be an IPv4 or IPv6 address")
            })?),
        }
        .map(|ip| ip.to_canonical());
        Ok(Self {
            protocol,
            host_ip: ip.filter(|ip| !ip.is_unspecified()),
            only_v6: ip.map(|ip| ip.is_ipv6()),
            host_port,
            container_port,
            count: u16::try_from(raw.range.max(1)).unwrap_or(u16::MAX),
        })
    }

    /// Whether it is for packets of this IP version.
    pub(super) fn is_for(&self, v6: bool) -> bool {
        self.only_v6.is_none_or(|only| only == v6)
    }

    /// The host's ports.
    pub(super) fn host_ports(&self) -> RangeInclusive<u16> {
        self.host_port..=self.host_port + (self.count - 1)
    }

    /// The pod's ports.
    pub(super) fn container_ports(&self) -> RangeInclusive<u16> {
        self.container_port..=self.container_port + (self.count - 1)
    }

    /// Whether the same packets are meant.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let families = [false, true]
            .iter()
            .any(|v6| self.is_for(*v6) && other.is_for(*v6));
        families
            && self.protocol == other.protocol
            && self.host_ip == other.host_ip
            && self.host_ports().start() <= other.host_ports().end()
            && other.host_ports().start() <= self.host_ports().end()
    }

    /// As people write it, for messages.
    pub(super) fn describe(&self) -> String {
        let ports = match self.count {
            1 => self.host_port.to_string(),
            _ => format!("{}-{}", self.host_port, self.host_ports().end()),
        };
        let at = match self.host_ip {
            Some(ip) => SocketAddr::new(ip, 0).to_string().replace(":0", ":"),
            None => String::new(),
        };
        format!("{at}{ports}/{}", self.protocol.name())
    }
}

fn port(whose: &str, key: &str, value: i64) -> Result<u16, String> {
    u16::try_from(value)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| {
            format!("Invalid {whose} port number: {value} ({key} must be from 1 to 65535)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(host_port: i64, container_port: i64, host_ip: &str, range: i64) -> PortMapping {
        PortMapping {
            host_port,
            container_port,
            protocol: "TCP".into(),
            host_ip: host_ip.into(),
            range,
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        for (bad, words) in [
            (raw(0, 80, "", 0), "Invalid host port number: 0"),
            (
                raw(80, 65536, "", 0),
                "Invalid container port number: 65536",
            ),
            (raw(65535, 80, "", 2), "invalid range 2"),
            (raw(80, 80, "", -1), "invalid range -1"),
            (raw(80, 80, "host", 0), "invalid hostIP \"host\""),
        ] {
            let message = Mapping::new(&bad).unwrap_err();
            assert!(message.starts_with(words), "{message}");
        }
        let other = PortMapping {
            protocol: "icmp".into(),
            ..raw(80, 80, "", 0)
        };
        assert!(Mapping::new(&other).unwrap_err().contains("\"icmp\""));
        assert!(Mapping::new(&raw(65535, 65535, "", 1)).is_ok());
    }

    #[test]
    fn the_address_of_the_host_chooses_the_family_even_when_it_is_unspecified() {
        let families = |ip: &str| {
            let mapping = Mapping::new(&raw(80, 80, ip, 0)).unwrap();
            (
                mapping.host_ip.is_some(),
                mapping.is_for(false),
                mapping.is_for(true),
            )
        };
        assert_eq!(families(""), (false, true, true));
        assert_eq!(families("0.0.0.0"), (false, true, false));
        assert_eq!(families("::"), (false, false, true));
        assert_eq!(families("192.0.2.1"), (true, true, false));
        assert_eq!(families("2001:db8::1"), (true, false, true));
    }

    #[test]
    fn mappings_overlap_when_one_packet_could_take_both() {
        let mapping = |port, ip, range| Mapping::new(&raw(port, 80, ip, range)).unwrap();
        assert!(mapping(8000, "", 10).overlaps(&mapping(8009, "", 0)));
        assert!(!mapping(8000, "", 10).overlaps(&mapping(8010, "", 0)));
        assert!(!mapping(8000, "0.0.0.0", 0).overlaps(&mapping(8000, "::", 0)));
        assert!(!mapping(8000, "192.0.2.1", 0).overlaps(&mapping(8000, "", 0)));
    }
}
