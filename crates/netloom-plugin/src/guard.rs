//! The guard against a runtime that names the host's own network namespace as the container's.

use netloom_spec::{Error, code};
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;

/// The namespace of the calling thread, which is the one its netlink sockets would work on.
const OWN: &str = "/proc/thread-self/ns/net";

/// Whether `CNI_NETNS` is the plugin's own namespace. A path that cannot be opened is not: the
/// plugin itself knows whether that is an error (ADD) or a container that is gone (DEL).
pub(crate) fn is_own_netns(netns: &str) -> Result<bool, Error> {
    let Ok(container) = metadata(netns) else {
        return Ok(false);
    };
    let own = metadata(OWN).map_err(|cause| {
        let msg = format!("cannot compare CNI_NETNS {netns:?} with the plugin's own netns");
        Error::new(code::INVALID_NETNS, msg).with_details(format!("{OWN}: {cause}"))
    })?;
    Ok((container.dev(), container.ino()) == (own.dev(), own.ino()))
}

/// Refuses an ADD to the plugin's own namespace.
///
/// The reference does this after the work is done and the result is printed; here it comes first,
/// so that the host's interfaces stay as they are.
pub(crate) fn refuse_own_netns(netns: &str) -> Result<(), Error> {
    if !is_own_netns(netns)? {
        return Ok(());
    }
    let msg = "plugin's netns and netns from CNI_NETNS should not be the same";
    Err(Error::new(code::INVALID_NETNS, msg).with_details(format!(
        "CNI_NETNS is {netns:?}; set CNI_NETNS_OVERRIDE=1 if this is meant, nothing was changed"
    )))
}
