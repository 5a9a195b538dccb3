//! What the tests of the portmap plugin have in common.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Uplink, probe, skip};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");
pub(crate) const BOTH: [&str; 2] = ["nftables", "iptables"];
pub(crate) const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];
pub(crate) const GATEWAY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1)),
];
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait to see that nothing comes.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(300);

/// A host with our plugins.
pub(crate) struct Lab {
    pub(crate) portmap: Plugin,
    pub(crate) bridge: Plugin,
    pub(crate) backend: &'static str,
    pub(crate) host: Host,
    _plugins: PluginDir,
}

/// A pod on the bridge, with the result of bridge's ADD.
pub(crate) struct Wired {
    pub(crate) pod: Pod,
    pub(crate) result: Value,
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
}

impl Lab {
    /// `None` where no host can be made or the packet filter is missing; the test then returns.
    pub(crate) fn new(backend: &'static str) -> Option<Self> {
        let host = Host::new()?;
        let missing = match backend {
            "iptables" => !probe::has_iptables(),
            _ => !probe::has_nft_family("ip"),
        };
        if missing {
            skip(&format!("no {backend} on this machine"));
            return None;
        }
        let plugins = PluginDir::of(PROGRAM);
        Some(Self {
            portmap: Plugin::ours(&plugins, "portmap"),
            bridge: Plugin::ours(&plugins, "bridge"),
            backend,
            host,
            _plugins: plugins,
        })
    }

    /// A pod on the bridge `br0` with the addresses 10.1.0.`last` and fd00:1::`last`.
    pub(crate) fn wire(&self, name: &str, last: u8) -> Wired {
        let wired = self.attach(name, last);
        // The host asks for IPv6 neighbours on behalf of others only when its own address on the
        // new bridge has been tested for duplicates; on its own behalf it can ask at once.
        self.host
            .sh(&format!("ping -q -c 1 -w 10 fd00:1::{last} >/dev/null"));
        wired
    }

    /// The same where no traffic is going to flow.
    pub(crate) fn attach(&self, name: &str, last: u8) -> Wired {
        let pod = self.host.pod(name);
        let result = self.bridge.add(&bridge_conf(last), &pod).succeeds();
        Wired {
            pod,
            result,
            v4: IpAddr::from([10, 1, 0, last]),
            v6: IpAddr::from([0xfd00, 1, 0, 0, 0, 0, 0, u16::from(last)]),
        }
    }

    /// The outside world, with neighbours that know each other.
    pub(crate) fn uplink(&self) -> Uplink {
        let uplink = self.host.uplink();
        for host in Uplink::HOST {
            assert!(uplink.outside.pings(host), "{host}");
        }
        uplink
    }

    /// portmap's configuration for a pod, with these mappings and keys on top.
    pub(crate) fn conf(&self, wired: &Wired, mappings: Value, keys: Value) -> Value {
        let mut conf = json!({
            "cniVersion": "1.1.0", "name": "net", "type": "portmap", "backend": self.backend,
            "runtimeConfig": {"portMappings": mappings}, "prevResult": wired.result,
        });
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        conf
    }

    /// ADD of these mappings, which must succeed; returns the configuration, for DEL and CHECK.
    pub(crate) fn map(&self, wired: &Wired, mappings: Value) -> Value {
        self.map_with(wired, mappings, json!({}))
    }

    pub(crate) fn map_with(&self, wired: &Wired, mappings: Value, keys: Value) -> Value {
        let conf = self.conf(wired, mappings, keys);
        let result = self.portmap.add(&conf, &wired.pod).succeeds();
        assert_eq!(result, wired.result, "the result is handed on");
        conf
    }

    /// What attachments own: elements and rules that name somebody.
    pub(crate) fn traces(&self) -> String {
        let own = |line: &&str| line.contains("id-of-") || line.contains("CNI-DN-");
        let all = self
            .host
            .sh("nft list ruleset 2>/dev/null | grep -v 'CNI-DN-'; iptables-save; ip6tables-save");
        let lines: Vec<&str> = all.lines().filter(own).map(str::trim).collect();
        lines.join("\n").replace(" [0:0]", "")
    }
}

pub(crate) fn bridge_conf(last: u8) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "hairpinMode": true,
        "ipam": {"type": "static", "addresses": [
            {"address": format!("10.1.0.{last}/24"), "gateway": "10.1.0.1"},
            {"address": format!("fd00:1::{last}/64"), "gateway": "fd00:1::1"},
        ]},
    })
}

pub(crate) fn tcp(host_port: u16, container_port: u16) -> Value {
    json!([{"hostPort": host_port, "containerPort": container_port, "protocol": "tcp"}])
}

pub(crate) fn udp(host_port: u16, container_port: u16) -> Value {
    json!([{"hostPort": host_port, "containerPort": container_port, "protocol": "udp"}])
}

/// A pod's server, or one of the host.
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    /// Listens at a port of all addresses, of both families.
    pub(crate) fn in_pod(pod: &Pod, port: u16) -> Self {
        pod.run(|| Self::here(port))
    }

    pub(crate) fn here(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    /// Connects from the namespace of the thread; the source address that the server saw, `None`
    /// if the connection did not come to this server.
    pub(crate) fn reached(&self, to: impl Into<IpAddr>, port: u16) -> Option<IpAddr> {
        let address = SocketAddr::new(to.into(), port);
        let client = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        let (_, peer) = self.listener.accept().ok()?;
        drop(client);
        Some(peer.ip().to_canonical())
    }

    /// The same, where it is expected to fail: with less patience.
    pub(crate) fn is_out_of_reach(&self, to: impl Into<IpAddr>, port: u16) -> bool {
        let address = SocketAddr::new(to.into(), port);
        let Ok(client) = TcpStream::connect_timeout(&address, IMPATIENCE) else {
            return true;
        };
        let accepted = self.listener.accept().is_ok();
        drop(client);
        !accepted
    }
}

/// A UDP server that can answer.
pub(crate) struct UdpServer(UdpSocket);

impl UdpServer {
    pub(crate) fn in_pod(pod: &Pod, port: u16) -> Self {
        pod.run(|| {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            Self(socket)
        })
    }

    /// Sends from the namespace of the thread and gets an answer from where it sent to; the source
    /// address that the server saw.
    pub(crate) fn reached(&self, to: impl Into<IpAddr>, port: u16) -> Option<IpAddr> {
        let to = to.into();
        let client = client(to);
        self.reached_by(&client, SocketAddr::new(to, port))
    }

    /// The same with a socket that is there already.
    pub(crate) fn reached_by(&self, client: &UdpSocket, to: SocketAddr) -> Option<IpAddr> {
        client.send_to(b"ping", to).ok()?;
        let mut buffer = [0; 16];
        let (_, peer) = self.0.recv_from(&mut buffer).ok()?;
        self.0.send_to(b"pong", peer).ok()?;
        let (_, from) = client.recv_from(&mut buffer).ok()?;
        (from == to).then(|| peer.ip().to_canonical())
    }
}

/// A UDP socket of the family of an address.
pub(crate) fn client(of: IpAddr) -> UdpSocket {
    let any = if of.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = UdpSocket::bind(any).unwrap();
    client.set_read_timeout(Some(IMPATIENCE)).unwrap();
    client
}
