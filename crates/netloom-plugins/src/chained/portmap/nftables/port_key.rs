//! The ports of mappings, as keys of the maps.

use super::super::mapping::{Mapping, Transport};
use super::layout::{IpVersion, LOOPBACKS};
use super::scope::Scope;
use netloom_kernel::nft::Key;
use std::net::{IpAddr, Ipv6Addr};

/// One port of a mapping, as a key of the maps.
#[derive(Debug, Clone)]
pub(super) struct PortKey {
    pub(super) map: String,
    pub(super) key: Key,
    /// The map and the key for `::1`, for a port that is reached by that.
    pub(super) loopback: Option<(&'static str, Key)>,
    pub(super) protocol: Transport,
    pub(super) host_ip: Option<IpAddr>,
    pub(super) host_port: u16,
    pub(super) container_port: u16,
}

impl PortKey {
    /// Every port of the mappings that is for this version.
    pub(super) fn all<'m>(
        version: IpVersion,
        scope: &'m Scope,
        mappings: &'m [Mapping],
    ) -> impl Iterator<Item = Self> + 'm {
        let of_half = mappings
            .iter()
            .filter(move |mapping| mapping.is_for(version.v6));
        of_half.flat_map(move |mapping| {
            let ports = mapping.host_ports().zip(mapping.container_ports());
            ports.map(move |(host, container)| Self::new(version, scope, mapping, host, container))
        })
    }

    fn new(
        version: IpVersion,
        scope: &Scope,
        mapping: &Mapping,
        host_port: u16,
        container: u16,
    ) -> Self {
        let protocol = mapping.protocol.number();
        let plain = Key::new().protocol(protocol).port(host_port);
        let (map, key) = match mapping.host_ip {
            None => (scope.ports(), plain.clone()),
            Some(ip) => (
                scope.hostip_ports(),
                Key::new().ip(ip).protocol(protocol).port(host_port),
            ),
        };
        // What conditions say of `::1`, they would be asked of the address that it gets.
        let loopback = match mapping.host_ip {
            _ if !version.v6 || !scope.is_common() => None,
            None => Some(LOOPBACKS[1]),
            Some(ip) => (ip == Ipv6Addr::LOCALHOST).then_some(LOOPBACKS[0]),
        };
        Self {
            map: map.to_owned(),
            key,
            loopback: loopback.map(|map| (map, plain)),
            protocol: mapping.protocol,
            host_ip: mapping.host_ip,
            host_port,
            container_port: container,
        }
    }

    /// For messages.
    pub(super) fn what(&self) -> String {
        format!("{}/{}", self.host_port, self.protocol.name())
    }
}
