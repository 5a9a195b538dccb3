//! Programs that tests need and no package has: built once into a cache folder, in the background of the
//! other tiers.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Workspace, cache};
use crate::{packages, process};

/// How such a program is made.
pub(crate) struct Recipe {
    /// For messages.
    name: &'static str,
    /// The variable that names one that is built already.
    pub(crate) variable: &'static str,
    /// What it is made from, the script that makes it first; another content is another program.
    sources: &'static [&'static str],
    /// The program's file, and what the folders of its releases begin with.
    file: &'static str,
    folder: &'static str,
    /// What the script needs.
    packages: &'static [packages::Need],
}

/// The kernel of the VM tier.
pub(crate) const KERNEL: Recipe = Recipe {
    name: "vm kernel",
    variable: "NETLOOM_UML",
    sources: &["vm/build-uml.sh", "vm/kernel.config"],
    file: "linux",
    folder: "uml",
    packages: packages::FOR_KERNEL,
};

/// The server of the tests on Kubernetes.
pub(crate) const APISERVER: Recipe = Recipe {
    name: "kube-apiserver",
    variable: "NETLOOM_KUBE_APISERVER",
    sources: &["kube/build-apiserver.sh"],
    file: "kube-apiserver",
    folder: "kube",
    packages: packages::FOR_APISERVER,
};

/// The program, or the way to it.
pub(crate) enum Cached {
    Built(PathBuf),
    Building(Build),
    /// Why there is none.
    Missing(String),
}

impl Cached {
    /// Looks for the program, and begins to build it where it is not there.
    pub(crate) fn begin(recipe: &'static Recipe, workspace: &Workspace, install: bool) -> Self {
        match Self::find(recipe, workspace) {
            Self::Missing(_) => Self::build(recipe, workspace, install)
                .unwrap_or_else(|error| Self::Missing(format!("{error:#}"))),
            found => found,
        }
    }

    /// Looks for the program; builds nothing.
    pub(crate) fn find(recipe: &Recipe, workspace: &Workspace) -> Self {
        if let Some(file) = std::env::var_os(recipe.variable) {
            return Self::Built(file.into());
        }
        match cached(recipe, workspace) {
            Ok(file) if file.is_file() => {
                println!("{}: {} is there", recipe.name, file.display());
                Self::Built(file)
            }
            Ok(file) => Self::Missing(format!("there is no {}", file.display())),
            Err(error) => Self::Missing(format!("{error:#}")),
        }
    }

    fn build(recipe: &'static Recipe, workspace: &Workspace, install: bool) -> Result<Self> {
        let file = cached(recipe, workspace)?;
        let architecture = std::env::consts::ARCH;
        ensure!(
            architecture == "x86_64",
            "{} is built for x86_64, this is {architecture}",
            recipe.name
        );
        packages::ensure(recipe.packages, install)?;
        let missing = packages::missing(recipe.packages);
        ensure!(
            missing.is_empty(),
            "building it needs {}",
            missing.join(", ")
        );
        Build::begin(recipe, workspace, file).map(Self::Building)
    }

    /// The program's file once it is built, or why there is none.
    pub(crate) fn wait(self) -> Result<PathBuf, String> {
        match self {
            Self::Built(file) => Ok(file),
            Self::Building(build) => build.wait().map_err(|error| format!("{error:#}")),
            Self::Missing(reason) => Err(reason),
        }
    }
}

/// `$XDG_CACHE_HOME/netloom/FOLDER-KEY/FILE`, in `~/.cache` without the variable.
fn cached(recipe: &Recipe, workspace: &Workspace) -> Result<PathBuf> {
    let cache = cache().context("there is no place for what is built")?;
    let mut content = Vec::new();
    for source in recipe.sources {
        let path = workspace.root.join(source);
        content.extend(
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
        );
    }
    Ok(cache
        .join(format!("{}-{:016x}", recipe.folder, fnv1a(&content)))
        .join(recipe.file))
}

/// A hash that is the same for ever, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A build in the background. Dropping it ends it.
pub(crate) struct Build {
    recipe: &'static Recipe,
    child: Child,
    progress: Option<JoinHandle<()>>,
    begin: Instant,
    file: PathBuf,
}

impl Build {
    fn begin(recipe: &'static Recipe, workspace: &Workspace, file: PathBuf) -> Result<Self> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        println!(
            "{}: building {}, once, beside the other tiers",
            recipe.name,
            file.display()
        );
        // What the tests wait for goes first.
        let mut child = Command::new("nice")
            .args(["-n", "10"])
            .arg(workspace.root.join(recipe.sources[0]))
            .arg(&file)
            // A gigabyte that /tmp may not have.
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot run nice")?;
        let progress = child.stdout.take().map(|stdout| {
            std::thread::spawn(move || {
                let lines = BufReader::new(stdout).lines();
                lines
                    .map_while(Result::ok)
                    .for_each(|line| println!("{}: {line}", recipe.name));
            })
        });
        Ok(Self {
            recipe,
            child,
            progress,
            begin: Instant::now(),
            file,
        })
    }

    fn wait(mut self) -> Result<PathBuf> {
        println!(
            "{}: waiting for it, building for {} s",
            self.recipe.name,
            self.begin.elapsed().as_secs()
        );
        let status = self.child.wait()?;
        if let Some(progress) = self.progress.take() {
            // It ends with the pipe; a panic in it has been printed.
            let _ = progress.join();
        }
        ensure!(status.success(), "{}: {status}", self.recipe.sources[0]);
        println!(
            "{}: built in {} s",
            self.recipe.name,
            self.begin.elapsed().as_secs()
        );
        Ok(self.file.clone())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            println!(
                "{}: not needed, the build ends unfinished",
                self.recipe.name
            );
            process::terminate_group(&mut self.child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_others_call_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
