//! What can go wrong, and the CNI code of each.

use crate::wiring::SetupError;
use netloom_spec::{Error, code};

/// A failure of host-device. Its text is one line that names key, value and object.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "specify either \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\" \
         (or runtimeConfig.deviceID)"
    )]
    NoDevice,
    #[error(
        "failed to find host device: failed to parse MAC address {0:?}: address {0}: invalid MAC \
         address, expected for hwaddr 6, 8 or 20 bytes such as 00:00:5e:00:53:01"
    )]
    BadAddress(String),
    #[error(
        "kernelpath: kernel device path {0:?} must be absolute and begin with /sys/devices/, \
         without \"..\""
    )]
    BadKernelPath(String),
    #[error("{key}: {value:?} is no device's id, expected one such as 0000:00:1f.6")]
    BadId { key: &'static str, value: String },
    #[error(
        "runtime config DeviceID {0} not found or unsupported: neither a PCI nor an auxiliary \
         device of the host has this id"
    )]
    UnknownId(String),
    #[error("error with host device: PCI device {0} has no driver, bind one to it")]
    NoDriver(String),
    #[error("no net directory under {0}: its driver offers no network interface here")]
    NoLinks(String),
    #[error("failed to find host device: {0} in the host's network namespace")]
    NotFound(String),
    #[error("failed to find physical interface with hwaddr {0}")]
    NoSuchAddress(String),
    #[error(
        "failed to find original ifname for {0:?} (alias is not set): rename it and move it back \
         by hand"
    )]
    Nameless(String),
    #[error(
        "failed to rename device {link:?} to {name:?}: the host has another link of that name; it \
         stays where it is until that is gone"
    )]
    HostNameTaken { link: String, name: String },
    #[error("device {0} is neither on the host nor lent to a container")]
    Missing(String),
    #[error(transparent)]
    Wiring(#[from] SetupError),
}

impl Failure {
    fn code(&self) -> u32 {
        match self {
            Self::NoDevice | Self::BadAddress(_) | Self::BadKernelPath(_) | Self::BadId { .. } => {
                code::INVALID_CONFIG
            }
            Self::HostNameTaken { .. } => code::TRY_AGAIN_LATER,
            Self::Missing(_) => code::PLUGIN_NOT_AVAILABLE,
            Self::UnknownId(_)
            | Self::NoDriver(_)
            | Self::NoLinks(_)
            | Self::NotFound(_)
            | Self::NoSuchAddress(_)
            | Self::Nameless(_)
            | Self::Wiring(_) => code::INTERNAL,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Wiring(fault) => fault.into(),
            own => Self::new(own.code(), own.to_string()),
        }
    }
}
