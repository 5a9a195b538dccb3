//! Where the daemon listens: a socket of its own, or one passed by systemd.

use listenfd::ListenFd;
use rustix::fs::Mode;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error("Too many ({0}) FDs passed through socket activation, it must be 1")]
    TooMany(usize),
    #[error("the passed descriptor is not a listening unix socket: {0}")]
    Passed(io::Error),
    #[error("the passed socket is not one with a path: {0}")]
    PassedAddress(io::Error),
    #[error("another daemon listens at {}", .0.display())]
    Taken(PathBuf),
    #[error("listen unix {}: {cause}", path.display())]
    Listen { path: PathBuf, cause: io::Error },
}

/// Why nobody is listened to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a connection of uid {0} is refused: the daemon serves root")]
    Other(u32),
    #[error("a connection of nobody known is refused: {0}")]
    Unknown(rustix::io::Errno),
}

/// Root is listened to, and whoever runs the daemon. The socket may have been made by somebody else,
/// with a mode that lets others in.
pub(super) fn admit(stream: &UnixStream) -> Result<(), Refusal> {
    let peer = socket_peercred(stream).map_err(Refusal::Unknown)?;
    if peer.uid.is_root() || peer.uid == geteuid() {
        return Ok(());
    }
    Err(Refusal::Other(peer.uid.as_raw()))
}

/// The listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: UnixListener,
    pub(super) path: PathBuf,
    /// Whether the file is ours to remove.
    own: bool,
}

impl Listening {
    /// Takes the passed socket if there is one, else listens at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, ListenError> {
        let listening = match passed()? {
            Some(passed) => passed,
            None => Self::bind(path)?,
        };
        let nonblocking = listening.socket.set_nonblocking(true);
        nonblocking.map_err(|cause| ListenError::Listen {
            path: listening.path.clone(),
            cause,
        })?;
        Ok(listening)
    }

    /// Listens with mode 0600: whoever may call us can have any pod's link used. The file of a daemon
    /// that is no more is removed; what is no socket is somebody's file or link.
    fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |cause| ListenError::Listen {
            path: path.to_owned(),
            cause,
        };
        if let Some(parent) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(parent).map_err(failed)?;
        }
        match UnixStream::connect(path) {
            Ok(_) => return Err(ListenError::Taken(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let found = fs::symlink_metadata(path).map_err(failed)?;
                if !found.file_type().is_socket() {
                    return Err(failed(io::ErrorKind::AlreadyExists.into()));
                }
                fs::remove_file(path).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // The mode must be right from the first moment. There are no other threads.
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let socket = UnixListener::bind(path);
        rustix::process::umask(before);
        Ok(Self {
            socket: socket.map_err(failed)?,
            path: path.to_owned(),
            own: true,
        })
    }

    /// Removes the file, unless it is systemd's.
    pub(super) fn remove(self) -> io::Result<()> {
        if self.own {
            fs::remove_file(&self.path)
        } else {
            Ok(())
        }
    }
}

/// The socket passed by systemd (sd_listen_fds(3)): its variables are for the process they name.
fn passed() -> Result<Option<Listening>, ListenError> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => return Ok(None),
        1 => {}
        count => return Err(ListenError::TooMany(count)),
    }
    let socket = passed.take_unix_listener(0).map_err(ListenError::Passed)?;
    let Some(socket) = socket else {
        return Ok(None);
    };
    let address = socket.local_addr().map_err(ListenError::PassedAddress)?;
    let path = address.as_pathname().map(Path::to_owned);
    let path =
        path.ok_or_else(|| ListenError::PassedAddress(io::ErrorKind::InvalidInput.into()))?;
    Ok(Some(Listening {
        socket,
        path,
        own: false,
    }))
}
