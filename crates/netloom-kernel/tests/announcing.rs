//! Announcements, seen by the other end of a cable.

mod host;

use std::time::Duration;

use netloom_kernel::announce::Announcer;
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, Socket};
use netloom_kernel::sysctl;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const ETH_P_ALL: u16 = 3;

#[test]
fn neighbours_see_a_gratuitous_arp_and_an_unsolicited_advertisement() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let (pod, inside) = host::pod();
    // So that the kernel itself says nothing of its own address.
    pod.run(|| sysctl::set("net/ipv6/conf/default/disable_ipv6", "1"))
        .unwrap()
        .unwrap();
    let peer = PeerSpec::new("eth0").in_netns(&pod).mac(MAC);
    let veth = host
        .create_link(&LinkSpec::veth("veth0", peer).up())
        .unwrap();
    let eth0 = veth.lower.unwrap();
    let announcer = pod.run(Announcer::open).unwrap().unwrap();
    let error = announcer
        .address(eth0, MAC, [10, 1, 0, 5].into())
        .unwrap_err();
    assert_eq!(error.errno(), libc::ENETDOWN);
    inside.set_link(eth0, &LinkChange::new().up()).unwrap();
    let all = std::num::NonZeroU32::new(ETH_P_ALL.to_be().into()).map(Protocol::from_raw);
    let capture = rustix::net::socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        all,
    )
    .unwrap();
    set_socket_timeout(&capture, Timeout::Recv, Some(Duration::from_secs(10))).unwrap();

    let ip6 = "2001:db8::5".parse().unwrap();
    // From outside of the pod.
    announcer.address(eth0, MAC, [10, 1, 0, 5].into()).unwrap();
    announcer.address(eth0, MAC, ip6).unwrap();
    let mut frames = Vec::new();
    while frames.len() < 2 {
        let mut buffer = [0; 2048];
        let (_, length) = rustix::net::recv(&capture, &mut buffer, RecvFlags::empty()).unwrap();
        let frame = buffer[..length].to_vec();
        if frame[6..12] == MAC {
            frames.push(frame);
        }
    }
    let (arp, na) = (&frames[0], &frames[1]);
    assert_eq!(arp[..6], [0xff; 6]);
    assert_eq!(arp[12..14], [0x08, 0x06]);
    assert_eq!(
        (&arp[28..32], &arp[38..42]),
        (&[10, 1, 0, 5][..], &[10, 1, 0, 5][..])
    );
    assert_eq!(na[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!((na[12..14].to_vec(), na[54]), (vec![0x86, 0xdd], 136));
    let std::net::IpAddr::V6(ip6) = ip6 else {
        unreachable!()
    };
    assert_eq!(na[62..78], ip6.octets());
}
