//! All daemons start anew, as in an upgrade, while pods of all nodes speak with each other.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::lab::{Etcd, Lab, PATIENCE, Pod, network};

const CONNECTIONS: usize = 100;

/// A connection between two pods, both ends.
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    /// So many of them, from one pod to another.
    fn open(from: &Pod, to: &Pod, count: usize, v6: bool) -> Vec<Self> {
        let ip = *to.ips.iter().find(|ip| ip.is_ipv6() == v6).unwrap();
        assert!(from.pings(ip));
        let listener = to
            .netns
            .run(|| TcpListener::bind((ip, 0)))
            .unwrap()
            .unwrap();
        let at = listener.local_addr().unwrap();
        let open = |_| {
            let client = from.netns.run(|| TcpStream::connect_timeout(&at, PATIENCE));
            let client = client.unwrap().unwrap();
            let (server, _) = listener.accept().unwrap();
            for end in [&client, &server] {
                end.set_read_timeout(Some(PATIENCE)).unwrap();
            }
            Self { client, server }
        };
        (0..count).map(open).collect()
    }

    /// Says something each way.
    fn speak(&mut self, word: u8) {
        let (from, to) = (&mut self.client, &mut self.server);
        let mut heard = [0];
        from.write_all(&[word]).unwrap();
        to.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [word]);
        to.write_all(&[word]).unwrap();
        from.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [word]);
    }
}

#[test]
fn a_hundred_connections_outlast_new_starts_of_all_daemons() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    // Two on one switch, so that both direct routes and tunnels are in use.
    let machines = [lab.machine(1, 1), lab.machine(2, 1), lab.machine(3, 2)];
    let mut daemons = machines.each_ref().map(|m| m.joined(&etcd.url(), &[]));
    for machine in &machines {
        machine.until("the others", |m| m.told("/peers/routes") == 4);
    }
    let pods = machines
        .each_ref()
        .map(|m| m.pod(&format!("on-{}", m.name)));
    let mut connections = Vec::new();
    for (from, to, v6) in [(0, 1, false), (1, 2, false), (2, 0, true), (0, 2, false)] {
        connections.extend(Connection::open(
            &pods[from],
            &pods[to],
            CONNECTIONS / 4,
            v6,
        ));
    }
    let kernel = machines.each_ref().map(|m| m.kernel());
    let records = etcd.subnets();
    for (round, order) in [[2, 0, 1], [1, 2, 0]].into_iter().enumerate() {
        for which in order {
            // An upgrade ends it properly, a crash does not.
            let signal = [Signal::TERM, Signal::KILL][round];
            daemons[which].end(signal);
            connections
                .iter_mut()
                .for_each(|it| it.speak(b'a' + which as u8));
            daemons[which] = machines[which].joined(&etcd.url(), &[]);
            connections
                .iter_mut()
                .for_each(|it| it.speak(b'A' + which as u8));
        }
    }
    assert_eq!(connections.len(), CONNECTIONS);
    assert_eq!(machines.each_ref().map(|m| m.kernel()), kernel);
    assert_eq!(etcd.subnets(), records);
}
