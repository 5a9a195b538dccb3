//! A way to DHCPv6 servers: a socket at the link's own link-local address, once it has one.

use super::port::{PodInterface, PortError};
use super::v6::message::Message;
use super::v6::{ALL_SERVERS, CLIENT_PORT, SERVER_PORT};
use ipnet::IpNet;
use netloom_kernel::rtnl::{Group, Socket, Subscription};
use netloom_kernel::{Error, sysctl};
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// The way to the servers of one link.
#[derive(Debug)]
pub(super) enum Port6 {
    /// The link-local address is not there yet, or may be somebody else's: duplicate address
    /// detection takes a second or two.
    Settling {
        rtnl: Socket,
        events: Subscription,
    },
    Ready {
        socket: UdpSocket,
        link: u32,
    },
}

impl AsFd for Port6 {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Settling { events, .. } => events.as_fd(),
            Self::Ready { socket, .. } => socket.as_fd(),
        }
    }
}

impl Port6 {
    /// Enters the namespace once and opens what is needed there.
    pub(super) fn open(site: &PodInterface) -> Result<Self, PortError> {
        let netns = site.open()?;
        netns.run(|| {
            let rtnl = Socket::open()?;
            enable(&site.if_name)?;
            let link = site.ensure_up(&rtnl)?;
            // Subscribed before looking, so that nothing falls between.
            let events = Subscription::open(&rtnl, &[Group::AddressesV6])?;
            match settled(&rtnl, link.index)? {
                Some(address) => Self::bind(address, link.index),
                None => Ok(Self::Settling { rtnl, events }),
            }
        })?
    }

    /// Something happened to an address. The port is ready if the one it waits for has settled.
    pub(super) fn settle(&self, site: &PodInterface) -> Result<Option<Self>, PortError> {
        let Self::Settling { rtnl, events } = self else {
            return Ok(None);
        };
        events.clear()?;
        let link = site.find_link(rtnl)?;
        let Some(address) = settled(rtnl, link.index)? else {
            return Ok(None);
        };
        let ready = site.open()?.run(|| Self::bind(address, link.index))?;
        ready.map(Some)
    }

    fn bind(address: Ipv6Addr, link: u32) -> Result<Self, PortError> {
        let bind = || {
            let socket = UdpSocket::bind(SocketAddrV6::new(address, CLIENT_PORT, 0, link))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => Ok(Self::Ready { socket, link }),
            Err(cause) => Err(PortError::Udp { address, cause }),
        }
    }

    /// Sends a message to all servers. Nothing is sent while the port settles.
    pub(super) fn send(&self, message: &Message) -> std::io::Result<()> {
        let Self::Ready { socket, link } = self else {
            return Ok(());
        };
        let to = SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, *link);
        socket.send_to(&message.to_bytes(), to).map(drop)
    }

    /// The next message. `None` if there is none; what is not a message is passed over.
    pub(super) fn receive(&self) -> std::io::Result<Option<Message>> {
        let Self::Ready { socket, .. } = self else {
            return Ok(None);
        };
        let mut buffer = [0; 2048];
        loop {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    let message = Message::parse(&buffer[..length]);
                    if message.is_some() {
                        return Ok(message);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Runtimes that think of IPv4 alone turn IPv6 off in their pods.
fn enable(if_name: &str) -> Result<(), Error> {
    let key = format!("net/ipv6/conf/{if_name}/disable_ipv6");
    match sysctl::set_if_different(&key, "0") {
        // Without the link there is no key; looking for the link will say so better.
        Err(error) if error.is_absent() => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// The link-local address that may be used.
fn settled(rtnl: &Socket, link: u32) -> Result<Option<Ipv6Addr>, Error> {
    let addresses = rtnl.list_addresses(link)?;
    let usable = addresses.iter().find_map(|address| match address.address {
        IpNet::V6(net)
            if net.addr().is_unicast_link_local()
                && !address.flags.is_tentative()
                && !address.flags.is_duplicate() =>
        {
            Some(net.addr())
        }
        _ => None,
    });
    Ok(usable)
}
