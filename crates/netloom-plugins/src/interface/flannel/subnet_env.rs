//! `subnet.env`: what flanneld tells of this host's part of the network.
//!
//! Lines of `KEY=value`. Keys that nobody knows are flanneld's own business; a bad line of a known
//! key is an error that names it.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use crate::wiring::state_file;
use ipnet::IpNet;
use netloom_spec::{Error, code, net};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubnetEnv {
    /// All of the network, IPv4 first.
    pub(super) networks: Vec<IpNet>,
    /// The part of it that is this host's, IPv4 first.
    pub(super) subnets: Vec<IpNet>,
    /// In bytes.
    pub(super) mtu: u32,
    /// flanneld masquerades what leaves the network.
    pub(super) ip_masq: bool,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvError {
    #[error(
        "failed to load flannel 'subnet.env' file: open {}: no such file or directory. \
         Check the flannel pod log for this node.", .0.display()
    )]
    Missing(PathBuf),
    #[error("failed to load flannel 'subnet.env' file: read {}: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error(
        "failed to load flannel 'subnet.env' file: {} line {line}: {problem}", .path.display()
    )]
    Line {
        path: PathBuf,
        line: usize,
        problem: String,
    },
    #[error("failed to load flannel 'subnet.env' file: {} is missing {keys}", .path.display())]
    Incomplete { path: PathBuf, keys: String },
}

impl From<EnvError> for Error {
    fn from(error: EnvError) -> Self {
        let code = match &error {
            // flanneld writes it when it has a lease.
            EnvError::Missing(_) => code::TRY_AGAIN_LATER,
            EnvError::Unreadable { .. } => code::IO,
            EnvError::Line { .. } | EnvError::Incomplete { .. } => code::INVALID_CONFIG,
        };
        Self::new(code, error.to_string())
    }
}

/// What has been read so far; the last line of a key counts.
#[derive(Debug, Default)]
struct Lines {
    /// IPv4, IPv6.
    networks: [Vec<IpNet>; 2],
    subnets: [Option<IpNet>; 2],
    mtu: Option<u32>,
    ip_masq: Option<bool>,
}

impl SubnetEnv {
    pub(super) fn load(path: &Path) -> Result<Self, EnvError> {
        match state_file::read_configuration_text(path) {
            Ok(text) => Self::parse(&text, path),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                Err(EnvError::Missing(path.to_owned()))
            }
            Err(cause) => Err(EnvError::Unreadable {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, EnvError> {
        let mut lines = Lines::default();
        for (number, line) in text.lines().enumerate() {
            lines.read(line).map_err(|problem| EnvError::Line {
                path: path.to_owned(),
                line: number + 1,
                problem,
            })?;
        }
        lines.complete().map_err(|keys| EnvError::Incomplete {
            path: path.to_owned(),
            keys,
        })
    }
}

impl Lines {
    fn read(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        let value = || value.ok_or_else(|| format!("{key} has no value, expected {key}=value"));
        match key {
            "FLANNEL_NETWORK" => self.networks[0] = networks(key, value()?, true)?,
            "FLANNEL_IPV6_NETWORK" => self.networks[1] = networks(key, value()?, false)?,
            "FLANNEL_SUBNET" => self.subnets[0] = Some(network(key, value()?, true)?),
            "FLANNEL_IPV6_SUBNET" => self.subnets[1] = Some(network(key, value()?, false)?),
            "FLANNEL_MTU" => {
                let text = value()?;
                let mtu = text.bytes().all(|byte| byte.is_ascii_digit());
                let mtu = mtu.then(|| text.parse().ok()).flatten();
                let problem = || format!("{key}={text}: expected a number of bytes such as 1450");
                self.mtu = Some(mtu.ok_or_else(problem)?);
            }
            "FLANNEL_IPMASQ" => {
                self.ip_masq = Some(match value()? {
                    "true" => true,
                    "false" => false,
                    text => return Err(format!("{key}={text}: expected true or false")),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// All of it, or the names of what is missing.
    fn complete(self) -> Result<SubnetEnv, String> {
        let networks = self.networks.concat();
        let subnets: Vec<IpNet> = self.subnets.into_iter().flatten().collect();
        let mut missing = Vec::new();
        if networks.is_empty() {
            missing.extend(["FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"]);
        }
        if subnets.is_empty() {
            missing.extend(["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"]);
        }
        if self.mtu.is_none() {
            missing.push("FLANNEL_MTU");
        }
        if self.ip_masq.is_none() {
            missing.push("FLANNEL_IPMASQ");
        }
        match (self.mtu, self.ip_masq) {
            (Some(mtu), Some(ip_masq)) if missing.is_empty() => Ok(SubnetEnv {
                networks,
                subnets,
                mtu,
                ip_masq,
            }),
            _ => Err(missing.join(", ")),
        }
    }
}

/// Networks with commas between them, each once.
fn networks(key: &str, text: &str, v4: bool) -> Result<Vec<IpNet>, String> {
    let mut networks = Vec::new();
    for part in text.split(',') {
        let network = network(key, part, v4)?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

/// A network; host bits are cut off, for flanneld writes a gateway's address with them.
fn network(key: &str, text: &str, v4: bool) -> Result<IpNet, String> {
    let network = net::parse_cidr(text).map_err(|error| format!("{key}: {}", error.msg))?;
    if network.addr().is_ipv4() != v4 {
        let family = if v4 { "IPv4" } else { "IPv6" };
        return Err(format!("{key}={text}: expected an {family} network"));
    }
    Ok(network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n\
                         FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

    fn parse(text: &str) -> Result<SubnetEnv, String> {
        SubnetEnv::parse(text, Path::new("/e")).map_err(|error| {
            let text = error.to_string();
            let start = "failed to load flannel 'subnet.env' file: /e ";
            text.strip_prefix(start).unwrap_or(&text).to_owned()
        })
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_key_is_read_and_unknown_lines_are_not() {
        let env = parse(WHOLE).unwrap();
        let expected = SubnetEnv {
            networks: nets(&["10.244.0.0/16"]),
            subnets: nets(&["10.244.3.0/24"]),
            mtu: 1450,
            ip_masq: true,
        };
        assert_eq!(env, expected);
        let more = "\n# comment\nFLANNEL_NEW=thing\nFLANNEL_IPMASQ=false\r\n\
                    FLANNEL_NETWORK=10.1.0.0/16,10.2.0.0/16,10.1.0.0/16\n\
                    FLANNEL_IPV6_NETWORK=fd00:1::/48,fd00:2::/48\nFLANNEL_IPV6_SUBNET=fd00:1::1/64";
        let env = parse(&format!("{WHOLE}{more}")).unwrap();
        let networks = nets(&["10.1.0.0/16", "10.2.0.0/16", "fd00:1::/48", "fd00:2::/48"]);
        assert_eq!(env.networks, networks);
        assert_eq!(env.subnets, nets(&["10.244.3.0/24", "fd00:1::/64"]));
        assert!(!env.ip_masq, "the last line counts");
    }

    #[test]
    fn one_family_is_enough() {
        let v6 = "FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=fd00::/64\n\
                  FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false";
        assert_eq!(parse(v6).unwrap().subnets, nets(&["fd00::/64"]));
    }

    #[test]
    fn what_is_missing_is_listed() {
        assert_eq!(
            parse("").unwrap_err(),
            "is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, \
             FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ"
        );
        let without = WHOLE.replace("FLANNEL_MTU=1450\n", "");
        assert_eq!(parse(&without).unwrap_err(), "is missing FLANNEL_MTU");
    }

    #[test]
    fn a_bad_line_is_named_with_key_and_value_and_what_would_be_right() {
        for (line, told) in [
            (
                "FLANNEL_MTU",
                "FLANNEL_MTU has no value, expected FLANNEL_MTU=value",
            ),
            (
                "FLANNEL_MTU=",
                "FLANNEL_MTU=: expected a number of bytes such as 1450",
            ),
            (
                "FLANNEL_MTU=+9",
                "FLANNEL_MTU=+9: expected a number of bytes such as 1450",
            ),
            (
                "FLANNEL_MTU=4294967296",
                "FLANNEL_MTU=4294967296: expected a number",
            ),
            (
                "FLANNEL_IPMASQ=yes",
                "FLANNEL_IPMASQ=yes: expected true or false",
            ),
            (
                "FLANNEL_NETWORK=10.1.0.0",
                "FLANNEL_NETWORK: invalid CIDR address: \"10.1.0.0\"",
            ),
            (
                "FLANNEL_NETWORK=10.1.0.0/16,",
                "FLANNEL_NETWORK: invalid CIDR address: \"\"",
            ),
            (
                "FLANNEL_SUBNET=fd00::/64",
                "FLANNEL_SUBNET=fd00::/64: expected an IPv4 network",
            ),
            (
                "FLANNEL_IPV6_SUBNET=10.1.0.0/24",
                "expected an IPv6 network",
            ),
            ("FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_NETWORK has no value"),
        ] {
            let error = parse(&format!("{WHOLE}{line}\n")).unwrap_err();
            assert!(
                error.starts_with("line 5: ") && error.contains(told),
                "{error}"
            );
        }
    }
}
