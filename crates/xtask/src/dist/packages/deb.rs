//! Debian's packages: `netloom`, the command, `netloom-plugins`, in place of containernetworking-plugins, and
//! `netloom-node`, the daemon: who runs containers on one host wants neither its size nor its unit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{DAEMON, HOME, Release, STANDS_FOR, SUMMARY, Tree, daemon, files};
use crate::process;

/// Where Debian's podman and containerd look.
const PLUGINS: &str = "/usr/lib/cni";

/// Where the plugins' units are packed. The script puts them to systemd's: Go's package has files of the same
/// names there, by the path `/lib` or `/usr/lib`, and dpkg, which knows nothing of that being one, removes them when it
/// removes the other package.
const UNITS: &str = "usr/share/netloom-plugins/systemd";

pub(super) fn make(release: &Release<'_>) -> Result<Vec<PathBuf>> {
    let command = files::command(release, Path::new("usr"))?;
    let of_command = format!(
        "Section: net\nRecommends: netloom-plugins\nDescription: {SUMMARY}\n The command: networks are \
         attached, checked, explained and tried.\n"
    );
    let plugins = files::plugins(release, PLUGINS, Path::new(UNITS))?;
    let of_plugins = format!(
        "Section: net\nSuggests: iptables, netloom\n\
         Provides: containernetworking-plugins (= {STANDS_FOR}), container-network-stack (= 1)\n\
         Conflicts: containernetworking-plugins\nReplaces: containernetworking-plugins\n\
         Description: standard networking plugins for containers, from netloom\n \
         A drop-in for the reference plugins: the same names, configurations and state.\n"
    );
    let mut made = vec![
        build(release, "netloom", &command, &of_command, &[])?,
        build(
            release,
            "netloom-plugins",
            &plugins,
            &of_plugins,
            &scripts(release),
        )?,
    ];
    if let Some(program) = release.daemon() {
        let tree = files::daemon(release, program, Path::new("usr/lib/systemd/system"))?;
        let fields = format!(
            "Section: net\nRecommends: netloom, netloom-plugins\nDescription: {DAEMON}\n \
             Pods of all hosts reach each other; the store is etcd or the Kubernetes API.\n"
        );
        made.push(build(
            release,
            daemon::NAME,
            &tree,
            &fields,
            &daemon_scripts(),
        )?);
    }
    Ok(made)
}

/// The daemon goes on with its new program after an upgrade; what it has made outlives it.
fn daemon_scripts() -> [(&'static str, String); 3] {
    let begin = "#!/bin/sh\nset -e\n";
    let script = |when: &str, what: &str| {
        format!("{begin}if {when} && [ -d /run/systemd/system ]; then\n{what}fi\n")
    };
    let restart =
        "    systemctl daemon-reload || :\n    systemctl try-restart netloom-node.service || :\n";
    let stop = "    systemctl disable --now netloom-node.service || :\n";
    [
        ("postinst", script("[ \"$1\" = configure ]", restart)),
        ("prerm", script("[ \"$1\" = remove ]", stop)),
        (
            "postrm",
            script("[ \"$1\" = remove ]", "    systemctl daemon-reload || :\n"),
        ),
    ]
}

/// The maintainer scripts (deb-postinst(5), deb-prerm(5)), by name.
fn scripts(release: &Release<'_>) -> [(&'static str, String); 2] {
    let reload = "if [ -d /run/systemd/system ]; then\n    systemctl daemon-reload || :\n    \
                  systemctl try-restart cni-dhcp.service || :\nfi\n";
    let units =
        format!("mkdir -p /usr/lib/systemd/system\ncp /{UNITS}/* /usr/lib/systemd/system/\n");
    let no_units = format!(
        "for unit in /{UNITS}/*; do\n    installed=/usr/lib/systemd/system/${{unit##*/}}\n    \
         if cmp -s \"$unit\" \"$installed\"; then rm -f \"$installed\"; fi\ndone\n"
    );
    let begin = "#!/bin/sh\nset -e\n";
    let link = files::link_script(release, PLUGINS);
    let unlink = files::unlink_script(release, PLUGINS);
    let stop = "    if [ -d /run/systemd/system ]; then systemctl stop cni-dhcp.socket cni-dhcp.service || :; fi\n";
    [
        (
            "postinst",
            format!("{begin}if [ \"$1\" = configure ]; then\n{link}{units}{reload}fi\n"),
        ),
        (
            "prerm",
            format!("{begin}if [ \"$1\" = remove ]; then\n{stop}{unlink}{no_units}fi\n"),
        ),
    ]
}

fn build(
    release: &Release<'_>,
    name: &str,
    tree: &Tree,
    fields: &str,
    scripts: &[(&str, String)],
) -> Result<PathBuf> {
    let arch = process::output(Command::new("dpkg").arg("--print-architecture"))?;
    let arch = String::from_utf8(arch)?.trim().to_owned();
    let version = format!("{}-1", release.version());
    let folder = release.scratch(&format!("deb-{name}"))?;
    tree.lay(&folder, release.epoch)?;
    let size = size(&folder)?.div_ceil(1024);
    let mut control = Tree::default();
    control.text(
        "DEBIAN/control",
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {arch}\n\
             Maintainer: netloom <netloom@users.noreply.github.com>\nPriority: optional\n\
             Homepage: {HOME}\nInstalled-Size: {size}\n{fields}"
        ),
    );
    control.text("DEBIAN/md5sums", md5sums(&folder, tree)?);
    if tree.paths().any(|path| path == Path::new(files::SETTINGS)) {
        control.text("DEBIAN/conffiles", format!("/{}\n", files::SETTINGS));
    }
    for (name, script) in scripts {
        control.text(Path::new("DEBIAN").join(name), script.as_str());
    }
    control.lay(&folder, release.epoch)?;
    let to = release.out.join(format!("{name}_{version}_{arch}.deb"));
    // xz of Debian's level 6 looks back 8 MB, so that what is alike in the plugins is packed once.
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zxz", "-z6", "--build"])
        .args([&folder, &to])
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    process::output(&mut pack)?;
    Ok(to)
}

/// The sums of the files, for `dpkg --verify`.
fn md5sums(folder: &Path, tree: &Tree) -> Result<Vec<u8>> {
    let mut sums = Command::new("md5sum");
    sums.args(tree.paths()).current_dir(folder);
    process::output(&mut sums)
}

/// The bytes of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let of_file = fs::symlink_metadata(&path)
            .with_context(|| format!("cannot see {}", path.display()))?;
        size += match of_file.is_dir() {
            true => self::size(&path)?,
            false => of_file.len(),
        };
    }
    Ok(size)
}
