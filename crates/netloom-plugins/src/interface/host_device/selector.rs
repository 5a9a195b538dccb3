//! Which device is meant, and how it is known again.

use super::address;
use super::config::Config;
use super::error::Failure;
use super::sysfs::Sysfs;
use crate::wiring::{SetupError, record};
use netloom_kernel::rtnl::{Link, Socket};
use std::fmt;

/// What the configuration calls the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selector {
    /// `device`: its name on the host, or an alternative name.
    Name(String),
    /// `hwaddr`.
    Address(Vec<u8>),
    /// `kernelpath`.
    KernelPath(String),
    /// `pciBusID`, or a `deviceID` on the PCI bus.
    Pci(String),
    /// A `deviceID` on the auxiliary bus.
    Auxiliary(String),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Address(bytes) => write!(f, "with hwaddr {}", address::text(bytes)),
            Self::KernelPath(path) => write!(f, "{path:?}"),
            Self::Pci(id) => write!(f, "{id:?} on the PCI bus"),
            Self::Auxiliary(id) => write!(f, "{id:?} on the auxiliary bus"),
        }
    }
}

/// A device on the host.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// As it is now.
    pub(super) link: Link,
    /// Its name as the host knows it, which is the one to come back to.
    pub(super) host_name: String,
}

impl Selector {
    /// The selector of an attachment that goes: what it names need not exist any more.
    pub(super) fn remembered(config: &Config) -> Option<Self> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let id = given(&config.runtime_config.device_id).or_else(|| given(&config.pci_bus_id));
        if let Some(name) = given(&config.device) {
            return Some(Self::Name(name));
        }
        if !config.hwaddr.is_empty() {
            return address::parse(&config.hwaddr).map(Self::Address);
        }
        given(&config.kernelpath)
            .map(Self::KernelPath)
            .or_else(|| id.map(Self::Pci))
    }

    /// Finds the device. One that came back from a container that died counts as being there,
    /// under its name of before.
    pub(super) fn find(&self, host: &Socket, sysfs: &Sysfs) -> Result<Device, Failure> {
        let link = match self {
            Self::Name(name) => match get(host, name)? {
                Some(link) => link,
                None => returned(host, name)?.ok_or_else(|| self.not_found())?,
            },
            Self::Address(bytes) => list(host)?
                .into_iter()
                .find(|link| link.address == *bytes)
                .ok_or_else(|| Failure::NoSuchAddress(address::text(bytes)))?,
            Self::KernelPath(path) => self.first(host, sysfs.links_of_path(path)?)?,
            Self::Pci(id) => self.first(host, sysfs.links_of_pci(id)?)?,
            Self::Auxiliary(id) => self.first(host, sysfs.links_of_auxiliary(id)?)?,
        };
        let host_name = match self {
            Self::Name(name) if link.alias.as_ref() == Some(name) => name.clone(),
            Self::Name(name) if remembered_as(&link, name) => name.clone(),
            _ => link.name.clone(),
        };
        Ok(Device { link, host_name })
    }

    /// The first of these names that is a link of the host.
    fn first(&self, host: &Socket, names: Vec<String>) -> Result<Link, Failure> {
        for name in names {
            if let Some(link) = get(host, &name)? {
                return Ok(link);
            }
        }
        Err(self.not_found())
    }

    fn not_found(&self) -> Failure {
        Failure::NotFound(format!("no link of device {self}"))
    }

    /// Whether a link, wherever it is and whatever it is called there, is this device; `None` if
    /// it does not show.
    pub(super) fn is(&self, link: &Link, sysfs: &Sysfs) -> Option<bool> {
        let port_of = |id: &str| link.parent.as_ref().map(|p| sysfs.is_device(p, id));
        match self {
            Self::Name(name) => {
                let alternative = link.alternative_names.contains(name);
                Some(alternative || link.alias.as_ref() == Some(name))
            }
            Self::Address(bytes) => match link.permanent_mac {
                _ if link.address == *bytes => Some(true),
                Some(permanent) => Some(permanent[..] == bytes[..]),
                // A container may have given it another one.
                None => None,
            },
            Self::KernelPath(path) => {
                let name = path.trim_end_matches('/').rsplit('/').next();
                let parent = link.parent.as_ref();
                parent.map(|parent| name == Some(parent.name.as_str()))
            }
            Self::Pci(id) | Self::Auxiliary(id) => port_of(id),
        }
    }
}

/// The link that the kernel gave back under the name it had in its container.
fn returned(host: &Socket, host_name: &str) -> Result<Option<Link>, Failure> {
    let is = |link: &Link| match record::lent_name(link.index) {
        Some(name) => name == host_name,
        None => link.alias.as_deref() == Some(host_name),
    };
    Ok(list(host)?.into_iter().find(is))
}

fn remembered_as(link: &Link, name: &str) -> bool {
    link.name != name && record::lent_name(link.index).is_some_and(|own| own == name)
}

fn get(host: &Socket, name: &str) -> Result<Option<Link>, SetupError> {
    host.find_link(name).map_err(SetupError::kernel(format!(
        "failed to find host device {name:?}"
    )))
}

pub(super) fn list(socket: &Socket) -> Result<Vec<Link>, SetupError> {
    socket
        .list_links()
        .map_err(SetupError::kernel("failed to list the links"))
}
