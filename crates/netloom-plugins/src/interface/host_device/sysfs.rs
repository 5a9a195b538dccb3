//! What the kernel tells of devices in files.

use super::error::Failure;
use netloom_kernel::rtnl::Parent;
use std::fs;
use std::path::{Path, PathBuf};

/// A sysfs, at `/sys` unless a test made its own.
#[derive(Debug, Clone)]
pub(super) struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// The host's own.
    pub(super) fn of_host() -> Self {
        Self::at("/sys")
    }

    /// One below any directory.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn has_pci(&self, id: &str) -> bool {
        self.device("pci", id).exists()
    }

    pub(super) fn has_auxiliary(&self, id: &str) -> bool {
        self.device("auxiliary", id).exists()
    }

    /// The driver that a PCI device is bound to.
    pub(super) fn driver_of(&self, pci: &str) -> Option<String> {
        let driver = self.device("pci", pci).join("driver");
        name_of(&fs::canonicalize(driver).ok()?)
    }

    /// The links of a PCI device. Those of a virtio device are its child's.
    pub(super) fn links_of_pci(&self, id: &str) -> Result<Vec<String>, Failure> {
        let device = self.device("pci", id);
        if let Some(names) = entries(&device.join("net")) {
            return Ok(names);
        }
        let children = entries(&device).unwrap_or_default();
        children
            .iter()
            .filter(|child| child.starts_with("virtio"))
            .find_map(|child| entries(&device.join(child).join("net")))
            .ok_or_else(|| Failure::NoLinks(format!("pci device {id}")))
    }

    /// The links of an auxiliary device.
    pub(super) fn links_of_auxiliary(&self, id: &str) -> Result<Vec<String>, Failure> {
        entries(&self.device("auxiliary", id).join("net"))
            .ok_or_else(|| Failure::NoLinks(format!("auxiliary device {id}")))
    }

    /// The links of the device with this path, which begins with `/sys/devices/`.
    pub(super) fn links_of_path(&self, path: &str) -> Result<Vec<String>, Failure> {
        entries(&self.path(path).join("net")).ok_or_else(|| Failure::NoLinks(path.to_owned()))
    }

    pub(super) fn has_path(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Whether the device that a link is a port of is this one, or the virtio child of this one.
    pub(super) fn is_device(&self, parent: &Parent, id: &str) -> bool {
        match parent.bus.as_str() {
            "virtio" => self.device("pci", id).join(&parent.name).exists(),
            _ => parent.name == id,
        }
    }

    /// The PCI device that a link is a port of, at whatever remove.
    pub(super) fn pci_of(&self, parent: &Parent) -> Option<String> {
        if parent.bus == "pci" {
            return Some(parent.name.clone());
        }
        let path = fs::canonicalize(self.device(&parent.bus, &parent.name)).ok()?;
        path.ancestors()
            .filter_map(name_of)
            .find(|name| is_pci_address(name))
    }

    fn device(&self, bus: &str, id: &str) -> PathBuf {
        self.root.join("bus").join(bus).join("devices").join(id)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches("/sys/"))
    }
}

/// The names in a directory, in order; `None` if there is no such directory.
fn entries(directory: &Path) -> Option<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Some(names)
}

fn name_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

/// `0000:00:1f.6`
fn is_pci_address(name: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = name.split([':', '.']).collect();
    parts.len() == 4 && name.contains('.') && parts.into_iter().all(hex)
}
