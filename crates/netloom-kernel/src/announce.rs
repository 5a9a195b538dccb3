//! Telling the neighbours of a link where an address lives now.
//!
//! Switches and neighbours' caches learn it at once instead of when their entries expire. The kernel
//! does it by itself only in some cases (`arp_notify`, `ndisc_notify`), and too early for a bridge
//! whose port does not forward yet. Here it is told to:
//!
//! * IPv4: a neighbour entry for the own address is used and forgotten in one batch. To use it, the
//!   kernel asks for it, and a request for one's own address is a gratuitous ARP (RFC 5227, section
//!   3: an ARP announcement).
//! * IPv6: a raw socket sends an unsolicited neighbour advertisement (RFC 4861, section 7.2.6).
//! * What is left is sent as a frame: see `packet`.

mod advertisement;
mod carrier;
mod frame;
mod packet;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use ipnet::IpNet;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::rtnl::{Group, Link, Socket, Subscription};
use crate::{MacAddress, reaper};

/// Who tells: it speaks on the links of the network namespace that it was opened in, wherever the
/// thread is by then.
#[derive(Debug)]
pub struct Announcer {
    ips: Vec<IpNet>,
    /// For IPv6 addresses.
    icmp: Option<OwnedFd>,
    /// For IPv4 addresses that the kernel would not ask from.
    packets: Option<OwnedFd>,
}

impl Announcer {
    /// Prepares to announce these addresses, each with the prefix it has on the link, in the network
    /// namespace of the calling thread.
    ///
    /// # Errors
    /// `is_denied()` without CAP_NET_RAW.
    pub fn open(ips: Vec<IpNet>) -> Result<Self> {
        let v6 = ips.iter().any(|ip| ip.addr().is_ipv6());
        let icmp = v6.then(advertisement::open).transpose()?;
        let beside = ips.iter().any(|ip| is_beside_another(*ip, &ips));
        let packets = beside.then(packet::open).transpose()?;
        Ok(Self { ips, icmp, packets })
    }

    /// Announces the addresses on a link, which has this MAC address. `of` is a socket of the link's
    /// namespace. The IPv6 addresses must have been tested for duplicates.
    ///
    /// A link that is up and has no carrier drops what it is to send, and says nothing of it.
    ///
    /// # Errors
    /// The first that could not be announced; the others were tried. ENETDOWN or EADDRNOTAVAIL if
    /// the link is down; `is_absent()` if there is none of that index.
    pub fn announce(&self, of: &Socket, link: u32, mac: MacAddress) -> Result<()> {
        let mut asked = Vec::new();
        let mut told = Ok(());
        for ip in &self.ips {
            let one = match (ip.addr(), &self.icmp, &self.packets) {
                (IpAddr::V6(ip), Some(icmp), _) => advertisement::send(icmp, link, mac, ip),
                (address, _, Some(packets)) if is_beside_another(*ip, &self.ips) => {
                    packet::send(packets, link, &packet::frame_of(mac, address))
                }
                (IpAddr::V4(ip), ..) => {
                    asked.push(ip);
                    Ok(())
                }
                (IpAddr::V6(_), None, _) => Ok(()),
            };
            told = told.and(one.map_err(|errno| failed(ip.addr(), link, errno)));
        }
        told.and(ask_for_own(of, link, &asked))
    }

    /// The same by frames, for the network namespace of the calling thread: it passes also in the moment
    /// between a link's coming up and IPv6 noticing it, and takes 10 ms and more.
    ///
    /// # Errors
    /// The first that could not be announced; the others were tried.
    pub fn announce_by_frames(&self, link: u32, mac: MacAddress) -> Result<()> {
        let packets = packet::open()?;
        let mut told = Ok(());
        for ip in self.ips.iter().map(IpNet::addr) {
            let sent = packet::send(&packets, link, &packet::frame_of(mac, ip));
            told = told.and(sent.map_err(|errno| failed(ip, link, errno)));
        }
        told
    }

    /// Leaves a child behind that announces the IPv4 addresses as soon as the link has a carrier, and ends
    /// without if it has none within `patience`. IPv6 ones have to be tested for duplicates first. The calling thread is in the network namespace of
    /// the link; `of` is a socket of it, which lives as long as the child. In a process that may leave
    /// none behind, nothing is done.
    ///
    /// # Errors
    /// If the kernel gives no packet socket, or none for its events.
    pub fn when_carrier(&self, of: &Socket, link: &Link, patience: Duration) -> Result<()> {
        let Some(mac) = link.mac.filter(|_| reaper::is_allowed()) else {
            return Ok(());
        };
        let ips = self.ips.iter().map(IpNet::addr).filter(IpAddr::is_ipv4);
        let frames: Vec<_> = ips.map(|ip| packet::frame_of(mac, ip)).collect();
        if frames.is_empty() {
            return Ok(());
        }
        let packets = packet::open()?;
        let events = Subscription::open(of, &[Group::Links])?;
        let name = carrier::Name::new(&link.name);
        let kept = [packets.as_raw_fd(), events.as_fd().as_raw_fd()];
        // It lives on by itself; whoever waits for it is init.
        drop(reaper::start(&kept, || {
            if carrier::wait(&packets, events.as_fd(), &name, patience) {
                for frame in &frames {
                    let _ = packet::send(&packets, link.index, frame);
                }
            }
        }));
        Ok(())
    }
}

fn failed(ip: IpAddr, link: u32, errno: Errno) -> Error {
    let on = format_args!("{ip} on the link with index {link}");
    Error::of("announce address", on, errno)
}

/// Whether an IPv4 address is in the subnet of another one of them. The kernel asks from the first
/// address of the link whose subnet the wanted one is in, which may be the other.
fn is_beside_another(ip: IpNet, all: &[IpNet]) -> bool {
    let addr = ip.addr();
    let other = |it: &&IpNet| it.addr() != addr && it.contains(&addr);
    addr.is_ipv4() && all.iter().any(|it| other(&it))
}

/// The kernel has the link ask who has these addresses, which are its own.
fn ask_for_own(of: &Socket, link: u32, ips: &[Ipv4Addr]) -> Result<()> {
    let mut batch = of.batch();
    for ip in ips {
        batch.ask_for_neighbour(link, (*ip).into());
    }
    batch.commit().map(drop)
}
