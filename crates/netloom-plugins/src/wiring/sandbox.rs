//! The pod's network namespace, as `CNI_NETNS` names it.

use super::SetupError;
use super::lock::{self, LockError};
use netloom_kernel::netns::{Netns, OpenError};
use netloom_kernel::rtnl::Socket;
use netloom_plugin::{Context, DelRequest};
use netloom_spec::{AddResult, Error, code};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// How long to wait for another call that works on the same pod. It takes milliseconds; but whoever is
/// in the pod can take the lock too, and keep it for ever.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens the namespace for ADD and CHECK.
pub(crate) fn open(path: &str) -> Result<Netns, SetupError> {
    Netns::open(path).map_err(|cause| SetupError::Netns {
        path: path.to_owned(),
        cause,
    })
}

/// Opens the namespace of an attachment that goes. `None` when it is gone, and when the result of
/// ADD has the attachment in another namespace that still exists: `CNI_NETNS` is another pod's.
pub(crate) fn of_attachment(
    request: &DelRequest<'_>,
    made: Option<&AddResult>,
) -> Result<Option<Netns>, SetupError> {
    let Some(netns) = open_if_there(request.netns)? else {
        return Ok(None);
    };
    let path = request.netns.unwrap_or_default();
    let if_name = request.if_name.as_str();
    let listed = made.and_then(|made| {
        let own = |i: &&netloom_spec::Interface| i.name == if_name && !i.sandbox.is_empty();
        made.interfaces.iter().find(own)
    });
    let Some(listed) = listed.filter(|listed| listed.sandbox != path) else {
        return Ok(Some(netns));
    };
    // One namespace may have several paths; of the other, if it is there, this one must be.
    let is_another = Netns::open(&listed.sandbox)
        .ok()
        .is_some_and(|other| !other.is_same(&netns).unwrap_or(true));
    Ok((!is_another).then_some(netns))
}

/// Opens the namespace for DEL. `None` when it is gone: no path, nothing at the path, or
/// the plain file that is left of a bind mount.
pub(crate) fn open_if_there(path: Option<&str>) -> Result<Option<Netns>, SetupError> {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    match Netns::open(path) {
        Ok(netns) => Ok(Some(netns)),
        Err(OpenError::NotFound { .. } | OpenError::NotANetns { .. }) => Ok(None),
        Err(cause) => Err(SetupError::Netns {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// A socket in the pod.
pub(crate) fn enter(netns: &Netns) -> Result<Socket, SetupError> {
    Socket::open_in(netns).map_err(SetupError::kernel("failed to enter the netns"))
}

/// A socket in the pod, and a promise that nobody else looks for something free there meanwhile:
/// the lock is that of the reference's sbr, on the namespace itself.
#[derive(Debug)]
pub(crate) struct LockedPod {
    pub(crate) socket: Socket,
    netns: Netns,
    /// `None` where somebody keeps it.
    _lock: Option<OwnedFd>,
}

impl LockedPod {
    /// Waits for the other calls that work on the pod. A process in the pod that keeps the lock must
    /// not keep the pod from being deleted: after a while it goes on without, and says so.
    pub(crate) fn enter(netns: Netns, context: &Context<'_>) -> Result<Self, Error> {
        let file = netns.as_fd().try_clone_to_owned().map_err(|cause| {
            let what = format!("cannot lock {:?}: {cause}", netns.path());
            Error::new(code::IO, what)
        })?;
        let lock = match lock::acquire(file, netns.path(), PATIENCE) {
            Ok(lock) => Some(lock),
            Err(held @ LockError::Held { .. }) => {
                context.warn(&format!("goes on without a lock: {held}"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            _lock: lock,
            socket: enter(&netns)?,
            netns,
        })
    }

    /// The pod's namespace.
    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Runs a closure in the pod's namespace.
    pub(crate) fn within<T>(&self, inside: impl FnOnce() -> T) -> Result<T, SetupError> {
        self.netns
            .run(inside)
            .map_err(SetupError::kernel("failed to enter the netns"))
    }

    /// Another socket, for undoing: one whose listing was broken off can list no more.
    pub(crate) fn new_socket(&self) -> Result<Socket, SetupError> {
        enter(&self.netns)
    }
}
