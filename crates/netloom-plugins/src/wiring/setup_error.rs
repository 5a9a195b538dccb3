//! What can go wrong with the wiring, and the CNI code of each.

use super::gateway::NoGateway;
use super::place::Place;
use netloom_kernel::netns::OpenError;
use netloom_spec::{Error, code};

/// A failure of the wiring. Its text is one line that names the object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// `CNI_NETNS` is no network namespace.
    #[error("failed to open netns {path:?}: {cause}")]
    Netns { path: String, cause: OpenError },
    /// The kernel refused something.
    #[error("{what}: {cause}")]
    Kernel {
        what: String,
        cause: netloom_kernel::Error,
    },
    /// A link of the bridge's name exists and is something else.
    #[error("failed to create bridge {0:?}: {0:?} already exists but is not a bridge")]
    NotABridge(String),
    /// The pod has an interface of that name already.
    #[error("container interface name ({name:?}) already exists in netns {netns:?}")]
    NameTaken { name: String, netns: String },
    /// The attachment exists, under another name or in another namespace.
    #[error(
        "container {container_id:?} is already attached to this network as {if_name:?} in netns \
         {netns:?}, which lives: DEL that attachment first"
    )]
    Attached {
        container_id: String,
        if_name: String,
        netns: String,
    },
    /// The host's side has another address than the gateway's.
    #[error(
        "{link:?} already has an IP address different from {wanted} ({found}): \
         remove it, or set forceAddress"
    )]
    OtherAddress {
        link: String,
        wanted: ipnet::IpNet,
        found: ipnet::IpNet,
    },
    /// The link that the pod's is to stand on.
    #[error(
        "failed to lookup master {name:?}: {}{cause} ({})",
        if cause.is_absent() { "Link not found: " } else { "" },
        place.words()
    )]
    NoMaster {
        name: String,
        place: Place,
        cause: netloom_kernel::Error,
    },
    /// `master` was left to the default route.
    #[error("no default route interface found {}: name one as \"master\"", .0.words())]
    NoDefaultRoute(Place),
    /// The IPAM plugin answered without addresses.
    #[error("IPAM plugin returned missing IP config")]
    NoAddresses,
    /// An address has no gateway and none can be computed.
    #[error(transparent)]
    NoGateway(#[from] NoGateway),
    /// A routed link needs to know its gateway.
    #[error("the IPAM plugin gave {0} without a gateway, and ptp routes everything through it")]
    MissingGateway(ipnet::IpNet),
    /// The link has an MTU with which the kernel has no IPv6.
    #[error("mtu {mtu} of {link:?} is too small for {address}: IPv6 needs at least 1280")]
    SmallMtu {
        link: String,
        mtu: u32,
        address: ipnet::IpNet,
    },
    /// CHECK: what exists is not what ADD made.
    #[error("{0}")]
    Mismatch(String),
}

impl SetupError {
    /// Says what was being done when the kernel refused.
    pub(crate) fn kernel(what: impl Into<String>) -> impl FnOnce(netloom_kernel::Error) -> Self {
        let what = what.into();
        move |cause| Self::Kernel { what, cause }
    }

    /// The same, with the key that the kernel refused in front.
    pub(crate) fn about(self, key: String) -> Self {
        match self {
            Self::Kernel { what, cause } => Self::Kernel {
                what: format!("{key}: {what}"),
                cause,
            },
            other => other,
        }
    }
}

impl From<SetupError> for Error {
    fn from(fault: SetupError) -> Self {
        let code = match &fault {
            SetupError::Netns { .. } => code::INVALID_NETNS,
            SetupError::NotABridge(_) | SetupError::SmallMtu { .. } => code::INVALID_CONFIG,
            SetupError::Kernel { .. }
            | SetupError::NameTaken { .. }
            | SetupError::Attached { .. }
            | SetupError::OtherAddress { .. }
            | SetupError::NoMaster { .. }
            | SetupError::NoDefaultRoute(_)
            | SetupError::NoAddresses
            | SetupError::NoGateway(_)
            | SetupError::MissingGateway(_)
            | SetupError::Mismatch(_) => code::INTERNAL,
        };
        Self::new(code, fault.to_string())
    }
}

/// What another program said, in one line: it is to be part of an error.
pub(crate) fn one_line(text: &str) -> String {
    let parts = text.split(char::is_control).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// A configuration error that names its field.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(code::INVALID_CONFIG, message)
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn what_another_program_said_is_one_line() {
        assert_eq!(one_line("Link not\r\n\r\n found\n"), "Link not found");
        assert_eq!(one_line("as it is"), "as it is");
    }
}
