//! Many cables between many namespaces: both ends of one in one message, and what marks and sets up the ends of a
//! namespace in one more.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::enter;
use crate::kernel::link;
use crate::netlink::{ACK, CREATE, EXCL, Request, Socket};

const NEWLINK: u16 = 16;
const NEWLINKPROP: u16 = 108;
const APPEND: u16 = 0x800;
const GROUP: u32 = 77;
/// The indices of the ends: near ones from here, far ones from there.
const NEAR: u32 = 100;
const FAR: u32 = 200;

/// Links `each` times from every one of the namespaces `PREFIX0` … to the ones after it.
pub(crate) fn make(prefix: &str, nodes: usize, each: usize) -> io::Result<()> {
    let open = |n: usize| File::open(format!("{prefix}{n}"));
    let namespaces: Vec<File> = (0..nodes).map(open).collect::<io::Result<_>>()?;
    let sockets: Vec<Socket> = namespaces
        .iter()
        .map(|netns| enter(netns).and_then(|()| Socket::open(None)))
        .collect::<io::Result<_>>()?;
    for (n, socket) in sockets.iter().enumerate() {
        let mut request = Request::default();
        for k in 1..=each {
            let peer = namespaces[(n + k) % nodes].as_raw_fd();
            cable(&mut request, k as u32, peer, k == each);
        }
        socket.exchange(&request, Some(each as u32))?;
    }
    for (n, socket) in sockets.iter().enumerate() {
        let mut request = Request::default();
        for k in 1..=each as u32 {
            settle(
                &mut request,
                NEAR + k,
                &format!("nl-00000000-a{n:06}{k:08}"),
                0,
            );
            let flags = if k == each as u32 { ACK } else { 0 };
            settle(
                &mut request,
                FAR + k,
                &format!("nl-00000000-b{n:06}{k:08}"),
                flags,
            );
        }
        socket.exchange(&request, Some(4 * each as u32))?;
    }
    Ok(())
}

fn cable(request: &mut Request, k: u32, peer: RawFd, is_last: bool) {
    // More than one queue makes the kernel wait for all its readers (RCU).
    let common = |message: &mut Request, first: u8| {
        message.attribute(1, &[2, first, 0, 0, 0, k as u8]); // IFLA_ADDRESS
        message.attribute(4, &1500_u32.to_ne_bytes()); // IFLA_MTU
        message.attribute(27, &GROUP.to_ne_bytes()); // IFLA_GROUP
        message.attribute(31, &1_u32.to_ne_bytes());
        message.attribute(32, &1_u32.to_ne_bytes());
    };
    let flags = CREATE | EXCL | if is_last { ACK } else { 0 };
    request.message(NEWLINK, flags, &link(NEAR + k, false), |message| {
        message.text(3, &format!("e{k}"));
        common(message, 1);
        message.nest(18, &[], |info| {
            info.text(1, "veth");
            info.nest(2, &[], |data| {
                data.nest(1, &link(FAR + k, false), |end| {
                    end.text(3, &format!("f{k}"));
                    end.attribute(28, &peer.to_ne_bytes()); // IFLA_NET_NS_FD
                    common(end, 2);
                });
            });
        });
    });
}

fn settle(request: &mut Request, index: u32, mark: &str, flags: u16) {
    request.message(
        NEWLINKPROP,
        CREATE | EXCL | APPEND,
        &link(index, false),
        |message| {
            message.nest(52, &[], |list| list.text(53, mark)); // IFLA_PROP_LIST, IFLA_ALT_IFNAME
        },
    );
    request.message(NEWLINK, flags, &link(index, true), |message| {
        message.attribute(20, b"netloom bench link a"); // IFLA_IFALIAS
    });
}
