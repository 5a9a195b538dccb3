//! The messages (RFC 8415, section 8) and options (section 21).

pub(in super::super) const CLIENT_ID: u16 = 1;
pub(in super::super) const SERVER_ID: u16 = 2;
pub(in super::super) const IA_NA: u16 = 3;
pub(in super::super) const IA_ADDRESS: u16 = 5;
pub(in super::super) const REQUEST_LIST: u16 = 6;
pub(in super::super) const ELAPSED_TIME: u16 = 8;
pub(in super::super) const STATUS: u16 = 13;
/// RFC 3646.
pub(in super::super) const NAME_SERVERS: u16 = 23;
/// RFC 3646.
pub(in super::super) const SEARCH: u16 = 24;
pub(in super::super) const SOL_MAX_RT: u16 = 82;

/// What a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    Release = 8,
}

impl Kind {
    fn from_wire(code: u8) -> Option<Self> {
        let all = [
            Self::Solicit,
            Self::Advertise,
            Self::Request,
            Self::Renew,
            Self::Rebind,
            Self::Reply,
            Self::Release,
        ];
        all.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Options in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Options(Vec<(u16, Vec<u8>)>);

impl Options {
    pub(in super::super) fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    pub(in super::super) fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        let found = self.0.iter().filter(move |(other, _)| *other == code);
        found.map(|(_, value)| value.as_slice())
    }

    pub(in super::super) fn push(&mut self, code: u16, value: impl Into<Vec<u8>>) {
        self.0.push((code, value.into()));
    }

    /// Reads as many options as are whole.
    pub(in super::super) fn parse(mut rest: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some(([a, b, c, d], after)) = rest.split_first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            let Some((value, after)) = after.split_at_checked(length) else {
                break;
            };
            options.push(u16::from_be_bytes([*a, *b]), value);
            rest = after;
        }
        options
    }

    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (code, value) in &self.0 {
            out.extend_from_slice(&code.to_be_bytes());
            // All that is put here is short.
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
            out.extend_from_slice(value);
        }
        out
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Message {
    pub(in super::super) kind: Kind,
    /// 24 bits.
    pub(in super::super) xid: u32,
    pub(in super::super) options: Options,
}

impl Message {
    pub(in super::super) fn new(kind: Kind, xid: u32) -> Self {
        Self {
            kind,
            xid: xid & 0x00ff_ffff,
            options: Options::default(),
        }
    }

    /// Reads a message. `None` if it is none.
    pub(in super::super) fn parse(bytes: &[u8]) -> Option<Self> {
        let ([kind, a, b, c], rest) = bytes.split_first_chunk::<4>()?;
        Some(Self {
            kind: Kind::from_wire(*kind)?,
            xid: u32::from_be_bytes([0, *a, *b, *c]),
            options: Options::parse(rest),
        })
    }

    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.xid.to_be_bytes().to_vec();
        out[0] = self.kind as u8;
        out.extend(self.options.to_bytes());
        out
    }
}
