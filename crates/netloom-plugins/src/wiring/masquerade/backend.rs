//! Which packet filter the masquerade goes to.

use netloom_kernel::iptables;

/// What the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackendChoice {
    /// `ipMasqBackend` is absent: whatever this host has.
    Any,
    /// `ipMasqBackend` names one.
    Only(Backend),
}

/// A packet filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Iptables,
    Nftables,
}

impl BackendChoice {
    /// Reads `ipMasqBackend`; the error is the whole message.
    pub(crate) fn parse(value: Option<&str>) -> Result<Self, String> {
        match value {
            None => Ok(Self::Any),
            Some("iptables") => Ok(Self::Only(Backend::Iptables)),
            Some("nftables") => Ok(Self::Only(Backend::Nftables)),
            Some(other) => Err(format!(
                "unknown ipmasq backend {other:?} (ipMasqBackend must be \"iptables\" or \"nftables\")"
            )),
        }
    }

    /// Decides for ADD. Without a wish it is iptables where that is installed, as in the
    /// Go reference; the answer comes from the file system, nothing is executed.
    pub(crate) fn for_add(self) -> Backend {
        match self {
            Self::Only(backend) => backend,
            Self::Any if iptables::is_available(iptables::Family::V4) => Backend::Iptables,
            Self::Any => Backend::Nftables,
        }
    }

    /// True when the configuration rules iptables out.
    pub(crate) fn excludes_iptables(self) -> bool {
        self == Self::Only(Backend::Nftables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_backend_is_refused_by_name() {
        let message = BackendChoice::parse(Some("ebtables")).unwrap_err();
        assert!(
            message.starts_with("unknown ipmasq backend \"ebtables\""),
            "{message}"
        );
        assert!(BackendChoice::parse(Some("")).is_err());
    }

    #[test]
    fn a_named_backend_is_taken_without_looking() {
        let choice = BackendChoice::parse(Some("nftables")).unwrap();
        assert_eq!(choice.for_add(), Backend::Nftables);
        assert!(choice.excludes_iptables());
        assert!(!BackendChoice::Any.excludes_iptables());
    }
}
