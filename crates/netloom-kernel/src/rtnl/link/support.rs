//! Whether the kernel has a kind of link, found out without making a link.

use std::fs;

use super::{
    IFLA_ADDRESS, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_NUM_TX_QUEUES, RTM_NEWLINK,
    header,
};
use crate::error::{Error, Result};
use crate::netlink::{NLM_F_CREATE, NLM_F_EXCL, Request};
use crate::rtnl::Socket;

const IFLA_BR_VLAN_PROTOCOL: u16 = 8;

/// A link that no kernel makes, of any kind: it has no queue to send by. Kernels look the kind up,
/// and have it look at its options, before they refuse that.
fn impossible(kind: &str) -> Request {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let object = format!("links of kind {kind}");
    let mut r = Request::new("ask for", object, RTM_NEWLINK, flags, &header(0, 0, 0));
    r.buffer.put_u32(IFLA_NUM_TX_QUEUES, 0);
    r
}

/// The aliases under which modules are found, of the kernel that runs; empty where they are not to
/// be seen.
fn module_aliases() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let file = format!("/lib/modules/{}/modules.alias", release.trim());
    fs::read_to_string(file).unwrap_or_default()
}

/// Whether a module brings this kind of link, and is loaded as soon as one is asked for.
fn is_in_a_module(kind: &str, aliases: &str) -> bool {
    let alias = format!("rtnl-link-{kind}");
    let second = |line: &str| line.split_ascii_whitespace().nth(1) == Some(&alias);
    aliases.lines().any(second)
}

impl Socket {
    /// Whether links of this kind, by the kernel's name for it, can be made.
    ///
    /// Whoever asks needs no privilege where the kernel has the kind already. A module that would
    /// be loaded by the first link is not loaded by this: `ifb` and `dummy` come with links. Only
    /// where the host's modules are not to be seen does the kernel look for one.
    ///
    /// # Errors
    /// `is_denied()` if only the privileged may know.
    pub fn has_link_kind(&self, kind: &str) -> Result<bool> {
        if self.is_kind_registered(kind)? || is_in_a_module(kind, &module_aliases()) {
            return Ok(true);
        }
        let mut request = impossible(kind);
        // The kinds refuse that by themselves, before the kernel thinks of making anything.
        request.buffer.put(IFLA_ADDRESS, &[0]);
        request
            .buffer
            .nest(IFLA_LINKINFO, |b| b.put_str(IFLA_INFO_KIND, kind));
        match self.execute(request) {
            Err(error) if error.errno() == libc::EINVAL => Ok(true),
            Err(error) if error.errno() == libc::EOPNOTSUPP => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new("ask for", kind, libc::EBADMSG)),
        }
    }

    /// Whether bridges can filter VLANs. It makes none.
    ///
    /// # Errors
    /// `is_denied()`: it is for the privileged; `is_unsupported()` if there are no bridges at all.
    pub fn has_vlan_filtering(&self) -> Result<bool> {
        let mut request = impossible("bridge");
        request.buffer.nest(IFLA_LINKINFO, |b| {
            b.put_str(IFLA_INFO_KIND, "bridge");
            // No VLAN protocol; who does not filter does not look at it.
            b.nest(IFLA_INFO_DATA, |b| {
                b.put(IFLA_BR_VLAN_PROTOCOL, &[0xff, 0xff]);
            });
        });
        match self.execute(request) {
            Err(error) if error.errno() == libc::EPROTONOSUPPORT => Ok(true),
            Err(error) if error.errno() == libc::EINVAL => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new("ask for", "VLAN filtering", libc::EBADMSG)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_in_a_module;

    #[test]
    fn a_kind_is_in_the_module_that_has_its_alias() {
        let aliases = "# Aliases\nalias rtnl-link-vlan 8021q\nalias rtnl-link-macvlan macvlan\n";
        assert!(is_in_a_module("vlan", aliases) && is_in_a_module("macvlan", aliases));
        assert!(!is_in_a_module("ipvlan", aliases) && !is_in_a_module("", aliases));
    }
}
