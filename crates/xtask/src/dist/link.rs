//! Which C library a release is linked with: what it costs to start is decided here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::workspace::Workspace;

mod order;
mod symbols;

/// What it means that a program is not linked with musl.
const ON_GLIBC: &str = "linked with static glibc, larger and slower to start";

/// Why this run gave musl up, if it did.
static GIVEN_UP: OnceLock<String> = OnceLock::new();

/// How to link a static release on this machine, best first.
///
/// musl, because static glibc asks the processor for its features some thirty times before `main`.
/// Under a hypervisor each question leaves the guest: 0.4 ms here, more than a whole ADD takes otherwise.
/// It also halves the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Linking {
    /// Rust's own target for musl, where its standard library is installed.
    MuslTarget,
    /// The standard library for glibc on Debian's musl: see `netloom-kernel/src/musl.rs`.
    GlibcTargetOnMusl,
    /// Static glibc: larger and slower to start.
    Glibc,
}

impl Linking {
    pub(crate) fn of_this_machine() -> Result<Self> {
        if GIVEN_UP.get().is_some() {
            return Ok(Self::Glibc);
        }
        let output = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let sysroot = PathBuf::from(String::from_utf8(output)?.trim());
        let library = sysroot
            .join("lib/rustlib")
            .join(Self::MuslTarget.target())
            .join("lib");
        Ok(if library.is_dir() {
            Self::MuslTarget
        } else if cfg!(target_arch = "x86_64") && process::find_program("musl-gcc").is_some() {
            Self::GlibcTargetOnMusl
        } else {
            Self::Glibc
        })
    }

    pub(crate) fn is_musl(self) -> bool {
        self != Self::Glibc
    }

    pub(crate) fn target(self) -> String {
        let library = match self {
            Self::MuslTarget => "musl",
            Self::GlibcTargetOnMusl | Self::Glibc => "gnu",
        };
        format!("{}-unknown-linux-{library}", std::env::consts::ARCH)
    }

    /// What a release calls the library it is linked with, in its name and in what `version` prints.
    pub(crate) fn libc(self) -> &'static str {
        if self.is_musl() { "musl" } else { "glibc" }
    }

    /// One line for people.
    pub(crate) fn told(self) -> String {
        match (self, GIVEN_UP.get()) {
            (Self::MuslTarget, _) => "linked with musl, as Rust's own target".to_owned(),
            (Self::GlibcTargetOnMusl, _) => {
                "linked with the machine's musl (musl-gcc), as Rust's target for musl \
                 is not installed: rustup target add x86_64-unknown-linux-musl"
                    .to_owned()
            }
            (Self::Glibc, Some(reason)) => format!("{ON_GLIBC}: {reason}"),
            (Self::Glibc, None) => {
                format!("{ON_GLIBC}: neither Rust's target for musl nor musl-gcc is installed")
            }
        }
    }

    /// Builds a program, whose name is the last of cargo's arguments: with glibc where that with musl fails,
    /// and so is then all that follows.
    pub(crate) fn build(workspace: &Workspace, choice: &[&str]) -> Result<PathBuf> {
        let linking = Self::of_this_machine()?;
        let error = match linking.build_with(workspace, choice) {
            Err(error) if linking.is_musl() => error,
            built => return built,
        };
        let reason = format!(
            "musl was given up, as {} failed: {error:#}",
            linking.target()
        );
        println!("{reason}");
        // Set by the first failure alone: there is no second, as glibc is what there is then.
        let _ = GIVEN_UP.set(reason);
        Self::Glibc.build_with(workspace, choice)
    }

    /// Builds the daemon, which asks names of hosts and has C code in it: with musl where that is a target of
    /// Rust's own, else with static glibc. What the others are linked with does not follow from it.
    pub(crate) fn build_daemon(workspace: &Workspace, choice: &[&str]) -> Result<PathBuf> {
        let program = choice.last().copied().unwrap_or_default();
        let reason = match Self::of_this_machine()? {
            Self::MuslTarget => match Self::MuslTarget.build_with(workspace, choice) {
                Err(error) => format!("{} failed: {error:#}", Self::MuslTarget.target()),
                built => return built,
            },
            _ => format!(
                "musl-gcc is not enough for it: rustup target add {}",
                Self::MuslTarget.target()
            ),
        };
        println!("{program}: {ON_GLIBC}: {reason}");
        Self::Glibc.build_with(workspace, choice)
    }

    /// Why a link with musl was tried in vain, if it was.
    pub(crate) fn is_as_wanted() -> Result<()> {
        let given_up = GIVEN_UP.get();
        ensure!(
            given_up.is_none(),
            "{}",
            given_up.map_or("", String::as_str)
        );
        Ok(())
    }

    fn build_with(self, workspace: &Workspace, choice: &[&str]) -> Result<PathBuf> {
        let program = choice.last().copied().unwrap_or_default();
        let folder = workspace.target.join(self.target()).join("release");
        let (built, map) = (folder.join(program), folder.join(format!("{program}.map")));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let order = order::argument(&folder.join("first.ld"))?;
        let mut cargo = self.cargo_build(workspace);
        cargo.args(choice).args(["--", "-C"]);
        cargo.arg(format!("link-arg={order}"));
        if self == Self::GlibcTargetOnMusl {
            cargo.arg("-C");
            cargo.arg(format!("link-arg={}", symbols::map_argument(&map)));
        }
        process::run(&mut cargo)?;
        if self == Self::GlibcTargetOnMusl {
            Self::prove(&built, &map).with_context(|| built.display().to_string())?;
        }
        Ok(built)
    }

    fn flags(self, workspace: &Workspace) -> String {
        let mut flags = "-C target-feature=+crt-static -C relocation-model=static".to_owned();
        if self == Self::GlibcTargetOnMusl {
            flags.push_str(" -C linker=musl-gcc --cfg netloom_musl");
            for argument in symbols::arguments() {
                flags.push_str(&format!(" -C link-arg={argument}"));
            }
        }
        for (from, to) in told_instead(workspace) {
            flags.push_str(&format!(" --remap-path-prefix={from}={to}"));
        }
        flags
    }

    /// Refuses a program that would not be sound on musl.
    fn prove(program: &Path, map: &Path) -> Result<()> {
        let symbols = process::output(Command::new("nm").arg(program))?;
        symbols::prove_whole(&String::from_utf8_lossy(&symbols))?;
        symbols::prove_known(map)
    }

    /// `cargo rustc --release` of this target, statically linked.
    fn cargo_build(self, workspace: &Workspace) -> Command {
        let target = self.target();
        let variable = format!(
            "CARGO_TARGET_{}_RUSTFLAGS",
            target.to_uppercase().replace('-', "_")
        );
        let mut command = workspace.cargo(&["rustc", "--release", "--target", &target]);
        // With --target the flags reach the program but no build script or macro; the other variables would win over it.
        command
            .env(variable, self.flags(workspace))
            // dist strips the program itself, after it looked at its symbols.
            .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}

/// Fails if a program tells where it was built.
pub(super) fn tells_no_path(workspace: &Workspace, program: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    for (path, _) in told_instead(workspace) {
        let found = bytes
            .windows(path.len())
            .any(|part| part == path.as_bytes());
        ensure!(
            !found,
            "{} has the path {path:?} in it: another tree would make other bytes",
            program.display()
        );
    }
    Ok(())
}

/// Paths that panics tell, and what the program says instead: whoever builds it, wherever, gets the same bytes. Flags
/// are split at spaces, so that a path with one stays as it is.
fn told_instead(workspace: &Workspace) -> Vec<(String, &'static str)> {
    let home = || Some(std::env::home_dir()?.join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let all = [
        (cargo.or_else(home), "/cargo"),
        (Some(workspace.target.clone()), "/netloom/target"),
        (Some(workspace.root.clone()), "/netloom"),
    ];
    let paths = all.into_iter().filter_map(|(from, to)| {
        let from = from?.to_str()?.to_owned();
        (!from.contains(char::is_whitespace)).then_some((from, to))
    });
    paths.collect()
}
