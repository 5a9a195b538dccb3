//! The pod's network namespace, as `CNI_NETNS` names it.

use super::Fault;
use netloom_kernel::netns::{Netns, OpenError};

/// Opens the namespace for ADD and CHECK.
pub(crate) fn open(path: &str) -> Result<Netns, Fault> {
    Netns::open(path).map_err(|cause| Fault::Netns {
        path: path.to_owned(),
        cause,
    })
}

/// Opens the namespace for DEL. `None` when it is gone: no path, nothing at the path, or
/// the plain file that is left of a bind mount.
pub(crate) fn open_if_there(path: Option<&str>) -> Result<Option<Netns>, Fault> {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    match Netns::open(path) {
        Ok(netns) => Ok(Some(netns)),
        Err(OpenError::NotFound { .. } | OpenError::NotANetns { .. }) => Ok(None),
        Err(cause) => Err(Fault::Netns {
            path: path.to_owned(),
            cause,
        }),
    }
}
