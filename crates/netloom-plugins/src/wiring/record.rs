//! What the host remembers of an attachment, where no pod can write: its namespace and its link.
//!
//! Root in a pod can change the names, aliases and addresses of its links, and the runtime may name
//! another namespace for DEL than for ADD. So ADD leaves a record: a symbolic link
//! `/run/cni/attachments/<hashes of network, interface and container>`. It leads nowhere; its target is
//! the text of the record. One system call writes it and one reads it, so it is never seen half written.
//! DEL or GC removes it.
//!
//! A missing record proves nothing: the attachment may be of the Go plugins or of an older netloom, or
//! /run could not be written. DEL then goes by what it sees.

use super::owner::{Owner, network_hash};
use super::{SetupError, sandbox, state_file};
use netloom_kernel::netns::{Netns, NetnsId};
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::{AddRequest, DelRequest, Found, Owned, Undo};
use netloom_spec::{Attachment, Error, code};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Gone after a reboot, as the namespaces are.
const DIRECTORY: &str = "/run/cni/attachments";
/// The form of a record.
const FORM: &str = "2";
/// The form of earlier records, which have neither interface nor container.
const NAMELESS_FORM: &str = "1";
/// The index of a link that is not known yet.
pub(crate) const UNKNOWN: u32 = 0;
/// Stands for a name that there is not.
const NONE: &str = "-";

/// What is known of one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    netns: NetnsId,
    /// The kernel's cookie of the namespace: a later namespace may have its inode, but never its cookie. 0
    /// where the kernel has no cookies.
    cookie: u64,
    /// The index of the link in the pod: the pod can change what else a link has.
    pub(crate) index: u32,
    /// The index on the host of the host's end of a veth, or of a device before it was lent; 0
    /// without.
    host_index: u32,
    /// The name on the host of a device that is lent.
    lent: Option<String>,
    /// Whose it is. The record's name has only hashes of it.
    attachment: Option<Attachment>,
    /// `CNI_NETNS` of ADD.
    path: String,
}

/// Finds another path to a namespace, whose path at ADD is gone.
pub type Elsewhere<'f> = dyn Fn(NetnsId) -> Result<Option<PathBuf>, Error> + 'f;

/// The links of an attachment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Links<'a> {
    /// The index in the pod.
    pub(crate) pod: u32,
    /// The index of the host's end of a veth, or of a device before it was lent.
    pub(crate) host: Option<u32>,
    /// The name on the host of a device that is lent.
    pub(crate) lent: Option<&'a str>,
}

impl Record {
    /// The record of an attachment, if there is one.
    pub(crate) fn of(owner: Owner<'_>) -> Option<Self> {
        read(&place(owner))
    }

    fn parse(text: &str) -> Option<Self> {
        let (form, rest) = text.split_once(' ')?;
        let names = match form {
            FORM => 2,
            NAMELESS_FORM => 0,
            _ => return None,
        };
        let mut words = rest.splitn(7 + names, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (device, inode, cookie) = (number()?, number()?, number()?);
        let mut index = || u32::try_from(number()?).ok();
        let (index, host_index) = (index()?, index()?);
        let lent = words.next()?;
        let mut attachment = || {
            let if_name = words.next()?.to_owned();
            let container_id = words.next()?.to_owned();
            Some(Attachment {
                container_id,
                if_name,
            })
        };
        let attachment = match names {
            0 => None,
            _ => Some(attachment()?),
        };
        Some(Self {
            netns: NetnsId { device, inode },
            cookie,
            index,
            host_index,
            lent: (lent != NONE).then(|| lent.to_owned()),
            attachment,
            path: words.next()?.to_owned(),
        })
    }

    fn text(&self) -> String {
        let NetnsId { device, inode } = self.netns;
        let (cookie, index, host_index) = (self.cookie, self.index, self.host_index);
        let lent = self.lent.as_deref().unwrap_or(NONE);
        let path = &self.path;
        let (form, names) = match &self.attachment {
            Some(it) => (FORM, format!(" {} {}", it.if_name, it.container_id)),
            None => (NAMELESS_FORM, String::new()),
        };
        format!("{form} {device} {inode} {cookie} {index} {host_index} {lent}{names} {path}")
    }

    /// The name on the host of the device that is lent.
    pub(crate) fn lent(&self) -> Option<&str> {
        self.lent.as_deref()
    }

    /// The index on the host of a lent device that the kernel gave back. It keeps that of the pod,
    /// which nobody else has here if it was the device's before.
    pub(crate) fn index_of_returned(&self) -> Option<u32> {
        let kept = self.lent.is_some() && [UNKNOWN, self.host_index].contains(&self.index);
        kept.then_some(self.host_index)
    }

    /// Whether this namespace, of which `inside` is a socket, is the attachment's.
    pub(crate) fn is_in(&self, netns: &Netns, inside: &Socket) -> bool {
        // Where the kernel tells no cookie, device and inode must do.
        let is_another = |cookie| self.is_certain() && cookie != self.cookie;
        self.is_at(netns) && !inside.namespace_cookie().is_some_and(is_another)
    }

    /// The same by device and inode alone. When the attachment's namespace is gone, another may have them.
    fn is_at(&self, netns: &Netns) -> bool {
        netns.id().is_ok_and(|id| id == self.netns)
    }

    /// Whether more than device and inode tell the namespace.
    pub(crate) fn is_certain(&self) -> bool {
        self.cookie != 0
    }

    /// The attachment's namespace, if it is still where it was at ADD.
    pub(crate) fn open(&self) -> Option<(Netns, Socket)> {
        self.open_at(Path::new(&self.path))
    }

    /// The attachment's namespace, if it is at this path.
    fn open_at(&self, path: &Path) -> Option<(Netns, Socket)> {
        let netns = Netns::open(path).ok()?;
        let inside = self.is_at(&netns).then(|| Socket::open_in(&netns))?.ok()?;
        self.is_in(&netns, &inside).then_some((netns, inside))
    }

    /// Whether the link that ADD made is in the namespace that it was made in.
    pub(crate) fn has_its_link(&self) -> bool {
        self.open()
            .is_some_and(|(_, inside)| self.is_linked(&inside))
    }

    fn is_linked(&self, inside: &Socket) -> bool {
        inside.find_link(self.index).is_ok_and(|it| it.is_some())
    }

    /// Whether the attachment is still in use, at whatever path its namespace is now: its link is there,
    /// or its wire leads into a namespace that lives. Before ADD has noted the link, it is enough that the
    /// namespace is there.
    fn is_in_use(&self, owner: Owner<'_>, elsewhere: &Elsewhere<'_>) -> Result<bool, Error> {
        let has_link = |inside: &Socket| self.index == UNKNOWN || self.is_linked(inside);
        if let Some((_, inside)) = self.open() {
            return Ok(has_link(&inside));
        }
        if self
            .is_wired(owner)
            .map_err(SetupError::kernel("failed to follow a wire"))?
        {
            return Ok(true);
        }
        let found = elsewhere(self.netns)?.and_then(|path| self.open_at(&path));
        Ok(found.is_some_and(|(_, inside)| has_link(&inside)))
    }

    /// Whether the attachment's wire leads into a namespace that lives.
    fn is_wired(&self, owner: Owner<'_>) -> netloom_kernel::Result<bool> {
        if self.host_index == 0 {
            return Ok(false);
        }
        let host = Socket::open()?;
        let other = self.host_end(&host, owner)?.and_then(|end| end.lower_netns);
        // The kernel lists nothing of a namespace that is ending.
        Ok(other.is_some_and(|number| host.list_all_addresses_of(number).is_ok()))
    }

    /// The host's end of the attachment's veth, by what the host gave it.
    pub(crate) fn host_end(
        &self,
        host: &Socket,
        owner: Owner<'_>,
    ) -> netloom_kernel::Result<Option<Link>> {
        if self.host_index == 0 {
            return Ok(None);
        }
        let found = host.find_link(self.host_index)?;
        let is_own = |link: &Link| owner.owns_wire(link.alias.as_deref()) == Some(true);
        Ok(found.filter(|link| link.is_veth() && is_own(link)))
    }

    /// Whether the attachment's namespace lives: it is where it was, or the wire into it is there.
    fn lives(&self, owner: Owner<'_>) -> bool {
        let wire = || self.host_end(&Socket::open()?, owner);
        self.open().is_some() || wire().is_ok_and(|end| end.is_some())
    }
}

/// Refuses an ADD if the attachment exists already, in another namespace that lives, or in this one
/// under another name of its link. The first one must stay as it is.
pub(crate) fn refuse_second(request: &AddRequest<'_>) -> Result<(), SetupError> {
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let Some(record) = Record::of(owner) else {
        return Ok(());
    };
    let netns = sandbox::open(request.netns)?;
    let attached = if record.is_at(&netns) {
        let inside = sandbox::enter(&netns)?;
        let link = inside.find_link(record.index);
        record.is_in(&netns, &inside) && link.is_ok_and(|link| link.is_some())
    } else {
        record.lives(owner)
    };
    if !attached {
        return Ok(());
    }
    Err(SetupError::Attached {
        container_id: owner.container_id.to_owned(),
        if_name: owner.if_name.to_owned(),
        netns: record.path,
    })
}

/// Leaves the record of a new attachment, and registers its removal. If it cannot be written, that is a
/// warning: the attachment works without it.
pub(crate) fn create<'r>(
    request: &AddRequest<'_>,
    netns: &Netns,
    inside: &Socket,
    links: Links<'_>,
    undo: &mut Undo<'r>,
) {
    note(request, netns, inside, links);
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let place = place(owner);
    undo.on_failure("forget the attachment", move || remove(&place));
}

/// Writes the record anew for an attachment whose link got another index.
pub(crate) fn note(request: &AddRequest<'_>, netns: &Netns, inside: &Socket, links: Links<'_>) {
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let place = place(owner);
    let write = || {
        let record = Record {
            netns: netns.id().map_err(io::Error::other)?,
            cookie: inside.namespace_cookie().unwrap_or_default(),
            index: links.pod,
            host_index: links.host.unwrap_or_default(),
            lent: links.lent.map(str::to_owned),
            attachment: Some(Attachment {
                container_id: owner.container_id.to_owned(),
                if_name: owner.if_name.to_owned(),
            }),
            path: request.netns.to_owned(),
        };
        write(&place, &record.text())
    };
    if let Err(error) = write() {
        let place = place.display();
        request.warn(&format!("cannot remember the attachment: {place}: {error}"));
    }
}

/// Removes the record of an attachment that is gone.
pub(crate) fn forget(owner: Owner<'_>) -> Result<(), Error> {
    remove(&place(owner))
}

/// Whether the attachment lives in another namespace than the one that DEL names. Then DEL must not
/// touch it, which is said on stderr.
pub(crate) fn lives_elsewhere(request: &DelRequest<'_>) -> bool {
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let Some(path) = request.netns else {
        return false;
    };
    // Nearly always the path is ADD's, and nothing else need be looked at.
    let Some(record) = Record::of(owner).filter(|record| record.path != path) else {
        return false;
    };
    let other = sandbox::open_if_there(Some(path)).ok().flatten();
    let is_elsewhere = other.is_some_and(|other| !record.is_at(&other)) && record.lives(owner);
    if is_elsewhere {
        request.warn(&format!(
            "container {:?} has its {:?} in {:?}, which lives, and CNI_NETNS is {path:?}: nothing of \
             that attachment is removed",
            owner.container_id, owner.if_name, record.path
        ));
    }
    is_elsewhere
}

/// The records of the network's attachments that are not valid any more. The record of a device that is
/// still lent stays, since the device is found by it.
pub(crate) const OWNED: Owned = Owned::of_network("record of an attachment", |scope, how| {
    let network = scope.network.as_str();
    let own = format!("{}-", network_hash(network));
    let valid: Vec<_> = (scope.valid.iter())
        .map(|attachment| place(Owner::of(network, attachment)))
        .collect();
    let is_of_network = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_str().is_some_and(|name| name.starts_with(&own))
    };
    let (mut found, mut removed) = (Vec::new(), Ok(()));
    for path in all()? {
        let record = read(&path);
        let is_lent = || {
            let mut record = record.iter();
            record.any(|record| record.lent.is_some() && record.open().is_some())
        };
        if !is_of_network(&path) || valid.contains(&path) || is_lent() {
            continue;
        }
        let netns = record.map(|record| record.path).unwrap_or_default();
        let what = format!("{}, of netns {netns:?}", path.display());
        found.push(Found::collectable(what));
        if how.removes() {
            removed = removed.and(remove(&path));
        }
    }
    removed.map(|()| found)
});

/// The attachments of the network that a record tells of and that are in use, whoever added them.
///
/// # Errors
/// If the records cannot be listed, the kernel does not tell, or `elsewhere` fails.
pub fn living(network: &str, elsewhere: &Elsewhere<'_>) -> Result<Vec<Attachment>, Error> {
    let mut living = Vec::new();
    for path in all()? {
        let Some(attachment) = read(&path).and_then(|record| record.attachment) else {
            continue;
        };
        // One of another name is another network's.
        let is_of_network = place(Owner::of(network, &attachment)) == path;
        if is_of_network && lives(network, &attachment, elsewhere)? {
            living.push(attachment);
        }
    }
    Ok(living)
}

/// Whether a record tells of an attachment, and it is in use.
///
/// # Errors
/// If the kernel does not tell, or `elsewhere` fails.
pub fn lives(
    network: &str,
    attachment: &Attachment,
    elsewhere: &Elsewhere<'_>,
) -> Result<bool, Error> {
    let owner = Owner::of(network, attachment);
    match Record::of(owner) {
        Some(record) => record.is_in_use(owner, elsewhere),
        None => Ok(false),
    }
}

/// The name on the host of the device that has this index there, if a record tells it: what came back
/// from a pod has the alias that the pod gave it.
pub(crate) fn lent_name(index: u32) -> Option<String> {
    let all = all().ok()?;
    let mut records = all.iter().filter_map(|path| read(path));
    records
        .find(|record| record.index_of_returned() == Some(index))?
        .lent
}

fn all() -> Result<Vec<PathBuf>, Error> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(DIRECTORY)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(failed("list", Path::new(DIRECTORY))),
    }
}

fn place(owner: Owner<'_>) -> PathBuf {
    Path::new(DIRECTORY).join(owner.nft_prefix())
}

fn read(place: &Path) -> Option<Record> {
    let target = fs::read_link(place).ok()?;
    Record::parse(target.to_str()?)
}

/// In the place of one that an attachment of that name left which is gone.
fn write(place: &Path, text: &str) -> io::Result<()> {
    match symlink(text, place) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            state_file::ensure_directory(Path::new(DIRECTORY))?;
            symlink(text, place)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(place)?;
            symlink(text, place)
        }
        outcome => outcome,
    }
}

fn remove(place: &Path) -> Result<(), Error> {
    match fs::remove_file(place) {
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(())
        }
        outcome => outcome.map_err(failed("remove", place)),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |cause| Error::new(code::IO, format!("cannot {operation} {path}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_anything_else_is_none() {
        let record = Record {
            netns: NetnsId {
                device: 4,
                inode: 4_026_532_345,
            },
            cookie: 77,
            index: 2,
            host_index: 9,
            lent: Some("nic0".to_owned()),
            attachment: Some(Attachment {
                container_id: "c1".to_owned(),
                if_name: "eth0".to_owned(),
            }),
            path: "/run/netns/a pod".to_owned(),
        };
        assert_eq!(Record::parse(&record.text()), Some(record.clone()));
        let wire = Record {
            lent: None,
            ..record.clone()
        };
        assert_eq!(Record::parse(&wire.text()), Some(wire));
        let former = Record {
            attachment: None,
            ..record
        };
        let text = "1 4 4026532345 77 2 9 nic0 /run/netns/a pod";
        assert_eq!(Record::parse(text), Some(former));
        for other in [
            "",
            "3 4 5 6 7 8 - eth0 c1 /p",
            "2 4 5 6 7 8 - /p",
            "1 4 5 6 7 - /p",
            "1 4 5 6 x 8 - /p",
            "1 4 5",
        ] {
            assert_eq!(Record::parse(other), None, "{other:?}");
        }
    }
}
