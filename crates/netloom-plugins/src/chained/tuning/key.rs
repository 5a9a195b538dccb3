//! The names of sysctls, and what they stand for.

use crate::wiring::SetupError;
use crate::wiring::setup_error::invalid;
use netloom_spec::Error;

/// In a key it stands for the name of the attachment's interface.
pub(super) const IFNAME: &str = "IFNAME";

/// A key of `sysctl`, which stands for a file below `/proc/sys/net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// As the configuration has it; the allowlist looks at this.
    pub(super) spelled: String,
    /// Below `/proc/sys`. Where the key can be read in two ways the first that exists counts.
    pub(super) paths: Vec<String>,
}

impl Key {
    /// Reads a key. Dots and slashes both separate. In a key with both, the first one found does,
    /// and the other stands for itself or, where names need it, for the first, as in sysctl(8):
    /// `net/ipv4/conf/eth0.5/arp_filter` and `net.ipv4.conf.eth0/5.arp_filter`; if there is no such
    /// file, then both separate here as well.
    pub(super) fn parse(spelled: &str, if_name: &str) -> Result<Self, Error> {
        let mut paths = Vec::new();
        if spelled.contains('.') && spelled.contains('/') {
            let swapped = match spelled.find(['.', '/']).map(|at| &spelled[at..=at]) {
                Some(".") => spelled.chars().map(interchanged).collect(),
                _ => spelled.to_owned(),
            };
            paths.extend(path(&swapped, if_name));
        }
        paths.extend(path(&spelled.replace('.', "/"), if_name));
        if paths.is_empty() {
            return Err(invalid(format!(
                "invalid net sysctl key: {spelled:?} (must be below net, such as \
                 net.ipv4.conf.IFNAME.arp_filter)"
            )));
        }
        Ok(Self {
            spelled: spelled.to_owned(),
            paths,
        })
    }

    /// That the kernel has no such file, in the reference's words first.
    pub(super) fn absent(&self) -> SetupError {
        let path = self.paths.first().map_or("", String::as_str);
        SetupError::Mismatch(format!(
            "open /proc/sys/{path}: no such file or directory (sysctl {:?})",
            self.spelled
        ))
    }

    /// Whether both stand for one file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.paths.iter().any(|path| other.paths.contains(path))
    }
}

fn interchanged(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

/// The path below `/proc/sys`, if it is one below `net`.
fn path(key: &str, if_name: &str) -> Option<String> {
    let key = key.replacen(IFNAME, if_name, 1);
    let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
    let leaves = parts.iter().any(|part| matches!(*part, "." | ".."));
    let is_net = parts.len() > 1 && parts[0] == "net";
    (is_net && !leaves && !key.contains('\0')).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(key: &str, if_name: &str) -> Vec<String> {
        Key::parse(key, if_name).unwrap().paths
    }

    #[test]
    fn dots_and_slashes_separate() {
        for key in [
            "net.core.somaxconn",
            "net/core/somaxconn",
            "/net/core//somaxconn/",
        ] {
            assert_eq!(paths(key, "eth0"), ["net/core/somaxconn"], "{key}");
        }
        let mixed = paths("net/ipv4/conf/eth0.5/arp_filter", "eth0");
        assert_eq!(mixed[0], "net/ipv4/conf/eth0.5/arp_filter");
        assert_eq!(mixed[1], "net/ipv4/conf/eth0/5/arp_filter");
        let mixed = paths("net.ipv4.conf.eth0/5.arp_filter", "eth0");
        assert_eq!(mixed[0], "net/ipv4/conf/eth0.5/arp_filter");
        assert!(paths("net/ipv4.ip_forward", "eth0").contains(&"net/ipv4/ip_forward".into()));
    }

    #[test]
    fn the_interface_stands_where_it_is_meant_once_and_may_have_dots() {
        let dotted = paths("net.ipv4.conf.IFNAME.arp_filter", "eth0.5");
        assert_eq!(dotted, ["net/ipv4/conf/eth0.5/arp_filter"]);
        let once = paths("net.ipv4.conf.IFNAME.IFNAME", "a");
        assert_eq!(once, ["net/ipv4/conf/a/IFNAME"]);
    }

    #[test]
    fn no_key_leaves_net() {
        for key in [
            "",
            "net",
            "net.",
            "kernel.hostname",
            "netfilter.x",
            "/etc/passwd",
        ] {
            let error = Key::parse(key, "eth0").unwrap_err();
            let start = format!("invalid net sysctl key: {key:?}");
            assert!(error.msg.starts_with(&start), "{error}");
        }
        for key in [
            "net/../kernel/hostname",
            "net.//.kernel.hostname",
            "net/./../../etc/passwd",
            "..net.core.somaxconn/../../kernel/hostname",
            "net.ipv4.conf.IFNAME.x",
        ] {
            for if_name in ["eth0", "..", "."] {
                for path in Key::parse(key, if_name).map_or(Vec::new(), |key| key.paths) {
                    assert!(path.starts_with("net/"), "{key}: {path}");
                    assert!(
                        path.split('/').all(|part| part != ".." && part != "."),
                        "{key}: {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn two_spellings_of_one_sysctl_are_the_same() {
        let key = |text| Key::parse(text, "eth0").unwrap();
        let dotted = key("net.ipv4.conf.IFNAME.arp_filter");
        assert!(dotted.is_same(&key("net/ipv4/conf/eth0/arp_filter")));
        assert!(!dotted.is_same(&key("net/ipv4/conf/eth1/arp_filter")));
    }
}
