//! RPM packages: `netloom`, the command, `netloom-plugins`, in place of containernetworking-plugins, and `netloom-node`,
//! the daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{DAEMON, HOME, Release, STANDS_FOR, SUMMARY, Tree, daemon, files};
use crate::process;

/// Where Fedora's podman and CRI-O look.
const PLUGINS: &str = "/usr/libexec/cni";

pub(super) fn make(release: &Release<'_>) -> Result<Vec<PathBuf>> {
    let command = files::command(release, Path::new("usr"))?;
    let to = Path::new("usr/lib/systemd/system");
    let plugins = files::plugins(release, PLUGINS, to)?;
    let daemon = match release.daemon() {
        Some(program) => Some(files::daemon(release, program, to)?),
        None => None,
    };
    let top = release.scratch("rpm")?;
    let tree = top.join("tree");
    fs::create_dir(&tree)?;
    command.lay(&tree, release.epoch)?;
    plugins.lay(&tree, release.epoch)?;
    let mut text = self::spec(release, &tree, [&command, &plugins]);
    let mut names = vec!["netloom", "netloom-plugins"];
    if let Some(daemon) = &daemon {
        daemon.lay(&tree, release.epoch)?;
        text.push_str(&of_daemon(daemon));
        names.push(daemon::NAME);
    }
    let spec = top.join("netloom.spec");
    fs::write(&spec, text)?;
    build(release, &top, &spec)?;
    let mut made = Vec::new();
    let arch = std::env::consts::ARCH;
    for name in names {
        let name = format!("{name}-{}-1.{arch}.rpm", release.version());
        let from = top.join("RPMS").join(arch).join(&name);
        fs::copy(&from, release.out.join(&name))
            .with_context(|| format!("rpmbuild made no {}", from.display()))?;
        made.push(release.out.join(name));
    }
    Ok(made)
}

fn build(release: &Release<'_>, top: &Path, spec: &Path) -> Result<()> {
    let mut build = Command::new("rpmbuild");
    build.args(["-bb", "--quiet"]);
    build.env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    for macro_ in [
        format!("_topdir {}", top.display()),
        "_buildhost netloom".to_owned(),
        "use_source_date_epoch_as_buildtime 1".to_owned(),
        "clamp_mtime_to_source_date_epoch 1".to_owned(),
        // Programs are delivered as they were tested.
        "__os_install_post %{nil}".to_owned(),
        "debug_package %{nil}".to_owned(),
        "_build_id_links none".to_owned(),
        "_binary_payload w6.xzdio".to_owned(),
    ] {
        build.arg("--define").arg(macro_);
    }
    process::output(build.arg(spec)).map(drop)
}

/// The daemon's part of the spec file.
fn of_daemon(tree: &Tree) -> String {
    let settings = Path::new(files::SETTINGS);
    let files: String = tree
        .paths()
        .map(|path| {
            let kind = if path == settings {
                "%config(noreplace) "
            } else {
                ""
            };
            format!("{kind}/{}\n", path.display())
        })
        .collect();
    let with_systemd = |what: &str| format!("if [ -d /run/systemd/system ]; then\n{what}fi\n");
    let reload = with_systemd("    systemctl daemon-reload || :\n");
    let restart = with_systemd("    systemctl try-restart netloom-node.service || :\n");
    let stop = with_systemd("    systemctl disable --now netloom-node.service || :\n");
    format!(
        "%package node\nSummary: {DAEMON}\nAutoReqProv: no\n\
         Recommends: netloom\nRecommends: netloom-plugins\n\
         %description node\nPods of all hosts reach each other; the store is etcd or the Kubernetes API.\n\
         %post node\n{reload}{restart}\
         %preun node\nif [ $1 = 0 ]; then\n{stop}fi\n\
         %postun node\n{reload}\
         %files node\n%defattr(-,root,root)\n{files}"
    )
}

fn spec(release: &Release<'_>, tree: &Path, [command, plugins]: [&Tree; 2]) -> String {
    let list = |tree: &Tree| -> String {
        let paths = tree.paths().map(|path| format!("/{}\n", path.display()));
        paths.collect()
    };
    let (version, tree) = (release.version(), tree.display());
    let (command, plugins) = (list(command), list(plugins));
    let link = files::link_script(release, PLUGINS);
    let unlink = files::unlink_script(release, PLUGINS);
    format!(
        "Name: netloom\nVersion: {version}\nRelease: 1\nLicense: Apache-2.0\nURL: {HOME}\n\
         Summary: {SUMMARY}\nAutoReqProv: no\nRecommends: netloom-plugins\n\
         %description\nThe command: networks are attached, checked, explained and tried.\n\
         %package plugins\nSummary: standard networking plugins for containers, from netloom\n\
         AutoReqProv: no\nProvides: containernetworking-plugins = {STANDS_FOR}\n\
         Provides: container-network-stack = 1\nConflicts: containernetworking-plugins\n\
         %description plugins\nA drop-in for the reference plugins: the same names, configurations and state.\n\
         %install\ncp -a {tree}/. %{{buildroot}}/\n\
         %post plugins\n{link}\
         %preun plugins\nif [ $1 = 0 ]; then\n{unlink}fi\n\
         %files\n%defattr(-,root,root)\n{command}\
         %files plugins\n%defattr(-,root,root)\n{plugins}"
    )
}
