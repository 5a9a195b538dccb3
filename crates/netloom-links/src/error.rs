//! The one error of the crate.

use netloom_kernel::netns::OpenError;

/// The result of what is done with links.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a link is not as it was wanted. Prints as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be; nothing was changed. The words name the field, the value and
    /// what would be right.
    #[error("{0}")]
    Invalid(String),
    /// Something else bears a wanted name; nothing was changed.
    #[error(
        "{place} has an interface \"{name}\" that is not of this link ({found}); netloom leaves it as it is"
    )]
    Foreign {
        /// The namespace, in its user's words.
        place: String,
        /// The wanted name.
        name: String,
        /// What it is: its kind, and whose.
        found: String,
    },
    /// The kernel lacks what was asked for; nothing was changed.
    #[error("this kernel cannot {what}: it lacks {option}")]
    Unsupported {
        /// What was asked for: `make a vlan`.
        what: String,
        /// The option of its configuration: `CONFIG_VLAN_8021Q`.
        option: &'static str,
    },
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] netloom_kernel::Error),
    /// The kernel refused, and what had been made could not be removed either.
    #[error("{cause}; and what was made stays: {residue}")]
    NotUndone {
        /// The first failure.
        cause: Box<Error>,
        /// Why undoing failed.
        residue: Box<Error>,
    },
    /// A namespace could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Error {
    pub(crate) fn invalid(words: impl Into<String>) -> Self {
        Self::Invalid(words.into())
    }

    /// The option of the kernel that a kind of link, or of queueing discipline, comes with.
    pub(crate) fn option_of(kind: &str) -> &'static str {
        match kind {
            "vxlan" => "CONFIG_VXLAN",
            "macvlan" => "CONFIG_MACVLAN",
            "ipvlan" => "CONFIG_IPVLAN",
            "vlan" => "CONFIG_VLAN_8021Q",
            "dummy" => "CONFIG_DUMMY",
            "netem" => "CONFIG_NET_SCH_NETEM",
            "tbf" => "CONFIG_NET_SCH_TBF",
            _ => "CONFIG_VETH",
        }
    }
}
