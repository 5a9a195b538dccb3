//! The archive, to be unpacked into /usr/local or a folder of one's own.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::tree::tar;
use super::{File, Release, files};

/// The plugins' names come by `netloom install`: links, unpacked into a directory of plugins, would make
/// one file of all of them.
pub(super) fn make(release: &Release<'_>) -> Result<PathBuf> {
    let mut tree = files::command(release, Path::new(""))?;
    let plugins = release.bin.join("netloom-plugins");
    tree.put("bin/netloom-plugins", File::Program(plugins));
    let units = Path::new("lib/systemd/system");
    tree.absorb(files::units(release, units, true, "/opt/cni/bin")?);
    if let Some(program) = release.daemon() {
        tree.put("bin/netloom-node", File::Program(program));
        tree.absorb(files::units(release, units, false, "/usr/local/bin")?);
    }
    let folder = release.scratch("archive")?;
    tree.lay(&folder, release.epoch)?;
    let to = release.out.join(format!("{}.tar.gz", release.stem()?));
    tar(&folder, &to)?;
    Ok(to)
}
