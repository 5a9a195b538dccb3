//! Where an end is, as a user says it, and how that becomes an open namespace.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use netloom_kernel::netns::{Netns, OpenError};
use netloom_links::Place;
use netloom_runtime::Cni;

use super::engine;

/// Where `ip netns` binds namespaces.
pub(crate) const NAMED: &str = "/run/netns";
/// Where containerd keeps what it runs, by its own namespace and the container's id.
const CONTAINERD: &str = "/run/containerd/io.containerd.runtime.v2.task";
/// Where CRI-O and podman keep what they run, by the container's id.
const STORAGE: &str = "/run/containers/storage/overlay-containers";
/// containerd's namespace for pods.
const KUBERNETES: &str = "k8s.io";

/// The kinds of places, with what stands behind each.
const KINDS: &str = "ns:NAME, path:FILE, pid:NUMBER, docker:CONTAINER, podman:CONTAINER, \
                     containerd:NAMESPACE/ID, cri:NAMESPACE/POD, crio:ID, cni:CONTAINERID or host";

/// Where an end is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum At {
    /// Where the command runs.
    Host,
    /// A namespace of `ip netns`.
    Ns(String),
    /// The file of a namespace.
    Path(PathBuf),
    /// That of a process.
    Pid(u32),
    /// That of a container, by name or id.
    Docker(String),
    Podman(String),
    /// By containerd's own namespace and the container's id.
    Containerd(String, String),
    /// By the pod's namespace and name.
    Cri(String, String),
    /// By the container's id.
    Crio(String),
    /// By the container id of an attachment that netloom made.
    Cni(String),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Ns(name) => write!(f, "ns:{name}"),
            Self::Path(path) => write!(f, "path:{}", path.display()),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Docker(name) => write!(f, "docker:{name}"),
            Self::Podman(name) => write!(f, "podman:{name}"),
            Self::Containerd(namespace, id) => write!(f, "containerd:{namespace}/{id}"),
            Self::Cri(namespace, pod) => write!(f, "cri:{namespace}/{pod}"),
            Self::Crio(id) => write!(f, "crio:{id}"),
            Self::Cni(id) => write!(f, "cni:{id}"),
        }
    }
}

/// Names of containers and pods: safe in a path and in a request.
fn plain(what: &str, name: &str) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    ensure!(
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(allowed),
        "{what} \"{}\" is no name; it has letters, digits, \"_\", \".\" and \"-\"",
        name.escape_debug()
    );
    Ok(name.to_owned())
}

impl At {
    /// Reads `KIND:NAME` or `host`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text == "host" {
            return Ok(Self::Host);
        }
        let Some((kind, name)) = text.split_once(':') else {
            bail!("\"{}\" is no place; write {KINDS}", text.escape_debug());
        };
        let two = |what| -> Result<(String, String)> {
            let Some((first, second)) = name.split_once('/') else {
                bail!(
                    "\"{}\" lacks a part; write {kind}:{what}",
                    text.escape_debug()
                );
            };
            Ok((plain(kind, first)?, plain(kind, second)?))
        };
        Ok(match kind {
            "ns" => Self::Ns(plain("namespace", name)?),
            "path" if name.is_empty() => bail!("path: lacks the file; write path:/proc/1/ns/net"),
            "path" => Self::Path(name.into()),
            "pid" => match name.parse() {
                Ok(pid) if pid > 0 => Self::Pid(pid),
                _ => bail!("pid \"{}\" is no number of a process", name.escape_debug()),
            },
            "docker" => Self::Docker(plain("container", name)?),
            "podman" => Self::Podman(plain("container", name)?),
            "containerd" => two("NAMESPACE/ID").map(|(space, id)| Self::Containerd(space, id))?,
            "cri" => two("NAMESPACE/POD").map(|(space, pod)| Self::Cri(space, pod))?,
            "crio" => Self::Crio(plain("container", name)?),
            "cni" => Self::Cni(plain("container id", name)?),
            _ => bail!(
                "there are no places \"{}:\"; write {KINDS}",
                kind.escape_debug()
            ),
        })
    }

    /// Opens the namespace. `cni` knows the attachments.
    pub(crate) fn open(&self, cni: &Cni) -> Result<Place> {
        self.netns(cni)
            .and_then(|netns| Ok(Place::new(netns, self.to_string())?))
            .with_context(|| self.to_string())
    }

    fn netns(&self, cni: &Cni) -> Result<Netns> {
        Ok(match self {
            Self::Host => Netns::current()?,
            Self::Ns(name) => match Netns::open(Path::new(NAMED).join(name)) {
                Err(error @ OpenError::NotFound { .. }) => {
                    return Err(anyhow::Error::from(error)
                        .context(format!("there is none (`ip netns add {name}` makes it)")));
                }
                opened => opened?,
            },
            Self::Path(path) => Netns::open(path)?,
            Self::Pid(pid) => Netns::of_process(*pid)?,
            Self::Docker(name) => of_container(|| engine::DOCKER.pid_of(name))?,
            Self::Podman(name) => of_container(|| engine::PODMAN.pid_of(name))?,
            Self::Containerd(namespace, id) => of_bundle(&bundle(namespace, id))?,
            Self::Cri(namespace, pod) => of_bundle(&sandbox(namespace, pod)?)?,
            Self::Crio(id) => {
                let file = Path::new(STORAGE).join(id).join("userdata/pidfile");
                of_container(|| pid_in(&file))?
            }
            Self::Cni(id) => attached(cni, id)?,
        })
    }
}

/// The namespace of a container's first process. The container is asked again when the namespace is
/// open: its process may have ended, and the number gone on to another one.
fn of_container(pid: impl Fn() -> Result<u32>) -> Result<Netns> {
    let first = pid()?;
    let netns = Netns::of_process(first)?;
    ensure!(
        pid()? == first,
        "the container was started anew meanwhile; try again"
    );
    Ok(netns)
}

fn bundle(namespace: &str, id: &str) -> PathBuf {
    Path::new(CONTAINERD).join(namespace).join(id)
}

fn of_bundle(bundle: &Path) -> Result<Netns> {
    of_container(|| pid_in(&bundle.join("init.pid")))
}

fn pid_in(file: &Path) -> Result<u32> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("no such container runs ({})", file.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds no number of a process", file.display()))
}

/// The bundle of a pod's sandbox. Of several, one of which is being stopped, the youngest.
fn sandbox(namespace: &str, pod: &str) -> Result<PathBuf> {
    let directory = Path::new(CONTAINERD).join(KUBERNETES);
    let entries = fs::read_dir(&directory)
        .with_context(|| format!("containerd runs no pods here ({})", directory.display()))?;
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("config.json")) else {
            continue;
        };
        let Ok(config) = serde_json::from_str::<serde_json::Value>(&text) else {
            continue;
        };
        let is = |key: &str, value: &str| {
            config["annotations"][format!("io.kubernetes.cri.{key}")] == value
        };
        if is("container-type", "sandbox")
            && is("sandbox-name", pod)
            && is("sandbox-namespace", namespace)
        {
            let made = entry.metadata().and_then(|it| it.modified())?;
            found.insert(made, entry.path());
        }
    }
    match found.pop_last() {
        Some((_, bundle)) => Ok(bundle),
        None => bail!("containerd runs no pod {pod} of the namespace {namespace}"),
    }
}

fn attached(cni: &Cni, id: &str) -> Result<Netns> {
    let attachments = cni.cached_attachments(None)?;
    let Some(attachment) = attachments.iter().find(|it| it.container_id == id) else {
        bail!("no attachment has this container id; `netloom list` shows those that there are");
    };
    Ok(Netns::open(&attachment.netns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_printed_as_it_is_written() {
        for text in [
            "host",
            "ns:blue",
            "path:/proc/1/ns/net",
            "pid:4711",
            "docker:web-1",
            "podman:web_1",
            "containerd:default/abc",
            "cri:default/r1.x",
            "crio:abc",
            "cni:abc",
        ] {
            assert_eq!(At::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "blue",
            "ns:",
            "ns:../x",
            "ns:a b",
            "path:",
            "pid:0",
            "pid:-1",
            "pid:x",
            "docker:$(reboot)",
            "docker:a/b",
            "cri:default",
            "cri:default/../x",
            "containerd:x",
            "vm:x",
        ] {
            assert!(At::parse(text).is_err(), "{text}");
        }
    }
}
