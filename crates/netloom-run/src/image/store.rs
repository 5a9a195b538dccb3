//! The store of images, `/var/lib/netloom/images`: `refs/NAME`, `layers/DIGEST`, and `tmp-…` for what is not
//! whole yet.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::archive::{Files, Source};
use super::layer::Root;
use super::manifest::{self, Config, Found, FoundLayer};
use super::read::{Digesting, digits, same, unfold};
use super::reference::Reference;
use crate::error::{Doing, Error, Result};
use crate::state::new_id;

/// Where other programs write to, while nobody holds the lock.
const SCRATCH: &str = "scratch-";

/// For so long a program may take to write an archive, before somebody takes it for dead; in seconds.
const STALE: u64 = 24 * 3600;

/// The images of this host.
#[derive(Clone, Debug)]
pub struct Images {
    dir: PathBuf,
}

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its complete name.
    pub name: String,
    /// The digests of its layers' tars in hexadecimal digits, the lowest first.
    layers: Vec<String>,
    config: Config,
}

/// An image as a pod takes it.
#[derive(Clone, Debug, Default)]
pub struct Unpacked {
    /// The directories of its layers, the topmost first.
    pub layers: Vec<PathBuf>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// What the arguments are given to.
    pub entrypoint: Vec<String>,
    /// The arguments where the user gives none.
    pub arguments: Vec<String>,
    /// The working directory; empty is `/`.
    pub cwd: String,
    /// As whom it runs; empty is root.
    pub user: String,
}

impl Default for Images {
    fn default() -> Self {
        Self::at(crate::private_host::images().unwrap_or_else(|| "/var/lib/netloom/images".into()))
    }
}

impl Images {
    /// The images in this directory, which need not exist.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The image of this name, if it is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn find(&self, name: &Reference) -> Result<Option<Image>> {
        let path = self.refs().join(name.file_name());
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::of(format!("read {path:?}"), error)),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .doing(|| format!("read {path:?}")),
        }
    }

    /// Every image, sorted by name.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn list(&self) -> Result<Vec<Image>> {
        let entries = match fs::read_dir(self.refs()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing(|| format!("read {:?}", self.refs()))?,
        };
        let mut images = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_whole = !path
                .file_name()
                .is_some_and(|it| it.as_encoded_bytes().starts_with(b"tmp-"));
            if is_whole {
                let bytes = fs::read(&path).doing(|| format!("read {path:?}"))?;
                images.push(serde_json::from_slice(&bytes).doing(|| format!("read {path:?}"))?);
            }
        }
        images.sort_by(|one: &Image, other| one.name.cmp(&other.name));
        Ok(images)
    }

    /// Takes an image into the store, under `name`, or those that it brings.
    ///
    /// # Errors
    /// If it is damaged, or not what it says. What is whole of it by then stays for the next time.
    pub fn load(&self, source: &Source, name: Option<&Reference>) -> Result<Image> {
        let _held = self.lock()?;
        let wrong = |error: Error| Error::new(format!("image {:?}: {error}", source.path()));
        let (files, mut found) = look(source).map_err(wrong)?;
        for layer in &mut found.layers {
            self.unpack(&files, layer).map_err(wrong)?;
        }
        let names = match name {
            Some(name) => vec![name.clone()],
            None => names(&found, source)?,
        };
        let mut image = Image {
            name: String::new(),
            layers: found.layers.into_iter().map(|it| it.diff_id).collect(),
            config: found.config,
        };
        for name in &names {
            name.as_str().clone_into(&mut image.name);
            self.write_ref(name, &image)?;
        }
        Ok(image)
    }

    /// The image as a pod takes it.
    #[must_use]
    pub fn unpacked(&self, image: &Image) -> Unpacked {
        let config = image.config.clone();
        let layers = image.layers.iter().rev();
        Unpacked {
            layers: layers.map(|it| self.layers().join(it)).collect(),
            env: config.env,
            entrypoint: config.entrypoint,
            arguments: config.cmd,
            cwd: config.working_dir,
            user: config.user,
        }
    }

    /// Forgets an image, and the layers that no other image has, nor any of `in_use`.
    ///
    /// # Errors
    /// If it is not there.
    pub fn remove(&self, name: &Reference, in_use: &HashSet<PathBuf>) -> Result<()> {
        let _held = self.lock()?;
        let path = self.refs().join(name.file_name());
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::new(format!(
                    "there is no image {:?}: `netloom image ls` shows them",
                    name.short()
                )));
            }
            done => done.doing(|| format!("remove {path:?}"))?,
        }
        let images = self.list()?;
        let kept: BTreeSet<_> = images.iter().flat_map(|it| &it.layers).collect();
        for entry in fs::read_dir(self.layers()).into_iter().flatten().flatten() {
            let digest = entry.file_name().to_string_lossy().into_owned();
            if !kept.contains(&digest) && !in_use.contains(&entry.path()) {
                self.discard(&entry.path())?;
            }
        }
        self.sweep();
        Ok(())
    }

    fn refs(&self) -> PathBuf {
        self.dir.join("refs")
    }

    fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    /// Nobody else changes the store meanwhile. Only root enters it: layers have setuid programs.
    fn lock(&self) -> Result<OwnedFd> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for dir in [self.dir.clone(), self.refs(), self.layers()] {
            builder.create(&dir).doing(|| format!("make {dir:?}"))?;
        }
        let only_root = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.dir, only_root).doing(|| format!("close {:?}", self.dir))?;
        let path = self.dir.join(".lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .doing(|| format!("open {path:?}"))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .doing(|| format!("lock {path:?}"))?;
        self.sweep();
        Ok(file)
    }

    /// Removes what somebody left who was killed. The caller holds the lock.
    fn sweep(&self) {
        for dir in [self.dir.clone(), self.refs()] {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let is_draft = entry.file_name().as_encoded_bytes().starts_with(b"tmp-");
                if is_draft || is_stale_scratch(&entry) {
                    let path = entry.path();
                    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                }
            }
        }
    }

    fn discard(&self, layer: &Path) -> Result<()> {
        let draft = self.draft()?;
        fs::rename(layer, &draft)
            .and_then(|()| fs::remove_dir_all(&draft))
            .doing(|| format!("remove {layer:?}"))
    }

    pub(super) fn scratch(&self) -> Result<PathBuf> {
        let _held = self.lock()?;
        let dir = self.dir.join(format!("{SCRATCH}{}", new_id()?));
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        builder.create(&dir).doing(|| format!("make {dir:?}"))?;
        Ok(dir)
    }

    fn draft(&self) -> Result<PathBuf> {
        Ok(self.dir.join(format!("tmp-{}", new_id()?)))
    }

    fn write_ref(&self, name: &Reference, image: &Image) -> Result<()> {
        let path = self.refs().join(name.file_name());
        let draft = self.refs().join(format!("tmp-{}", new_id()?));
        let text = serde_json::to_vec(image).doing(|| "encode an image")?;
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .doing(|| format!("write {path:?}"))
    }

    /// Unpacks a layer that is not there yet.
    fn unpack(&self, files: &Files, layer: &mut FoundLayer) -> Result<()> {
        if !layer.diff_id.is_empty() && self.layers().join(&layer.diff_id).is_dir() {
            return Ok(());
        }
        let draft = self.draft()?;
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&draft)
            .doing(|| format!("make {draft:?}"))?;
        let done = unpack_to(&draft, files, layer).and_then(|()| {
            let place = self.layers().join(&layer.diff_id);
            // One without a digest of its own may turn out to be there.
            if place.is_dir() {
                return fs::remove_dir_all(&draft).doing(|| format!("remove {draft:?}"));
            }
            fs::rename(&draft, &place).doing(|| format!("rename {draft:?}"))
        });
        if done.is_err() {
            let _ = fs::remove_dir_all(&draft);
        }
        done
    }
}

fn is_stale_scratch(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let modified = entry.metadata().and_then(|it| it.modified()).ok();
    let age = modified.and_then(|it| it.elapsed().ok());
    name.as_encoded_bytes().starts_with(SCRATCH.as_bytes())
        && age.is_some_and(|it| it.as_secs() > STALE)
}

fn unpack_to(draft: &Path, files: &Files, layer: &mut FoundLayer) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(draft, flags, Mode::empty()).doing(|| format!("open {draft:?}"))?;
    let mut blob = Digesting::new(files.open(&layer.file)?);
    let taken = blob.count();
    let mut tar = Digesting::new(unfold(&mut blob, taken)?);
    let what = format!("layer {:?}", layer.file);
    Root::new(dir).unpack(&mut tar).doing(|| what.clone())?;
    let found = tar.finish().doing(|| format!("read {what}"))?;
    match layer.diff_id.as_str() {
        "" => layer.diff_id = found,
        expected => same(&format!("the tar of {what}"), &found, expected)?,
    }
    if let Some(digest) = &layer.digest {
        let found = blob.finish().doing(|| format!("read {what}"))?;
        same(&what, &found, digits(digest)?)?;
    }
    Ok(())
}

fn look(source: &Source) -> Result<(Files, Found)> {
    match source {
        Source::DockerArchive(path) => {
            let files = Files::of_archive(path)?;
            let found = manifest::of_docker(&files)?;
            Ok((files, found))
        }
        Source::OciArchive(path) => {
            let files = Files::of_archive(path)?;
            let found = manifest::of_oci(&files, None)?;
            Ok((files, found))
        }
        Source::Oci(dir, tag) => {
            let files = Files::Directory(dir.clone());
            let found = manifest::of_oci(&files, tag.as_deref())?;
            Ok((files, found))
        }
        Source::Tar(path) => {
            let name = path.file_name().unwrap_or_default();
            let layer = FoundLayer {
                file: name.to_string_lossy().into_owned(),
                digest: None,
                diff_id: String::new(),
            };
            let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
            let found = Found {
                layers: vec![layer],
                ..Found::default()
            };
            Ok((Files::Directory(dir), found))
        }
    }
}

/// What the image calls itself; else what its file is called.
fn names(found: &Found, source: &Source) -> Result<Vec<Reference>> {
    let named: Vec<_> = found
        .names
        .iter()
        .filter(|name| name.contains([':', '/']))
        .filter_map(|name| Reference::parse(name).ok())
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let file = source
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let stem = file.split(".tar").next().unwrap_or_default();
    let stem = stem.trim_end_matches(".tgz").to_ascii_lowercase();
    let tag = found
        .names
        .first()
        .map(|tag| format!(":{tag}"))
        .unwrap_or_default();
    Ok(vec![Reference::parse(&format!("{stem}{tag}"))?])
}
