//! The content of one file of the cache.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use netloom_spec::{NetworkConfigList, decode};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CacheError, Key, LINK, boot};
use crate::RuntimeConf;
use crate::gc::as_added::{as_added, cached_list};

/// The `kind` of the format.
const KIND: &str = "cniCacheV1";

/// An attachment that was added: what its runtime said about it then. As JSON its keys are those of
/// the cache's files, and the configuration is in base64 as there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedAttachment {
    /// The network's name.
    #[serde(rename = "networkName")]
    pub network: String,
    /// The container's id.
    pub container_id: String,
    /// The name of the interface inside the container.
    pub if_name: String,
    /// The configuration, as it was read.
    #[serde(with = "in_base64")]
    pub config: Vec<u8>,
    /// Path of the container's network namespace.
    #[serde(default)]
    pub netns: String,
    /// `CNI_ARGS`, in order.
    #[serde(default, rename = "cniArgs")]
    pub args: Vec<(String, String)>,
    /// What the runtime offered for the capabilities of plugins.
    #[serde(default)]
    pub capability_args: Map<String, Value>,
    /// Whether it is known to have been cached in an earlier run of the kernel. What libcni
    /// cached, or what is on a filesystem without extended attributes, is not known.
    #[serde(default)]
    pub is_of_earlier_boot: bool,
}

/// Bytes as base64.
mod in_base64 {
    use super::{Engine, STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

impl CachedAttachment {
    /// The configuration as a list; a single plugin of the deprecated form as a list of one.
    /// `None` if it cannot be read.
    pub fn list(&self) -> Option<NetworkConfigList> {
        cached_list(&self.config)
    }

    /// The same with the plugins that stand in the directory beside the list of the `current`
    /// configuration: those are not in the cache. `None` if it cannot be read, or has no plugins.
    pub fn list_as_added(&self, current: Option<&NetworkConfigList>) -> Option<NetworkConfigList> {
        match current {
            Some(current) => as_added(&self.config, &current.into()),
            None => self.list().filter(|list| !list.plugins.is_empty()),
        }
    }

    fn is_complete(&self) -> bool {
        [&self.network, &self.container_id, &self.if_name]
            .iter()
            .all(|part| !part.is_empty())
    }
}

/// The format of libcni. The order of the members is its.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Entry {
    kind: String,
    container_id: String,
    /// The configuration in base64.
    config: String,
    if_name: String,
    network_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    netns: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cni_args: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    capability_args: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) result: Map<String, Value>,
}

impl Entry {
    pub(super) fn new(key: &Key<'_>, rt: &RuntimeConf, config: &[u8], result: Value) -> Self {
        Self {
            kind: KIND.to_owned(),
            container_id: key.container_id.to_owned(),
            config: STANDARD.encode(config),
            if_name: key.if_name.to_owned(),
            network_name: key.network.to_owned(),
            netns: rt.netns.clone(),
            cni_args: rt.args.clone(),
            capability_args: rt.capability_args.clone(),
            result: match result {
                Value::Object(result) => result,
                _ => Map::new(),
            },
        }
    }

    /// Compact, as libcni writes it.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The path of the namespace. libcni before 1.3 did not write it down; the result has it, where the plugin
    /// put the interface into one.
    fn netns(&self) -> String {
        if !self.netns.is_empty() {
            return self.netns.clone();
        }
        let interfaces = self.result.get("interfaces").and_then(Value::as_array);
        let of_pod = |interface: &&Value| interface["name"] == self.if_name.as_str();
        let mut in_pod = interfaces.into_iter().flatten().filter(of_pod);
        let sandbox = in_pod.find_map(|interface| interface["sandbox"].as_str());
        sandbox.unwrap_or_default().to_owned()
    }

    pub(super) fn is_of(&self, key: &Key<'_>) -> bool {
        self.network_name == key.network
            && self.container_id == key.container_id
            && self.if_name == key.if_name
    }

    pub(super) fn into_attachment(self, path: &Path) -> Result<CachedAttachment, CacheError> {
        let config = STANDARD
            .decode(&self.config)
            .map_err(|error| CacheError::Corrupt {
                path: path.to_owned(),
                problem: format!("config: {error}"),
            })?;
        let netns = self.netns();
        Ok(CachedAttachment {
            network: self.network_name,
            container_id: self.container_id,
            if_name: self.if_name,
            config,
            netns,
            args: self.cni_args,
            capability_args: self.capability_args,
            is_of_earlier_boot: boot::is_earlier(path),
        })
    }
}

/// The attachment that a file is about; `None` if there is no file any more.
pub(super) fn read_attachment(path: &Path) -> Result<Option<CachedAttachment>, CacheError> {
    let entry = match Stored::read(path)? {
        None => return Ok(None),
        Some(Stored::Other(object)) => return Err(wrong_kind(path, &object)),
        Some(Stored::V1(entry)) => entry.into_attachment(path)?,
    };
    if entry.is_complete() {
        return Ok(Some(entry));
    }
    Err(CacheError::Corrupt {
        path: path.to_owned(),
        problem: "networkName, containerId or ifName is missing".to_owned(),
    })
}

pub(super) fn wrong_kind(path: &Path, object: &Map<String, Value>) -> CacheError {
    CacheError::WrongKind {
        path: path.to_owned(),
        kind: object
            .get("kind")
            .map_or_else(|| "none".to_owned(), ToString::to_string),
    }
}

/// The content of a file that is no symbolic link, whoever put it there; `None` of what may have no
/// end: a fifo, a device.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(Some(content))
}

/// What a file of the cache may hold.
#[derive(Debug)]
pub(super) enum Stored {
    V1(Entry),
    /// A bare result, as libcni before 0.8.0 wrote it, or anything else.
    Other(Map<String, Value>),
}

impl Stored {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CacheError> {
        let corrupt = |problem: &str| CacheError::Corrupt {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let bytes = match read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(corrupt("it is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                return Err(corrupt(LINK));
            }
            // A socket.
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                return Err(corrupt("it is not a regular file"));
            }
            Err(cause) => return Err(CacheError::io(path, cause)),
        };
        Self::parse(&bytes, path).map(Some)
    }

    /// Reads a file's content.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, CacheError> {
        let corrupt = |problem: String| CacheError::Corrupt {
            path: path.to_owned(),
            problem,
        };
        if bytes.is_empty() {
            return Err(corrupt("it is empty".to_owned()));
        }
        let object = decode::parse_object(bytes).map_err(|error| corrupt(error.to_string()))?;
        match decode::from_object::<Entry>(&object) {
            Ok(entry) if entry.kind == KIND => Ok(Self::V1(entry)),
            _ => Ok(Self::Other(object)),
        }
    }

    /// Whether it is about the attachment. A bare result does not say what it is about: the name
    /// of its file must do.
    pub(super) fn is_of(&self, key: &Key<'_>) -> bool {
        match self {
            Self::V1(entry) => entry.is_of(key),
            Self::Other(_) => true,
        }
    }
}
