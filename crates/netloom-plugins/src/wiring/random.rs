//! Random names and MAC addresses.

use std::hash::{BuildHasher as _, RandomState};

/// Sixty-four random bits. Every `RandomState` has keys of its own, from getrandom(2).
fn bits() -> u64 {
    RandomState::new().hash_one(0)
}

/// A name for the host's end of a veth: `veth` and eight hexadecimal digits.
pub(crate) fn veth_name() -> String {
    format!("veth{:08x}", bits() >> 32)
}

/// A locally administered unicast MAC address. A link that was given its address keeps
/// it: a bridge does not follow its ports, and udev does not replace it.
pub(crate) fn mac() -> [u8; 6] {
    let [first, second, third, fourth, fifth, sixth, ..] = bits().to_be_bytes();
    [first & 0xfc | 0x02, second, third, fourth, fifth, sixth]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_addresses_differ_from_call_to_call() {
        let names: HashSet<_> = (0..100).map(|_| veth_name()).collect();
        let macs: HashSet<_> = (0..100).map(|_| mac()).collect();
        assert_eq!((names.len(), macs.len()), (100, 100));
        assert!(names.iter().all(|name| name.len() == 12));
        assert!(macs.iter().all(|mac| mac[0] & 3 == 2));
    }
}
