//! What a link is wanted to be.

use std::net::IpAddr;

use netloom_kernel::rtnl::{IpvlanOptions, MacvlanMode};

use crate::{End, LinkId, Place, Side};

/// A link. Making it is [`Link::apply`], for many of them [`apply`](crate::apply()).
#[derive(Debug, Clone)]
pub struct Link<'p> {
    /// Its name.
    pub id: LinkId,
    /// The near end.
    pub near: End<'p>,
    /// What is on the other side.
    pub far: Far<'p>,
}

/// The other side of a link.
#[derive(Debug, Clone)]
pub enum Far<'p> {
    /// Another interface: the link is a veth.
    End(End<'p>),
    /// A network beyond: the near end is an interface of another kind.
    Outside {
        /// The namespace of what the near end stands on: the lower link, or the underlay.
        base: &'p Place,
        /// How it gets there.
        by: Outside,
    },
}

/// Interfaces that lead out of their namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outside {
    /// A tunnel to another host.
    Vxlan(Vxlan),
    /// A hardware address of its own on another link.
    Macvlan {
        /// The name of that link.
        parent: String,
        /// How it reaches its siblings.
        mode: MacvlanMode,
    },
    /// The hardware address of another link.
    Ipvlan {
        /// The name of that link.
        parent: String,
        /// At which layer, and how it reaches its siblings.
        options: IpvlanOptions,
    },
    /// Nothing: what is sent is dropped.
    Dummy,
    /// A VLAN of another link.
    Vlan {
        /// The name of that link.
        parent: String,
        /// 1–4094.
        id: u16,
    },
}

impl Outside {
    /// The kernel's name of the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vxlan(_) => "vxlan",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
            Self::Vlan { .. } => "vlan",
            Self::Dummy => "dummy",
        }
    }

    /// The link that it stands on, by name.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        match self {
            Self::Vxlan(vxlan) => vxlan.device.as_deref(),
            Self::Dummy => None,
            Self::Macvlan { parent, .. }
            | Self::Ipvlan { parent, .. }
            | Self::Vlan { parent, .. } => Some(parent),
        }
    }
}

/// One end of a vxlan tunnel. The two ends have each other's address, and all else in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vxlan {
    /// The network identifier, 1–16777215.
    pub vni: u32,
    /// The other host.
    pub remote: IpAddr,
    /// This host; without it the kernel chooses for each packet.
    pub local: Option<IpAddr>,
    /// The UDP port.
    pub port: u16,
    /// The link that carries it. With one the tunnel ends when that link is removed; without it it
    /// stays, and is told its MTU.
    pub device: Option<String>,
    /// Whether it learns hardware addresses: of no use between two ends.
    pub learning: bool,
}

impl Vxlan {
    /// The port of IANA, of koko and of meshnet.
    pub const PORT: u16 = 4789;

    /// A tunnel to another host.
    #[must_use]
    pub fn to(remote: IpAddr, vni: u32) -> Self {
        Self {
            vni,
            remote,
            local: None,
            port: Self::PORT,
            device: None,
            learning: false,
        }
    }

    /// How many bytes of each packet of the underlay are the tunnel's: outer headers and the inner
    /// Ethernet header.
    #[must_use]
    pub fn overhead(&self) -> u32 {
        if self.remote.is_ipv4() { 50 } else { 70 }
    }
}

impl<'p> Link<'p> {
    /// A cable between two interfaces.
    #[must_use]
    pub fn cable(id: LinkId, near: End<'p>, far: End<'p>) -> Self {
        let far = Far::End(far);
        Self { id, near, far }
    }

    /// A way out of a namespace.
    #[must_use]
    pub fn outside(id: LinkId, near: End<'p>, base: &'p Place, by: Outside) -> Self {
        let far = Far::Outside { base, by };
        Self { id, near, far }
    }

    /// The kernel's name of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.far {
            Far::End(_) => "veth",
            Far::Outside { by, .. } => by.kind(),
        }
    }

    /// Its ends that are interfaces: one or two.
    pub fn ends(&self) -> impl Iterator<Item = (Side, &End<'p>)> {
        let far = match &self.far {
            Far::End(end) => Some((Side::B, end)),
            Far::Outside { .. } => None,
        };
        std::iter::once((Side::A, &self.near)).chain(far)
    }
}
