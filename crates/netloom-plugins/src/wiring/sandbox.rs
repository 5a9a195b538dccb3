//! The pod's network namespace, as `CNI_NETNS` names it.

use super::SetupError;
use super::lock::{self, LockError};
use netloom_kernel::netns::{Netns, OpenError};
use netloom_kernel::rtnl::Socket;
use netloom_plugin::{Context, DelRequest};
use netloom_spec::{AddResult, Error, code};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// How long to wait for another call that works on the same pod. Such a call takes milliseconds. But a
/// process in the pod can take the lock too, and keep it for ever.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens the namespace for ADD and CHECK.
pub(crate) fn open(path: &str) -> Result<Netns, SetupError> {
    Netns::open(path).map_err(|cause| SetupError::Netns {
        path: path.to_owned(),
        cause,
    })
}

/// Opens the namespace of an attachment for DEL. `None` if it is gone. `None` too if the result of ADD has
/// the attachment in another namespace, which still exists: then `CNI_NETNS` is another pod's.
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
    // The two paths may lead to the same namespace.
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

/// A socket in the pod, and a lock on the pod's namespace, as the reference's sbr takes it. While it is
/// held, no other call that takes it looks for something free there, such as a routing table's number.
#[derive(Debug)]
pub(crate) struct LockedPod {
    pub(crate) socket: Socket,
    netns: Netns,
    /// `None` if somebody keeps the lock for ever.
    _lock: Option<OwnedFd>,
}

impl LockedPod {
    /// Waits for other calls that work on the pod. If the lock is not had in time, the call goes on
    /// without it, with a warning: a process in the pod must not be able to prevent the pod's DEL.
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

    /// Another socket, for undo: a socket on which a listing was broken off cannot list again.
    pub(crate) fn new_socket(&self) -> Result<Socket, SetupError> {
        enter(&self.netns)
    }
}
