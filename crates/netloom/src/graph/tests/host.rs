//! Hosts made up of links of every kind, for pictures.

use netloom_kernel::netns::NetnsId;
use netloom_kernel::rtnl::{
    IpvlanMode, IpvlanOptions, Link, LinkFlags, LinkKind, MacvlanMode, OperationalState,
    TunOptions, VlanProtocol, VxlanOptions,
};
use netloom_observe::map::{DefaultRoute, Interface, Map, Namespace, Other};

use super::veth;
use crate::graph::model::Graph;
use crate::graph::overlay::{Network, Overlay, Pod, Problem};
use crate::graph::scene::scene;
use crate::topology::wanted::{Named, NamedEnd};

/// `IFF_UP | IFF_RUNNING | IFF_LOWER_UP`.
const UP: u32 = 0x1 | 0x40 | 0x1_0000;

/// A host with pods.
pub(super) struct Hosts {
    map: Map,
    overlay: Overlay,
}

/// The kinds of links that stand on others.
pub(super) fn stacked() -> [(&'static str, LinkKind); 3] {
    let ipvlan = IpvlanOptions {
        mode: IpvlanMode::L2,
        flag: None,
    };
    let vlan = LinkKind::Vlan {
        id: 5,
        protocol: VlanProtocol::Dot1q,
    };
    [
        ("macvlan", LinkKind::Macvlan(MacvlanMode::Bridge.into())),
        ("ipvlan", LinkKind::Ipvlan(ipvlan)),
        ("vlan", vlan),
    ]
}

pub(super) fn tap() -> Option<LinkKind> {
    let tap = TunOptions {
        tap: true,
        ..TunOptions::default()
    };
    Some(LinkKind::Tun(Some(tap)))
}

impl Hosts {
    pub(super) fn new() -> Self {
        let mut hosts = Self {
            map: Map::default(),
            overlay: Overlay::default(),
        };
        hosts.namespace("host");
        hosts
    }

    /// With `eth0`, which has the default route.
    pub(super) fn with_uplink() -> Self {
        let mut hosts = Self::new();
        let link = hosts.link(0, "eth0", "203.0.113.2/24", None);
        hosts.map.namespaces[0].defaults.push(DefaultRoute {
            link,
            gateway: Some("203.0.113.1".parse().unwrap()),
        });
        hosts
    }

    fn namespace(&mut self, name: &str) -> usize {
        let at = self.map.namespaces.len();
        self.map.namespaces.push(Namespace {
            name: name.to_owned(),
            id: NetnsId {
                device: 4,
                inode: 4_026_532_000 + at as u64,
            },
            links: Vec::new(),
            defaults: Vec::new(),
        });
        let lo = self.link(at, "lo", "127.0.0.1/8", None);
        let bits = UP | 0x8;
        self.find(at, lo).link.flags = LinkFlags::from(bits);
        at
    }

    pub(super) fn pod(&mut self, name: &str) -> usize {
        self.namespace(&format!("ns:{name}"))
    }

    pub(super) fn link(
        &mut self,
        at: usize,
        name: &str,
        address: &str,
        kind: Option<LinkKind>,
    ) -> u32 {
        let index = self.map.namespaces[at].links.len() as u32 + 1;
        let link = Link {
            index,
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, at as u8, index as u8]),
            mtu: 1500,
            flags: LinkFlags::from(UP),
            operational: OperationalState::Up,
            kind,
            ..Link::default()
        };
        let addresses = Some(address.to_owned()).filter(|it| !it.is_empty());
        self.map.namespaces[at].links.push(Interface {
            link,
            addresses: addresses.into_iter().collect(),
            other: None,
        });
        index
    }

    fn find(&mut self, at: usize, index: u32) -> &mut Interface {
        &mut self.map.namespaces[at].links[index as usize - 1]
    }

    pub(super) fn bridge(&mut self, name: &str, address: &str) -> u32 {
        self.link(0, name, address, Some(LinkKind::Bridge(Default::default())))
    }

    pub(super) fn enslave(&mut self, at: usize, index: u32, master: u32) {
        self.find(at, index).link.master = Some(master);
    }

    /// A veth from a pod to the host.
    pub(super) fn cable(
        &mut self,
        pod: usize,
        name: &str,
        address: &str,
        host: &str,
        master: Option<u32>,
    ) -> u32 {
        let near = self.link(pod, name, address, veth());
        let far = self.link(0, host, "", veth());
        self.join((pod, near), (0, far));
        self.find(0, far).link.master = master;
        near
    }

    /// A veth between two pods.
    pub(super) fn between(&mut self, pods: [usize; 2], names: [String; 2]) {
        let [a, b] = [0, 1].map(|end| (pods[end], self.link(pods[end], &names[end], "", veth())));
        self.join(a, b);
    }

    fn join(&mut self, a: (usize, u32), b: (usize, u32)) {
        for ((at, index), (namespace, other)) in [(a, b), (b, a)] {
            self.stand(at, index, namespace, other);
        }
    }

    fn stand(&mut self, at: usize, index: u32, namespace: usize, other: u32) {
        let link = self.find(at, index);
        link.link.lower = Some(other);
        link.link.lower_netns = (namespace != at).then_some(1);
        link.other = Some(Other {
            namespace: Some(namespace),
            index: other,
        });
    }

    /// A link that stands on `eth0`.
    pub(super) fn on_uplink(&mut self, at: usize, name: &str, address: &str, kind: LinkKind) {
        let index = self.link(at, name, address, Some(kind));
        self.stand(at, index, 0, 2);
    }

    pub(super) fn tunnel(&mut self, name: &str, vni: u32, remote: &str, bridge: u32) {
        let options = VxlanOptions {
            vni,
            remote: Some(remote.parse().unwrap()),
            ..VxlanOptions::default()
        };
        let link = self.link(0, name, "", Some(LinkKind::Vxlan(options)));
        self.enslave(0, link, bridge);
    }

    pub(super) fn set_down(&mut self, pod: &str, link: &str) {
        let name = format!("ns:{pod}");
        let mut namespaces = self.map.namespaces.iter_mut();
        let namespace = namespaces.find(|it| it.name == name).unwrap();
        let mut links = namespace.links.iter_mut();
        let link = links.find(|it| it.link.name == link).unwrap();
        link.link.flags = LinkFlags::default();
        link.link.operational = OperationalState::Down;
    }

    pub(super) fn alias(&mut self, at: usize, index: u32, alias: &str) {
        self.find(at, index).link.alias = Some(alias.to_owned());
    }

    pub(super) fn network(&mut self, name: &str, bridge: Option<&str>, masquerades: bool) {
        self.overlay.networks.push(Network {
            name: name.to_owned(),
            bridge: bridge.map(str::to_owned),
            masquerades,
        });
    }

    pub(super) fn attach(&mut self, pod: &str, network: &str, interface: &str, ports: &[&str]) {
        let name = format!("ns:{pod}");
        let namespace = self
            .map
            .namespaces
            .iter()
            .find(|it| it.name == name)
            .unwrap();
        self.overlay.pods.push(Pod {
            namespace: namespace.id,
            name: None,
            container: format!("{pod}-id"),
            interface: interface.to_owned(),
            network: network.to_owned(),
            published: ports.iter().map(ToString::to_string).collect(),
        });
    }

    pub(super) fn problem(&mut self, about: &str, words: &str) {
        self.overlay.problems.push(Problem {
            about: about.to_owned(),
            words: words.to_owned(),
        });
    }

    /// A link of a topology between these, of which at most the first is there.
    pub(super) fn wants(&mut self, link: &str, nodes: [&str; 2]) {
        let end = |node: &str| NamedEnd {
            node: node.to_owned(),
            namespace: {
                let name = format!("ns:{node}");
                let found = self.map.namespaces.iter().find(|it| it.name == name);
                found.map(|it| it.id)
            },
            interface: "eth9".to_owned(),
            bridge: None,
        };
        let ends = nodes.map(end).into();
        self.overlay.wanted.push(Named {
            link: link.to_owned(),
            ends,
        });
    }

    pub(super) fn scene(&self) -> Graph {
        scene(&self.map, &self.overlay)
    }
}
