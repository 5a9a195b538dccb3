//! Announcements, seen by the other end of a cable.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod host;

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use netloom_kernel::announce::Announcer;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{AddressSpec, Family, LinkChange, LinkSpec, PeerSpec, Socket};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const ETH_P_ALL: u16 = 3;

/// A pod whose `eth0` the host can listen to by a packet socket, which every frame of it reaches.
struct Cable {
    pod: Netns,
    inside: Socket,
    eth0: u32,
    capture: OwnedFd,
}

impl Cable {
    /// `addresses` are on `eth0`, which is up; the kernel has said what it says by itself.
    fn with(addresses: &[&str]) -> Self {
        let host = Socket::open().unwrap();
        let (pod, inside) = host::pod();
        let peer = PeerSpec::new("eth0").in_netns(&pod).mac(MAC);
        let veth = host
            .create_link(&LinkSpec::veth("veth0", peer).up())
            .unwrap();
        let eth0 = veth.lower.unwrap();
        for address in addresses {
            let spec = AddressSpec::new(address.parse().unwrap()).no_dad();
            inside.add_address(eth0, spec).unwrap();
        }
        inside.set_link(eth0, &LinkChange::new().up()).unwrap();
        let all = std::num::NonZeroU32::new(ETH_P_ALL.to_be().into()).map(Protocol::from_raw);
        let (family, flags) = (AddressFamily::PACKET, SocketFlags::CLOEXEC);
        let capture = rustix::net::socket_with(family, SocketType::RAW, flags, all).unwrap();
        set_socket_timeout(&capture, Timeout::Recv, Some(Duration::from_secs(10))).unwrap();
        Self {
            pod,
            inside,
            eth0,
            capture,
        }
    }

    fn announce(&self, addresses: &[&str]) {
        let ips = addresses.iter().map(|it| it.parse().unwrap()).collect();
        let announcer = self.pod.run(|| Announcer::open(ips)).unwrap().unwrap();
        // From outside of the pod.
        let end = Instant::now() + Duration::from_secs(10);
        // IPv6 notices that the link is up in its own time.
        while let Err(error) = announcer.announce(&self.inside, self.eth0, MAC) {
            assert!(Instant::now() < end, "{error}");
            std::thread::yield_now();
        }
    }

    /// The next frames from the pod that announce something: of each the address.
    fn announced(&self, count: usize) -> Vec<IpAddr> {
        let mut found = Vec::new();
        while found.len() < count {
            let mut buffer = [0; 2048];
            let received = rustix::net::recv(&self.capture, &mut buffer, RecvFlags::empty());
            let frame = &buffer[..received.unwrap().1];
            if frame[6..12] == MAC {
                found.extend(announced_by(frame));
            }
        }
        found
    }
}

/// The address that a gratuitous ARP or an unsolicited advertisement to all nodes tells.
fn announced_by(frame: &[u8]) -> Option<IpAddr> {
    match frame[12..14] {
        [0x08, 0x06] => {
            assert_eq!(frame[..6], [0xff; 6]);
            let (sender, target) = (&frame[28..32], &frame[38..42]);
            let octets = <[u8; 4]>::try_from(sender).unwrap();
            (sender == target).then(|| octets.into())
        }
        [0x86, 0xdd] if frame[54] == 136 => {
            assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
            assert_eq!(frame[21], 255, "the hop limit");
            assert_eq!(
                (frame[58], &frame[78..86]),
                (0x20, &[&[2, 1][..], &MAC].concat()[..])
            );
            Some(<[u8; 16]>::try_from(&frame[62..78]).unwrap().into())
        }
        _ => None,
    }
}

#[test]
fn neighbours_see_a_gratuitous_arp_and_an_unsolicited_advertisement() {
    if !host::enter() {
        return;
    }
    let addresses = ["10.1.0.5/24", "10.9.0.1/32", "2001:db8::5/64"];
    let cable = Cable::with(&addresses);
    cable.announce(&addresses);
    let mut told = cable.announced(3);
    told.sort();
    let wanted = ["10.1.0.5", "10.9.0.1", "2001:db8::5"].map(|it| it.parse::<IpAddr>().unwrap());
    assert_eq!(told, wanted);
    let known = cable
        .inside
        .list_neighbours(Family::V4, cable.eth0)
        .unwrap();
    assert_eq!(known, [], "that it asked for itself is forgotten");
}

#[test]
fn each_of_two_addresses_of_one_subnet_is_announced() {
    if !host::enter() {
        return;
    }
    let addresses = ["10.1.0.5/24", "10.1.0.6/24", "10.1.0.7/16"];
    let cable = Cable::with(&addresses);
    cable.announce(&addresses);
    let mut told = cable.announced(3);
    told.sort();
    let wanted = ["10.1.0.5", "10.1.0.6", "10.1.0.7"].map(|it| it.parse::<IpAddr>().unwrap());
    assert_eq!(told, wanted);
}

#[test]
fn frames_say_the_same() {
    if !host::enter() {
        return;
    }
    let addresses = ["10.1.0.5/24", "2001:db8::5/64"];
    let cable = Cable::with(&addresses);
    let ips = addresses.map(|it| it.parse().unwrap()).to_vec();
    let told = cable.pod.run(|| {
        let announcer = Announcer::open(ips)?;
        announcer.announce_by_frames(cable.eth0, MAC)
    });
    told.unwrap().unwrap();
    let mut told = cable.announced(2);
    told.sort();
    let wanted = ["10.1.0.5", "2001:db8::5"].map(|it| it.parse::<IpAddr>().unwrap());
    assert_eq!(told, wanted);
}

#[test]
fn of_a_link_that_is_down_nothing_can_be_announced() {
    if !host::enter() {
        return;
    }
    let cable = Cable::with(&["2001:db8::5/64"]);
    let down = LinkChange::new().down();
    cable.inside.set_link(cable.eth0, &down).unwrap();
    let ips = vec!["2001:db8::5/64".parse().unwrap()];
    let announcer = cable.pod.run(|| Announcer::open(ips)).unwrap().unwrap();
    let error = announcer.announce(&cable.inside, cable.eth0, MAC);
    let error = error.unwrap_err();
    assert_eq!(error.errno(), libc::EADDRNOTAVAIL, "{error}");
}
