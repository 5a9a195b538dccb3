//! Writing netlink messages into one growing buffer.

use super::{HEADER_LEN, align};

const NLA_F_NESTED: u16 = 0x8000;

/// One or more netlink messages, one after the other as they go on the wire.
///
/// Lengths are patched in as messages and nests are closed, so that nothing is copied twice.
#[derive(Debug, Default, Clone)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Where the message being written starts.
    start: usize,
}

impl Buffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            start: 0,
        }
    }

    /// Begins a message; whatever is written up to the next `begin` belongs to it.
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, header: &[u8]) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]); // sequence and port: the channel's
        self.bytes.extend_from_slice(header);
        self.pad();
        self.close(self.start);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).expect("an attribute is under 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self.close(self.start);
    }

    pub(crate) fn put_u8(&mut self, kind: u16, value: u8) {
        self.put(kind, &[value]);
    }

    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(crate) fn put_be64(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A string with the NUL that the kernel's policies want.
    pub(crate) fn put_str(&mut self, kind: u16, value: &str) {
        let length = u16::try_from(5 + value.len()).expect("an attribute is under 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.close(self.start);
    }

    /// An attribute of attributes; `raw` bytes (a fixed header inside it, as veth's peer has) may
    /// come first through [`Buffer::raw`].
    pub(crate) fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes
            .extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        inside(self);
        let length = u16::try_from(self.bytes.len() - at).expect("a nest is under 64 KiB");
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self.close(self.start);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self.close(self.start);
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }

    fn close(&mut self, start: usize) {
        let length = u32::try_from(self.bytes.len() - start).expect("a message is under 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        debug_assert!(length as usize >= HEADER_LEN);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attributes;
    use super::*;

    #[test]
    fn what_is_written_is_read_back_with_padding_and_nests() {
        let mut buffer = Buffer::default();
        buffer.begin(16, 5, &[1, 2, 3, 4]);
        buffer.put_str(3, "eth0");
        buffer.nest(18, |b| b.put_u8(1, 7));
        let bytes = buffer.bytes();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(
            u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize,
            bytes.len()
        );
        let attributes: Vec<_> = Attributes::new(&bytes[HEADER_LEN + 4..]).collect();
        assert_eq!(attributes[0].string(), "eth0");
        assert_eq!(attributes[1].kind, 18);
        assert_eq!(attributes[1].nested().next().unwrap().u8(), Some(7));
    }
}
