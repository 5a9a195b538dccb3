//! The settings of a link's IPv4 and IPv6 that `/proc/sys/net/ipv4/conf` and `/proc/sys/net/ipv6/conf` have files for.

use super::requests::list;
use super::{Attributes, IFLA_AF_SPEC, IFLA_IFNAME, IFLA_INET_CONF, IFLA_INET6_CONF};
use crate::error::Result;
use crate::rtnl::Socket;

/// All settings of a link, as the kernel packs them: equal bytes are equal settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// The link's name.
    pub name: String,
    /// Those of IPv4; empty where the link has no IPv4.
    pub ipv4: Vec<u8>,
    /// Those of IPv6; empty where the link has no IPv6.
    pub ipv6: Vec<u8>,
}

impl Socket {
    /// The settings of all links of the namespace.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_link_settings(&self) -> Result<Vec<LinkSettings>> {
        self.dump(list(), |_, payload| Some(LinkSettings::parse(payload)))
    }
}

impl LinkSettings {
    fn parse(payload: &[u8]) -> Self {
        let mut settings = Self::default();
        for a in Attributes::after(payload, 16) {
            match a.kind {
                IFLA_IFNAME => settings.name = a.string(),
                IFLA_AF_SPEC => settings.learn(a.nested()),
                _ => {}
            }
        }
        settings
    }

    fn learn(&mut self, families: Attributes<'_>) {
        for family in families {
            let array = |kind: u16| {
                let found = family.nested().find(|a| a.kind == kind);
                found.map(|a| a.value.to_vec()).unwrap_or_default()
            };
            match i32::from(family.kind) {
                libc::AF_INET => self.ipv4 = array(IFLA_INET_CONF),
                libc::AF_INET6 => self.ipv6 = array(IFLA_INET6_CONF),
                _ => {}
            }
        }
    }
}
