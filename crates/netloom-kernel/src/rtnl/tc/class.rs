//! Classes of htb.

use super::{Handle, Head, TCA_KIND, TCA_OPTIONS, header, put_kind, rate};
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, Request};
use crate::rtnl::{Batch, Socket};

const RTM_NEWTCLASS: u16 = 40;
const RTM_GETTCLASS: u16 = 42;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;

/// A class of htb to add. It has a rate of its own and borrows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSpec {
    /// The index of the link.
    pub link: u32,
    /// The discipline, or the class, that it is part of.
    pub parent: Handle,
    /// Its own.
    pub handle: Handle,
    /// In bytes per second.
    pub rate: u64,
    /// How long tokens are saved, see [`ticks`](super::ticks): what of `rate` may pass at once.
    pub buffer: u32,
    /// How many bytes it may send before another class has its turn.
    pub quantum: u32,
}

/// A class of htb as the kernel describes it.
pub type Class = ClassSpec;

impl ClassSpec {
    fn request(&self) -> Request {
        let object = format!("{} of the link with index {}", self.handle, self.link);
        let head = header(self.link, self.handle, self.parent, 0);
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let mut r = Request::new("add class", object, RTM_NEWTCLASS, flags, &head);
        put_kind(&mut r.buffer, "htb");
        let mut parameters = [0; 44];
        parameters[..12].copy_from_slice(&rate::spec(self.rate));
        parameters[12..24].copy_from_slice(&rate::spec(self.rate));
        parameters[24..28].copy_from_slice(&self.buffer.to_ne_bytes());
        parameters[28..32].copy_from_slice(&self.buffer.to_ne_bytes());
        parameters[32..36].copy_from_slice(&self.quantum.to_ne_bytes());
        r.buffer.nest(TCA_OPTIONS, |b| {
            b.put(TCA_HTB_PARMS, &parameters);
            if rate::is_long(self.rate) {
                b.put(TCA_HTB_RATE64, &self.rate.to_ne_bytes());
                b.put(TCA_HTB_CEIL64, &self.rate.to_ne_bytes());
            }
        });
        r
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let head = Head::parse(payload)?;
        let attributes = &payload[Head::LEN..];
        let kind = Attributes::find(attributes, TCA_KIND)?.string();
        if kind != "htb" {
            return None;
        }
        let options = Attributes::find(attributes, TCA_OPTIONS)?.value;
        let parameters = Attributes::find(options, TCA_HTB_PARMS)?.value;
        let long = Attributes::find(options, TCA_HTB_RATE64).and_then(|a| a.u64());
        Some(Self {
            link: head.link,
            parent: head.parent,
            handle: head.handle,
            rate: long.or_else(|| rate::parse(parameters))?,
            buffer: rate::word(parameters, 24)?,
            quantum: rate::word(parameters, 32)?,
        })
    }
}

impl Socket {
    /// Adds a class.
    ///
    /// # Errors
    /// `is_exists()` if there is one; `is_absent()` if there is no such parent.
    pub fn add_class(&self, spec: &ClassSpec) -> Result<()> {
        self.execute(spec.request()).map(drop)
    }

    /// A class of htb, without a dump. `None` if there is none.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn find_class(&self, link: u32, handle: Handle) -> Result<Option<Class>> {
        let object = format!("{handle} of the link with index {link}");
        let head = header(link, handle, Handle::default(), 0);
        // The kernel answers everybody who listens, and who asked only for this flag.
        let r = Request::new("get class", object, RTM_GETTCLASS, NLM_F_ECHO, &head);
        let mut found = None;
        let answered = self.execute_with(r, |header, payload| {
            if header.kind == RTM_NEWTCLASS {
                found = ClassSpec::parse(payload);
            }
        });
        match answered {
            Ok(_) => Ok(found),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Batch<'_> {
    /// See [`Socket::add_class`].
    pub fn add_class(&mut self, spec: &ClassSpec) -> &mut Self {
        self.push(spec.request())
    }
}
