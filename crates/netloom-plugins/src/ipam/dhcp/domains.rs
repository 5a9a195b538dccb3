//! Lists of domain names as DNS writes them (RFC 1035, sections 3.1 and 4.1.4).

/// What may be in a name that ends up in a resolv.conf.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// The names of a list in which later ones may point into earlier ones, as DHCP option 119 has it
/// (RFC 3397). It ends at the first thing that cannot be.
pub(super) fn compressed(list: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < list.len() {
        let Some((name, next)) = name(list, at) else {
            break;
        };
        names.push(name);
        at = next;
    }
    names
}

/// The name at an offset, and the offset after it.
fn name(list: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = start;
    let mut next = None;
    loop {
        let length = *list.get(at)?;
        match length >> 6 {
            0 if length == 0 => {
                let name = (!name.is_empty()).then_some(name)?;
                return Some((name, next.unwrap_or(at + 1)));
            }
            0 => {
                let label = list.get(at + 1..at + 1 + usize::from(length))?;
                if !label
                    .iter()
                    .all(|byte| is_name_byte(*byte) && *byte != b'.')
                {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(std::str::from_utf8(label).ok()?);
                // RFC 1035, section 2.3.4. It also ends what points at itself.
                if name.len() > 255 {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            3 => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*list.get(at + 1)?);
                next.get_or_insert(at + 2);
                // Only backwards, so that no pointers make a circle.
                at = Some(target).filter(|target| *target < at)?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::compressed;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_with_and_without_pointers() {
        // The example of RFC 3397, section 2.
        let list = b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04";
        assert_eq!(compressed(list), ["eng.apple.com", "marketing.apple.com"]);
    }

    #[test]
    fn what_cannot_be_ends_the_list() {
        for list in [
            &b"\x01a\0\xc0\x05"[..],
            b"\x01a\0\xc0\x03",
            b"\x01a\0\x03ab",
            b"\x01a\0\x02\n;\0",
            b"\x01a\0\0",
            b"\x01a\0\x80",
            b"\x01a\0\xc0",
        ] {
            assert_eq!(compressed(list), ["a"], "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(list in proptest::collection::vec(any::<u8>(), 0..600)) {
            for name in compressed(&list) {
                prop_assert!(!name.is_empty() && name.len() <= 255);
            }
        }
    }
}
