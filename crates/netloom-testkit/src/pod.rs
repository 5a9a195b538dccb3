//! A pod: a named network namespace, and whatever a container would be to a plugin.

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::thread::UnshareFlags;

use crate::namespace::{detach, shell};
use crate::{namespace, traffic};

const DIRECTORY: &str = "/run/netns";

/// A network namespace under `/run/netns` with a container id. Dropping it unmounts and removes
/// the file; the namespace goes with its last user.
pub struct Pod {
    name: String,
    path: PathBuf,
    /// Keeps the namespace alive; `None` once the pod has been removed.
    netns: Mutex<Option<File>>,
}

impl Pod {
    pub(crate) fn create(name: &str) -> Self {
        let path = Path::new(DIRECTORY).join(name);
        File::create_new(&path).unwrap_or_else(|error| panic!("cannot make {path:?}: {error}"));
        // A namespace is born in a thread that then ends; the bind mount keeps it.
        let (tell, told) = mpsc::channel();
        let target = path.clone();
        std::thread::spawn(move || {
            let made = namespace::unshare(UnshareFlags::NEWNET)
                .and_then(|()| mount_bind("/proc/thread-self/ns/net", &target));
            let _ = tell.send(made);
        })
        .join()
        .unwrap_or_else(|_| panic!("the thread that makes {path:?} panicked"));
        match told.recv() {
            Ok(Ok(())) => {}
            other => panic!("cannot make the network namespace {path:?}: {other:?}"),
        }
        Self {
            name: name.to_owned(),
            netns: Mutex::new(Some(namespace::open(&path))),
            path,
        }
    }

    /// The name given to [`Host::pod`](crate::Host::pod).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path a runtime passes as `CNI_NETNS`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The container id that the driver passes as `CNI_CONTAINERID`.
    #[must_use]
    pub fn container_id(&self) -> String {
        format!("id-of-{}", self.name)
    }

    /// Runs `work` in a thread inside the pod's network namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        namespace::run_in(&self.netns(), work)
    }

    /// Runs a shell line inside the pod and gives back its stdout; panics if it fails.
    pub fn sh(&self, line: &str) -> String {
        self.run(|| shell(line))
    }

    /// Runs `ip` with these blank-separated arguments inside the pod; panics if it fails.
    pub fn ip(&self, arguments: &str) -> String {
        self.sh(&format!("ip {arguments}"))
    }

    /// Whether an ICMP echo to `address` is answered within two seconds.
    #[must_use]
    pub fn pings(&self, address: impl Into<IpAddr>) -> bool {
        let address = address.into();
        self.run(|| traffic::ping(address))
    }

    /// Opens a TCP connection from this pod to a server in `server`, which listens at `address`,
    /// and gives back the source address that the server saw: after a masquerade, not the pod's.
    ///
    /// # Errors
    /// The text of what went wrong: no connection within two seconds.
    pub fn source_seen_by(
        &self,
        server: &Self,
        address: impl Into<IpAddr>,
    ) -> Result<IpAddr, String> {
        let address = address.into();
        let listener = server.run(|| traffic::listen(address))?;
        let client = self.run(|| traffic::connect(&listener))?;
        traffic::peer_of(&listener, &client)
    }

    /// A file that stands for the pod's network namespace.
    ///
    /// # Panics
    /// If the pod has been removed.
    #[must_use]
    pub fn netns(&self) -> File {
        let netns = self.netns.lock();
        let netns = netns.unwrap_or_else(|_| panic!("a thread panicked with a pod in its hands"));
        match netns.as_ref().map(File::try_clone) {
            Some(Ok(file)) => file,
            other => panic!("pod {} has no network namespace: {other:?}", self.name),
        }
    }

    /// Takes the network namespace away but leaves the plain file at its path, as a half-done
    /// clean-up by a runtime does. The kernel destroys the namespace with its last user, in its
    /// own time.
    pub fn unmount(&self) {
        if let Ok(mut netns) = self.netns.lock() {
            *netns = None;
        }
        detach(&self.path);
    }

    /// Takes the network namespace and its path away, as a runtime does before a late DEL.
    pub fn remove(&self) {
        self.unmount();
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Makes `/run/netns` a shared mount of its own, as `ip netns add` does the first time: part of a new host,
/// so that no pod changes more than its own file.
pub(crate) fn create_directory() {
    let made = std::fs::create_dir_all(DIRECTORY)
        .map_err(|error| error.to_string())
        .and_then(|()| {
            mount(
                DIRECTORY,
                DIRECTORY,
                "none",
                MountFlags::BIND | MountFlags::REC,
                None,
            )
            .and_then(|()| mount_change(DIRECTORY, MountPropagationFlags::SHARED))
            .map_err(|error| error.to_string())
        });
    made.unwrap_or_else(|error| panic!("cannot prepare {DIRECTORY}: {error}"));
}
