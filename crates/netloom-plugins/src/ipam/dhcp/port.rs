//! The link of a pod, as long as there is something to send or to wait for.
//!
//! Nothing is kept open while a lease is just held: an open socket would keep the pod's network
//! namespace alive.

use super::v4::frame;
use super::v4::machine::To;
use super::v4::message::Message;
use netloom_kernel::netns::{Netns, NetnsId, OpenError};
use netloom_kernel::packet::{self, BROADCAST, IPV4};
use netloom_kernel::rtnl::{Link, LinkChange, Socket};
use netloom_kernel::{Error, MacAddress};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Where a pod's link is.
#[derive(Clone, Debug)]
pub(super) struct PodInterface {
    /// The path of the namespace as this process sees it.
    pub(super) netns: PathBuf,
    pub(super) if_name: String,
    /// The namespace that is meant, if it is known: the path may lead to another one some day.
    pub(super) id: Option<NetnsId>,
}

/// Why a link cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PortError {
    #[error("failed to open netns {}: {cause}", path.display())]
    Netns { path: PathBuf, cause: OpenError },
    #[error("{} is another network namespace than it was", .0.display())]
    Replaced(PathBuf),
    #[error("error looking up {0:?}: Link not found")]
    NoLink(String),
    #[error("{0:?} has no hardware address of 6 bytes, DHCP needs one")]
    NoMac(String),
    #[error("cannot open UDP port 546 at {address}: {cause}")]
    Udp {
        address: Ipv6Addr,
        cause: std::io::Error,
    },
    #[error(transparent)]
    Kernel(#[from] Error),
}

impl PortError {
    /// The link is gone, and with it everything that could be done about its lease.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Netns { cause, .. } => !matches!(cause, OpenError::Io(_)),
            Self::Replaced(_) | Self::NoLink(_) => true,
            Self::NoMac(_) | Self::Udp { .. } | Self::Kernel(_) => false,
        }
    }
}

impl PodInterface {
    /// The namespace, which must be the one that was meant.
    pub(super) fn open(&self) -> Result<Netns, PortError> {
        let netns = Netns::open(&self.netns).map_err(|cause| PortError::Netns {
            path: self.netns.clone(),
            cause,
        })?;
        if let Some(expected) = self.id
            && netns.id()? != expected
        {
            return Err(PortError::Replaced(self.netns.clone()));
        }
        Ok(netns)
    }

    /// The link, in the namespace of the socket.
    pub(super) fn find_link(&self, rtnl: &Socket) -> Result<Link, PortError> {
        rtnl.find_link(&self.if_name)?
            .ok_or_else(|| PortError::NoLink(self.if_name.clone()))
    }

    /// Sets the link down: its address may be somebody else's now.
    pub(super) fn set_down(&self) -> Result<(), PortError> {
        let rtnl = Socket::open_in(&self.open()?)?;
        let link = self.find_link(&rtnl)?;
        Ok(rtnl.set_link(link.index, &LinkChange::new().down())?)
    }

    /// The link, set up if it is down.
    pub(super) fn ensure_up(&self, rtnl: &Socket) -> Result<Link, PortError> {
        let link = self.find_link(rtnl)?;
        if !link.flags.is_up() {
            rtnl.set_link(link.index, &LinkChange::new().up())?;
        }
        Ok(link)
    }
}

/// What an IPv4 client sends and receives with.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) mac: MacAddress,
    packet: packet::Socket,
    /// Sends from the leased address, by the pod's routes. What comes back is seen by `packet`.
    udp: Option<UdpSocket>,
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.packet.as_fd()
    }
}

impl Port {
    /// Enters the namespace once and opens what is needed there.
    pub(super) fn open(site: &PodInterface, leased: Option<Ipv4Addr>) -> Result<Self, PortError> {
        let netns = site.open()?;
        netns.run(|| {
            let link = site.ensure_up(&Socket::open()?)?;
            let mac = link
                .mac
                .ok_or_else(|| PortError::NoMac(link.name.clone()))?;
            let filter = packet::udp4_to_port(frame::CLIENT_PORT);
            let packet = packet::Socket::open(link.index, IPV4, &filter)?;
            // Fails if the pod does not have the address: then there is no such way.
            let udp = leased.and_then(|ip| UdpSocket::bind((ip, frame::CLIENT_PORT)).ok());
            Ok(Self {
                mac,
                packet,
                udp: udp.filter(|udp| udp.set_nonblocking(true).is_ok()),
            })
        })?
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &Message, to: To) -> Result<(), PortError> {
        let payload = message.to_bytes();
        match to {
            To::Server { from, server } => {
                let server = SocketAddrV4::new(server, frame::SERVER_PORT);
                let by_routes = self.udp.as_ref().map(|udp| udp.send_to(&payload, server));
                if let Some(Ok(_)) = by_routes {
                    return Ok(());
                }
                self.broadcast(from, &payload)
            }
            To::Everybody => self.broadcast(message.ciaddr, &payload),
            To::ServerAtOnce { from, server, mac } => {
                // Nobody answers this, so nothing can be tried again. The way it came may not be
                // the way back any more (a bridge changes its address with its ports), and
                // everybody does not reach beyond the link: both, and the server takes one.
                let packet = frame::packet(from, server, &payload);
                let directly = self.packet.send(&packet, mac);
                self.broadcast(from, &payload)?;
                Ok(directly?)
            }
        }
    }

    fn broadcast(&self, from: Ipv4Addr, payload: &[u8]) -> Result<(), PortError> {
        let packet = frame::packet(from, Ipv4Addr::BROADCAST, payload);
        Ok(self.packet.send(&packet, BROADCAST)?)
    }

    /// The next message from a server, and where on the link it came from. `None` if there is
    /// none; what is not a message is passed over.
    pub(super) fn receive(&self) -> Result<Option<(Message, MacAddress)>, PortError> {
        let mut buffer = [0; 2048];
        while let Some((length, mac)) = self.packet.receive(&mut buffer)? {
            let packet = &buffer[..length];
            if let Some(mut message) = frame::payload(packet).and_then(Message::parse) {
                message.source = frame::source(packet);
                return Ok(Some((message, mac)));
            }
        }
        Ok(None)
    }
}

/// Whether a path can be a namespace's: the daemon has another working directory.
pub(super) fn absolute(path: &str) -> std::io::Result<String> {
    if path.is_empty() || Path::new(path).is_absolute() {
        return Ok(path.to_owned());
    }
    let absolute = std::path::absolute(path)?;
    Ok(absolute.to_string_lossy().into_owned())
}
