//! The packages of a release: an archive, .deb, .rpm, an image, what is in them, and their sums.
//!
//! The same files make the same bytes: times are the commit's, owners are root, and everything is sorted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::link::Linking;
use super::{Plugins, daemon};
use crate::process;
use crate::workspace::Workspace;
use tree::{File, Tree};

mod archive;
mod bom;
mod deb;
mod files;
mod image;
mod rpm;
mod tree;

/// The release of containernetworking/plugins that the plugins stand in for, as packages call it.
const STANDS_FOR: &str = "1.9.1";
const SUMMARY: &str = "the whole of CNI (Container Network Interface) in one small program";
const DAEMON: &str = "the daemon of a cluster's node: pod networks and addresses, by netloom";
const HOME: &str = "https://github.com/netloom/netloom";

/// What is packed, and when it was made.
pub(super) struct Release<'a> {
    workspace: &'a Workspace,
    /// Where the packages go.
    out: &'a Path,
    /// The folder of the programs, each plugin a file of its own.
    bin: &'a Path,
    names: &'a [String],
    /// The commit's time, in seconds since 1970.
    epoch: u64,
}

/// Makes every package that this machine has the tools for; says which it has not.
pub(super) fn make(workspace: &Workspace, out: &Path, plugins: &Plugins) -> Result<Vec<PathBuf>> {
    let release = Release {
        workspace,
        out,
        bin: &plugins.bin,
        names: &plugins.names,
        epoch: epoch(workspace)?,
    };
    let mut made = vec![archive::make(&release)?, bom::make(&release)?];
    made.push(image::make(&release)?);
    type Make = fn(&Release<'_>) -> Result<Vec<PathBuf>>;
    let with_tools: [(&str, &str, Make); 2] = [
        ("dpkg-deb", ".deb", deb::make),
        ("rpmbuild", ".rpm", rpm::make),
    ];
    for (tool, kind, make) in with_tools {
        match process::find_program(tool) {
            Some(_) => made.extend(make(&release)?),
            None => println!("    no {kind}: {tool} is not installed"),
        }
    }
    made.push(release.sums(&made)?);
    Ok(made)
}

/// `$SOURCE_DATE_EPOCH`, else the time of the commit; 0 where there is no history.
fn epoch(workspace: &Workspace) -> Result<u64> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        let number = text.parse();
        return number
            .with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"));
    }
    let mut log = Command::new("git");
    log.args(["log", "-1", "--format=%ct"])
        .current_dir(&workspace.root);
    let time = log.output().ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().parse().ok()
    });
    Ok(time.unwrap_or(0))
}

impl Release<'_> {
    /// The daemon, where it could be built.
    fn daemon(&self) -> Option<PathBuf> {
        let program = self.bin.join(daemon::NAME);
        program.exists().then_some(program)
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// The beginning of the names of what is no package of a distribution.
    fn stem(&self) -> Result<String> {
        let libc = Linking::of_this_machine()?.libc();
        let (version, arch) = (self.version(), std::env::consts::ARCH);
        Ok(format!("netloom-{version}-linux-{arch}-{libc}"))
    }

    /// An empty folder to build in.
    fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.workspace.target.join("xtask-dist").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// `SHA256SUMS`, as sha256sum(1) checks it.
    fn sums(&self, files: &[PathBuf]) -> Result<PathBuf> {
        let mut names: Vec<_> = files.iter().filter_map(|file| file.file_name()).collect();
        names.sort();
        let mut sha = Command::new("sha256sum");
        sha.args(names).current_dir(self.out);
        let path = self.out.join("SHA256SUMS");
        fs::write(&path, process::output(&mut sha)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
