//! A link as it is asked for: two ends, and what each of them is to have.

use super::keys::{Keys, put};
use crate::wiring::setup_error::invalid;
use ipnet::IpNet;
use netloom_links::Impairment;
use netloom_spec::{Error, IfName, Mac, net};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The smallest and the largest MTU of a veth, in bytes.
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;
/// IPv6 needs so much.
const MTU_OF_IPV6: u32 = 1280;

/// The peer of a link whose other end is on the host.
const HOST: &str = "host";
/// The same where that end is a port of the bridge whose name follows.
const BRIDGE: &str = "bridge:";

/// One link in JSON, unvalidated: in a configuration, a topology file, an annotation, a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LinkText {
    /// The pod whose end `near` is; empty is the pod that is being attached.
    pub(super) pod: String,
    pub(super) peer: String,
    pub(super) near: EndText,
    pub(super) far: EndText,
    /// In bytes; 0 leaves it to the kernel.
    pub(super) mtu: u32,
    /// The host of the pod, and the peer's: names of `hosts` of a topology.
    pub(super) host: String,
    pub(super) peer_host: String,
    /// Of a vxlan between hosts; 0 is the one that follows from the ends.
    pub(super) vni: u32,
}

/// What is told of an end, unvalidated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EndText {
    pub(super) if_name: String,
    pub(super) addresses: Vec<String>,
    pub(super) mac: String,
    pub(super) routes: Vec<RouteText>,
    /// How bad it is at sending: `delay`, `jitter`, `loss`, `duplicate`, `corrupt`, `rate`.
    pub(super) impair: Vec<(String, String)>,
}

/// A route by a link, unvalidated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteText {
    pub(super) dst: String,
    pub(super) gw: String,
}

/// The keys of each end.
const NEAR: [&str; 5] = ["if", "addresses", "mac", "routes", "impair"];
const FAR: [&str; 5] = [
    "peerIf",
    "peerAddresses",
    "peerMac",
    "peerRoutes",
    "peerImpair",
];

impl LinkText {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, Error> {
        Ok(Self {
            pod: keys.text("pod")?,
            peer: keys.text("peer")?,
            near: EndText::read(keys, NEAR)?,
            far: EndText::read(keys, FAR)?,
            mtu: keys.number("mtu")?,
            host: keys.text("host")?,
            peer_host: keys.text("peerHost")?,
            vni: keys.number("vni")?,
        })
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        put(&mut object, "pod", self.pod.as_str());
        put(&mut object, "peer", self.peer.as_str());
        self.near.put(&mut object, NEAR);
        self.far.put(&mut object, FAR);
        put(&mut object, "mtu", self.mtu);
        put(&mut object, "host", self.host.as_str());
        put(&mut object, "peerHost", self.peer_host.as_str());
        put(&mut object, "vni", self.vni);
        object
    }
}

impl EndText {
    fn read(keys: &Keys<'_>, names: [&'static str; 5]) -> Result<Self, Error> {
        let [if_name, addresses, mac, routes, impair] = names;
        let mut told = Vec::new();
        if let Some(keys) = keys.object(impair)? {
            for (name, value) in keys.whole() {
                told.push((name.clone(), keys.read_value(name, value)?));
            }
        }
        let route = |keys: Keys<'_>| {
            Ok(RouteText {
                dst: keys.text("dst")?,
                gw: keys.text("gw")?,
            })
        };
        let routes = keys.objects(routes)?.into_iter().map(route);
        Ok(Self {
            if_name: keys.text(if_name)?,
            addresses: keys.texts(addresses)?,
            mac: keys.text(mac)?,
            routes: routes.collect::<Result<_, Error>>()?,
            impair: told,
        })
    }

    fn put(&self, object: &mut Map<String, Value>, names: [&str; 5]) {
        let [if_name, addresses, mac, routes, impair] = names;
        put(object, if_name, self.if_name.as_str());
        put(object, addresses, self.addresses.clone());
        put(object, mac, self.mac.as_str());
        let route = |route: &RouteText| {
            let mut object = Map::new();
            put(&mut object, "dst", route.dst.as_str());
            put(&mut object, "gw", route.gw.as_str());
            Value::Object(object)
        };
        put(
            object,
            routes,
            self.routes.iter().map(route).collect::<Value>(),
        );
        let mut told = Map::new();
        for (name, value) in &self.impair {
            put(&mut told, name, value.as_str());
        }
        put(object, impair, told);
    }
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The pod, as `namespace/name`; `host` or `bridge:NAME` for an end on the host.
    pub(super) pod: String,
    pub(super) if_name: String,
    pub(super) addresses: Vec<IpNet>,
    pub(super) mac: Option<Mac>,
    pub(super) routes: Vec<Hop>,
    /// As it was told; it is known to be right.
    impair: Vec<(String, String)>,
}

/// A route by an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) dst: IpNet,
    /// `None`: the destination is on the link.
    pub(super) gw: Option<IpAddr>,
}

/// A link that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The end of the pod that asks.
    pub(super) own: End,
    pub(super) peer: End,
    pub(super) mtu: Option<u32>,
    /// Where the pods are, if they are on different hosts.
    pub(super) hosts: Option<Hosts>,
}

/// The hosts of the two ends, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) own: String,
    pub(super) peer: String,
    pub(super) vni: Option<u32>,
}

impl End {
    /// The end in words, the same in every process: `default/a:eth1`.
    pub(super) fn id(&self) -> String {
        format!("{}:{}", self.pod, self.if_name)
    }

    /// Whether it is an interface of the host, and no pod's.
    pub(super) fn is_on_host(&self) -> bool {
        self.pod == HOST || self.bridge().is_some()
    }

    /// The bridge of the host that it is a port of.
    pub(super) fn bridge(&self) -> Option<&str> {
        self.pod.strip_prefix(BRIDGE)
    }
}

impl Link {
    /// Validates a link that is asked for by, or for, a pod. `field` says where it stands.
    pub(super) fn read(text: &LinkText, pod: &str, field: &str) -> Result<Self, Error> {
        let at = |key: &str| format!("{field}.{key}");
        let own_pod = if text.pod.is_empty() { pod } else { &text.pod };
        let own_pod = read_pod(own_pod, &at("pod"))?;
        let own = End::read(own_pod, &text.near, NEAR.map(at))?;
        let peer = End::read(read_peer(&text.peer, &at("peer"))?, &text.far, FAR.map(at))?;
        if own.pod == peer.pod {
            return Err(invalid(format!(
                "{} {:?}: a link joins two pods, this one is the pod itself",
                at("peer"),
                text.peer
            )));
        }
        if peer.is_on_host() && !(text.host.is_empty() && text.peer_host.is_empty()) {
            return Err(invalid(format!(
                "{}: {:?} is the pod's own host, leave host and peerHost out",
                at("host"),
                text.peer
            )));
        }
        let v6 = own.has_v6() || peer.has_v6();
        let link = Self {
            mtu: read_mtu(text.mtu, v6, &at("mtu"))?,
            hosts: read_hosts(text, field)?,
            own,
            peer,
        };
        Ok(link)
    }

    /// The same link as the peer sees it.
    pub(super) fn reversed(self) -> Self {
        let turned = |hosts: Hosts| Hosts {
            own: hosts.peer,
            peer: hosts.own,
            vni: hosts.vni,
        };
        Self {
            own: self.peer,
            peer: self.own,
            hosts: self.hosts.map(turned),
            ..self
        }
    }

    /// What both ends call the link: the ids of the ends, in order.
    pub(super) fn id(&self) -> String {
        let (own, peer) = (self.own.id(), self.peer.id());
        match own < peer {
            true => format!("{own} {peer}"),
            false => format!("{peer} {own}"),
        }
    }

    /// The link as text, for a record.
    pub(super) fn text(&self) -> LinkText {
        let hosts = self.hosts.as_ref();
        LinkText {
            pod: self.own.pod.clone(),
            peer: self.peer.pod.clone(),
            near: self.own.text(),
            far: self.peer.text(),
            mtu: self.mtu.unwrap_or_default(),
            host: hosts.map(|it| it.own.clone()).unwrap_or_default(),
            peer_host: hosts.map(|it| it.peer.clone()).unwrap_or_default(),
            vni: hosts.and_then(|it| it.vni).unwrap_or_default(),
        }
    }

    /// Whether both speak of the same two ends, seen from the same side.
    pub(super) fn has_ends_of(&self, other: &Self) -> bool {
        self.own.id() == other.own.id() && self.peer.id() == other.peer.id()
    }
}

impl Hop {
    fn text(&self) -> RouteText {
        RouteText {
            dst: self.dst.to_string(),
            gw: self.gw.map(|gw| gw.to_string()).unwrap_or_default(),
        }
    }
}

fn impairment(told: &[(String, String)]) -> netloom_links::Result<Impairment> {
    let mut impairment = Impairment::default();
    for (name, value) in told {
        impairment.set(name, value)?;
    }
    Ok(impairment)
}

impl End {
    /// `at` is where each of what is told stands.
    fn read(pod: &str, text: &EndText, at: [String; 5]) -> Result<Self, Error> {
        let [at_if, at_addresses, at_mac, at_routes, at_impair] = at;
        let address = |text: &String| read_net(text, &at_addresses);
        let route = |text: &RouteText| read_route(text, &at_routes);
        impairment(&text.impair).map_err(|error| invalid(format!("{at_impair}: {error}")))?;
        Ok(Self {
            pod: pod.to_owned(),
            if_name: read_if_name(&text.if_name, &at_if)?,
            addresses: text
                .addresses
                .iter()
                .map(address)
                .collect::<Result<_, _>>()?,
            mac: read_mac(&text.mac, &at_mac)?,
            routes: text.routes.iter().map(route).collect::<Result<_, _>>()?,
            impair: text.impair.clone(),
        })
    }

    fn text(&self) -> EndText {
        EndText {
            if_name: self.if_name.clone(),
            addresses: self.addresses.iter().map(IpNet::to_string).collect(),
            mac: self.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            routes: self.routes.iter().map(Hop::text).collect(),
            impair: self.impair.clone(),
        }
    }

    /// How bad it is at sending.
    pub(super) fn impairment(&self) -> Impairment {
        impairment(&self.impair).unwrap_or_default()
    }

    fn has_v6(&self) -> bool {
        self.addresses.iter().any(|it| it.addr().is_ipv6())
    }
}

/// A pod's name is looked up in the file store and told to people: it is `namespace/name`, each of
/// lower-case letters, digits, dots and hyphens.
pub(super) fn read_pod<'a>(text: &'a str, field: &str) -> Result<&'a str, Error> {
    let is_name = |part: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
        let alone = |end: Option<u8>| end.is_some_and(|b| plain(b) && !b".-".contains(&b));
        let ends = [part.bytes().next(), part.bytes().last()];
        part.len() <= 253 && part.bytes().all(plain) && ends.into_iter().all(alone)
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(text),
        _ => Err(invalid(format!(
            "{field} {text:?}: expected namespace/name of a pod, of lower-case letters, digits, \
             \".\" and \"-\""
        ))),
    }
}

/// Whom a link leads to: a pod, the host, or a bridge of the host.
fn read_peer<'a>(text: &'a str, field: &str) -> Result<&'a str, Error> {
    match text.strip_prefix(BRIDGE) {
        Some(bridge) => {
            read_if_name(bridge, field)?;
            Ok(text)
        }
        None if text == HOST => Ok(text),
        None => read_pod(text, field),
    }
}

fn read_if_name(text: &str, field: &str) -> Result<String, Error> {
    let name = IfName::new(text).map_err(|error| invalid(format!("{field} {text:?}: {error}")))?;
    match name.as_str() {
        "lo" => Err(invalid(format!("{field} \"lo\": a pod has that already"))),
        _ => Ok(name.into()),
    }
}

fn read_net(text: &str, field: &str) -> Result<IpNet, Error> {
    let net = net::parse_cidr(text);
    let net = net.map_err(|error| invalid(format!("{field} {text:?}: {error}")))?;
    if net.addr().is_unspecified() || net.addr().is_multicast() {
        let what = format!("{field} {text:?}: an interface cannot have that address");
        return Err(invalid(what));
    }
    Ok(net)
}

fn read_route(text: &RouteText, field: &str) -> Result<Hop, Error> {
    let dst = net::parse_cidr(&text.dst);
    let dst = dst.map_err(|error| invalid(format!("{field}: dst {:?}: {error}", text.dst)))?;
    let gw = match text.gw.as_str() {
        "" => None,
        gw => Some(
            net::parse_ip(gw).map_err(|error| invalid(format!("{field}: gw {gw:?}: {error}")))?,
        ),
    };
    if gw.is_some_and(|gw| gw.is_ipv4() != dst.addr().is_ipv4()) {
        return Err(invalid(format!(
            "{field}: gw {:?} and dst {:?} are of different families",
            text.gw, text.dst
        )));
    }
    Ok(Hop { dst, gw })
}

fn read_mac(text: &str, field: &str) -> Result<Option<Mac>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let mac: Mac = (text.parse()).map_err(|error| invalid(format!("{field} {text:?}: {error}")))?;
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        let what = format!("{field} {text:?}: an interface needs a unicast address");
        return Err(invalid(what));
    }
    Ok(Some(mac))
}

fn read_mtu(mtu: u32, v6: bool, field: &str) -> Result<Option<u32>, Error> {
    if mtu == 0 {
        return Ok(None);
    }
    if !MTU.contains(&mtu) {
        let (least, most) = (MTU.start(), MTU.end());
        let what = format!("{field} {mtu}: expected {least} to {most} bytes");
        return Err(invalid(what));
    }
    if v6 && mtu < MTU_OF_IPV6 {
        let what = format!("{field} {mtu} is too small: IPv6 needs at least {MTU_OF_IPV6}");
        return Err(invalid(what));
    }
    Ok(Some(mtu))
}

fn read_hosts(text: &LinkText, field: &str) -> Result<Option<Hosts>, Error> {
    if text.vni >= 1 << 24 {
        let what = format!("{field}.vni {}: expected 1 to 16777215", text.vni);
        return Err(invalid(what));
    }
    match (text.host.as_str(), text.peer_host.as_str()) {
        ("", "") => Ok(None),
        ("", _) | (_, "") => Err(invalid(format!(
            "{field}: host and peerHost belong together, name both"
        ))),
        (own, peer) if own == peer => Ok(None),
        (own, peer) => Ok(Some(Hosts {
            own: own.to_owned(),
            peer: peer.to_owned(),
            vni: (text.vni != 0).then_some(text.vni),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> LinkText {
        let link = serde_json::json!({
            "if": "in1", "peer": "default/pair", "peerIf": "in2",
            "addresses": ["192.168.2.100/24"], "routes": [{"dst": "10.0.0.0/8"}],
            "peerImpair": {"rate": "1mbit"}
        });
        LinkText::read(&Keys::in_value(&link, "").unwrap()).unwrap()
    }

    #[test]
    fn a_link_is_the_same_from_both_sides_and_is_read_back_from_its_text() {
        let link = Link::read(&text(), "default/primary", "links[0]").unwrap();
        let turned = link.clone().reversed();
        assert_eq!(link.id(), turned.id());
        assert_eq!(turned.own.id(), "default/pair:in2");
        let again = Link::read(&link.text(), "other/pod", "record").unwrap();
        assert_eq!(again, link);
        let json = link.text().to_json();
        assert_eq!(LinkText::read(&Keys::of(&json, "")).unwrap(), link.text());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field_and_value() {
        type Change = fn(&mut LinkText);
        let cases: [(Change, &str); 14] = [
            (|it| it.peer = "pair".into(), "links[0].peer \"pair\""),
            (|it| it.peer = "a/b/c".into(), "links[0].peer \"a/b/c\""),
            (|it| it.peer = "Default/x".into(), "Default/x"),
            (|it| it.peer = "../x".into(), "\"../x\""),
            (|it| it.peer = "default/\"; touch x".into(), "touch x"),
            (|it| it.peer = "default/primary".into(), "the pod itself"),
            (|it| it.near.if_name = "lo".into(), "links[0].if"),
            (|it| it.near.if_name = "a/b".into(), "links[0].if \"a/b\""),
            (|it| it.far.if_name = String::new(), "links[0].peerIf"),
            (|it| it.near.addresses = vec!["10.0.0.1".into()], "10.0.0.1"),
            (
                |it| it.far.mac = "01:00:00:00:00:01".into(),
                "links[0].peerMac",
            ),
            (|it| it.mtu = 10, "links[0].mtu 10"),
            (|it| it.host = "a".into(), "host and peerHost"),
            (|it| it.vni = 1 << 24, "links[0].vni"),
        ];
        for (change, told) in cases {
            let mut text = text();
            change(&mut text);
            let error = Link::read(&text, "default/primary", "links[0]").unwrap_err();
            assert!(error.msg.contains(told), "{error}");
        }
    }
}
