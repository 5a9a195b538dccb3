//! The settings of a link's IPv4 and IPv6 that `/proc/sys/net/ipv4/conf` and `/proc/sys/net/ipv6/conf` have files for.

use super::requests::list;
use super::{Attribute, Attributes, IFLA_AF_SPEC, IFLA_IFNAME, IFLA_INET_CONF, IFLA_INET6_CONF};
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
                IFLA_AF_SPEC => {
                    settings.ipv4 = ipv4(a).unwrap_or_default().to_vec();
                    settings.ipv6 = ipv6(a).unwrap_or_default().to_vec();
                }
                _ => {}
            }
        }
        settings
    }
}

/// The settings of IPv4 among what a link has of each family (`IFLA_AF_SPEC`).
fn ipv4<'a>(families: Attribute<'a>) -> Option<&'a [u8]> {
    array(families, libc::AF_INET, IFLA_INET_CONF)
}

/// The same of IPv6.
pub(super) fn ipv6<'a>(families: Attribute<'a>) -> Option<&'a [u8]> {
    array(families, libc::AF_INET6, IFLA_INET6_CONF)
}

fn array<'a>(families: Attribute<'a>, family: i32, kind: u16) -> Option<&'a [u8]> {
    let of_family = families.nested().find(|a| i32::from(a.kind) == family)?;
    let settings = of_family.nested().find(|a| a.kind == kind)?;
    Some(settings.value)
}
