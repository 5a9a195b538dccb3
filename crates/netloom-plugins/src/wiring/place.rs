//! In which namespace the master of a link is.

/// Where `master` of macvlan, ipvlan and vlan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the host.
    Host,
    /// In the pod: `linkInContainer`.
    Pod,
}

impl Place {
    /// Reads `linkInContainer`.
    pub(crate) fn new(link_in_container: bool) -> Self {
        if link_in_container {
            Self::Pod
        } else {
            Self::Host
        }
    }

    /// For messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Host => "on the host",
            Self::Pod => "in the container",
        }
    }
}
