//! What is asked of links: get, list, create, change, move, remove.

use std::os::fd::{AsFd, AsRawFd};

use super::{
    IFLA_ALT_IFNAME, IFLA_EXT_MASK, IFLA_GROUP, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_NET_NS_FD, IFLA_PROP_LIST, IFLA_TARGET_NETNSID, Link, LinkRef, RTM_DELLINK,
    RTM_DELLINKPROP, RTM_GETLINK, RTM_NEWLINK, RTM_NEWLINKPROP, header,
};
use crate::error::{Error, Result};
use crate::netlink::{
    Buffer, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL, Request,
};
use crate::netns::Netns;
use crate::rtnl::{Batch, LinkChange, LinkSpec, Socket};

/// Leaves the counters out of answers: they are most of their length.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

fn get(link: LinkRef<'_>) -> Request {
    let object = link.to_string();
    let mut r = Request::new(
        "get link",
        object,
        RTM_GETLINK,
        0,
        &header(link.index(), 0, 0),
    );
    link.put_name(&mut r.buffer);
    r.buffer.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    r
}

/// All links of the namespace.
pub(super) fn list() -> Request {
    let all = header(0, 0, 0);
    let mut r = Request::new("list", "links".into(), RTM_GETLINK, NLM_F_DUMP, &all);
    r.buffer.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    r
}

fn create(spec: &LinkSpec<'_>) -> Request {
    let up = if spec.up { libc::IFF_UP as u32 } else { 0 };
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
    let object = format!("\"{}\"", spec.name);
    let mut r = Request::new(
        "create link",
        object,
        RTM_NEWLINK,
        flags,
        &header(spec.index.unwrap_or(0), up, up),
    );
    spec.put(&mut r.buffer);
    r
}

fn set(link: LinkRef<'_>, change: &LinkChange<'_>) -> Request {
    let (flags, mask) = change.flags();
    let object = link.to_string();
    let head = header(link.index(), flags, mask);
    let mut r = Request::new("set link", object, RTM_NEWLINK, 0, &head);
    link.put_name(&mut r.buffer);
    change.put(&mut r.buffer);
    r
}

fn rename(index: u32, name: &str) -> Request {
    let object = format!("with index {index} to \"{name}\"");
    let mut r = Request::new("rename link", object, RTM_NEWLINK, 0, &header(index, 0, 0));
    r.buffer.put_str(IFLA_IFNAME, name);
    r
}

pub(super) fn remove(link: LinkRef<'_>) -> Request {
    let object = link.to_string();
    let mut r = Request::new(
        "remove link",
        object,
        RTM_DELLINK,
        // From Linux 6.2 on that says when the link is gone, before it is freed.
        NLM_F_ECHO,
        &header(link.index(), 0, 0),
    );
    link.put_name(&mut r.buffer);
    r.absent_is_success()
}

fn remove_group(group: u32) -> Request {
    let object = format!("in the group {group}");
    let mut r = Request::new("remove links", object, RTM_DELLINK, 0, &header(0, 0, 0));
    r.buffer.put_u32(IFLA_GROUP, group);
    r.absent_is_success()
}

fn add_alternative_name(index: u32, name: &str) -> Request {
    let object = format!("\"{name}\" to the link with index {index}");
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
    let head = header(index, 0, 0);
    let mut r = Request::new(
        "add alternative name",
        object,
        RTM_NEWLINKPROP,
        flags,
        &head,
    );
    r.buffer
        .nest(IFLA_PROP_LIST, |b| b.put_str(IFLA_ALT_IFNAME, name));
    r
}

/// The links of one kind, filtered by the kernel.
fn list_of_kind(kind: &str) -> Request {
    let object = format!("links of the kind {kind}");
    let mut r = Request::new("list", object, RTM_GETLINK, NLM_F_DUMP, &header(0, 0, 0));
    r.buffer.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    r.buffer
        .nest(IFLA_LINKINFO, |b| b.put_str(IFLA_INFO_KIND, kind));
    r
}

impl Socket {
    /// One link, by name or index, without a dump.
    ///
    /// # Errors
    /// `is_absent()` if there is none.
    pub fn get_link<'a>(&self, link: impl Into<LinkRef<'a>>) -> Result<Link> {
        let link = link.into();
        self.ask(get(link), |_, payload| Link::parse(payload))?
            .ok_or_else(|| Error::new("get link", link, libc::EBADMSG))
    }

    /// Like [`Socket::get_link`], with `None` for a link that does not exist.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn find_link<'a>(&self, link: impl Into<LinkRef<'a>>) -> Result<Option<Link>> {
        match self.get_link(link) {
            Ok(link) => Ok(Some(link)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All links of the namespace.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_links(&self) -> Result<Vec<Link>> {
        self.dump(list(), |_, payload| Link::parse(payload))
    }

    /// The links of one kind, by the kernel's name for it; filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_links_of_kind(&self, kind: &str) -> Result<Vec<Link>> {
        let r = list_of_kind(kind);
        let is_of_kind = |link: &Link| link.kind.as_ref().is_some_and(|own| own.name() == kind);
        self.dump(r, |_, payload| Link::parse(payload).filter(is_of_kind))
    }

    /// Whether the kernel has the kind of link, as it is: it filters by the kinds that it has. By
    /// any other it lists all links, of which there is `lo` at least.
    pub(super) fn is_kind_registered(&self, kind: &str) -> Result<bool> {
        let is_other = |link: &Link| link.kind.as_ref().is_none_or(|own| own.name() != kind);
        let others = self.dump(list_of_kind(kind), |_, payload| {
            Link::parse(payload).filter(is_other)
        })?;
        Ok(others.is_empty())
    }

    /// All links of another namespace, which this one knows by a number: see
    /// [`Socket::list_namespace_ids`].
    ///
    /// # Errors
    /// `is_absent()` or EINVAL if the number stands for no namespace (any more).
    pub fn list_links_of(&self, namespace_id: i32) -> Result<Vec<Link>> {
        let object = format!("links of the namespace known as {namespace_id}");
        let mut r = Request::new("list", object, RTM_GETLINK, NLM_F_DUMP, &header(0, 0, 0));
        r.buffer.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        r.buffer
            .put_u32(IFLA_TARGET_NETNSID, namespace_id.cast_unsigned());
        self.dump(r, |_, payload| Link::parse(payload))
    }

    /// The ports of a bridge, or members of a VRF or bond; filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_ports(&self, master: u32) -> Result<Vec<Link>> {
        let object = format!("ports of the link with index {master}");
        let mut r = Request::new("list", object, RTM_GETLINK, NLM_F_DUMP, &header(0, 0, 0));
        r.buffer.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        r.buffer.put_u32(IFLA_MASTER, master);
        self.dump(r, |_, payload| {
            Link::parse(payload).filter(|link| link.master == Some(master))
        })
    }

    /// Creates a link, and returns it as the kernel made it: with its index, its MAC address, and
    /// for a veth its peer's index in `lower`. One system call each way, no look-up.
    ///
    /// The kernel describes the link before it joins its master, so `master` is not set in the
    /// answer.
    ///
    /// # Errors
    /// `is_exists()` if the name is taken; `is_unsupported()` if the kernel lacks the kind.
    pub fn create_link(&self, spec: &LinkSpec<'_>) -> Result<Link> {
        let mut created = None;
        self.execute_with(create(spec), |header, payload| {
            if header.kind == RTM_NEWLINK {
                created = Link::parse(payload);
            }
        })?;
        match created {
            Some(link) => Ok(link),
            None => self.get_link(spec.name), // a kernel that does not echo
        }
    }

    /// Creates a link straight in another network namespace, over a lower link in this one
    /// (macvlan, ipvlan, vlan). Nothing is returned: ask a socket of that namespace.
    ///
    /// Kernels before 6.14 take a link of this namespace that bears the name for the one to create,
    /// unless the request says by its index which one it means. So where that is in the way the
    /// link gets an index that neither namespace uses.
    ///
    /// # Errors
    /// As [`Socket::create_link`].
    pub fn create_link_in(&self, netns: &Netns, spec: &LinkSpec<'_>) -> Result<()> {
        let create_with = |index| {
            let mut spec = spec.clone();
            spec.index = index;
            let mut request = create(&spec);
            put_netns(&mut request.buffer, netns);
            self.execute(request).map(drop)
        };
        match create_with(spec.index) {
            Err(error) if error.is_exists() && self.find_link(spec.name)?.is_some() => {}
            outcome => return outcome,
        }
        let first = unused_index();
        for index in first..first + INDEX_ATTEMPTS {
            match create_with(Some(index)) {
                Err(error) if error.is_busy() => {}
                outcome => return outcome,
            }
        }
        create_with(Some(first + INDEX_ATTEMPTS))
    }

    /// Changes a link.
    ///
    /// # Errors
    /// `is_absent()` if there is no such link.
    pub fn set_link<'a>(
        &self,
        link: impl Into<LinkRef<'a>>,
        change: &LinkChange<'_>,
    ) -> Result<()> {
        self.execute(set(link.into(), change)).map(drop)
    }

    /// Gives a link another name.
    ///
    /// # Errors
    /// `is_exists()` if the name is taken; EBUSY on old kernels if the link is up.
    pub fn rename_link(&self, index: u32, name: &str) -> Result<()> {
        self.execute(rename(index, name)).map(drop)
    }

    /// Gives a link one more name, of at most 127 bytes. It stays when the link is moved.
    ///
    /// # Errors
    /// `is_exists()` if a link of the namespace has the name; `is_unsupported()` before Linux 5.5.
    pub fn add_alternative_name(&self, index: u32, name: &str) -> Result<()> {
        self.execute(add_alternative_name(index, name)).map(drop)
    }

    /// Takes an alternative name from a link.
    ///
    /// # Errors
    /// If the link is not there or has no such name; before Linux 5.5 no link has any.
    pub fn remove_alternative_name(&self, index: u32, name: &str) -> Result<()> {
        let object = format!("\"{name}\" of the link with index {index}");
        let head = header(index, 0, 0);
        let mut r = Request::new("remove alternative name", object, RTM_DELLINKPROP, 0, &head);
        r.buffer
            .nest(IFLA_PROP_LIST, |b| b.put_str(IFLA_ALT_IFNAME, name));
        self.execute(r).map(drop)
    }

    /// Moves a link to another network namespace under another name, and changes it there: one
    /// message, in the course of which no other process sees it half done.
    ///
    /// If a step fails, the ones before it stay done. They are: the move, the name, the alias, the
    /// flags. The name of before may be taken in the other namespace.
    ///
    /// # Errors
    /// `is_exists()` if the name is taken there; it may have been moved then, under its old name.
    /// EINVAL if a link of this kind cannot be moved.
    pub fn move_link_as(
        &self,
        index: u32,
        netns: &Netns,
        name: &str,
        change: &LinkChange<'_>,
    ) -> Result<()> {
        let mut request = set(LinkRef::Index(index), change);
        request.operation = "move link";
        request.object = format!("with index {index} to {netns} as \"{name}\"");
        put_netns(&mut request.buffer, netns);
        request.buffer.put_str(IFLA_IFNAME, name);
        self.execute(request).map(drop)
    }
}

impl Socket {
    /// Removes all links of a group in one request: one wait of the kernel for all of them. Their
    /// veth peers go with them. `false` if there was none.
    ///
    /// # Errors
    /// EINVAL for group 0; EOPNOTSUPP if one of them cannot be removed, and then none is.
    pub fn remove_group(&self, group: u32) -> Result<bool> {
        self.execute(remove_group(group))
    }
}

/// How often another index is tried when a link of the other namespace has it.
const INDEX_ATTEMPTS: u32 = 8;

/// An index far above those that the kernel gives, different for each process.
fn unused_index() -> u32 {
    0x4000_0000 | (std::process::id() << 6) & 0x3fff_ffff
}

fn put_netns(buffer: &mut Buffer, netns: &Netns) {
    buffer.put_u32(IFLA_NET_NS_FD, netns.as_fd().as_raw_fd().cast_unsigned());
}

impl Batch<'_> {
    /// See [`Socket::create_link`]; [`Batch::commit`] returns the links created.
    pub fn create_link(&mut self, spec: &LinkSpec<'_>) -> &mut Self {
        self.push(create(spec))
    }

    /// See [`Socket::set_link`].
    pub fn set_link<'a>(
        &mut self,
        link: impl Into<LinkRef<'a>>,
        change: &LinkChange<'_>,
    ) -> &mut Self {
        self.push(set(link.into(), change))
    }

    /// See [`Socket::rename_link`].
    pub fn rename_link(&mut self, index: u32, name: &str) -> &mut Self {
        self.push(rename(index, name))
    }

    /// See [`Socket::create_link_in`], without its second tries; the links are not returned.
    pub fn create_link_in(&mut self, netns: &Netns, spec: &LinkSpec<'_>) -> &mut Self {
        let mut request = create(spec);
        put_netns(&mut request.buffer, netns);
        self.push(request)
    }

    /// See [`Socket::add_alternative_name`].
    pub fn add_alternative_name(&mut self, index: u32, name: &str) -> &mut Self {
        self.push(add_alternative_name(index, name))
    }

    /// See [`Socket::remove_link`].
    pub fn remove_link<'a>(&mut self, link: impl Into<LinkRef<'a>>) -> &mut Self {
        self.push(remove(link.into()))
    }
}
