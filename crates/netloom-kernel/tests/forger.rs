//! Somebody in the same network namespace sends what looks like the kernel's answers.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod host;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netloom_kernel::nft::{self, Family as NftFamily, Table};
use netloom_kernel::rtnl::{
    Group, LinkChange, LinkSpec, OperationalState, PeerSpec, Socket, Subscription,
};
use netloom_kernel::{conntrack, rtnl::Family};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const LINKS: u32 = 1;

/// What root in a pod has.
struct Forger {
    socket: OwnedFd,
    protocol: Option<Protocol>,
}

impl Forger {
    fn new(protocol: Option<Protocol>) -> Self {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .unwrap();
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0)).unwrap();
        Self { socket, protocol }
    }

    fn send(&self, bytes: &[u8], port: u32, groups: u32) -> Result<(), Errno> {
        let to = SocketAddrNetlink::new(port, groups);
        rustix::net::sendto(&self.socket, bytes, SendFlags::DONTWAIT, &to).map(drop)
    }

    /// The ports of all sockets of this namespace but the forger's own and the kernel's.
    fn ports(&self) -> Vec<u32> {
        let own = rustix::net::getsockname(&self.socket).unwrap();
        let own = SocketAddrNetlink::try_from(own).unwrap().pid();
        let text = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
        let protocol = self.protocol.map_or(0, |it| it.as_raw().get()).to_string();
        let ports = text.lines().skip(1).filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (its, port) = (fields.next()?, fields.next()?.parse().ok()?);
            (its == protocol && port != 0 && port != own).then_some(port)
        });
        ports.collect()
    }

    /// Sends errors, acknowledgements and ends of lists to all sockets there are, for the numbers
    /// at which a channel of this process would begin if it began at none. Says how many got in.
    fn forge(&self) -> usize {
        let mut got_in = 0;
        for port in self.ports() {
            for first in (0..16).map(|channel| channel << 20) {
                for answer in [error(-libc::EPERM, first), error(0, first), done(first)] {
                    got_in += usize::from(self.send(&answer, port, 0).is_ok());
                }
            }
        }
        got_in
    }
}

fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = (16 + payload.len()) as u32;
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &[0; 2],
        &sequence.to_ne_bytes(),
        &[0; 4],
        payload,
    ]
    .concat()
}

/// The same message for 64 numbers, in one datagram.
fn error(errno: i32, first: u32) -> Vec<u8> {
    let payload = [&errno.to_ne_bytes()[..], &[0; 16]].concat();
    (first..first + 64)
        .flat_map(|sequence| message(NLMSG_ERROR, sequence, &payload))
        .collect()
}

fn done(first: u32) -> Vec<u8> {
    (first..first + 64)
        .flat_map(|sequence| message(NLMSG_DONE, sequence, &[0; 4]))
        .collect()
}

fn a_link_event() -> Vec<u8> {
    message(RTM_NEWLINK, 0, &[0; 16])
}

#[test]
fn routing_requests_take_no_answer_but_the_kernels() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let forger = Forger::new(None);
    socket
        .create_link(&LinkSpec::veth("one", PeerSpec::new("two")))
        .unwrap();
    for _ in 0..8 {
        forger.forge();
        let links = socket.list_links().unwrap();
        let mut names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["lo", "one", "two"]);
        forger.forge();
        socket.set_link("one", &LinkChange::new().up()).unwrap();
        assert!(!socket.remove_link("nope").unwrap());
        forger.forge();
        assert!(socket.get_link("nope").unwrap_err().is_absent());
    }
}

#[test]
fn nf_tables_requests_take_no_answer_but_the_kernels() {
    if !host::enter() {
        return;
    }
    let socket = match nft::Socket::open() {
        Ok(socket) => socket,
        Err(error) => return host::skip(&format!("nf_tables: {error}")),
    };
    let table = Table::new(NftFamily::Inet, "own");
    let forger = Forger::new(Some(NETFILTER));
    for _ in 0..8 {
        let mut batch = socket.batch();
        batch.create_table(&table);
        forger.forge();
        batch.commit().unwrap();
        forger.forge();
        let tables = socket.list_tables(NftFamily::Inet).unwrap();
        assert!(tables.iter().any(|it| it.name == "own"), "{tables:?}");
        let mut again = socket.batch();
        again.create_table(&table);
        forger.forge();
        assert!(again.commit().unwrap_err().is_exists());
        let mut batch = socket.batch();
        batch.delete_table(&table);
        forger.forge();
        batch.commit().unwrap();
        forger.forge();
        assert_eq!(socket.list_tables(NftFamily::Inet).unwrap(), []);
    }
}

#[test]
fn connection_tracking_requests_take_no_answer_but_the_kernels() {
    if !host::enter() {
        return;
    }
    let socket = conntrack::Socket::open().unwrap();
    if let Err(error) = socket.count() {
        return host::skip(&format!("connection tracking: {error}"));
    }
    let forger = Forger::new(Some(NETFILTER));
    for _ in 0..8 {
        forger.forge();
        assert_eq!(socket.count().unwrap(), 0);
        forger.forge();
        assert_eq!(socket.list(Family::V4, 17, None).unwrap(), []);
    }
}

#[test]
fn nobody_can_fill_the_buffer_that_answers_come_to() {
    if !host::enter() {
        return;
    }
    let routing = Socket::open().unwrap();
    routing.list_links().unwrap();
    assert_eq!(Forger::new(None).forge(), 0);
    if let Ok(nft) = nft::Socket::open() {
        nft.list_tables(NftFamily::Inet).unwrap();
        assert_eq!(Forger::new(Some(NETFILTER)).forge(), 0);
    }
}

#[test]
fn an_event_that_another_sends_is_none() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let events = Subscription::open(&socket, &[Group::Links]).unwrap();
    let forger = Forger::new(None);
    forger.send(&a_link_event(), 0, LINKS).unwrap();
    for port in forger.ports() {
        let _ = forger.send(&a_link_event(), port, 0);
    }
    assert!(
        !events
            .wait(Instant::now() + Duration::from_millis(50))
            .unwrap()
    );
    // The kernel's is one.
    forger.send(&a_link_event(), 0, LINKS).unwrap();
    socket
        .create_link(&LinkSpec::veth("one", PeerSpec::new("two")))
        .unwrap();
    assert!(
        events
            .wait(Instant::now() + Duration::from_secs(20))
            .unwrap()
    );
}

/// Floods a group for as long as `work` takes.
fn flooded<T>(work: impl FnOnce() -> T) -> T {
    let here = netloom_kernel::netns::Netns::current().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            here.run(|| {
                let forger = Forger::new(None);
                let event = a_link_event();
                while !over.load(Ordering::Relaxed) {
                    let _ = forger.send(&event, 0, LINKS);
                }
            })
            .unwrap();
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_flood_of_events_neither_hides_the_kernels_nor_holds_up_a_deadline() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    socket
        .create_link(&LinkSpec::veth("one", PeerSpec::new("two")).up())
        .unwrap();
    let error = flooded(|| {
        socket
            .wait_link_up("one", Instant::now() + Duration::from_millis(100))
            .unwrap_err()
    });
    assert!(error.is_timeout(), "{error}");
    let deadline = Instant::now() + Duration::from_secs(20);
    let link = flooded(|| {
        // At the end of the second look, which comes after the subscription.
        let mut looks = 0;
        socket.wait_for(&[Group::Links], deadline, || {
            looks += 1;
            let link = socket.get_link("one")?;
            if looks == 2 {
                socket.set_link("two", &LinkChange::new().up())?;
            }
            Ok((link.operational == OperationalState::Up).then_some(link))
        })
    });
    assert!(link.unwrap().is_some());
    assert!(Instant::now() < deadline);
}
