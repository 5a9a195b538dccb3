//! Addresses and prefixes in text, by the reference implementation's rules.
//!
//! No leading zeros in an IPv4 octet, no zone, and an IPv4-mapped IPv6 address
//! is the IPv4 address it maps. The modules are for `#[serde(with = "…")]`:
//!
//! ```
//! # use std::net::IpAddr;
//! # use ipnet::IpNet;
//! # use netloom_spec::{decode, net};
//! #[derive(serde::Deserialize)]
//! struct Range {
//!     #[serde(with = "net::cidr")]
//!     subnet: IpNet,
//!     #[serde(default, with = "net::ip")]
//!     gateway: Option<IpAddr>,
//! }
//! let range: Range = decode::from_slice(br#"{"Subnet": "10.1.0.0/16", "gateway": ""}"#)?;
//! assert_eq!((range.subnet.prefix_len(), range.gateway), (16, None));
//! # Ok::<(), netloom_spec::Error>(())
//! ```

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::error::{Error, code};

/// Reads an IP address.
///
/// # Errors
/// [`code::INVALID_CONFIG`] if `text` is not one.
pub fn parse_ip(text: &str) -> Result<IpAddr, Error> {
    text.parse::<IpAddr>()
        .map(|ip| ip.to_canonical())
        .map_err(|_| {
            Error::new(
                code::INVALID_CONFIG,
                format!("invalid IP address: {text:?}, expected one such as 10.1.0.5 or fd00::5"),
            )
        })
}

/// Reads an address with its prefix length, `10.1.0.5/16`. The host bits are kept.
///
/// # Errors
/// [`code::INVALID_CONFIG`] if `text` is not one.
pub fn parse_cidr(text: &str) -> Result<IpNet, Error> {
    split_cidr(text).and_then(|(ip, bits)| canonical(ip, bits)).ok_or_else(|| {
        Error::new(
            code::INVALID_CONFIG,
            format!(
                "invalid CIDR address: {text:?}, expected an address and its prefix length such \
                 as 10.1.0.5/16"
            ),
        )
    })
}

fn split_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    // Digits only: the standard parser would take a sign.
    if !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((address.parse().ok()?, bits.parse().ok()?))
}

/// The prefix with an IPv4-mapped address as what it maps. A prefix shorter
/// than the mapping itself has no meaning as IPv4.
fn canonical(ip: IpAddr, bits: u8) -> Option<IpNet> {
    let mapped: Option<Ipv4Addr> = match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => ip.to_ipv4_mapped(),
    };
    match mapped {
        Some(ip) => IpNet::new(ip.into(), bits.checked_sub(96)?).ok(),
        None => IpNet::new(ip, bits).ok(),
    }
}

/// The prefix as it is printed. One made from an IPv4-mapped address, which no
/// parser here gives, is printed as IPv4 too.
pub(crate) fn print_cidr(net: &IpNet) -> String {
    canonical(net.addr(), net.prefix_len())
        .unwrap_or(*net)
        .to_string()
}

/// `Option<IpAddr>` as text. Absent, `null` and `""` are `None`; use it together
/// with `#[serde(default)]`.
pub mod ip {
    use std::net::IpAddr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Reads the text.
    ///
    /// # Errors
    /// If it is neither empty nor an IP address.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpAddr>, D::Error> {
        match Option::<String>::deserialize(from)?.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => super::parse_ip(text).map(Some).map_err(de::Error::custom),
        }
    }

    /// Writes the text, or `null`.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(ip: &Option<IpAddr>, to: S) -> Result<S::Ok, S::Error> {
        match ip {
            Some(ip) => to.collect_str(&ip.to_canonical()),
            None => to.serialize_none(),
        }
    }
}

/// [`IpNet`] as text. `""` is an error.
pub mod cidr {
    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Reads the text.
    ///
    /// # Errors
    /// If it is not an address with its prefix length.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<IpNet, D::Error> {
        super::parse_cidr(&String::deserialize(from)?).map_err(de::Error::custom)
    }

    /// Writes the text.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(net: &IpNet, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::print_cidr(net))
    }
}

/// `Option<IpNet>` as text. Absent and `null` are `None`, `""` is an error; use
/// it together with `#[serde(default)]`.
pub mod optional_cidr {
    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Reads the text.
    ///
    /// # Errors
    /// If it is there and not an address with its prefix length.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpNet>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::parse_cidr(&text))
            .transpose()
            .map_err(de::Error::custom)
    }

    /// Writes the text, or `null`.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(net: &Option<IpNet>, to: S) -> Result<S::Ok, S::Error> {
        match net {
            Some(net) => super::cidr::serialize(net, to),
            None => to.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_reference_reads_them() {
        for (text, ip) in [
            ("10.1.0.5", "10.1.0.5"),
            ("FD00::05", "fd00::5"),
            ("::ffff:10.1.0.5", "10.1.0.5"),
            ("::ffff:a01:5", "10.1.0.5"),
            ("::10.1.0.5", "::a01:5"),
        ] {
            assert_eq!(parse_ip(text).unwrap().to_string(), ip);
        }
        for text in [
            "",
            "10.1.0",
            "10.01.0.5",
            "10.1.0.256",
            "fe80::1%eth0",
            "10.1.0.5/16",
            " ::",
        ] {
            let fault = parse_ip(text).unwrap_err();
            assert!(
                fault
                    .msg
                    .starts_with(&format!("invalid IP address: {text:?}")),
                "{fault}"
            );
        }
    }

    #[test]
    fn prefixes_keep_their_host_bits() {
        for (text, net) in [
            ("10.1.0.5/16", "10.1.0.5/16"),
            ("10.1.0.5/016", "10.1.0.5/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::5/64", "fd00::5/64"),
            ("::ffff:10.1.0.5/112", "10.1.0.5/16"),
        ] {
            assert_eq!(parse_cidr(text).unwrap().to_string(), net);
        }
        for text in [
            "",
            "10.1.0.5",
            "10.1.0.5/",
            "10.1.0.5/33",
            "10.1.0.5/+8",
            "10.1.0.5/-1",
            "::/129",
            "10.1.0.5/8/8",
            "/8",
            "10.01.0.5/8",
            "fe80::1%eth0/64",
            "::ffff:10.1.0.5/16",
            "<nil>",
            "10.1.0.5/300",
        ] {
            let fault = parse_cidr(text).unwrap_err();
            assert!(
                fault
                    .msg
                    .starts_with(&format!("invalid CIDR address: {text:?}")),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_mapped_prefix_is_printed_as_what_it_maps() {
        assert_eq!(
            print_cidr(&"::ffff:10.1.0.5/112".parse().unwrap()),
            "10.1.0.5/16"
        );
        assert_eq!(
            print_cidr(&"::ffff:10.1.0.5/16".parse().unwrap()),
            "::ffff:10.1.0.5/16"
        );
    }

    #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
    struct Texts {
        #[serde(default, with = "ip")]
        ip: Option<IpAddr>,
        #[serde(default, with = "optional_cidr")]
        net: Option<IpNet>,
    }

    #[test]
    fn an_empty_address_is_unset_but_an_empty_prefix_is_an_error() {
        let read = |text: &str| crate::decode::from_slice::<Texts>(text.as_bytes());
        for text in ["{}", r#"{"ip":""}"#, r#"{"ip":null,"net":null}"#] {
            assert_eq!(
                read(text).unwrap(),
                Texts {
                    ip: None,
                    net: None
                },
                "{text}"
            );
        }
        let fault = read(r#"{"net":""}"#).unwrap_err();
        assert!(
            fault.msg.starts_with("net: invalid CIDR address: \"\""),
            "{fault}"
        );
        let texts = read(r#"{"ip":"::1","net":"::1/128"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&texts).unwrap(),
            r#"{"ip":"::1","net":"::1/128"}"#
        );
    }
}
