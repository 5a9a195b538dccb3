//! Where an image comes from: an archive as docker saves it, one of an OCI layout, such a layout in a
//! directory, or the tar of a root file system.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use super::read::tar_fault;
use crate::error::{Doing, Error, Result};

/// An archive of an image has a file for each layer, and a few more.
const MOST_FILES: usize = 10_000;

/// An image outside the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// As `docker save` writes it.
    DockerArchive(PathBuf),
    /// The tar of an OCI layout.
    OciArchive(PathBuf),
    /// A directory with an OCI layout, and the tag in it.
    Oci(PathBuf, Option<String>),
    /// The tar of a root file system.
    Tar(PathBuf),
}

impl Source {
    /// Reads `docker-archive:FILE`, `oci-archive:FILE`, `oci:DIR[:TAG]`, or the path of an archive, whose
    /// kind shows in it. `None` if it is none of these.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let found = match text.split_once(':') {
            Some(("docker-archive", path)) => Self::DockerArchive(path.into()),
            Some(("oci-archive", path)) => Self::OciArchive(path.into()),
            Some(("oci", path)) => match path.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => {
                    Self::Oci(path.into(), Some(tag.to_owned()))
                }
                _ => Self::Oci(path.into(), None),
            },
            _ if text.contains('/') && !text.contains("://") && Path::new(text).is_dir() => {
                Self::Oci(text.into(), None)
            }
            _ if is_file_name(text) => Self::of_file(text.into())?,
            _ => return Ok(None),
        };
        let path = found.path();
        match path.exists() {
            true => Ok(Some(found)),
            false => Err(Error::new(format!("image {text:?}: there is no {path:?}"))),
        }
    }

    /// By what is in the archive.
    fn of_file(path: PathBuf) -> Result<Self> {
        // A compressed archive is a root file system: nobody compresses the others as a whole.
        let Ok(files) = Files::of_archive(&path) else {
            return Ok(Self::Tar(path));
        };
        Ok(match () {
            () if files.has("manifest.json") => Self::DockerArchive(path),
            () if files.has("oci-layout") => Self::OciArchive(path),
            () => Self::Tar(path),
        })
    }

    /// The file or directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::DockerArchive(path)
            | Self::OciArchive(path)
            | Self::Oci(path, _)
            | Self::Tar(path) => path,
        }
    }
}

fn is_file_name(text: &str) -> bool {
    let ends = [".tar", ".tar.gz", ".tgz"];
    !text.contains("://") && ends.iter().any(|end| text.ends_with(end))
}

/// The files of an archive or a directory, by their names.
pub(super) enum Files {
    Archive {
        file: File,
        /// Where each file is, and how long.
        places: HashMap<String, (u64, u64)>,
    },
    Directory(PathBuf),
}

impl Files {
    /// Looks through the headers of an archive.
    pub(super) fn of_archive(path: &Path) -> Result<Self> {
        let failed = || format!("read the archive {path:?}");
        let file = File::open(path).doing(failed)?;
        if !file.metadata().doing(failed)?.is_file() {
            return Err(Error::new(format!("{path:?} is no file")));
        }
        let mut places = HashMap::new();
        let mut links = Vec::new();
        let mut archive = Archive::new(BufReader::new(&file));
        for (number, entry) in archive.entries_with_seek().doing(failed)?.enumerate() {
            let entry = entry.map_err(|error| tar_fault(&error)).doing(failed)?;
            if number > MOST_FILES {
                return Err(Error::new(format!(
                    "{path:?} has more than {MOST_FILES} files"
                )));
            }
            let name = plain(&entry.path_bytes());
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    places.insert(name, (entry.raw_file_position(), entry.size()));
                }
                // Old archives have a layer twice so.
                EntryType::Symlink | EntryType::Link => {
                    let to = entry.link_name_bytes();
                    links.extend(to.map(|to| (name, plain(&to))));
                }
                _ => {}
            }
        }
        for (name, to) in links {
            let inside = to.trim_start_matches("../");
            if let Some(place) = places.get(inside).copied() {
                places.insert(name, place);
            }
        }
        Ok(Self::Archive { file, places })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Archive { places, .. } => places.contains_key(name),
            Self::Directory(dir) => dir.join(name).is_file(),
        }
    }

    /// One of the files. The name is made of digits, or one that the layout fixes: it leads nowhere else.
    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Read + '_>> {
        match self {
            Self::Archive { file, places } => {
                let place = places.get(name);
                let (at, length) = place
                    .copied()
                    .ok_or_else(|| Error::new(format!("the archive has no {name:?}")))?;
                Ok(Box::new(Piece { file, at }.take(length)))
            }
            Self::Directory(dir) => {
                if name.split('/').any(|part| part == "..") {
                    return Err(Error::new(format!("{name:?} leads out of the layout")));
                }
                let path = dir.join(name);
                let file = File::open(&path).doing(|| format!("open {path:?}"))?;
                Ok(Box::new(file))
            }
        }
    }
}

/// A file from somewhere on, whatever others read of it.
struct Piece<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn plain(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.trim_start_matches("./")
        .trim_end_matches('/')
        .to_owned()
}
