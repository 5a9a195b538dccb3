//! Knowing a lent device again: by its alias, by what the configuration calls it, and by the
//! address that ADD reported.
//!
//! A container may rename its links, change their addresses, and make others. So no single trait
//! decides, and on the host, where links of others bear aliases too, more is asked for than in the
//! pod.

use super::selector::Selector;
use super::sysfs::Sysfs;
use crate::wiring::record::{self, Record};
use netloom_kernel::rtnl::Link;
use netloom_spec::{AddResult, IfName};

/// What is known of the device of one attachment.
#[derive(Debug, Clone)]
pub(super) struct Loan<'a> {
    /// `CNI_IFNAME`.
    pub(super) if_name: &'a str,
    /// What the configuration calls it; `None` when that cannot be read.
    pub(super) selector: Option<Selector>,
    /// Its hardware address in the result of ADD.
    pub(super) address: Option<Vec<u8>>,
    /// What the host remembers: more than anything that the pod shows.
    pub(super) record: Option<Record>,
    /// The result of ADD.
    pub(super) made: Option<&'a AddResult>,
    /// Where devices are looked up.
    pub(super) sysfs: &'a Sysfs,
}

/// What was found in the pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InPod {
    /// The device, and its name on the host.
    Lent(Link, String),
    /// The device, but nothing tells its name on the host.
    Nameless(Link),
    /// It is not here.
    Absent,
}

/// What was found on the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OnHost {
    /// The device has its name already; only the alias is left.
    Marked(Link),
    /// The device, under another name than this, which is its own.
    Renamed(Link, String),
    /// Nothing is to be done here.
    Settled,
}

impl OnHost {
    /// The device, which has this name of its own.
    pub(super) fn of(link: Link, name: String) -> Self {
        if link.name == name {
            Self::Marked(link)
        } else {
            Self::Renamed(link, name)
        }
    }
}

impl Loan<'_> {
    /// Looks among the links of the pod.
    pub(super) fn in_pod(&self, links: Vec<Link>) -> InPod {
        let mut ours: Vec<Link> = links.into_iter().filter(|l| self.is_in_pod(l)).collect();
        // The best known comes first, and a device before what was made upon it.
        ours.sort_by_key(|link| {
            let unsure = self.opinion(link) != Some(true);
            (unsure, link.name != self.if_name, link.kind.is_some())
        });
        let Some(link) = ours.into_iter().next() else {
            return InPod::Absent;
        };
        match self.host_name(&link) {
            Some(name) => InPod::Lent(link, name),
            None => InPod::Nameless(link),
        }
    }

    fn is_in_pod(&self, link: &Link) -> bool {
        if link.flags.is_loopback() {
            return false;
        }
        let named = link.name == self.if_name;
        let reported = self.has_reported_address(link);
        let marked = alias_of(link).is_some();
        match self.opinion(link) {
            Some(true) => true,
            // With the alias gone the name and the address still tell.
            Some(false) => self.is_selected_by_name() && !marked && named && reported,
            None => marked && (named || reported) || named && reported,
        }
    }

    /// Looks among the links of the host.
    pub(super) fn on_host(&self, links: Vec<Link>) -> OnHost {
        let Some(link) = links.into_iter().find(|link| self.is_on_host(link)) else {
            return OnHost::Settled;
        };
        match alias_of(&link) {
            Some(alias) => {
                let name = self.remembered_name().unwrap_or(alias).to_owned();
                OnHost::of(link, name)
            }
            None => OnHost::Marked(link),
        }
    }

    /// The name on the host that ADD noted there.
    pub(super) fn remembered_name(&self) -> Option<&str> {
        self.record.as_ref()?.lent()
    }

    /// Whether the bus says that this is another device. A pod can take a link away and make one
    /// that has the same number, but none with a device behind it.
    pub(super) fn is_another(&self, link: &Link) -> bool {
        let by_bus = |selector: &Selector| {
            !matches!(selector, Selector::Name(_) | Selector::Address(_))
                && selector.is(link, self.sysfs) == Some(false)
        };
        link.flags.is_loopback() || self.selector.as_ref().is_some_and(by_bus)
    }

    fn is_on_host(&self, link: &Link) -> bool {
        let Some(alias) = alias_of(link) else {
            return false;
        };
        // The alias of what came back from a pod is the pod's word.
        let remembered = record::lent_name(link.index);
        if remembered.is_some_and(|name| name != self.remembered_name().unwrap_or(alias)) {
            return false;
        }
        let opinion = self.opinion(link);
        if alias == link.name {
            let reported = opinion.is_none() && self.has_reported_address(link);
            return opinion == Some(true) || reported;
        }
        if matches!(&self.selector, Some(Selector::Name(name)) if name == alias) {
            return true;
        }
        // Any link may have an alias from the administrator. What the kernel gives back is down,
        // and has the name of the pod's interface unless that is taken.
        let plausible = !link.flags.is_up() && self.is_name_of_returned(link);
        let known = opinion == Some(true) || self.has_reported_address(link);
        plausible && known && opinion != Some(false)
    }

    fn is_name_of_returned(&self, link: &Link) -> bool {
        let exactly_known = matches!(
            self.selector,
            Some(Selector::Pci(_) | Selector::Auxiliary(_) | Selector::KernelPath(_))
        ) && link.parent.is_some();
        exactly_known || came_back(link, self.if_name)
    }

    fn opinion(&self, link: &Link) -> Option<bool> {
        self.selector.as_ref()?.is(link, self.sysfs)
    }

    fn is_selected_by_name(&self) -> bool {
        matches!(self.selector, Some(Selector::Name(_)))
    }

    fn has_reported_address(&self, link: &Link) -> bool {
        self.address.as_ref().is_some_and(|a| link.address == *a)
    }

    fn host_name(&self, link: &Link) -> Option<String> {
        if let Some(name) = self.remembered_name() {
            return Some(name.to_owned());
        }
        if let Some(alias) = alias_of(link) {
            return Some(alias.to_owned());
        }
        match &self.selector {
            // An alternative name cannot be the name as well.
            Some(Selector::Name(name)) if !link.alternative_names.contains(name) => {
                Some(name.clone())
            }
            _ => None,
        }
    }
}

/// Whether the link is as the kernel gives back the device of a container that died: down, with
/// the name of the container's interface or, if the host has that, `dev` and a number.
pub(super) fn came_back(link: &Link, if_name: &str) -> bool {
    let number = link.name.strip_prefix("dev").unwrap_or_default();
    let substitute = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    !link.flags.is_up() && (link.name == if_name || substitute)
}

/// The alias, if it can be the name of a link.
pub(super) fn alias_of(link: &Link) -> Option<&str> {
    let alias = link.alias.as_deref()?;
    IfName::new(alias).is_ok().then_some(alias)
}
