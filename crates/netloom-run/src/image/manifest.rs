//! The documents of an image: what its layers are, and what it says about its command.

use serde::{Deserialize, Serialize};

use super::archive::Files;
use super::read::{digits, document};
use crate::error::{Doing, Error, Result};

/// An index in an index, and no more.
const DEEPEST: usize = 2;

/// What an image says about its command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(deserialize_with = "or_nothing")]
    pub(super) env: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    pub(super) entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    pub(super) cmd: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    pub(super) working_dir: String,
    #[serde(deserialize_with = "or_nothing")]
    pub(super) user: String,
}

/// `null` is what Go writes for an empty list.
fn or_nothing<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// An image in its source: names of files, the lowest layer first.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) names: Vec<String>,
    pub(super) config: Config,
    pub(super) layers: Vec<FoundLayer>,
}

#[derive(Debug)]
pub(super) struct FoundLayer {
    /// In the source.
    pub(super) file: String,
    /// Of the file as it is; `None` where nothing tells.
    pub(super) digest: Option<String>,
    /// Of the tar in it.
    pub(super) diff_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    #[serde(default, deserialize_with = "or_nothing")]
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(default, deserialize_with = "or_nothing")]
    architecture: String,
    #[serde(default, deserialize_with = "or_nothing")]
    os: String,
    #[serde(default, deserialize_with = "or_nothing")]
    config: Config,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Descriptor {
    fn blob(&self) -> Result<String> {
        Ok(format!("blobs/sha256/{}", digits(&self.digest)?))
    }

    fn read(&self, files: &Files) -> Result<Vec<u8>> {
        let name = self.blob()?;
        document(files.open(&name)?, &name, Some(&self.digest))
    }

    fn is_index(&self) -> bool {
        self.media_type.contains("index") || self.media_type.contains("manifest.list")
    }
}

/// The image of an archive that docker saved.
pub(super) fn of_docker(files: &Files) -> Result<Found> {
    let bytes = document(files.open("manifest.json")?, "manifest.json", None)?;
    let manifests: Vec<DockerManifest> =
        serde_json::from_slice(&bytes).doing(|| "read manifest.json")?;
    let manifest = match <[DockerManifest; 1]>::try_from(manifests) {
        Ok([one]) => one,
        Err(several) => {
            return Err(Error::new(format!(
                "the archive has {} images, and one is expected",
                several.len()
            )));
        }
    };
    let named = manifest.config.trim_end_matches(".json");
    let named = named.rsplit('/').next().unwrap_or_default();
    let digest = format!("sha256:{named}");
    let expected = digits(&digest).is_ok().then_some(&*digest);
    let bytes = document(files.open(&manifest.config)?, &manifest.config, expected)?;
    let config = config(&bytes)?;
    let layer = |(file, diff_id): (String, String)| FoundLayer {
        file,
        digest: None,
        diff_id,
    };
    let diff_ids = paired(&config, manifest.layers.len())?;
    Ok(Found {
        names: manifest.repo_tags,
        layers: manifest
            .layers
            .into_iter()
            .zip(diff_ids)
            .map(layer)
            .collect(),
        config: config.config,
    })
}

/// The image of an OCI layout; with `tag` the one of this name.
pub(super) fn of_oci(files: &Files, tag: Option<&str>) -> Result<Found> {
    let bytes = document(files.open("index.json")?, "index.json", None)?;
    let index: Index = serde_json::from_slice(&bytes).doing(|| "read index.json")?;
    let is_wanted = |it: &&Descriptor| {
        tag.is_none_or(|tag| it.annotations.get(REF_NAME).is_some_and(|name| name == tag))
    };
    let wanted: Vec<_> = index.manifests.iter().filter(is_wanted).cloned().collect();
    if wanted.is_empty() {
        let what = tag.map_or("no image".to_owned(), |tag| format!("no image {tag:?}"));
        return Err(Error::new(format!("the layout has {what}")));
    }
    let (descriptor, manifest) = choose(files, wanted, 0)?;
    let config = config(&manifest.config.read(files)?)?;
    let diff_ids = paired(&config, manifest.layers.len())?;
    let mut layers = Vec::new();
    for (layer, diff_id) in manifest.layers.into_iter().zip(diff_ids) {
        layers.push(FoundLayer {
            file: layer.blob()?,
            digest: Some(layer.digest),
            diff_id,
        });
    }
    Ok(Found {
        names: descriptor
            .annotations
            .get(REF_NAME)
            .cloned()
            .into_iter()
            .collect(),
        config: config.config,
        layers,
    })
}

/// The manifest for this machine.
fn choose(
    files: &Files,
    mut from: Vec<Descriptor>,
    depth: usize,
) -> Result<(Descriptor, Manifest)> {
    if from.len() > 1 {
        let runs_here = |it: &Descriptor| {
            let platform = it.platform.as_ref();
            platform.is_some_and(|it| it.os == "linux" && it.architecture == architecture())
        };
        from.retain(runs_here);
    }
    let one = match <[Descriptor; 1]>::try_from(from) {
        Ok([one]) => one,
        Err(several) => {
            return Err(Error::new(format!(
                "{} of its images are for linux/{}, and one is expected: give a tag, as oci:DIR:TAG",
                several.len(),
                architecture()
            )));
        }
    };
    let bytes = one.read(files)?;
    if one.is_index() && depth < DEEPEST {
        let index: Index = serde_json::from_slice(&bytes).doing(|| "read an index")?;
        let (_, manifest) = choose(files, index.manifests, depth + 1)?;
        return Ok((one, manifest));
    }
    let manifest = serde_json::from_slice(&bytes).doing(|| "read a manifest")?;
    Ok((one, manifest))
}

fn config(bytes: &[u8]) -> Result<ImageConfig> {
    let config: ImageConfig =
        serde_json::from_slice(bytes).doing(|| "read the image's configuration")?;
    let is = |found: &str, wanted: &str| found.is_empty() || found == wanted;
    if !is(&config.os, "linux") || !is(&config.architecture, architecture()) {
        return Err(Error::new(format!(
            "the image is for {}/{}, and this machine is linux/{}",
            config.os,
            config.architecture,
            architecture()
        )));
    }
    Ok(config)
}

/// The digests of the layers' tars: as many as there are layers.
fn paired(config: &ImageConfig, layers: usize) -> Result<Vec<String>> {
    let ids = &config.rootfs.diff_ids;
    if ids.len() != layers {
        return Err(Error::new(format!(
            "the image has {layers} layers, and its configuration tells of {}",
            ids.len()
        )));
    }
    ids.iter().map(|id| digits(id).map(str::to_owned)).collect()
}

/// This machine's, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
