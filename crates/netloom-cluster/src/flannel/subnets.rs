//! The parts of the network that one host has, and the key that names them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A host's part of the pod network, of one family or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Subnets {
    /// The IPv4 part.
    pub v4: Option<Ipv4Net>,
    /// The IPv6 part.
    pub v6: Option<Ipv6Net>,
}

impl Subnets {
    /// Reads the last part of a key. `None` if flannel would not have written it so: host bits, leading
    /// zeroes and capital letters included, since two keys must never name one subnet.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        let (v4, v6) = match key.split_once('&') {
            Some((v4, v6)) => (v4, Some(v6)),
            None => (key, None),
        };
        let (address, length) = v4.split_once('-')?;
        let v4 = Ipv4Net::new(address.parse().ok()?, length.parse().ok()?).ok()?;
        let v6 = match v6.map(|text| text.rsplit_once('-')) {
            None => None,
            Some(None) => return None,
            Some(Some((address, length))) => {
                Some(Ipv6Net::new(address.parse().ok()?, length.parse().ok()?).ok()?)
            }
        };
        let subnets = Self {
            v4: (v4 != Self::NO_V4).then_some(v4),
            v6,
        };
        (subnets.key() == key && subnets.is_trimmed()).then_some(subnets)
    }

    /// What flannel writes where a network has no IPv4.
    const NO_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);

    fn is_trimmed(&self) -> bool {
        let mut parts = self.parts();
        self.parts().next().is_some() && parts.all(|net| net.trunc() == net)
    }

    /// The last part of the key.
    #[must_use]
    pub fn key(&self) -> String {
        let v4 = self.v4.unwrap_or(Self::NO_V4);
        let mut key = format!("{}-{}", v4.addr(), v4.prefix_len());
        if let Some(v6) = &self.v6 {
            key.push_str(&format!("&{}-{}", v6.addr(), v6.prefix_len()));
        }
        key
    }

    /// Each part, IPv4 first.
    pub fn parts(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.map(IpNet::V4);
        v4.into_iter().chain(self.v6.map(IpNet::V6))
    }

    /// The part of the family of an address.
    #[must_use]
    pub fn of_family(&self, like: IpAddr) -> Option<IpNet> {
        match like {
            IpAddr::V4(_) => self.v4.map(IpNet::V4),
            IpAddr::V6(_) => self.v6.map(IpNet::V6),
        }
    }
}

impl fmt::Display for Subnets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.parts().enumerate() {
            let separator = if number == 0 { "" } else { " and " };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_either_form_is_read_and_written_as_flannel_does() {
        for key in [
            "10.5.1.0-24",
            "10.5.1.0-24&fd00:5:0:1::-64",
            "0.0.0.0-0&fd00::-64",
        ] {
            let subnets = Subnets::of_key(key).unwrap_or_else(|| panic!("{key}"));
            assert_eq!(subnets.key(), key);
        }
        let both = Subnets::of_key("10.5.1.0-24&fd00::-64").unwrap();
        assert_eq!(both.to_string(), "10.5.1.0/24 and fd00::/64");
    }

    #[test]
    fn what_flannel_would_not_write_is_no_key() {
        let wrong = [
            "",
            "10.5.1.0",
            "10.5.1.0-33",
            "10.5.1.1-24",
            "10.5.1.0-024",
            "10.5.01.0-24",
            "10.5.1.0-24&",
            "10.5.1.0-24&fd00::",
            "10.5.1.0-24&FD00::-64",
            "10.5.1.0-24&fd00::1-64",
            "0.0.0.0-0",
            "config",
        ];
        for key in wrong {
            assert_eq!(Subnets::of_key(key), None, "{key}");
        }
    }
}
