//! The project, and the directory that what was built is put into.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use netloom_runtime::load;
use serde_json::Value;

/// A plugin under development.
pub(super) struct Project {
    pub(super) dir: PathBuf,
    build: Option<Build>,
}

enum Build {
    Cargo,
    Make,
    Line(String),
}

impl Project {
    pub(super) fn find(dir: &Path, line: Option<&str>) -> Result<Self> {
        let dir = fs::canonicalize(dir).with_context(|| dir.display().to_string())?;
        let has = |name: &str| dir.join(name).is_file();
        let build = match line {
            Some(line) => Some(Build::Line(line.to_owned())),
            None if has("Cargo.toml") => Some(Build::Cargo),
            None if has("Makefile") => Some(Build::Make),
            None => None,
        };
        let project = Self { dir, build };
        ensure!(
            !project.configurations()?.is_empty(),
            "no configuration in {}: expected one such as `netloom new` makes",
            project.dir.join("conf").display()
        );
        Ok(project)
    }

    fn configurations(&self) -> Result<Vec<PathBuf>> {
        let extensions = ["conflist", "conf", "json"];
        Ok(load::conf_files(self.dir.join("conf"), &extensions)?)
    }

    /// What builds it, if anything has to.
    pub(super) fn build(&self) -> Option<Command> {
        let mut command = match self.build.as_ref()? {
            Build::Cargo => Command::new("cargo"),
            Build::Make => Command::new("make"),
            Build::Line(_) => Command::new("/bin/sh"),
        };
        match &self.build {
            Some(Build::Cargo) => drop(command.arg("build")),
            Some(Build::Line(line)) => drop(command.args(["-c", line])),
            _ => {}
        }
        command.current_dir(&self.dir);
        Some(command)
    }

    /// Puts the project's plugins and configurations into the home. Returns the plugins' names.
    pub(super) fn install(&self, home: &Home) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let conf = home.path.join("conf");
        fs::create_dir_all(&conf)?;
        let mut kept = BTreeSet::new();
        for file in self.configurations()? {
            let name = file.file_name().unwrap_or_default();
            kept.insert(name.to_owned());
            put(&file, &conf.join(name))?;
            let text = fs::read(&file)?;
            collect(
                &serde_json::from_slice(&text).unwrap_or_default(),
                &mut names,
            );
        }
        for entry in fs::read_dir(&conf)?.flatten() {
            if !kept.contains(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| self.dir.join("target"));
        let places = match self.build {
            Some(Build::Cargo) => vec![target.join("debug"), self.dir.clone()],
            _ => vec![
                self.dir.clone(),
                target.join("release"),
                target.join("debug"),
            ],
        };
        let mut installed = Vec::new();
        for name in names {
            let built = places.iter().map(|place| place.join(&name));
            if let Some(file) = built.into_iter().find(|path| path.is_file()) {
                put(&file, &home.path.join(&name))?;
                installed.push(name);
            }
        }
        ensure!(
            !installed.is_empty(),
            "no plugin that the configuration names is in {} or where cargo puts it",
            self.dir.display()
        );
        Ok(installed)
    }
}

/// Copies a file under another name first: who executes it has the old one or the new one.
fn put(from: &Path, to: &Path) -> Result<()> {
    let beside = to.with_file_name(".new");
    let copied = fs::copy(from, &beside).and_then(|_| fs::rename(&beside, to));
    copied.with_context(|| format!("copy {}", from.display()))
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let own = object.get("type").and_then(Value::as_str);
            names.extend(own.filter(|it| !it.contains('/')).map(str::to_owned));
            object.values().for_each(|inner| collect(inner, names));
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, names)),
        _ => {}
    }
}

/// A directory of this process's own.
pub(super) struct Home {
    pub(super) path: PathBuf,
}

const PREFIX: &str = "netloom-dev-";

impl Home {
    /// Makes it, and removes those of processes that were killed.
    pub(super) fn make() -> Result<Self> {
        let place = std::env::temp_dir();
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name
                .to_str()
                .and_then(|it| it.strip_prefix(PREFIX)?.parse::<u32>().ok());
            if process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
                // One of another user stays.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = place.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
