//! The configuration: `ipam`, and what `CNI_ARGS` add to it.

use super::error::DhcpError;
use netloom_plugin::{Error, PluginConf};
use netloom_spec::decode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the daemon listens unless told otherwise.
pub(super) const SOCKET: &str = "/run/cni/dhcp.sock";

/// An option can hold this many bytes.
const VALUE_MAX: usize = 255;

/// The wire form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    ipam: Option<Ipam>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ipam {
    daemon_socket_path: String,
    provide: Vec<Provide>,
    request: Vec<Request>,
    priority: u32,
    ipv4: bool,
    ipv6: bool,
}

impl Default for Ipam {
    fn default() -> Self {
        Self {
            daemon_socket_path: String::new(),
            provide: Vec::new(),
            request: Vec::new(),
            priority: 0,
            ipv4: true,
            ipv6: false,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Provide {
    option: String,
    value: String,
    from_arg: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    option: String,
    skip_default: bool,
}

/// What is asked of a server, and what is made of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// Codes of IPv4 options to ask for.
    pub(super) request: Vec<u8>,
    /// IPv4 options to send.
    pub(super) provide: Vec<(u8, Vec<u8>)>,
    /// The metric of every route; 0 for none.
    pub(super) priority: u32,
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
}

impl Wanted {
    /// Reads a configuration, and `CNI_ARGS`.
    pub(super) fn new(conf: &PluginConf, args: &str) -> Result<Self, Error> {
        let document: Document = conf.decode()?;
        let ipam = document.ipam.ok_or(DhcpError::NoIpam)?;
        if !ipam.ipv4 && !ipam.ipv6 {
            return Err(DhcpError::NoFamily.into());
        }
        Ok(Self {
            request: requested(&ipam.request)?,
            provide: provided(&ipam.provide, args)?,
            priority: ipam.priority,
            ipv4: ipam.ipv4,
            ipv6: ipam.ipv6,
        })
    }
}

/// Where the daemon listens. Needs no valid configuration, so that DEL can reach it.
pub(super) fn socket(conf: &PluginConf) -> PathBuf {
    let ipam = conf.get("ipam").and_then(|ipam| ipam.as_object());
    let path = ipam.and_then(|ipam| decode::get(ipam, "daemonSocketPath")?.as_str());
    path.filter(|path| !path.is_empty())
        .unwrap_or(SOCKET)
        .into()
}

/// The names of options (dhcp-options(5)); a number serves for all others.
const NAMES: &[(&str, u8)] = &[
    ("subnet-mask", 1),
    ("routers", 3),
    ("domain-name-servers", 6),
    ("host-name", 12),
    ("domain-name", 15),
    ("interface-mtu", 26),
    ("static-routes", 33),
    ("vendor-class-identifier", 60),
    ("dhcp-client-identifier", 61),
    ("user-class", 77),
    ("domain-search", 119),
    ("rfc3442-classless-static-routes", 121),
];

/// Fill, how options are laid out, what the message is, and the end: no options to ask for or send.
const RESERVED: [u8; 4] = [0, 52, 53, 255];

fn code(field: &'static str, index: usize, option: &str) -> Result<u8, DhcpError> {
    let named = NAMES.iter().find(|(name, _)| *name == option);
    let number = || option.parse().ok().filter(|_| !option.starts_with('+'));
    named
        .map(|(_, code)| *code)
        .or_else(number)
        .filter(|code| !RESERVED.contains(code))
        .ok_or_else(|| DhcpError::Option {
            field,
            index,
            option: option.to_owned(),
        })
}

/// What is asked for unless `skipDefault` says not to: all that the result can tell. Classless
/// routes must come before the router (RFC 3442).
const DEFAULT_REQUEST: [u8; 9] = [121, 249, 3, 33, 1, 6, 15, 119, 26];

/// What is asked for if nothing would be: a server that gets no list may send whatever it has.
const LAST_REQUEST: [u8; 1] = [1];

fn requested(request: &[Request]) -> Result<Vec<u8>, DhcpError> {
    let mut codes = Vec::new();
    for (index, request) in request.iter().enumerate() {
        if !request.option.is_empty() {
            codes.push(code("request", index, &request.option)?);
        }
    }
    if !request.iter().any(|request| request.skip_default) {
        codes.extend(DEFAULT_REQUEST);
    }
    if codes.is_empty() {
        codes.extend(LAST_REQUEST);
    }
    let mut seen = [false; 256];
    codes.retain(|code| !std::mem::replace(&mut seen[usize::from(*code)], true));
    Ok(codes)
}

fn provided(provide: &[Provide], args: &str) -> Result<Vec<(u8, Vec<u8>)>, DhcpError> {
    let mut options = Vec::new();
    for (index, provide) in provide.iter().enumerate() {
        let code = code("provide", index, &provide.option)?;
        let from_arg = argument(args, &provide.from_arg);
        let values = [
            Some(provide.value.as_str()).filter(|v| !v.is_empty()),
            from_arg,
        ];
        for value in values.into_iter().flatten() {
            if value.len() > VALUE_MAX {
                return Err(DhcpError::TooLong {
                    index,
                    option: provide.option.clone(),
                    length: value.len(),
                });
            }
            options.push((code, value.as_bytes().to_vec()));
        }
    }
    Ok(options)
}

/// A value from `CNI_ARGS`, of which dhcp knows no keys of its own: anything may be in there.
fn argument<'a>(args: &'a str, key: &str) -> Option<&'a str> {
    let pairs = args.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == key && !key.is_empty());
    values.next_back().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wanted(args: &str, ipam: Value) -> Result<Wanted, Error> {
        let conf = json!({"name": "n", "ipam": ipam});
        Wanted::new(&PluginConf::parse(conf.to_string().as_bytes())?, args)
    }

    #[test]
    fn all_that_a_result_can_tell_is_asked_for_classless_routes_first() {
        let wanted = wanted("", json!({"type": "dhcp"})).unwrap();
        assert_eq!(wanted.request, [121, 249, 3, 33, 1, 6, 15, 119, 26]);
        assert!(wanted.ipv4 && !wanted.ipv6 && wanted.provide.is_empty());
    }

    #[test]
    fn more_is_asked_for_by_name_or_number_and_the_defaults_can_be_left_out() {
        let more = json!({"request": [{"option": "42"}, {"option": "routers"}]});
        assert_eq!(
            wanted("", more).unwrap().request,
            [42, 3, 121, 249, 33, 1, 6, 15, 119, 26]
        );
        let only = json!({"request": [{"option": "42"}, {"skipDefault": true}]});
        assert_eq!(wanted("", only).unwrap().request, [42]);
        let nothing = json!({"request": [{"skipDefault": true}]});
        assert_eq!(wanted("", nothing).unwrap().request, [1]);
    }

    #[test]
    fn options_are_provided_from_values_and_from_arguments() {
        let ipam = json!({"provide": [
            {"option": "host-name", "value": "fixed", "fromArg": "K8S_POD_NAME"},
            {"option": "12", "fromArg": "ABSENT"},
            {"option": "60", "value": "vendor", "fromArg": ""},
        ]});
        let wanted = wanted("junk;=empty;K8S_POD_NAME=a=b", ipam).unwrap();
        let expected = [(12, &b"fixed"[..]), (12, b"a=b"), (60, b"vendor")];
        assert_eq!(
            wanted.provide,
            expected.map(|(code, value)| (code, value.to_vec()))
        );
    }

    #[test]
    fn every_bad_configuration_names_what_is_wrong() {
        let long = "x".repeat(256);
        for (ipam, code, words) in [
            (json!(null), 7, "ipam"),
            (
                json!({"provide": [{"option": "hostname"}]}),
                7,
                "Can not parse option \"hostname\"",
            ),
            (
                json!({"provide": [{"value": "x"}]}),
                7,
                "ipam.provide[0].option",
            ),
            (
                json!({"request": [{"option": "256"}]}),
                7,
                "ipam.request[0].option",
            ),
            (json!({"request": [{"option": "0"}]}), 7, "\"0\""),
            (json!({"request": [{"option": "+3"}]}), 7, "\"+3\""),
            (
                json!({"provide": [{"option": "53", "value": "x"}]}),
                7,
                "\"53\"",
            ),
            (
                json!({"provide": [{"option": "12", "value": long}]}),
                7,
                "value too long for option \"12\"",
            ),
            (
                json!({"request": [{"option": 3}]}),
                6,
                "ipam.request[0].option",
            ),
            (json!({"priority": "1"}), 6, "ipam.priority"),
            (json!({"daemonSocketPath": 1}), 6, "ipam.daemonSocketPath"),
            (json!({"ipv4": false}), 7, "ipam.ipv6"),
            (json!({"ipv6": "yes"}), 6, "ipam.ipv6"),
        ] {
            let error = wanted("", ipam.clone()).unwrap_err();
            assert_eq!(error.code, code, "{ipam}: {error}");
            assert!(error.to_string().contains(words), "{ipam}: {error}");
        }
        let ipam = json!({"provide": [{"option": "12", "fromArg": "A"}]});
        let error = wanted(&format!("A={long}"), ipam).unwrap_err();
        assert!(error.to_string().contains("256 bytes"), "{error}");
    }

    #[test]
    fn the_socket_is_found_in_a_configuration_that_is_wrong_otherwise() {
        let conf = |ipam| PluginConf::parse(json!({"ipam": ipam}).to_string().as_bytes()).unwrap();
        let odd = conf(json!({"DaemonSocketPath": "/x", "priority": "high"}));
        assert_eq!(socket(&odd), PathBuf::from("/x"));
        assert_eq!(socket(&conf(json!(null))), PathBuf::from(SOCKET));
    }
}
