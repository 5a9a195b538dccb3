//! One fuzz target, built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::workspace::Workspace;

/// What cargo-fuzz passes, without its sanitizer.
const FLAGS: [&str; 9] = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// For those that are not about messages or names; longer inputs find nothing that these do not.
const LONG: usize = 8192;

/// A target.
pub(crate) struct Binary {
    pub(crate) name: String,
    program: PathBuf,
    /// `fuzz/`.
    folder: PathBuf,
}

/// What a run without a finding came to.
pub(crate) struct Ran {
    pub(crate) runs: u64,
    pub(crate) per_second: u64,
    /// Edges.
    pub(crate) coverage: u64,
}

/// The names of all targets, in order.
pub(crate) fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/fuzz_targets");
    let mut names: Vec<String> = files(&folder)?
        .iter()
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    ensure!(!names.is_empty(), "no targets in {}", folder.display());
    Ok(names)
}

/// Builds targets, by name.
pub(crate) fn build(workspace: &Workspace, names: &[String]) -> Result<Vec<Binary>> {
    let folder = workspace.root.join("fuzz");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = workspace.cargo(&["build", "--release", "--target", &target]);
    cargo
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .current_dir(&folder)
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut cargo)?;
    let programs = folder.join("target").join(target).join("release");
    let binary = |name: &String| Binary {
        program: programs.join(name),
        folder: folder.clone(),
        name: name.clone(),
    };
    Ok(names.iter().map(binary).collect())
}

impl Binary {
    fn kept(&self, what: &str) -> PathBuf {
        self.folder.join(what).join(&self.name)
    }

    /// A folder below `fuzz/target`.
    fn made(&self, what: &str) -> Result<PathBuf> {
        let folder = self.folder.join("target").join(what).join(&self.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    fn max_len(&self) -> usize {
        match self.name.as_str() {
            "cni_args" => 1024,
            "dhcp4" | "dhcp6" => 1500,
            "error" => 2048,
            _ => LONG,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-rss_limit_mb=1024", "-timeout=5", "-print_final_stats=1"]);
        command.arg(format!(
            "-artifact_prefix={}/",
            self.folder.join("artifacts").display()
        ));
        command
    }

    /// Runs what failed once; none may fail again.
    pub(crate) fn replay(&self) -> Result<()> {
        let inputs = files(&self.kept("regressions"))?;
        if inputs.is_empty() {
            return Ok(());
        }
        self.watch(self.command().args(inputs)).map(drop)
    }

    /// Looks for a finding for some seconds, from the kept corpus and what earlier runs found.
    pub(crate) fn run(&self, seconds: u64) -> Result<Ran> {
        let mut command = self.command();
        command
            .arg("-fork=0")
            .arg(format!("-max_len={}", self.max_len()))
            .arg(format!("-max_total_time={seconds}"))
            .arg(self.made("corpus")?)
            .args(Some(self.kept("corpus")).filter(|kept| kept.is_dir()));
        let log = self.watch(&mut command)?;
        let number =
            |key: &str| statistic(&log, key).with_context(|| format!("no {key} in the log"));
        Ok(Ran {
            runs: number("stat::number_of_executed_units:")?,
            per_second: number("stat::average_exec_per_sec:")?,
            coverage: number("cov:")?,
        })
    }

    /// Makes the kept corpus the few smallest inputs that cover what all known ones do.
    pub(crate) fn merge(&self) -> Result<()> {
        let (found, kept) = (self.made("corpus")?, self.kept("corpus"));
        let merged = self.made("merged")?;
        fs::remove_dir_all(&merged)?;
        fs::create_dir_all(&merged)?;
        let mut command = self.command();
        // By edges alone: how often each was taken would keep a hundred times as many.
        command.args(["-set_cover_merge=1", "-use_counters=0"]);
        command.arg(format!("-max_len={}", self.max_len()));
        command
            .args([&merged, &found])
            .args(Some(&kept).filter(|kept| kept.is_dir()));
        self.watch(&mut command)?;
        drop(fs::remove_dir_all(&kept));
        fs::create_dir_all(&kept)?;
        for file in files(&merged)? {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(&file, kept.join(name))?;
        }
        Ok(())
    }

    /// Runs to the end. An error is what was found, with the input's path.
    fn watch(&self, command: &mut Command) -> Result<String> {
        fs::create_dir_all(self.folder.join("artifacts"))?;
        let line = process::shown(command);
        let output = command
            .output()
            .with_context(|| format!("cannot run {line}"))?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let file = self.made("logs")?.join("last.log");
        fs::write(&file, &log).with_context(|| format!("cannot write {}", file.display()))?;
        if output.status.success() {
            return Ok(log);
        }
        bail!(
            "{} ({}; all of it is in {})",
            finding(&log),
            output.status,
            file.display()
        )
    }
}

/// The first line of what went wrong, and where its input is.
fn finding(log: &str) -> String {
    let is_told = |line: &&str| line.contains("panicked at") || line.contains("ERROR: libFuzzer");
    let mut lines = log.lines().skip_while(|line| !is_told(line));
    let what: Vec<&str> = lines.by_ref().take(2).collect();
    let input = log
        .lines()
        .find_map(|line| line.split_once("Test unit written to "));
    let replayed = || log.lines().rfind(|line| line.starts_with("Running: "));
    let input = input.map(|(_, path)| path).or_else(replayed);
    format!(
        "{}; input: {}",
        what.join(" "),
        input.unwrap_or("not written")
    )
}

/// The last number behind a key.
fn statistic(log: &str, key: &str) -> Option<u64> {
    let (_, after) = log.rsplit_once(key)?;
    after.split_whitespace().next()?.parse().ok()
}

/// The files of a folder in order; none if there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "#2 INITED cov: 12 ft: 13\n#9\tDONE   cov: 34 ft: 56 corp: 7/8b\n\
                       stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     33\n";

    #[test]
    fn the_last_number_of_a_key_counts() {
        assert_eq!(statistic(LOG, "cov:"), Some(34));
        assert_eq!(statistic(LOG, "stat::average_exec_per_sec:"), Some(33));
        assert_eq!(statistic(LOG, "stat::nothing:"), None);
    }

    #[test]
    fn a_finding_names_what_happened_and_its_input() {
        let log = "Running: a\nRunning: b\nthread '<unnamed>' panicked at src/a.rs:5:9:\nit is odd\n\
                   ==1== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(
            finding(log),
            "thread '<unnamed>' panicked at src/a.rs:5:9: it is odd; input: Running: b"
        );
        let written = format!("{log}artifact_prefix='x'; Test unit written to x/crash-1\n");
        assert!(finding(&written).ends_with("; input: x/crash-1"));
    }
}
