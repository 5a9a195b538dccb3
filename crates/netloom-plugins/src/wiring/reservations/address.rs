//! Addresses as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses for a message, with blanks between them.
pub(crate) fn listed(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

/// The address as a number; only comparable within one family.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address with that number, of the family of `like`. An IPv4 number is cut to 32 bits.
pub(crate) fn from_number(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// The next address, unless this is the last one of its family.
pub(crate) fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4
            .to_bits()
            .checked_add(1)
            .map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6
            .to_bits()
            .checked_add(1)
            .map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Whether both are IPv4 or both are IPv6.
pub(crate) fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_family_has_no_successor() {
        assert_eq!(successor("255.255.255.255".parse().unwrap()), None);
        assert_eq!(successor(Ipv6Addr::from_bits(u128::MAX).into()), None);
        assert_eq!(
            successor("10.0.0.255".parse().unwrap()),
            Some("10.0.1.0".parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn a_number_gives_back_its_address() {
        for text in ["0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "fd00::1:2"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(from_number(number(address), address), address);
        }
    }
}
