//! Reading netlink attributes, tolerant of lengths that do not fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::align;

/// One attribute: its type without the flag bits, and its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    pub(crate) fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    pub(crate) fn u16(&self) -> Option<u16> {
        self.value.first_chunk().map(|b| u16::from_ne_bytes(*b))
    }

    pub(crate) fn u32(&self) -> Option<u32> {
        self.value.first_chunk().map(|b| u32::from_ne_bytes(*b))
    }

    pub(crate) fn u64(&self) -> Option<u64> {
        self.value.first_chunk().map(|b| u64::from_ne_bytes(*b))
    }

    pub(crate) fn i32(&self) -> Option<i32> {
        self.value.first_chunk().map(|b| i32::from_ne_bytes(*b))
    }

    pub(crate) fn be32(&self) -> Option<u32> {
        self.value.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    pub(crate) fn be64(&self) -> Option<u64> {
        self.value.first_chunk().map(|b| u64::from_be_bytes(*b))
    }

    /// The text up to the first NUL, with what is not UTF-8 replaced.
    pub(crate) fn string(&self) -> String {
        let end = self
            .value
            .iter()
            .position(|b| *b == 0)
            .unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// An IP address by the value's length.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(self.value) {
            return Some(Ipv4Addr::from(v4).into());
        }
        <[u8; 16]>::try_from(self.value)
            .ok()
            .map(|v6| Ipv6Addr::from(v6).into())
    }

    pub(crate) fn mac(&self) -> Option<[u8; 6]> {
        self.value.try_into().ok()
    }

    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// The attributes of a message or of a nest, in order.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The attributes behind a fixed header of `length` bytes.
    pub(crate) fn after(bytes: &'a [u8], length: usize) -> Self {
        Self {
            rest: bytes.get(align(length)..).unwrap_or_default(),
        }
    }

    /// The first attribute of a type.
    pub(crate) fn find(bytes: &'a [u8], kind: u16) -> Option<Attribute<'a>> {
        Self::new(bytes).find(|a| a.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let header = self.rest.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        // The two upper bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER.
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(align(length)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_past_the_end_or_too_short_ends_the_list() {
        assert_eq!(Attributes::new(&[9, 0, 1, 0, 1, 2]).count(), 0);
        assert_eq!(Attributes::new(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes::new(&[5, 0, 1, 0, 7]).count(), 1);
    }
}
