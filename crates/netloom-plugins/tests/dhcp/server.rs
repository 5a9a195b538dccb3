//! A DHCP server that does as it is told, for what dnsmasq does not do.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const OFFER: u8 = 2;
pub(crate) const ACK: u8 = 5;
pub(crate) const NAK: u8 = 6;

/// A server in a thread.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on the host's 10.7.0.1. `decide` gets the type of each message and how many came
    /// before it, and returns the type of the answer and the last octet of the address 10.7.2.x.
    pub(crate) fn start(decide: impl Fn(u8, usize) -> Option<(u8, u8)> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("0.0.0.0:67").unwrap();
        socket.set_broadcast(true).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut buffer) = (0, [0; 2048]);
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, _)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = &buffer[..length];
                let answer = decide(kind(request), seen);
                seen += 1;
                if let Some((kind, host)) = answer {
                    let reply = reply(request, kind, host);
                    socket.send_to(&reply, "10.7.255.255:68").unwrap();
                }
            }
        });
        Self {
            stop,
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

/// Our client puts the message type first.
fn kind(request: &[u8]) -> u8 {
    assert_eq!(request[240..242], [53, 1]);
    request[242]
}

fn reply(request: &[u8], kind: u8, host: u8) -> Vec<u8> {
    let mut reply = request[..240].to_vec();
    reply[0] = 2;
    reply[16..20].copy_from_slice(&[10, 7, 2, host]);
    reply.extend([53, 1, kind, 54, 4, 10, 7, 0, 1, 1, 4, 255, 255, 0, 0]);
    // Three seconds, renewed after one.
    reply.extend([51, 4, 0, 0, 0, 3, 58, 4, 0, 0, 0, 1, 59, 4, 0, 0, 0, 2, 255]);
    reply
}
