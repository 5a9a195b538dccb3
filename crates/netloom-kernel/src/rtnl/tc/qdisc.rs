//! Queueing disciplines: add, find, remove.

use super::discipline::Discipline;
use super::{Handle, Head, TCA_KIND, TCA_OPTIONS, header};
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE, Request};
use crate::rtnl::{Batch, Socket};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
pub(super) const RTM_GETQDISC: u16 = 38;
/// The index of `lo`, which is the first link of every namespace.
const LOOPBACK: u32 = 1;

/// A queueing discipline to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QdiscSpec {
    /// The index of the link.
    pub link: u32,
    /// [`Handle::ROOT`], [`Handle::INGRESS`] or a class.
    pub parent: Handle,
    /// Its own, with a minor number of 0; [`Handle::OF_INGRESS`] at [`Handle::INGRESS`].
    pub handle: Handle,
    /// What it does.
    pub discipline: Discipline,
}

/// A queueing discipline as the kernel describes it.
pub type Qdisc = QdiscSpec;

impl QdiscSpec {
    fn parse(payload: &[u8]) -> Option<Self> {
        let head = Head::parse(payload)?;
        let attributes = &payload[Head::LEN..];
        let kind = Attributes::find(attributes, TCA_KIND)?.string();
        let options = Attributes::find(attributes, TCA_OPTIONS).map_or(&[][..], |a| a.value);
        Some(Self {
            link: head.link,
            parent: head.parent,
            handle: head.handle,
            discipline: Discipline::parse(&kind, options)?,
        })
    }
}

fn place(link: u32, parent: Handle) -> String {
    format!("at {parent} of the link with index {link}")
}

fn put(spec: &QdiscSpec, operation: &'static str, flags: u16) -> Request {
    let object = format!(
        "{} {}",
        spec.discipline.name(),
        place(spec.link, spec.parent)
    );
    let head = header(spec.link, spec.handle, spec.parent, 0);
    let mut r = Request::new(operation, object, RTM_NEWQDISC, flags, &head);
    spec.discipline.put(&mut r.buffer);
    r
}

fn add(spec: &QdiscSpec) -> Request {
    put(spec, "add qdisc", NLM_F_CREATE | NLM_F_EXCL)
}

fn replace(spec: &QdiscSpec) -> Request {
    put(spec, "replace qdisc", NLM_F_CREATE | NLM_F_REPLACE)
}

fn remove(link: u32, parent: Handle) -> Request {
    let head = header(link, Handle::default(), parent, 0);
    let object = place(link, parent);
    Request::new("remove qdisc", object, RTM_DELQDISC, 0, &head).absent_is_success()
}

impl Socket {
    /// Adds a queueing discipline.
    ///
    /// # Errors
    /// `is_exists()` if there is one that is not the kernel's own; `is_absent()` if there is no
    /// such link or parent, or the kernel lacks the kind.
    pub fn add_qdisc(&self, spec: &QdiscSpec) -> Result<()> {
        self.execute(add(spec)).map(drop)
    }

    /// Adds a queueing discipline, in the place of the one that is there.
    ///
    /// # Errors
    /// `is_absent()` if there is no such link or parent, or the kernel lacks the kind.
    pub fn replace_qdisc(&self, spec: &QdiscSpec) -> Result<()> {
        self.execute(replace(spec)).map(drop)
    }

    /// Whether the kernel has a kind of queueing discipline that wants options, as netem and tbf do.
    /// None is added.
    ///
    /// # Errors
    /// `is_denied()`: it is for the privileged.
    pub fn has_discipline(&self, kind: &str) -> Result<bool> {
        // Without its options the kind refuses to begin, and a kind that is not there is not found.
        let head = header(LOOPBACK, Handle::default(), Handle::ROOT, 0);
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let mut r = Request::new("ask for qdisc", kind.to_owned(), RTM_NEWQDISC, flags, &head);
        super::put_kind(&mut r.buffer, kind);
        match self.execute(r) {
            // EEXIST: somebody has one on `lo`, and nothing is known; the kind is asked for later.
            Err(error) if error.is_exists() || error.errno() == libc::EINVAL => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    /// Removes a queueing discipline with all that is below it: the kernel's own takes its place.
    /// `false` if there was none.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_qdisc(&self, link: u32, parent: Handle) -> Result<bool> {
        self.execute(remove(link, parent))
    }

    /// The queueing discipline at a place, without a dump. `None` if nobody added one (the kernel's
    /// own has no handle), and if there is no link.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn find_qdisc(&self, link: u32, parent: Handle) -> Result<Option<Qdisc>> {
        let head = header(link, Handle::default(), parent, 0);
        // The kernel answers everybody who listens, and who asked only for this flag.
        let object = place(link, parent);
        let r = Request::new("get qdisc", object, RTM_GETQDISC, NLM_F_ECHO, &head);
        let mut found = None;
        let answered = self.execute_with(r, |header, payload| {
            if header.kind == RTM_NEWQDISC {
                found = QdiscSpec::parse(payload);
            }
        });
        match answered {
            Ok(_) => Ok(found.filter(|own: &Qdisc| own.handle != Handle::default())),
            // It does not describe that of a link that was never up.
            Err(error) if error.is_absent() || error.errno() == libc::EINVAL => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Batch<'_> {
    /// See [`Socket::add_qdisc`].
    pub fn add_qdisc(&mut self, spec: &QdiscSpec) -> &mut Self {
        self.push(add(spec))
    }

    /// See [`Socket::replace_qdisc`].
    pub fn replace_qdisc(&mut self, spec: &QdiscSpec) -> &mut Self {
        self.push(replace(spec))
    }

    /// See [`Socket::remove_qdisc`].
    pub fn remove_qdisc(&mut self, link: u32, parent: Handle) -> &mut Self {
        self.push(remove(link, parent))
    }
}
