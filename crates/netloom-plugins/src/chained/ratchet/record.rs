//! What is remembered of an attachment: its pod, its namespace, and the links that it asked for.
//!
//! A record is a hint. Whether a pod lives is asked of the kernel: the namespace at the path must be
//! the one that the record tells by device, inode and cookie, in this run of the kernel.

use super::keys::{Keys, put};
use super::link::{Link, LinkText};
use super::plan::Wanted;
use crate::wiring::SetupError;
use crate::wiring::owner::Owner;
use netloom_kernel::netns::{Netns, NetnsId};
use netloom_links::Place;
use netloom_spec::{Error, PluginConf, decode};
use serde_json::{Map, Value};

/// The form of records.
const FORM: u32 = 1;

/// One attachment, in a file of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    form: u32,
    network: String,
    container_id: String,
    if_name: String,
    /// As `namespace/name`; empty in one that is kept for its delegate alone.
    pub(super) pod: String,
    /// The run of the kernel.
    pub(super) boot: String,
    /// `CNI_NETNS` of ADD.
    netns: String,
    device: u64,
    inode: u64,
    /// 0 where the kernel tells none.
    cookie: u64,
    links: Vec<Noted>,
    /// Whether the pod takes links that others of its Kubernetes namespace ask for alone.
    pub(super) open: bool,
    /// The configuration that the delegate was called with.
    delegate: Option<Map<String, Value>>,
}

/// A link that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Noted {
    link: LinkText,
    alone: bool,
}

/// Whose a record is, and of which run of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub(super) owner: Owner<'a>,
    pub(super) boot: &'a str,
    /// `CNI_NETNS`.
    pub(super) netns: &'a str,
}

impl Record {
    /// One that has no links yet, only what DEL must call the delegate with.
    pub(super) fn begin(of: Of<'_>, delegate: Option<&PluginConf>) -> Self {
        Self {
            form: FORM,
            network: of.owner.network.to_owned(),
            container_id: of.owner.container_id.to_owned(),
            if_name: of.owner.if_name.to_owned(),
            boot: of.boot.to_owned(),
            netns: of.netns.to_owned(),
            delegate: delegate.map(|conf| conf.raw().clone()),
            ..Self::default()
        }
    }

    /// Reads one; `None` if it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let object = decode::parse_object(bytes).ok()?;
        Self::read(&Keys::of(&object, "record")).ok()
    }

    /// The same where it is an object in another file.
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, Error> {
        let noted = |keys: &Keys<'_>| {
            let link = keys.object("link")?;
            Ok(Noted {
                link: link
                    .as_ref()
                    .map(LinkText::read)
                    .transpose()?
                    .unwrap_or_default(),
                alone: keys.flag("alone")?,
            })
        };
        let links = keys.objects("links")?;
        let wide = |key: &'static str| keys.get(key).and_then(Value::as_u64).unwrap_or_default();
        Ok(Self {
            form: keys.number("form")?,
            network: keys.text("network")?,
            container_id: keys.text("containerID")?,
            if_name: keys.text("ifname")?,
            pod: keys.text("pod")?,
            boot: keys.text("boot")?,
            netns: keys.text("netns")?,
            device: wide("device"),
            inode: wide("inode"),
            cookie: wide("cookie"),
            links: links.iter().map(noted).collect::<Result<_, Error>>()?,
            open: keys.flag("open")?,
            delegate: keys.object("delegate")?.map(|keys| keys.whole().clone()),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let noted = |noted: &Noted| {
            let mut object = Map::new();
            put(&mut object, "link", noted.link.to_json());
            put(&mut object, "alone", noted.alone);
            Value::Object(object)
        };
        let mut object = Map::new();
        put(&mut object, "form", self.form);
        put(&mut object, "network", self.network.as_str());
        put(&mut object, "containerID", self.container_id.as_str());
        put(&mut object, "ifname", self.if_name.as_str());
        put(&mut object, "pod", self.pod.as_str());
        put(&mut object, "boot", self.boot.as_str());
        put(&mut object, "netns", self.netns.as_str());
        put(&mut object, "device", self.device);
        put(&mut object, "inode", self.inode);
        put(&mut object, "cookie", self.cookie);
        put(
            &mut object,
            "links",
            self.links.iter().map(noted).collect::<Value>(),
        );
        put(&mut object, "open", self.open);
        put(
            &mut object,
            "delegate",
            self.delegate.clone().map(Value::Object),
        );
        Value::Object(object).to_string().into_bytes()
    }

    /// Adds the pod and its links.
    pub(super) fn complete(&mut self, pod: &str, place: &Place, wanted: &[Wanted], open: bool) {
        let NetnsId { device, inode } = place.id();
        let noted = |wanted: &Wanted| Noted {
            link: wanted.link.text(),
            alone: wanted.alone,
        };
        self.pod = pod.to_owned();
        self.device = device;
        self.inode = inode;
        self.cookie = place.socket().namespace_cookie().unwrap_or_default();
        self.links = wanted.iter().map(noted).collect();
        self.open = open;
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> Owner<'_> {
        Owner {
            network: &self.network,
            container_id: &self.container_id,
            if_name: &self.if_name,
        }
    }

    pub(super) fn is_of(&self, owner: Owner<'_>) -> bool {
        self.form == FORM && self.owner() == owner
    }

    /// The links that it asks for, checked anew, each with whether it does so alone.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (Link, bool)> {
        self.links.iter().filter_map(|noted| {
            let link = Link::read(&noted.link, &self.pod, "record").ok()?;
            (link.own.pod == self.pod).then_some((link, noted.alone))
        })
    }

    /// The pods that it asks alone to be linked to.
    pub(super) fn asks_alone(&self) -> impl Iterator<Item = String> {
        self.wanted()
            .filter_map(|(link, alone)| alone.then_some(link.peer.pod))
    }

    /// The pod's namespace, if it lives.
    pub(super) fn open_place(&self, boot: &str) -> Result<Option<Place>, Error> {
        if self.boot != boot || self.pod.is_empty() {
            return Ok(None);
        }
        let Ok(netns) = Netns::open(&self.netns) else {
            return Ok(None);
        };
        let (device, inode) = (self.device, self.inode);
        let id = netns
            .id()
            .map_err(SetupError::kernel("identify a namespace"))?;
        if id != (NetnsId { device, inode }) {
            return Ok(None);
        }
        let words = format!("pod {:?}", self.pod);
        let place = Place::new(netns, words).map_err(super::failure)?;
        let cookie = place.socket().namespace_cookie().unwrap_or_default();
        Ok((cookie == self.cookie).then_some(place))
    }

    /// Whether it tells of this namespace.
    pub(super) fn is_in(&self, place: &Place) -> bool {
        let (device, inode) = (self.device, self.inode);
        place.id() == (NetnsId { device, inode })
    }

    /// The path of the namespace.
    pub(super) fn netns(&self) -> &str {
        &self.netns
    }

    /// The configuration that the delegate was called with.
    pub(super) fn delegate(&self) -> Option<PluginConf> {
        PluginConf::from_map(self.delegate.clone()?).ok()
    }

    /// The same, to be asked whether it is there.
    pub(super) fn has_delegate(&self) -> bool {
        self.delegate.is_some()
    }
}
