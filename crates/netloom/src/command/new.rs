//! `new`: a plugin to begin with, small and whole, that belongs to whoever asked for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use netloom_plugins::registry::PLUGINS;
use serde_json::{Value, json};

use super::Told;
use crate::cli::{Kind, New};

/// What templates call the plugin, and its type.
const NAME: &str = "my-plugin";
const TYPE: &str = "MyPlugin";
/// Longer than any that exists; the name of a file and of a package.
const LONGEST: usize = 64;

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

pub(super) fn run(new: &New) -> Result<()> {
    let refused = |error: anyhow::Error| Told::with_status(format!("{error:#}"), 2);
    check(&new.name).map_err(refused)?;
    let dir = new.dir.clone().unwrap_or_else(|| PathBuf::from(&new.name));
    let is_free = !dir.exists();
    if !is_free {
        let what = format!(
            "{} exists already: name another directory by --dir",
            dir.display()
        );
        return Err(Told::with_status(what, 2).into());
    }
    // Under another name first: the directory is there whole or not at all.
    let name = dir
        .file_name()
        .context("--dir has no name")?
        .to_string_lossy();
    let beside = dir.with_file_name(format!(".{name}.netloom-{}", std::process::id()));
    let made = write(new, &beside).and_then(|()| Ok(fs::rename(&beside, &dir)?));
    if made.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    made.with_context(|| format!("make {}", dir.display()))?;
    say!(
        "{} is in {}; its README.md tells what to do next",
        new.name,
        dir.display()
    );
    Ok(())
}

/// Refuses what cannot be the name of a plugin, of its file and of its package.
fn check(name: &str) -> Result<()> {
    let fits =
        |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-_".contains(char);
    let begins = name.starts_with(|char: char| char.is_ascii_lowercase());
    ensure!(
        begins && name.len() <= LONGEST && name.chars().all(fits),
        "name {name:?}: expected a lower case letter and then up to {} of a-z, 0-9, - and _",
        LONGEST - 1
    );
    let is_taken = PLUGINS.iter().any(|it| it.name() == name);
    ensure!(
        !is_taken,
        "name {name:?}: a plugin of this name exists already"
    );
    Ok(())
}

fn write(new: &New, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("conf"))?;
    let fill = |text: &str| {
        text.replace(NAME, &new.name)
            .replace(TYPE, &type_name(&new.name))
    };
    let put = |file: &str, text: &str, mode: u32| -> Result<()> {
        let path = dir.join(fill(file));
        fs::write(&path, fill(text))?;
        Ok(fs::set_permissions(
            &path,
            fs::Permissions::from_mode(mode),
        )?)
    };
    let (build, folder) = match new.kind.source() {
        Some(source) => {
            fs::create_dir(dir.join("src"))?;
            put("src/main.rs", source, 0o644)?;
            put("Cargo.toml", &manifest(new), 0o644)?;
            put(".gitignore", "target/\n", 0o644)?;
            ("cargo build", "target/debug/")
        }
        None => {
            let script = match new.kind {
                Kind::Python => include_str!("../../templates/plugin.py"),
                _ => include_str!("../../templates/plugin.sh"),
            };
            put(NAME, script, 0o755)?;
            ("chmod +x my-plugin", "")
        }
    };
    let conf = network(new.kind);
    let request = request(&conf, new.kind).to_string();
    put("conf/10-my-plugin.conflist", &format!("{conf:#}\n"), 0o644)?;
    let kind = format!("{:?}", new.kind).to_lowercase();
    let (binary, file) = (format!("{folder}{NAME}"), format!("./{folder}{NAME}"));
    let words = [
        ("@KIND@", kind.as_str()),
        ("@BUILD@", build),
        ("@DIR@", folder.trim_end_matches('/')),
        ("@BINARY@", &binary),
        ("@FILE@", &file),
        ("@CONF@", &request),
    ];
    fs::create_dir_all(dir.join("deploy"))?;
    fs::create_dir_all(dir.join(".ci"))?;
    for (name, text, mode) in BESIDE {
        let text = words.iter().fold((*text).to_owned(), |text, (mark, word)| {
            text.replace(mark, word)
        });
        put(name, &text, *mode)?;
    }
    Ok(())
}

/// What comes with a plugin of any kind: its name, text and mode.
const BESIDE: &[(&str, &str, u32)] = &[
    ("test.sh", include_str!("../../templates/test.sh"), 0o755),
    (".ci/run", include_str!("../../templates/ci-run"), 0o755),
    (
        "README.md",
        include_str!("../../templates/README.md"),
        0o644,
    ),
    (
        "deploy/Containerfile",
        include_str!("../../templates/deploy/Containerfile"),
        0o644,
    ),
    (
        "deploy/daemonset.yaml",
        include_str!("../../templates/deploy/daemonset.yaml"),
        0o644,
    ),
    (
        "deploy/inventory.ini",
        include_str!("../../templates/deploy/inventory.ini"),
        0o644,
    ),
    (
        "deploy/sync-and-build.yml",
        include_str!("../../templates/deploy/sync-and-build.yml"),
        0o644,
    ),
    (
        "deploy/docker-run.yml",
        include_str!("../../templates/deploy/docker-run.yml"),
        0o644,
    ),
];

impl Kind {
    /// The program, if it is one in Rust.
    fn source(self) -> Option<&'static str> {
        match self {
            Self::Interface => Some(include_str!("../../templates/interface.rs")),
            Self::Chained => Some(include_str!("../../templates/chained.rs")),
            Self::Ipam => Some(include_str!("../../templates/ipam.rs")),
            Self::Meta => Some(include_str!("../../templates/meta.rs")),
            Self::Shell | Self::Python => None,
        }
    }
}

/// `MyPlugin` of `my-plugin`.
fn type_name(name: &str) -> String {
    let words = name.split(['-', '_']).filter(|word| !word.is_empty());
    words
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

/// The crates come from netloom's repository, or from a clone of it.
fn manifest(new: &New) -> String {
    let source = |name: &str| match &new.netloom {
        Some(clone) => format!(
            "{name} = {{ path = {:?} }}\n",
            clone.join("crates").join(name)
        ),
        None => format!("{name} = {{ git = {REPOSITORY:?} }}\n"),
    };
    let kernel = matches!(new.kind, Kind::Interface | Kind::Meta).then(|| source("netloom-kernel"));
    format!(
        "[package]\nname = \"my-plugin\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         {}{}\n# Not part of another workspace.\n[workspace]\n",
        source("netloom-plugin"),
        kernel.unwrap_or_default()
    )
}

/// A network that the plugin has its part in.
fn network(kind: Kind) -> Value {
    let ipam = json!({"type": "host-local", "subnet": "10.88.7.0/24"});
    let plugins = match kind {
        Kind::Interface => json!([{"type": NAME, "ipam": ipam}]),
        Kind::Ipam => {
            json!([{"type": "ptp", "ipam": {"type": NAME, "first": "10.88.7.5/24", "gateway": "10.88.7.1"}}])
        }
        Kind::Meta => json!([{"type": NAME, "delegate": {"type": "ptp", "ipam": ipam}}]),
        Kind::Chained | Kind::Shell | Kind::Python => {
            json!([{"type": "ptp", "ipam": ipam}, {"type": NAME}])
        }
    };
    json!({"cniVersion": "1.0.0", "name": NAME, "plugins": plugins})
}

/// What the plugin finds on its stdin at DEL, with what test.sh has in place of other plugins.
fn request(conf: &Value, kind: Kind) -> Value {
    let plugins = conf["plugins"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut request = plugins.last().cloned().unwrap_or_default();
    request["name"] = NAME.into();
    request["cniVersion"] = "1.0.0".into();
    match kind {
        Kind::Meta => request["delegate"] = json!({"type": "other"}),
        Kind::Interface => request["ipam"] = json!({"type": "other"}),
        _ => {}
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_file_package_and_type_can_have_are_refused() {
        for bad in [
            "",
            "A",
            "1a",
            "a b",
            "a/b",
            "..",
            "bridge",
            "host-local",
            &"a".repeat(65),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in ["a", "my-plugin", "x_1", &"a".repeat(64)] {
            assert!(check(good).is_ok(), "{good}");
        }
        assert_eq!(type_name("my-plugin_2"), "MyPlugin2");
    }
}
