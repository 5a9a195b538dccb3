//! `KIND:NAME/IF[,ADDRESS|key=value…]`: an end of a link, or what is on its other side.

use std::fmt;
use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use netloom_kernel::MacAddress;
use netloom_kernel::rtnl::{IpvlanFlag, IpvlanMode, IpvlanOptions, MacvlanMode};
use netloom_links::{Interface, Outside, Route, Vxlan};
use netloom_spec::Mac;

use super::at::At;

/// An end, before its namespace is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) at: At,
    pub(crate) interface: Interface,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.at, self.interface.name)
    }
}

/// The other side of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Other {
    End(Endpoint),
    Outside(Outside),
}

/// No part of an endpoint has a control character, and an error that quotes a part goes to a terminal.
fn is_one_line(text: &str) -> Result<()> {
    ensure!(
        !text.chars().any(char::is_control),
        "endpoint \"{}\" has a control character",
        text.escape_debug()
    );
    Ok(())
}

impl Endpoint {
    /// Reads an end.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        is_one_line(text)?;
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let mut endpoint =
            Self::place(head).with_context(|| format!("endpoint \"{}\"", text.escape_debug()))?;
        for part in parts {
            set(&mut endpoint.interface, part)
                .with_context(|| format!("endpoint \"{}\"", text.escape_debug()))?;
        }
        Ok(endpoint)
    }

    /// Reads `KIND:NAME/IF`, `host/IF` or `bridge:BR/IF`.
    fn place(head: &str) -> Result<Self> {
        let (place, name) = match head.rsplit_once('/') {
            Some((place, name)) if !name.is_empty() => (place, name),
            _ => bail!(
                "it lacks the name of the interface; write {}/eth1",
                head.trim_end_matches('/').escape_debug()
            ),
        };
        let mut interface = Interface {
            name: name.to_owned(),
            ..Interface::default()
        };
        if let Some(bridge) = place.strip_prefix("bridge:") {
            ensure!(!bridge.is_empty(), "bridge: lacks the name of the bridge");
            interface.bridge = Some(bridge.to_owned());
            return Ok(Self {
                at: At::Host,
                interface,
            });
        }
        Ok(Self {
            at: At::parse(place)?,
            interface,
        })
    }
}

impl Other {
    /// Reads an end, or `vxlan:REMOTE,…`, `macvlan:PARENT,…`, `ipvlan:PARENT,…`, `vlan:PARENT,…`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        is_one_line(text)?;
        let (head, options) = match text.split_once(',') {
            Some((head, options)) => (head, Some(options)),
            None => (text, None),
        };
        let Some((kind, name)) = head.split_once(':') else {
            return Endpoint::parse(text).map(Self::End);
        };
        let mut options = Options::parse(options);
        let outside = match kind {
            "vxlan" => vxlan(name, &mut options),
            // A kind of link, no plugin's name.
            "macvlan" => macvlan(name, &mut options),
            // A kind of link, no plugin's name.
            "ipvlan" => ipvlan(name, &mut options),
            // A kind of link, no plugin's name.
            "vlan" => vlan(name, &mut options),
            _ => return Endpoint::parse(text).map(Self::End),
        };
        let outside = outside
            .and_then(|outside| options.finish(kind).map(|()| outside))
            .with_context(|| format!("\"{}\"", text.escape_debug()))?;
        Ok(Self::Outside(outside))
    }
}

/// `key=value` pairs that are not taken yet.
struct Options<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Options<'t> {
    fn parse(text: Option<&'t str>) -> Self {
        let pairs = text.into_iter().flat_map(|text| text.split(','));
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .collect(),
        )
    }

    fn take(&mut self, key: &str) -> Option<&'t str> {
        let at = self.0.iter().position(|(is, _)| *is == key)?;
        Some(self.0.remove(at).1)
    }

    fn finish(self, kind: &str) -> Result<()> {
        let known = match kind {
            "vxlan" => "vni, port, local, dev and learning",
            // A kind of link, no plugin's name.
            "vlan" => "id",
            // A kind of link, no plugin's name.
            "ipvlan" => "mode and flag",
            _ => "mode",
        };
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => bail!(
                "a {kind} has no option \"{}\"; it has {known}",
                key.escape_debug()
            ),
        }
    }
}

/// A number in a range, by its name.
pub(crate) fn number(name: &str, text: &str, from: u32, to: u32) -> Result<u32> {
    match text.parse() {
        Ok(number) if (from..=to).contains(&number) => Ok(number),
        _ => bail!(
            "{name} \"{}\" is no number from {from} to {to}",
            text.escape_debug()
        ),
    }
}

fn address(name: &str, text: &str) -> Result<IpAddr> {
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => bail!("{name} \"{}\" is no IP address", text.escape_debug()),
    }
}

fn vxlan(remote: &str, options: &mut Options<'_>) -> Result<Outside> {
    let vni = options.take("vni");
    let vni = vni.context("a vxlan needs vni=NUMBER, the same on both sides")?;
    let vni = number("vni", vni, 1, 0xff_ffff)?;
    let mut vxlan = Vxlan::to(address("remote", remote)?, vni);
    if let Some(port) = options.take("port") {
        vxlan.port = number("port", port, 1, 65535)? as u16;
    }
    if let Some(local) = options.take("local") {
        vxlan.local = Some(address("local", local)?);
    }
    vxlan.device = options.take("dev").map(str::to_owned);
    vxlan.learning = options.take("learning").is_some();
    Ok(Outside::Vxlan(vxlan))
}

/// How macvlans reach each other, by the kernel's words.
pub(crate) fn macvlan_mode(mode: &str) -> Result<MacvlanMode> {
    Ok(match mode {
        // A mode, no plugin's name.
        "bridge" => MacvlanMode::Bridge,
        "private" => MacvlanMode::Private,
        "vepa" => MacvlanMode::Vepa,
        "passthru" => MacvlanMode::Passthru,
        _ => bail!(
            "mode \"{}\" is none of a macvlan; it is bridge, private, vepa or passthru",
            mode.escape_debug()
        ),
    })
}

fn parent(kind: &str, name: &str) -> Result<String> {
    ensure!(
        !name.is_empty(),
        "a {kind} needs the interface that it stands on: {kind}:eth0"
    );
    Ok(name.to_owned())
}

fn macvlan(name: &str, options: &mut Options<'_>) -> Result<Outside> {
    let parent = parent("macvlan", name)?;
    let mode = macvlan_mode(options.take("mode").unwrap_or("bridge"))?;
    Ok(Outside::Macvlan { parent, mode })
}

fn ipvlan(name: &str, options: &mut Options<'_>) -> Result<Outside> {
    let mode = match options.take("mode").unwrap_or("l2") {
        "l2" => IpvlanMode::L2,
        "l3" => IpvlanMode::L3,
        "l3s" => IpvlanMode::L3s,
        mode => bail!(
            "mode \"{}\" is none of an ipvlan; it is l2, l3 or l3s",
            mode.escape_debug()
        ),
    };
    let flag = match options.take("flag") {
        None => None,
        // A mode, no plugin's name.
        Some("bridge") => Some(IpvlanFlag::Bridge),
        Some("private") => Some(IpvlanFlag::Private),
        Some("vepa") => Some(IpvlanFlag::Vepa),
        Some(flag) => bail!(
            "flag \"{}\" is none of an ipvlan; it is bridge, private or vepa",
            flag.escape_debug()
        ),
    };
    let options = IpvlanOptions { mode, flag };
    Ok(Outside::Ipvlan {
        parent: parent("ipvlan", name)?,
        options,
    })
}

fn vlan(name: &str, options: &mut Options<'_>) -> Result<Outside> {
    let id = options.take("id").context("a vlan needs id=NUMBER")?;
    let id = number("id", id, 1, 4094)? as u16;
    Ok(Outside::Vlan {
        parent: parent("vlan", name)?,
        id,
    })
}

/// Sets one part of an end: an address, or `key=value`.
pub(crate) fn set(interface: &mut Interface, part: &str) -> Result<()> {
    let Some((key, value)) = part.split_once('=') else {
        interface.addresses.push(net("address", part)?);
        return Ok(());
    };
    match key {
        "mtu" => interface.mtu = Some(number("mtu", value, 68, 65535)?),
        "mac" => interface.mac = Some(mac(value)?),
        "route" => interface.routes.push(route(value)?),
        _ if is_impairment(key) => interface.impairment.set(key, value)?,
        _ => bail!(
            "there is no option \"{}\" of an end; there are mtu, mac, route=NETWORK@GATEWAY, delay, \
             jitter, loss, duplicate, corrupt and rate",
            key.escape_debug()
        ),
    }
    Ok(())
}

fn is_impairment(key: &str) -> bool {
    ["delay", "jitter", "loss", "duplicate", "corrupt", "rate"].contains(&key)
}

/// An address with its prefix length.
pub(crate) fn net(name: &str, text: &str) -> Result<IpNet> {
    match text.parse::<IpNet>() {
        Ok(net) => Ok(net),
        Err(_) => bail!(
            "{name} \"{}\" is no address with a prefix length, such as 192.0.2.1/24",
            text.escape_debug()
        ),
    }
}

pub(crate) fn mac(text: &str) -> Result<MacAddress> {
    match text.parse::<Mac>() {
        Ok(mac) => Ok(mac.0),
        Err(_) => bail!(
            "mac \"{}\" is no hardware address, such as 02:00:00:00:00:01",
            text.escape_debug()
        ),
    }
}

/// Reads `NETWORK` or `NETWORK@GATEWAY`.
pub(crate) fn route(text: &str) -> Result<Route> {
    let (destination, gateway) = match text.split_once('@') {
        Some((network, gateway)) => (network, Some(address("gateway", gateway)?)),
        None => (text, None),
    };
    let destination = match destination {
        "default" if gateway.is_some_and(|ip| ip.is_ipv6()) => "::/0",
        "default" => "0.0.0.0/0",
        network => network,
    };
    Ok(Route {
        destination: net("route", destination)?,
        gateway,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_a_place_a_name_and_settings() {
        let text =
            "ns:blue/in1,192.168.2.100/24,fd00::1/64,mtu=9000,route=default@192.168.2.1,loss=1%";
        let end = Endpoint::parse(text).unwrap();
        assert_eq!(end.to_string(), "ns:blue/in1");
        assert_eq!(end.interface.addresses.len(), 2);
        assert_eq!(end.interface.mtu, Some(9000));
        assert_eq!(end.interface.routes[0].destination.prefix_len(), 0);
        assert!(!end.interface.impairment.is_none());
        let end = Endpoint::parse("path:/proc/1/ns/net/eth1").unwrap();
        assert_eq!(end.at, At::Path("/proc/1/ns/net".into()));
        let end = Endpoint::parse("bridge:br0/tap1").unwrap();
        assert_eq!(
            (end.at, end.interface.bridge.as_deref()),
            (At::Host, Some("br0"))
        );
    }

    #[test]
    fn the_other_side_may_be_a_way_outside() {
        let Other::Outside(Outside::Vxlan(vxlan)) =
            Other::parse("vxlan:192.0.2.7,vni=1001,local=192.0.2.1").unwrap()
        else {
            panic!()
        };
        assert_eq!((vxlan.vni, vxlan.port), (1001, 4789));
        assert!(matches!(
            Other::parse("vlan:eth1,id=7").unwrap(),
            Other::Outside(Outside::Vlan { id: 7, .. })
        ));
        assert!(matches!(
            Other::parse("macvlan:eth1").unwrap(),
            Other::Outside(_)
        ));
        assert!(matches!(Other::parse("host/up").unwrap(), Other::End(_)));
    }

    /// Found by the fuzzer: the error had the line break as it is.
    #[test]
    fn an_endpoint_with_a_line_break_is_refused_in_one_line() {
        let text = "h#ostveth\n9,ro4te=10.2.0.0/16@10.0.0.1";
        for error in [
            Endpoint::parse(text).unwrap_err(),
            Other::parse(text).unwrap_err(),
        ] {
            let told = format!("{error:#}");
            assert!(told.contains("has a control character"), "{told}");
            assert!(told.contains("h#ostveth\\n9,ro4te"), "{told}");
            assert!(!told.contains(char::is_control), "{told:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (text, words) in [
            ("ns:blue", "write ns:blue/eth1"),
            ("blue/eth1", "is no place"),
            ("ns:blue/eth1,10.0.0.1", "with a prefix length"),
            (
                "ns:blue/eth1,mtu=big",
                "mtu \"big\" is no number from 68 to 65535",
            ),
            ("ns:blue/eth1,speed=9", "there is no option \"speed\""),
            ("ns:blue/eth1,mac=1:2", "is no hardware address"),
            ("ns:blue/eth1,route=x", "route \"x\""),
            ("vxlan:192.0.2.7", "needs vni=NUMBER"),
            ("vxlan:there,vni=1", "remote \"there\" is no IP address"),
            ("vxlan:192.0.2.7,vni=16777216", "from 1 to 16777215"),
            ("vxlan:192.0.2.7,vni=1,port=x", "port \"x\" is no number"),
            ("vxlan:192.0.2.7,vni=1,ttl=3", "no option \"ttl\""),
            ("vlan:eth1", "needs id=NUMBER"),
            ("vlan:eth1,id=4095", "from 1 to 4094"),
            (
                "macvlan:eth1,mode=fast",
                "bridge, private, vepa or passthru",
            ),
            ("macvlan:", "needs the interface"),
            ("ipvlan:eth1,mode=l4", "l2, l3 or l3s"),
            ("host/veth9,delay=1\n2", "has a control character"),
        ] {
            let error = format!("{:#}", Other::parse(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
