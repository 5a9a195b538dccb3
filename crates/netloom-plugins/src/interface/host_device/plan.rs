//! What is to be done, from the configuration and what the host says of the device's driver.

use super::address;
use super::config::Config;
use super::error::Failure;
use super::selector::Selector;
use super::sysfs::Sysfs;
use netloom_spec::{Dns, Error, PluginConf};

/// Drivers that hand the device to a program in user space; it has no link then.
const USER_SPACE_DRIVERS: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// A valid request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The device.
    pub(super) selector: Selector,
    /// Its PCI address, where the configuration tells it.
    pub(super) pci: Option<String>,
    /// It has no link, so there is nothing to move.
    pub(super) user_space: bool,
    /// The DNS settings that replace those of the IPAM plugin.
    pub(super) dns: Option<Dns>,
}

impl Plan {
    pub(super) fn new(conf: &PluginConf, sysfs: &Sysfs) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        Ok(Self::of(&config, sysfs)?)
    }

    fn of(config: &Config, sysfs: &Sysfs) -> Result<Self, Failure> {
        let id = Id::of(config, sysfs)?;
        let selector = selector(config, id.as_ref())?;
        let pci = match id {
            Some(Id::Pci(id)) => Some(id),
            _ => None,
        };
        let user_space = match &pci {
            None => config.dpdk_mode,
            Some(id) => {
                let driver = sysfs.driver_of(id);
                let driver = driver.ok_or_else(|| Failure::NoDriver(id.clone()))?;
                USER_SPACE_DRIVERS.contains(&driver.as_str())
            }
        };
        Ok(Self {
            selector,
            pci,
            user_space,
            dns: config.dns.replacement(),
        })
    }
}

/// A device by its bus.
enum Id {
    Pci(String),
    Auxiliary(String),
}

impl Id {
    /// The id that the runtime allocated wins over the one that the configuration fixed.
    fn of(config: &Config, sysfs: &Sysfs) -> Result<Option<Self>, Failure> {
        let allocated = &config.runtime_config.device_id;
        let fixed = &config.pci_bus_id;
        if allocated.is_empty() {
            let id = (!fixed.is_empty()).then_some(fixed);
            return id
                .map(|id| checked("pciBusID", id).map(Self::Pci))
                .transpose();
        }
        let id = checked("runtimeConfig.deviceID", allocated)?;
        if sysfs.has_pci(&id) {
            Ok(Some(Self::Pci(id)))
        } else if sysfs.has_auxiliary(&id) {
            Ok(Some(Self::Auxiliary(id)))
        } else {
            Err(Failure::UnknownId(id))
        }
    }
}

/// An id is the name of a directory, and must not lead out of its parent.
fn checked(key: &'static str, id: &str) -> Result<String, Failure> {
    if matches!(id, "." | "..") || id.contains(['/', '\0']) {
        let value = id.to_owned();
        return Err(Failure::BadId { key, value });
    }
    Ok(id.to_owned())
}

/// Of several keys the first one counts.
fn selector(config: &Config, id: Option<&Id>) -> Result<Selector, Failure> {
    if !config.device.is_empty() {
        return Ok(Selector::Name(config.device.clone()));
    }
    if !config.hwaddr.is_empty() {
        let address = address::parse(&config.hwaddr);
        return address
            .map(Selector::Address)
            .ok_or_else(|| Failure::BadAddress(config.hwaddr.clone()));
    }
    if !config.kernelpath.is_empty() {
        return kernel_path(&config.kernelpath);
    }
    match id {
        Some(Id::Pci(id)) => Ok(Selector::Pci(id.clone())),
        Some(Id::Auxiliary(id)) => Ok(Selector::Auxiliary(id.clone())),
        None => Err(Failure::NoDevice),
    }
}

fn kernel_path(path: &str) -> Result<Selector, Failure> {
    let below = path.strip_prefix("/sys/devices/");
    let good = |below: &str| !below.contains('\0') && below.split('/').all(|part| part != "..");
    match below.is_some_and(good) {
        true => Ok(Selector::KernelPath(path.to_owned())),
        false => Err(Failure::BadKernelPath(path.to_owned())),
    }
}

#[cfg(test)]
mod tests;
