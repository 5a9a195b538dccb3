//! `subnet.env`: what the plugin `flannel` reads of this host.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{NetworkConfig, Subnets};

/// The file's text, as flannel writes it: of a host's part it names the first address that can be used.
///
/// `mtu`: of the pods, in bytes. `masquerades`: whether the daemon translates what leaves the network, so
/// that plugins do not.
#[must_use]
pub fn subnet_env(
    config: &NetworkConfig,
    subnets: &Subnets,
    mtu: u32,
    masquerades: bool,
) -> String {
    let mut text = String::new();
    for part in subnets.parts() {
        let Some(pool) = config.pool(part.addr()) else {
            continue;
        };
        let infix = if part.addr().is_ipv4() { "" } else { "IPV6_" };
        let _ = writeln!(text, "FLANNEL_{infix}NETWORK={}", pool.network);
        let _ = writeln!(text, "FLANNEL_{infix}SUBNET={}", first_address(part));
    }
    let _ = writeln!(text, "FLANNEL_MTU={mtu}\nFLANNEL_IPMASQ={masquerades}");
    text
}

/// The first usable address with the prefix length of the part.
fn first_address(part: IpNet) -> String {
    let next: IpAddr = match part.addr() {
        IpAddr::V4(ip) => std::net::Ipv4Addr::from(u32::from(ip).saturating_add(1)).into(),
        IpAddr::V6(ip) => std::net::Ipv6Addr::from(u128::from(ip).saturating_add(1)).into(),
    };
    format!("{next}/{}", part.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_flannels_lines() {
        let config = NetworkConfig::parse(
            br#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}"#,
        )
        .unwrap();
        let subnets = Subnets::of_key("10.5.7.0-24&fd00:5:0:7::-64").unwrap();
        let text = "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.7.1/24\n\
                    FLANNEL_IPV6_NETWORK=fd00:5::/48\nFLANNEL_IPV6_SUBNET=fd00:5:0:7::1/64\n\
                    FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        assert_eq!(subnet_env(&config, &subnets, 1450, true), text);
    }
}
