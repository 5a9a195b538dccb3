//! The configuration of a cluster's pod network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netloom_spec::{Error, code, decode};
use serde::Deserialize;

use super::Subnets;

/// How hosts reach each other's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Routes by the other host's address, which must be on the same link.
    HostGw,
    /// A VXLAN tunnel.
    Vxlan,
    /// As host-gw where the other host is on the same link, as vxlan elsewhere. flannel calls it vxlan
    /// with `DirectRouting`.
    Auto,
}

impl Mode {
    /// Whether it uses a tunnel for some host.
    #[must_use]
    pub fn tunnels(self) -> bool {
        self != Self::HostGw
    }

    /// What a host of this mode announces: flannel has no name of its own for auto.
    #[must_use]
    pub fn backend(self) -> &'static str {
        if self.tunnels() { "vxlan" } else { "host-gw" }
    }
}

/// The settings of the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// How hosts reach each other's pods.
    pub mode: Mode,
    /// The tunnel's network identifier.
    pub vni: u32,
    /// The tunnel's UDP port.
    pub port: u16,
    /// The MTU of the link that carries the tunnel, where it is not that link's own.
    pub mtu: Option<u32>,
}

/// The pods' addresses of one family, and how they are cut into parts for hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// All of them.
    pub network: IpNet,
    /// The prefix length of a host's part.
    pub subnet_len: u8,
    /// The first part that a host may have.
    pub min: IpAddr,
    /// The last.
    pub max: IpAddr,
}

/// The pod network of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The IPv4 addresses.
    pub v4: Option<Pool>,
    /// The IPv6 addresses.
    pub v6: Option<Pool>,
    /// How hosts reach each other.
    pub backend: Backend,
}

/// As flannel spells it; keys match whatever their case.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wire {
    #[serde(rename = "EnableIPv4")]
    enable_v4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_v6: bool,
    network: String,
    subnet_len: u8,
    subnet_min: String,
    subnet_max: String,
    #[serde(rename = "IPv6Network")]
    v6_network: String,
    #[serde(rename = "IPv6SubnetLen")]
    v6_subnet_len: u8,
    #[serde(rename = "IPv6SubnetMin")]
    v6_subnet_min: String,
    #[serde(rename = "IPv6SubnetMax")]
    v6_subnet_max: String,
    backend: WireBackend,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            enable_v4: true,
            enable_v6: false,
            network: String::new(),
            subnet_len: 0,
            subnet_min: String::new(),
            subnet_max: String::new(),
            v6_network: String::new(),
            v6_subnet_len: 0,
            v6_subnet_min: String::new(),
            v6_subnet_max: String::new(),
            backend: WireBackend::default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireBackend {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "VNI")]
    vni: Option<u32>,
    port: u16,
    direct_routing: bool,
    #[serde(rename = "MTU")]
    mtu: u32,
}

impl NetworkConfig {
    /// Reads the value of `<prefix>/config`. Defaults are flannel's, but for the mode: where none is
    /// named it is [`Mode::Auto`], as flannel's own default, `udp`, is out of use.
    ///
    /// # Errors
    /// In words that name the field, its value, and what would be right.
    pub fn parse(value: &[u8]) -> Result<Self, Error> {
        let wire: Wire = decode::from_slice(value)?;
        let v4 = Names {
            network: "Network",
            len: "SubnetLen",
            min: "SubnetMin",
            max: "SubnetMax",
            usual: 24,
            example: "10.5.0.0/16",
            is_v4: true,
        };
        let v6 = Names {
            network: "IPv6Network",
            len: "IPv6SubnetLen",
            min: "IPv6SubnetMin",
            max: "IPv6SubnetMax",
            usual: 64,
            example: "fd00:5::/48",
            is_v4: false,
        };
        let v4 = wire.enable_v4.then(|| {
            v4.pool(
                &wire.network,
                wire.subnet_len,
                &wire.subnet_min,
                &wire.subnet_max,
            )
        });
        let v6 = wire.enable_v6.then(|| {
            let (min, max) = (&wire.v6_subnet_min, &wire.v6_subnet_max);
            v6.pool(&wire.v6_network, wire.v6_subnet_len, min, max)
        });
        if v4.is_none() && v6.is_none() {
            return Err(invalid(
                "EnableIPv4 is false, and EnableIPv6 is not true".into(),
            ));
        }
        Ok(Self {
            v4: v4.transpose()?,
            v6: v6.transpose()?,
            backend: backend(&wire.backend)?,
        })
    }

    /// Each pool, IPv4 first.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.v4.iter().chain(&self.v6)
    }

    /// The pool of the family of an address.
    #[must_use]
    pub fn pool(&self, like: IpAddr) -> Option<&Pool> {
        match like {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        }
    }

    /// Whether a host could have these parts: one of each family that the network has, of the right
    /// length, within it. Those outside of min and max count, as in flannel: they may be older.
    #[must_use]
    pub fn allows(&self, subnets: &Subnets) -> bool {
        let fits = |pool: Option<&Pool>, part: Option<IpNet>| match (pool, part) {
            (Some(pool), Some(part)) => {
                part.prefix_len() == pool.subnet_len && pool.network.contains(&part)
            }
            (None, None) => true,
            _ => false,
        };
        fits(self.v4.as_ref(), subnets.v4.map(IpNet::V4))
            && fits(self.v6.as_ref(), subnets.v6.map(IpNet::V6))
    }
}

fn invalid(text: String) -> Error {
    Error::new(code::INVALID_CONFIG, text)
}

fn backend(wire: &WireBackend) -> Result<Backend, Error> {
    let mode = match wire.kind.as_str() {
        "host-gw" => Mode::HostGw,
        "vxlan" if wire.direct_routing => Mode::Auto,
        "vxlan" => Mode::Vxlan,
        "auto" | "" => Mode::Auto,
        other => {
            let text = format!("Backend.Type {other:?}: netloom has host-gw, vxlan and auto");
            return Err(invalid(text));
        }
    };
    let vni = wire.vni.unwrap_or(1);
    if vni == 0 || vni >= 1 << 24 {
        return Err(invalid(format!(
            "Backend.VNI {vni}: 1 to 16777215 is right"
        )));
    }
    Ok(Backend {
        mode,
        vni,
        port: if wire.port == 0 { 8472 } else { wire.port },
        mtu: (wire.mtu != 0).then_some(wire.mtu),
    })
}

/// What the fields of a family are called.
struct Names {
    network: &'static str,
    len: &'static str,
    min: &'static str,
    max: &'static str,
    usual: u8,
    example: &'static str,
    is_v4: bool,
}

impl Names {
    fn pool(&self, network: &str, len: u8, min: &str, max: &str) -> Result<Pool, Error> {
        let net = self.network(network)?;
        let subnet_len = self.length(net, len)?;
        let pool = Pool {
            network: net,
            subnet_len,
            min: net.addr(),
            max: net.addr(),
        };
        // flannel leaves the first part out: its first address is the network's own.
        let last = pool.count() - 1;
        let bound = |name: &str, text: &str, usual: u128| -> Result<IpAddr, Error> {
            if text.is_empty() {
                return Ok(pool.base(usual));
            }
            let parsed: Option<IpAddr> = text.parse().ok();
            let fits = |ip: &IpAddr| {
                let part = IpNet::new(*ip, subnet_len);
                net.contains(ip) && part.is_ok_and(|part| part.trunc() == part)
            };
            parsed.filter(fits).ok_or_else(|| {
                let text =
                    format!("{name} {text:?}: the beginning of a /{subnet_len} of {net} is right");
                invalid(text)
            })
        };
        let (min, max) = (bound(self.min, min, 1)?, bound(self.max, max, last)?);
        if min > max {
            return Err(invalid(format!(
                "{} {min} is behind {} {max}",
                self.min, self.max
            )));
        }
        Ok(Pool { min, max, ..pool })
    }

    fn network(&self, text: &str) -> Result<IpNet, Error> {
        let parsed: Option<IpNet> = text.parse().ok();
        let of_family = |net: &IpNet| net.addr().is_ipv4() == self.is_v4 && net.prefix_len() != 0;
        let special = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_multicast() || ip == Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(ip) => ip.is_multicast() || ip == Ipv6Addr::UNSPECIFIED,
        };
        match parsed.filter(of_family) {
            Some(net) if !special(net.trunc().addr()) => Ok(net.trunc()),
            _ => {
                let text = format!(
                    "{} {text:?}: a network such as {} is right",
                    self.network, self.example
                );
                Err(invalid(text))
            }
        }
    }

    /// At least four parts, each with four addresses: flannel's rule.
    fn length(&self, net: IpNet, len: u8) -> Result<u8, Error> {
        let (least, most) = (net.prefix_len() + 2, net.max_prefix_len() - 2);
        if len == 0 && least <= most {
            return Ok(self.usual.max(least));
        }
        if least > most {
            return Err(invalid(format!(
                "{} {net} is too small to be cut",
                self.network
            )));
        }
        if !(least..=most).contains(&len) {
            let text = format!("{} {len}: {least} to {most} is right for {net}", self.len);
            return Err(invalid(text));
        }
        Ok(len)
    }
}

impl Pool {
    /// How many parts the network has.
    pub(super) fn count(&self) -> u128 {
        1 << (self.subnet_len - self.network.prefix_len()).min(127)
    }

    /// The number of the part that begins at an address, from the network's beginning.
    pub(super) fn number(&self, base: IpAddr) -> u128 {
        let shift = u32::from(self.network.max_prefix_len() - self.subnet_len);
        (bits(base) - bits(self.network.addr())) >> shift
    }

    /// The beginning of a part.
    pub(super) fn base(&self, number: u128) -> IpAddr {
        let shift = u32::from(self.network.max_prefix_len() - self.subnet_len);
        let bits = bits(self.network.addr()) + (number << shift);
        match self.network {
            IpNet::V4(_) => Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
            IpNet::V6(_) => Ipv6Addr::from(bits).into(),
        }
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NetworkConfig {
        NetworkConfig::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn flannels_defaults_are_ours() {
        let config = parse(r#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#);
        let pool = config.v4.unwrap();
        assert_eq!((pool.subnet_len, config.v6), (24, None));
        assert_eq!(
            (pool.min.to_string(), pool.max.to_string()),
            ("10.5.1.0".into(), "10.5.255.0".into())
        );
        let Backend {
            mode,
            vni,
            port,
            mtu,
        } = config.backend;
        assert_eq!((mode, vni, port, mtu), (Mode::Vxlan, 1, 8472, None));
        let both = parse(
            r#"{"network":"10.5.0.0/23","EnableIPv6":true,"IPv6Network":"fd00:5::/48",
                "Backend":{"Type":"vxlan","DirectRouting":true}}"#,
        );
        assert_eq!(both.v4.unwrap().subnet_len, 25);
        assert_eq!(both.v6.unwrap().min.to_string(), "fd00:5:0:1::");
        assert_eq!(both.v6.unwrap().max.to_string(), "fd00:5:0:ffff::");
        assert_eq!(both.backend.mode, Mode::Auto);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let wrong = [
            (
                r#"{}"#,
                r#"Network "": a network such as 10.5.0.0/16 is right"#,
            ),
            (r#"{"Network":"0.0.0.0/0"}"#, "Network"),
            (r#"{"Network":"127.0.0.0/16"}"#, "Network"),
            (r#"{"Network":"fd00::/48"}"#, "Network"),
            (
                r#"{"Network":"10.5.0.0/16","SubnetLen":17}"#,
                "SubnetLen 17: 18 to 30 is right",
            ),
            (r#"{"Network":"10.5.0.0/29"}"#, "too small"),
            (
                r#"{"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"}"#,
                "SubnetMin",
            ),
            (
                r#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.1"}"#,
                "SubnetMin",
            ),
            (
                r#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.2.0"}"#,
                "behind",
            ),
            (
                r#"{"Network":"10.5.0.0/16","Backend":{"Type":"udp"}}"#,
                "Backend.Type \"udp\"",
            ),
            (
                r#"{"Network":"10.5.0.0/16","Backend":{"VNI":0}}"#,
                "Backend.VNI 0",
            ),
            (r#"{"EnableIPv4":false}"#, "EnableIPv6"),
            (r#"{"EnableIPv4":false,"EnableIPv6":true}"#, "IPv6Network"),
            (r#"no"#, "invalid JSON"),
        ];
        for (text, part) in wrong {
            let error = NetworkConfig::parse(text.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_parts_that_are_cut_right_are_allowed() {
        let config = parse(r#"{"Network":"10.5.0.0/16"}"#);
        let of = |key| Subnets::of_key(key).unwrap();
        assert!(config.allows(&of("10.5.0.0-24")), "older than SubnetMin");
        for key in [
            "10.6.1.0-24",
            "10.5.0.0-23",
            "10.5.1.0-24&fd00::-64",
            "0.0.0.0-0&fd00::-64",
        ] {
            assert!(!config.allows(&of(key)), "{key}");
        }
    }
}
