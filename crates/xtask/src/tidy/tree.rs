//! The workspace's own files, read once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::source::{code_only, without_tests};

/// One Rust file.
pub(crate) struct Source {
    /// From the workspace's root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The text with comments and the contents of literals blanked; the lines stay where they are.
    pub(crate) code: String,
    /// The code without its modules of tests, wherever they stand; the lines stay where they are.
    shipped: String,
    /// How many lines are in modules of tests.
    test_lines: usize,
}

impl Source {
    /// The folder below `crates/`, which is the crate's name.
    pub(crate) fn krate(&self) -> &str {
        self.path
            .iter()
            .nth(1)
            .and_then(|part| part.to_str())
            .unwrap_or_default()
    }

    /// The path inside the crate.
    pub(crate) fn inside(&self) -> PathBuf {
        self.path.iter().skip(2).collect()
    }

    /// The code with the modules of tests blanked.
    pub(crate) fn code_without_tests(&self) -> &str {
        &self.shipped
    }

    /// How many lines the file has without its modules of tests.
    pub(crate) fn lines_without_tests(&self) -> usize {
        self.code.lines().count() - self.test_lines
    }

    /// Whether the whole file is test code, which may be long.
    pub(crate) fn is_test(&self) -> bool {
        let inside = self.inside();
        inside.starts_with("tests")
            || inside.iter().any(|part| part == "tests")
            || inside.file_name().is_some_and(|name| name == "tests.rs")
    }
}

/// One crate's manifest.
pub(crate) struct Manifest {
    pub(crate) path: PathBuf,
    pub(crate) krate: String,
    pub(crate) table: toml::Table,
}

/// Everything below `crates/`, and the versions of what it needs.
pub(crate) struct Tree {
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) sources: Vec<Source>,
    /// `Cargo.lock`, where there is one.
    pub(crate) lock: Option<toml::Table>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self {
            manifests: Vec::new(),
            sources: Vec::new(),
            lock: None,
        };
        let lock = root.join("Cargo.lock");
        if lock.is_file() {
            tree.lock = Some(read(&lock)?.parse().context("Cargo.lock")?);
        }
        for krate in sorted(&root.join("crates"))? {
            let manifest = krate.join("Cargo.toml");
            if manifest.is_file() {
                tree.manifests.push(read_manifest(root, &manifest)?);
                tree.read_sources(root, &krate)?;
            }
        }
        Ok(tree)
    }

    fn read_sources(&mut self, root: &Path, folder: &Path) -> Result<()> {
        for path in sorted(folder)? {
            if path.is_dir() {
                if !path.ends_with("target") {
                    self.read_sources(root, &path)?;
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path)?;
                let code = code_only(&text);
                let path = path.strip_prefix(root)?.to_owned();
                let (shipped, test_lines) = without_tests(&code);
                self.sources.push(Source {
                    path,
                    text,
                    code,
                    shipped,
                    test_lines,
                });
            }
        }
        Ok(())
    }
}

fn read_manifest(root: &Path, path: &Path) -> Result<Manifest> {
    let table = read(path)?
        .parse()
        .with_context(|| format!("{}", path.display()))?;
    let path = path.strip_prefix(root)?.to_owned();
    let krate = path
        .iter()
        .nth(1)
        .map(|part| part.to_string_lossy().into_owned());
    Ok(Manifest {
        krate: krate.unwrap_or_default(),
        path,
        table,
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
