//! A DHCP server that does as it is told, for what dnsmasq does not do.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

pub(crate) const DISCOVER: u8 = 1;
pub(crate) const OFFER: u8 = 2;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const ACK: u8 = 5;
pub(crate) const NAK: u8 = 6;
pub(crate) const RELEASE: u8 = 7;

/// What a server gives.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) address: [u8; 4],
    /// All but the message type, without their end.
    pub(crate) options: Vec<u8>,
}

impl Grant {
    /// An address of 10.7.0.0/16 for three seconds, renewed after one.
    fn brief(host: u8) -> Self {
        let mut options = vec![54, 4, 10, 7, 0, 1, 1, 4, 255, 255, 0, 0];
        options.extend([51, 4, 0, 0, 0, 3, 58, 4, 0, 0, 0, 1, 59, 4, 0, 0, 0, 2]);
        Self {
            address: [10, 7, 2, host],
            options,
        }
    }
}

/// A server in a thread.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on the host's 10.7.0.1. `decide` gets the type of each message and how many came
    /// before it, and returns the type of the answer and the last octet of the address 10.7.2.x.
    pub(crate) fn start(decide: impl Fn(u8, usize) -> Option<(u8, u8)> + Send + 'static) -> Self {
        let brief = |(kind, host)| (kind, Grant::brief(host));
        Self::deciding(move |kind, seen| decide(kind, seen).map(brief))
    }

    /// Gives whoever asks the same.
    pub(crate) fn granting(grant: Grant) -> Self {
        Self::deciding(move |kind, _| match kind {
            DISCOVER => Some((OFFER, grant.clone())),
            REQUEST => Some((ACK, grant.clone())),
            _ => None,
        })
    }

    /// The types of the messages that came.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }

    /// As [`Server::start`], with all that the answer grants.
    pub(crate) fn deciding(
        decide: impl Fn(u8, usize) -> Option<(u8, Grant)> + Send + 'static,
    ) -> Self {
        let socket = bound();
        socket.set_broadcast(true).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, _)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = &buffer[..length];
                let kind = kind(request);
                let before = {
                    let mut seen = noted.lock().unwrap();
                    seen.push(kind);
                    seen.len() - 1
                };
                if let Some((kind, grant)) = decide(kind, before) {
                    let reply = reply(request, kind, &grant);
                    socket.send_to(&reply, "10.7.255.255:68").unwrap();
                }
            }
        });
        Self {
            stop,
            seen,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A socket on the server's port, also while a process that another test is just starting has a
/// copy of the former server's: it has all descriptors until it executes.
fn bound() -> UdpSocket {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    set_socket_reuseaddr(&socket, true).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 67)).unwrap();
    socket.into()
}

/// Our client puts the message type first.
fn kind(request: &[u8]) -> u8 {
    assert_eq!(request[240..242], [53, 1]);
    request[242]
}

fn reply(request: &[u8], kind: u8, grant: &Grant) -> Vec<u8> {
    let mut reply = request[..240].to_vec();
    reply[0] = 2;
    reply[16..20].copy_from_slice(&grant.address);
    reply.extend([53, 1, kind]);
    reply.extend(&grant.options);
    reply.push(255);
    reply
}
