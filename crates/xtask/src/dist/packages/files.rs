//! What packages hold, and where.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{File, Release, Tree, daemon};
use crate::process;

/// Where upstream's units say that plugins are.
const USUAL: &str = "/opt/cni/bin";

/// Where the daemon's unit says that it is.
const PROGRAMS: &str = "/usr/bin";

/// The daemon's arguments, which its unit reads; the file is the administrator's.
pub(super) const SETTINGS: &str = "etc/default/netloom-node";
const NO_SETTINGS: &str = "\
# What `netloom-node run` is told: `netloom-node run --help` has all of it. For a cluster on etcd:
#NETLOOM_NODE_ARGS=--etcd https://10.0.0.1:2379 --etcd-cafile FILE --etcd-certfile FILE --etcd-keyfile FILE
NETLOOM_NODE_ARGS=
";

/// The command with what belongs to it, below `prefix` (`usr`, or nothing in an archive).
pub(super) fn command(release: &Release<'_>, prefix: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let netloom = release.bin.join("netloom");
    let share = prefix.join("share");
    for (shell, path) in [
        ("bash", "bash-completion/completions/netloom"),
        ("zsh", "zsh/site-functions/_netloom"),
        ("fish", "fish/vendor_completions.d/netloom.fish"),
    ] {
        let words = process::output(Command::new(&netloom).args(["completion", shell]))?;
        tree.text(share.join(path), words);
    }
    tree.put(prefix.join("bin/netloom"), File::Program(netloom));
    tree.absorb(manual(release, &share.join("man/man1"))?);
    tree.absorb(about(release, &share.join("doc/netloom"))?);
    Ok(tree)
}

/// The plugins, each a file, in the folder `dir`; and the units of those that have a daemon, in `units`.
pub(super) fn plugins(release: &Release<'_>, dir: &str, units: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let inside = Path::new(dir.trim_start_matches('/'));
    for name in release.names {
        let program = File::Program(release.bin.join(name));
        tree.put(inside.join(name), program);
    }
    tree.absorb(self::units(release, units, true, dir)?);
    tree.absorb(about(release, Path::new("usr/share/doc/netloom-plugins"))?);
    Ok(tree)
}

/// The daemon of a cluster's node, its unit, and the file that this reads. Nothing starts it before it was told
/// of a cluster.
pub(super) fn daemon(release: &Release<'_>, program: PathBuf, units: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.put(format!("usr/bin/{}", daemon::NAME), File::Program(program));
    tree.text(SETTINGS, NO_SETTINGS);
    tree.absorb(self::units(release, units, false, PROGRAMS)?);
    tree.absorb(about(release, Path::new("usr/share/doc/netloom-node"))?);
    Ok(tree)
}

/// The units of plugins' daemons, which find the plugins in `dir`; or that of the
/// cluster's.
pub(super) fn units(release: &Release<'_>, to: &Path, of_plugins: bool, dir: &str) -> Result<Tree> {
    let mut tree = Tree::default();
    let usual = if of_plugins { USUAL } else { PROGRAMS };
    let (mut units, mut texts) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(release.workspace.root.join("packaging/systemd"))? {
        let path = entry?.path();
        texts.push(fs::read_to_string(&path)?);
        units.push(path);
    }
    // A socket belongs to the service of its name.
    let is_of_plugins = |unit: &Path| {
        let service = unit.with_extension("service");
        let at = units.iter().position(|it| *it == service);
        at.is_some_and(|at| texts[at].contains(&format!("ExecStart={USUAL}/")))
    };
    for (unit, text) in units.iter().zip(&texts) {
        if is_of_plugins(unit) == of_plugins {
            let name = unit.file_name().context("a unit without a name")?;
            tree.text(to.join(name), text.replace(usual, dir));
        }
    }
    Ok(tree)
}

/// The pages of the manual, where they were made.
fn manual(release: &Release<'_>, to: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let Ok(pages) = fs::read_dir(release.out.join("man/man1")) else {
        return Ok(tree);
    };
    for page in pages {
        let page = page?.path();
        if let Some(name) = page.file_name() {
            tree.text(to.join(name), fs::read(&page)?);
        }
    }
    Ok(tree)
}

/// The license and what changed, as distributions have them.
fn about(release: &Release<'_>, to: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (from, name) in [("LICENSE", "copyright"), ("CHANGELOG.md", "CHANGELOG.md")] {
        tree.text(to.join(name), fs::read(release.workspace.root.join(from))?);
    }
    Ok(tree)
}

/// The scripts that put the plugins where containerd and Kubernetes look by default, beside the
/// folder `dir` of the package: a link where nothing has the name, so that nobody's file is lost.
/// Upgrades run both, the second one with the new names.
pub(super) fn link_script(release: &Release<'_>, dir: &str) -> String {
    let names = release.names.join(" ");
    format!(
        "mkdir -p {USUAL}\nfor name in {names}; do\n    \
         [ -e {USUAL}/$name ] || [ -L {USUAL}/$name ] || ln -s {dir}/$name {USUAL}/$name\ndone\n"
    )
}

/// Takes back what [`link_script`] did: links that lead into the package, and no other.
pub(super) fn unlink_script(release: &Release<'_>, dir: &str) -> String {
    let names = release.names.join(" ");
    format!(
        "for name in {names}; do\n    \
         if [ \"$(readlink {USUAL}/$name)\" = {dir}/$name ]; then rm -f {USUAL}/$name; fi\ndone\n\
         rmdir {USUAL} /opt/cni 2>/dev/null || :\n"
    )
}
