//! `--net`: which networks, in the user's words.
//!
//! `NAME[:KEY=VALUE[,KEY=VALUE]…]`, and as rkt had it `NET1,NET2:K=V;K2=V2`. The keys `ip`, `mac` and `if`
//! are ours, others go to CNI_ARGS. `none`, `host`, `all`, `ns:PATH` and `pod:ID` stand alone.

use std::net::IpAddr;
use std::path::PathBuf;

use netloom_spec::{IfName, NetworkName};

use crate::error::{Error, Result};

/// What `--net` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetArgument {
    /// A namespace of its own with nothing but `lo`.
    None,
    /// The host's namespace.
    Host,
    /// Every network of the configuration directory, in the order of its files.
    All,
    /// A namespace that somebody else made.
    Namespace(PathBuf),
    /// The namespace of another pod.
    Pod(String),
    /// Networks.
    Networks(Vec<Wanted>),
}

/// A network, and what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The network's name.
    pub network: String,
    /// `ip=`: addresses, each with a prefix length or without.
    pub ips: Vec<String>,
    /// `mac=`: the hardware address.
    pub mac: Option<String>,
    /// `if=`: the interface in the pod.
    pub if_name: Option<String>,
    /// Other pairs, for CNI_ARGS.
    pub args: Vec<(String, String)>,
}

/// Reads one `--net`.
///
/// # Errors
/// Says what is wrong with which part.
pub fn parse(text: &str) -> Result<NetArgument> {
    match text {
        "" => return Err(bad(text, "it is empty")),
        "none" => return Ok(NetArgument::None),
        "host" => return Ok(NetArgument::Host),
        "all" => return Ok(NetArgument::All),
        _ => {}
    }
    if let Some(path) = text.strip_prefix("ns:") {
        return match path {
            "" => Err(bad(text, "the path of a network namespace is missing")),
            path if path.contains('/') => Ok(NetArgument::Namespace(path.into())),
            name => Ok(NetArgument::Namespace(
                PathBuf::from("/run/netns").join(name),
            )),
        };
    }
    if let Some(pod) = text.strip_prefix("pod:") {
        return match pod {
            "" => Err(bad(text, "the id or name of a pod is missing")),
            pod => Ok(NetArgument::Pod(pod.to_owned())),
        };
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    for piece in text.split(',') {
        // A pair goes on with the network before it: its `=` comes before any `:`.
        let is_pair = piece.find('=').is_some_and(|at| !piece[..at].contains(':'));
        match wanted.last_mut() {
            Some(last) if is_pair => pairs(last, piece, text)?,
            _ => wanted.push(network(piece, text)?),
        }
    }
    Ok(NetArgument::Networks(wanted))
}

fn network(piece: &str, text: &str) -> Result<Wanted> {
    let (name, rest) = piece.split_once(':').unwrap_or((piece, ""));
    let name = NetworkName::new(name).map_err(|error| bad(text, error.to_string()))?;
    let mut wanted = Wanted {
        network: name.as_str().to_owned(),
        ..Wanted::default()
    };
    if !rest.is_empty() {
        pairs(&mut wanted, rest, text)?;
    }
    Ok(wanted)
}

fn pairs(wanted: &mut Wanted, piece: &str, text: &str) -> Result<()> {
    for pair in piece.split(';') {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => (key, value),
            _ => return Err(bad(text, format!("{pair:?} is not KEY=VALUE"))),
        };
        match key.to_ascii_lowercase().as_str() {
            "ip" => wanted.ips.push(ip(value, text)?),
            "mac" => wanted.mac = Some(mac(value, text)?),
            "if" => {
                let name = IfName::new(value).map_err(|error| bad(text, error.to_string()))?;
                wanted.if_name = Some(name.as_str().to_owned());
            }
            _ => wanted.args.push((key.to_owned(), value.to_owned())),
        }
    }
    Ok(())
}

fn ip(value: &str, text: &str) -> Result<String> {
    let is_address = match value.split_once('/') {
        Some(_) => netloom_spec::net::parse_cidr(value).is_ok(),
        None => value.parse::<IpAddr>().is_ok(),
    };
    match is_address {
        true => Ok(value.to_owned()),
        false => Err(bad(
            text,
            format!("ip={value:?} is no address, such as 10.1.0.5 or 10.1.0.5/16"),
        )),
    }
}

fn mac(value: &str, text: &str) -> Result<String> {
    let parts: Vec<_> = value.split(':').collect();
    let is_byte = |part: &&str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    if parts.len() == 6 && parts.iter().all(is_byte) {
        let first = u8::from_str_radix(parts[0], 16).unwrap_or(1);
        return match first & 1 {
            0 => Ok(value.to_ascii_lowercase()),
            _ => Err(bad(text, format!("mac={value:?} is a group's address"))),
        };
    }
    Err(bad(
        text,
        format!("mac={value:?} is no hardware address, such as 0a:00:00:00:00:01"),
    ))
}

fn bad(text: &str, problem: impl std::fmt::Display) -> Error {
    Error::new(format!(
        "--net {text:?}: {problem}; expected NAME[:ip=…,mac=…,if=…,KEY=VALUE], none, host, all, ns:PATH or pod:ID"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Vec<Wanted> {
        match parse(text) {
            Ok(NetArgument::Networks(wanted)) => wanted,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn networks_and_their_pairs_are_told_apart() {
        let two = networks("a:ip=10.1.0.5,mac=0A:00:00:00:00:01,if=net7,b:FOO=1;BAR=x:y,c");
        assert_eq!(two.len(), 3, "{two:?}");
        assert_eq!(two[0].ips, ["10.1.0.5"]);
        assert_eq!(two[0].mac.as_deref(), Some("0a:00:00:00:00:01"));
        assert_eq!(two[0].if_name.as_deref(), Some("net7"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(two[1].args, [pair("FOO", "1"), pair("BAR", "x:y")]);
        assert_eq!(two[2].network, "c");
        assert_eq!(
            networks("a:ip=fd00::5/64,IP=10.1.0.5")[0].ips,
            ["fd00::5/64", "10.1.0.5"]
        );
    }

    #[test]
    fn words_of_their_own_stand_alone() {
        assert_eq!(parse("none"), Ok(NetArgument::None));
        assert_eq!(
            parse("ns:blue"),
            Ok(NetArgument::Namespace("/run/netns/blue".into()))
        );
        assert_eq!(parse("pod:ab"), Ok(NetArgument::Pod("ab".into())));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "empty"),
            ("a,,b", "name"),
            ("a:ip=1.2.3", "1.2.3"),
            ("a:mac=00:11", "00:11"),
            ("a:mac=01:00:00:00:00:01", "group"),
            ("a:if=a/b", "a/b"),
            ("a:novalue", "novalue"),
            ("ns:", "missing"),
            ("../x", "../x"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.words.contains(part), "{text}: {error}");
        }
    }
}
