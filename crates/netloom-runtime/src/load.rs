//! Loading network configurations from a directory (usually `/etc/cni/net.d`).

mod error;
mod plugin;
mod watch;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use netloom_spec::{NetworkConfigList, PluginConf};

pub use self::error::{Error, Problem};
pub use self::plugin::{
    find_plugin_by_name, inject, plugin_from_bytes, plugin_from_file, plugins_beside,
};
pub use self::watch::Watcher;

/// A configuration list and the file it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFile {
    /// The file.
    pub path: PathBuf,
    /// Its list; that of a deprecated single plugin if the file has one.
    pub list: NetworkConfigList,
}

/// All configurations of a directory.
#[derive(Debug)]
pub struct Directory {
    /// The directory.
    pub path: PathBuf,
    /// The networks, in the order in which [`Directory::find`] looks through them: lists
    /// (`.conflist`) sorted by file name, then single plugins (`.conf`, `.json`) likewise.
    pub networks: Vec<NetworkFile>,
    /// The files that have no network one could use, and why not.
    pub problems: Vec<Problem>,
}

impl Directory {
    /// The first network of this name. A problem in another file does not matter.
    ///
    /// # Errors
    /// The problem of a list that has this name, if it comes first; otherwise
    /// [`Error::NoConfigsFound`] or [`Error::NotFound`].
    pub fn find(mut self, name: &str) -> Result<NetworkFile, Error> {
        let good = self
            .networks
            .iter()
            .position(|network| network.list.name == name);
        let bad = self
            .problems
            .iter()
            .position(|bad| bad.network.as_deref() == Some(name));
        match (good, bad) {
            (Some(good), Some(bad))
                if order(&self.problems[bad].path) < order(&self.networks[good].path) =>
            {
                Err(self.problems.swap_remove(bad).error)
            }
            (Some(good), _) => Ok(self.networks.swap_remove(good)),
            (None, Some(bad)) => Err(self.problems.swap_remove(bad).error),
            (None, None) if self.networks.is_empty() && self.problems.is_empty() => {
                Err(Error::NoConfigsFound { dir: self.path })
            }
            (None, None) => Err(Error::NotFound {
                dir: self.path,
                name: name.to_owned(),
                problems: self.problems,
            }),
        }
    }
}

/// Loads every configuration of the directory `dir`. A file that cannot be used does not hide the
/// others: it becomes one of the [`Directory::problems`]. A directory that does not exist has
/// none.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// std::fs::write(
///     dir.path().join("10-blue.conflist"),
///     r#"{"cniVersion": "1.1.0", "name": "blue", "plugins": [{"type": "loopback"}]}"#,
/// )?;
/// std::fs::write(dir.path().join("20-broken.conflist"), "{")?;
///
/// let loaded = netloom_runtime::load::directory(dir.path())?;
/// for problem in &loaded.problems {
///     eprintln!("{}: {}", problem.path.display(), problem.error);
/// }
/// assert_eq!(loaded.find("blue")?.list.plugins[0].plugin_type(), "loopback");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Read`] when the directory itself cannot be read.
pub fn directory(dir: impl AsRef<Path>) -> Result<Directory, Error> {
    let dir = dir.as_ref();
    let mut loaded = Directory {
        path: dir.to_owned(),
        networks: Vec::new(),
        problems: Vec::new(),
    };
    for path in conf_files(dir, &["conflist"])? {
        loaded.take(path, |path| list_from_file(path));
    }
    for path in conf_files(dir, &["conf", "json"])? {
        loaded.take(path, plugin::list_from_plugin_file);
    }
    Ok(loaded)
}

impl Directory {
    fn take(&mut self, path: PathBuf, load: impl Fn(&Path) -> Result<NetworkConfigList, Error>) {
        match load(&path) {
            Ok(list) => self.networks.push(NetworkFile { path, list }),
            Err(error) => self.problems.push(Problem {
                network: name_in(&path),
                path,
                error,
            }),
        }
    }
}

/// The list of the network `name` in the directory `dir`. A problem in another file does not
/// matter; [`directory`] tells it.
///
/// # Errors
/// As [`directory`] and [`Directory::find`].
pub fn find_by_name(dir: impl AsRef<Path>, name: &str) -> Result<NetworkConfigList, Error> {
    directory(dir)?.find(name).map(|found| found.list)
}

/// Loads a configuration list, and the plugins in the directory beside it that has the network's
/// name, unless it has `loadOnlyInlinedPlugins`.
///
/// # Errors
/// When a file cannot be read or decoded, or there are no plugins.
pub fn list_from_file(path: impl AsRef<Path>) -> Result<NetworkConfigList, Error> {
    let path = path.as_ref();
    let bytes = read(path)?;
    let mut list = NetworkConfigList::parse(&bytes).map_err(|cause| Error::Parse {
        path: path.to_owned(),
        cause,
    })?;
    if !list.load_only_inlined_plugins {
        let dir = path.parent().unwrap_or(Path::new("."));
        list.plugins.extend(plugins_beside(dir, &list.name)?);
    }
    if list.plugins.is_empty() {
        let single = PluginConf::parse(&bytes).is_ok_and(|conf| !conf.plugin_type().is_empty());
        return Err(Error::NoPlugins {
            path: path.to_owned(),
            single,
        });
    }
    Ok(list)
}

/// The files of the directory `dir` with one of these extensions (without the dot), sorted.
/// Directories are left out. A directory `dir` that does not exist has no files.
///
/// # Errors
/// [`Error::Read`] when it cannot be read.
pub fn conf_files(dir: impl AsRef<Path>, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let dir = dir.as_ref();
    let failed = |cause| Error::Read {
        path: dir.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_dir = entry.file_type().map_err(failed)?.is_dir();
        let wanted = extension(&entry.path()).is_some_and(|it| extensions.contains(&&*it));
        if wanted && !is_dir {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// What follows the last dot of a file's name. Unlike [`Path::extension`], that of `.conf` is
/// `conf`, as it is for libcni.
fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    name.rsplit_once('.')
        .map(|(_, extension)| extension.to_owned())
}

/// Reads a regular file. Anything else of that name could keep the reader waiting for ever.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |cause| Error::Read {
        path: path.to_owned(),
        cause,
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    fs::read(path).map_err(failed)
}

/// The network's name in a file that has a problem, as far as it can be told.
fn name_in(path: &Path) -> Option<String> {
    let object = netloom_spec::decode::parse_object(&read(path).ok()?).ok()?;
    object.get("name")?.as_str().map(str::to_owned)
}

/// Where a file comes in the search: lists first.
fn order(path: &Path) -> (bool, &Path) {
    (extension(path).as_deref() != Some("conflist"), path)
}
