//! The kernel of the VM tier: built once into a cache folder, in the background of the other tiers.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Workspace, cache};
use crate::{packages, process};

/// Names a kernel that is built already.
const VARIABLE: &str = "NETLOOM_UML";

/// What the kernel is made from; another content is another kernel.
const SOURCES: [&str; 2] = ["vm/build-uml.sh", "vm/kernel.config"];

/// The kernel, or the way to it.
pub(crate) enum Kernel {
    Built(PathBuf),
    Building(Build),
    /// Why there is none.
    Missing(String),
}

impl Kernel {
    /// Looks for the kernel, and begins to build it where it is not there.
    pub(crate) fn begin(workspace: &Workspace, install: bool) -> Self {
        if let Some(file) = std::env::var_os(VARIABLE) {
            return Self::Built(file.into());
        }
        match Self::find_or_build(workspace, install) {
            Ok(kernel) => kernel,
            Err(error) => Self::Missing(format!("{error:#}")),
        }
    }

    fn find_or_build(workspace: &Workspace, install: bool) -> Result<Self> {
        let file = cached(workspace)?;
        if file.is_file() {
            println!("vm kernel: {} is there", file.display());
            return Ok(Self::Built(file));
        }
        let architecture = std::env::consts::ARCH;
        ensure!(
            architecture == "x86_64",
            "User-Mode Linux is for x86_64, this is {architecture}"
        );
        packages::ensure(packages::FOR_KERNEL, install)?;
        let missing = packages::missing(packages::FOR_KERNEL);
        ensure!(
            missing.is_empty(),
            "building it needs {}",
            missing.join(", ")
        );
        Build::begin(workspace, file).map(Self::Building)
    }

    /// The kernel's file once it is built, or why there is none.
    pub(crate) fn wait(self) -> Result<PathBuf, String> {
        match self {
            Self::Built(file) => Ok(file),
            Self::Building(build) => build.wait().map_err(|error| format!("{error:#}")),
            Self::Missing(reason) => Err(reason),
        }
    }
}

/// `$XDG_CACHE_HOME/netloom/uml-KEY/linux`, in `~/.cache` without the variable.
fn cached(workspace: &Workspace) -> Result<PathBuf> {
    let cache = cache().context("there is no place for the kernel")?;
    let mut content = Vec::new();
    for source in SOURCES {
        let path = workspace.root.join(source);
        content.extend(
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
        );
    }
    Ok(cache
        .join(format!("uml-{:016x}", fnv1a(&content)))
        .join("linux"))
}

/// A hash that is the same for ever, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A build in the background. Dropping it ends it.
pub(crate) struct Build {
    child: Child,
    progress: Option<JoinHandle<()>>,
    begin: Instant,
    file: PathBuf,
}

impl Build {
    fn begin(workspace: &Workspace, file: PathBuf) -> Result<Self> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        println!(
            "vm kernel: building {}, once, beside the other tiers",
            file.display()
        );
        // What the tests wait for goes first.
        let mut child = Command::new("nice")
            .args(["-n", "10"])
            .arg(workspace.root.join(SOURCES[0]))
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
                    .for_each(|line| println!("vm kernel: {line}"));
            })
        });
        Ok(Self {
            child,
            progress,
            begin: Instant::now(),
            file,
        })
    }

    fn wait(mut self) -> Result<PathBuf> {
        println!(
            "vm kernel: waiting for it, building for {} s",
            self.begin.elapsed().as_secs()
        );
        let status = self.child.wait()?;
        if let Some(progress) = self.progress.take() {
            // It ends with the pipe; a panic in it has been printed.
            let _ = progress.join();
        }
        ensure!(status.success(), "vm/build-uml.sh: {status}");
        println!("vm kernel: built in {} s", self.begin.elapsed().as_secs());
        Ok(self.file.clone())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            println!("vm kernel: not needed, the build ends unfinished");
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
