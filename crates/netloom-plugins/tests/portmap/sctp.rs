//! SCTP by real sockets, where the kernel has them.

use crate::support::{BOTH, GATEWAY, LOOPBACK, Lab};
use netloom_testkit::{Pod, Uplink, skip};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketAddrAny, SocketType, accept, acceptfrom,
    bind, connect, listen, recv, send, socket, sockopt,
};
use serde_json::json;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

const SCTP: u32 = 132;
const PATIENCE: Duration = Duration::from_secs(4);
/// How long to wait to see that nothing comes.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// A stream socket for SCTP; `None` if the kernel has none.
fn stream(of: IpAddr, patience: Duration) -> Option<OwnedFd> {
    let family = match of {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let protocol = Protocol::from_raw(SCTP.try_into().unwrap());
    let made = socket(family, SocketType::STREAM, Some(protocol)).ok()?;
    for timeout in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
        sockopt::set_socket_timeout(&made, timeout, Some(patience)).unwrap();
    }
    Some(made)
}

/// A server at a port of all addresses.
struct Server(OwnedFd);

impl Server {
    fn in_pod(pod: &Pod, port: u16) -> Option<Self> {
        pod.run(|| {
            let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
            let server = stream(any, PATIENCE)?;
            bind(&server, &SocketAddr::new(any, port)).unwrap();
            listen(&server, 8).unwrap();
            Some(Self(server))
        })
    }

    /// Connects from the namespace of the thread, and exchanges bytes; the source address that
    /// the server saw.
    fn reached(&self, to: impl Into<IpAddr>, port: u16) -> Result<IpAddr, String> {
        let to = SocketAddr::new(to.into(), port);
        let client = stream(to.ip(), PATIENCE).unwrap();
        let words =
            |what: &'static str| move |error: rustix::io::Errno| format!("{to}: {what}: {error}");
        connect(&client, &to).map_err(words("connect"))?;
        let (peer, from) = acceptfrom(&self.0).map_err(words("accept"))?;
        for (from, to, bytes) in [(&client, &peer, b"ask"), (&peer, &client, b"say")] {
            send(from, bytes, SendFlags::NOSIGNAL).map_err(words("send"))?;
            let mut buffer = [0; 8];
            let (_, length) =
                recv(to, &mut buffer, RecvFlags::empty()).map_err(words("receive"))?;
            assert_eq!(&buffer[..length], bytes);
        }
        let from = from.and_then(|from: SocketAddrAny| SocketAddr::try_from(from).ok());
        Ok(from.unwrap().ip().to_canonical())
    }

    fn is_out_of_reach(&self, to: IpAddr, port: u16) -> bool {
        let client = stream(to, IMPATIENCE).unwrap();
        connect(&client, &SocketAddr::new(to, port)).is_err() || accept(&self.0).is_err()
    }
}

#[test]
fn sctp_is_reached_from_outside_the_host_the_pod_itself_and_another_pod() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        if stream(LOOPBACK[0], PATIENCE).is_none() {
            return skip("no SCTP sockets in this kernel");
        }
        let uplink = lab.uplink();
        let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
        let mapping = json!([{"hostPort": 3868, "containerPort": 38680, "protocol": "sctp"}]);
        let conf = lab.map(&one, mapping);
        let server = Server::in_pod(&one.pod, 38680).unwrap();
        for at in 0..2 {
            let (host, router) = (Uplink::HOST[at], Uplink::ROUTER[at]);
            let reached = || server.reached(host, 3868);
            let from_outside = uplink.outside.run(reached);
            assert_eq!(from_outside, Ok(router), "{backend}: from outside");
            assert!(reached().is_ok(), "{backend}: {:?}", reached());
            let hairpin = one.pod.run(reached);
            assert_eq!(hairpin, Ok(GATEWAY[at]), "{backend}: from the pod itself");
            let neighbour = two.pod.run(reached);
            assert_eq!(neighbour, Ok(GATEWAY[at]), "{backend}: from another pod");
            let local = server.reached(LOOPBACK[at], 3868);
            assert_eq!(local, Ok(GATEWAY[at]), "{backend}: from {}", LOOPBACK[at]);
        }
        lab.portmap
            .check(&conf, &one.result, &one.pod)
            .succeeds_silently();
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        for host in Uplink::HOST {
            let closed = || server.is_out_of_reach(host, 3868);
            assert!(uplink.outside.run(closed), "{backend}: {host} after DEL");
        }
    }
}
