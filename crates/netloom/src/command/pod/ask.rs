//! The words of `netloom run`'s options, made into values.

use std::net::IpAddr;
use std::path::PathBuf;

use netloom_run::{Error, Port, Protocol, Result, Volume};
use serde_json::{Map, Value, json};

/// An option that is misspelt would be the command: what follows a command is the command's.
pub(super) fn no_option(command: &[String], verb: &str) -> Result<()> {
    match command.first() {
        Some(first) if first.starts_with('-') && !std::env::args().any(|it| it == "--") => {
            Err(Error::new(format!(
                "{first:?} is no option of `netloom {verb}`, see --help; a command that begins so comes behind --"
            )))
        }
        _ => Ok(()),
    }
}

/// `[IP:]HOST:POD[/PROTOCOL]`, an IPv6 address in brackets.
pub(super) fn port(text: &str) -> Result<Port> {
    let bad = |problem: &str| {
        Error::new(format!(
            "-p {text:?}: {problem}; expected [IP:]HOST:POD[/udp], such as 8080:80"
        ))
    };
    let (rest, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((rest, name)) => match name.to_ascii_lowercase().as_str() {
            "tcp" => (rest, Protocol::Tcp),
            "udp" => (rest, Protocol::Udp),
            "sctp" => (rest, Protocol::Sctp),
            _ => return Err(bad("the protocol is none of tcp, udp, sctp")),
        },
    };
    let (rest, pod) = rest
        .rsplit_once(':')
        .ok_or_else(|| bad("there is no pair of ports"))?;
    let (ip, host) = match rest.rsplit_once(':') {
        None => (None, rest),
        Some((ip, host)) => (Some(ip), host),
    };
    let number = |text: &str| text.parse::<u16>().ok().filter(|it| *it != 0);
    let number = |text| number(text).ok_or_else(|| bad("a port is a number from 1 to 65535"));
    let host_ip = ip
        .map(|ip| ip.trim_start_matches('[').trim_end_matches(']'))
        .map(|ip| ip.parse::<IpAddr>().map_err(|_| bad("the address is none")))
        .transpose()?;
    Ok(Port {
        host_ip,
        host: number(host)?,
        pod: number(pod)?,
        protocol,
    })
}

/// All of them; none twice.
pub(super) fn ports(texts: &[String]) -> Result<Vec<Port>> {
    let mut read: Vec<Port> = Vec::new();
    for text in texts {
        let one = port(text)?;
        let is_same = |other: &Port| {
            let ips = other.host_ip.zip(one.host_ip);
            other.host == one.host
                && other.protocol == one.protocol
                && ips.is_none_or(|(other, one)| other == one)
        };
        if read.iter().any(is_same) {
            let protocol = one.protocol.as_str();
            return Err(Error::new(format!(
                "-p {text:?}: port {}/{protocol} of the host leads to the pod already",
                one.host
            )));
        }
        read.push(one);
    }
    Ok(read)
}

/// A word of resolv.conf, where white space ends one.
pub(super) fn word(text: &str, option: &str) -> Result<String> {
    let ends = |char: char| char.is_whitespace() || char.is_control();
    match text.is_empty() || text.contains(ends) {
        false => Ok(text.to_owned()),
        true => Err(Error::new(format!(
            "{option} {text:?}: expected one word; the option may be repeated"
        ))),
    }
}

/// `RATE[:RATE]`: what the pod receives, and what it sends; the same if there is one.
pub(super) fn bandwidth(text: &str) -> Result<Map<String, Value>> {
    let (receives, sends) = text.split_once(':').unwrap_or((text, text));
    let mut rates = Map::new();
    for (way, rate) in [("ingress", receives), ("egress", sends)] {
        let rate = bits(rate).ok_or_else(|| {
            Error::new(format!(
                "--bandwidth {text:?}: {rate:?} is no rate in bits a second; expected 10M or 10M:20M"
            ))
        })?;
        rates.insert(format!("{way}Rate"), json!(rate));
        // A tenth of a second's worth, and never less than a few frames.
        rates.insert(format!("{way}Burst"), json!((rate / 10).max(128_000)));
    }
    Ok(rates)
}

fn bits(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(factor).filter(|it| *it > 0)
}

/// `512M`, in powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().filter(|it| *it > 0);
    let bytes = number
        .zip(shift)
        .and_then(|(it, shift)| it.checked_mul(1 << shift));
    bytes.ok_or_else(|| {
        Error::new(format!(
            "--memory {text:?}: expected bytes, such as 512M or 2G"
        ))
    })
}

/// Processors, in thousandths.
pub(super) fn thousandths(text: &str) -> Result<u64> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|it| (0.01..=4096.0).contains(it));
    let number = number.ok_or_else(|| {
        Error::new(format!(
            "--cpus {text:?}: expected a number of processors, such as 1.5"
        ))
    })?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in bounds"
    )]
    Ok((number * 1000.0) as u64)
}

/// Processes.
pub(super) fn count(text: &str) -> Result<u64> {
    let number = text.parse::<u64>().ok().filter(|it| *it > 0);
    number.ok_or_else(|| Error::new(format!("--pids {text:?}: expected a number of processes")))
}

/// `SOURCE:TARGET[:ro]`.
pub(super) fn volume(text: &str) -> Result<Volume> {
    let bad = |problem: String| {
        Error::new(format!(
            "-v {text:?}: {problem}; expected SOURCE:TARGET or SOURCE:TARGET:ro"
        ))
    };
    let parts: Vec<_> = text.split(':').collect();
    let (source, target, read_only) = match parts.as_slice() {
        [source, target] | [source, target, "rw"] => (*source, *target, false),
        [source, target, "ro"] => (*source, *target, true),
        _ => return Err(bad("it has not the parts of a volume".to_owned())),
    };
    if !target.starts_with('/') || target == "/" {
        return Err(bad(format!("{target:?} is no absolute path below /")));
    }
    if target.split('/').any(|part| part == "..") {
        return Err(bad(format!("{target:?} has a \"..\"")));
    }
    let source = PathBuf::from(source);
    let found = source.canonicalize();
    let source = found.map_err(|error| bad(format!("{source:?}: {error}")))?;
    Ok(Volume {
        source,
        target: target.to_owned(),
        read_only,
    })
}

/// `NAME:IP`.
pub(super) fn host(text: &str) -> Result<(IpAddr, String)> {
    let pair = text
        .split_once(':')
        .map(|(name, ip)| (name, ip.trim_start_matches('[').trim_end_matches(']')));
    let found = pair.and_then(|(name, ip)| {
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        Some((ip.parse().ok().filter(|_| is_name)?, name.to_owned()))
    });
    found.ok_or_else(|| {
        Error::new(format!(
            "--add-host {text:?}: expected NAME:IP, such as db:10.1.0.5"
        ))
    })
}

/// `KEY=VALUE`.
pub(super) fn annotation(text: &str) -> Result<(String, Value)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), json!(value))),
        _ => Err(Error::new(format!(
            "--annotation {text:?}: expected KEY=VALUE"
        ))),
    }
}

/// Letters, digits, `-`, `_` and `.`, not first of all; at most 63.
pub(super) fn name(text: &str, option: &str) -> Result<String> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    let begins = text.starts_with(|char: char| char.is_ascii_alphanumeric());
    if begins && text.len() <= 63 && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(Error::new(format!(
        "{option} {text:?}: expected up to 63 letters, digits, \"-\", \"_\" and \".\", the first a letter or \
         digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_address_and_protocol() {
        let read = |text| {
            let it: Port = port(text).unwrap();
            let ip = it.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
            (ip, it.host, it.pod, it.protocol.as_str())
        };
        assert_eq!(read("8080:80"), (String::new(), 8080, 80, "tcp"));
        assert_eq!(
            read("127.0.0.1:53:5353/udp"),
            ("127.0.0.1".into(), 53, 5353, "udp")
        );
        assert_eq!(read("[::1]:1:2/SCTP"), ("::1".into(), 1, 2, "sctp"));
        for bad in ["", "80", "0:80", "80:65536", "x:1:2", "1:2/icmp", "a:b"] {
            let error = port(bad).unwrap_err();
            assert!(error.words.contains("8080:80"), "{bad}: {error}");
        }
    }

    #[test]
    fn no_port_of_the_host_leads_to_two_places() {
        let read =
            |texts: &[&str]| ports(&texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            read(&["53:53", "53:53/udp", "127.0.0.1:80:80", "127.0.0.2:80:81"])
                .unwrap()
                .len(),
            4
        );
        for bad in [["80:80", "80:81"], ["127.0.0.1:80:80", "80:81"]] {
            assert!(read(&bad).unwrap_err().words.contains("80/tcp"), "{bad:?}");
        }
    }

    #[test]
    fn rates_have_units() {
        let both = bandwidth("10M:20M").unwrap();
        assert_eq!(both["ingressRate"], 10_000_000);
        assert_eq!(both["egressRate"], 20_000_000);
        assert_eq!(bandwidth("64k").unwrap()["egressRate"], 64_000);
        for bad in ["", "0", "10X", "M", "1:", "99999999999999999999"] {
            assert!(bandwidth(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_volume_is_there_and_leads_somewhere_below_the_root() {
        let it = volume("/tmp:/data:ro").unwrap();
        assert!(it.read_only);
        assert_eq!(it.target, "/data");
        for bad in [
            "/tmp",
            "/tmp:data",
            "/tmp:/",
            "/nowhere:/x",
            "/tmp:/a/../b",
            "/tmp:/a:x",
        ] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }
}
