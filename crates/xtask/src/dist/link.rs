//! Which C library a release is linked with: what it costs to start is decided here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::process;
use crate::workspace::Workspace;

/// What libgcc's unwinder refers to weakly. A static link takes a member of the C library's archive for a strong
/// reference only, so without these a part of the names stays at address 0 while the unwinder finds others and takes the
/// program for one with threads: every panic would call `pthread_once` at 0.
const PINNED: [&str; 6] = [
    "pthread_once",
    "pthread_key_create",
    "pthread_getspecific",
    "pthread_setspecific",
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
];

/// The weak symbols without an address, in what nm prints of a program: blanks, `w`, name.
fn without_address(symbols: &str) -> Vec<&str> {
    let weak = symbols
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    weak.filter_map(|words| match words.as_slice() {
        ["w" | "v", name] => Some(*name),
        _ => None,
    })
    .collect()
}

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
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::MuslTarget => "linked with musl, as Rust's own target",
            Self::GlibcTargetOnMusl => {
                "linked with the machine's musl (musl-gcc): Rust's target for musl is not installed"
            }
            Self::Glibc => {
                "linked with static glibc, larger and slower to start: neither Rust's target for musl nor musl-gcc is installed"
            }
        }
    }

    fn flags(self) -> String {
        let mut flags = "-C target-feature=+crt-static -C relocation-model=static".to_owned();
        if self == Self::GlibcTargetOnMusl {
            flags.push_str(" -C linker=musl-gcc --cfg netloom_musl");
            for name in PINNED {
                flags.push_str(&format!(" -C link-arg=-Wl,-u,{name}"));
            }
        }
        flags
    }

    /// Refuses a program in which a symbol that somebody refers to weakly has no address: a call of it ends in SIGSEGV.
    pub(crate) fn prove_whole(self, program: &Path) -> Result<()> {
        if self != Self::GlibcTargetOnMusl {
            return Ok(());
        }
        let symbols = process::output(Command::new("nm").arg(program))?;
        let symbols = String::from_utf8_lossy(&symbols);
        ensure!(
            symbols.lines().count() > PINNED.len(),
            "{} has no symbols to look at",
            program.display()
        );
        let absent = without_address(&symbols);
        ensure!(
            absent.is_empty(),
            "{} refers to {}, which the linker left at address 0: name it in PINNED in dist/link.rs",
            program.display(),
            absent.join(", ")
        );
        Ok(())
    }

    /// `cargo build --release` of this target, statically linked.
    pub(crate) fn cargo_build(self, workspace: &Workspace) -> Command {
        let target = self.target();
        let variable = format!(
            "CARGO_TARGET_{}_RUSTFLAGS",
            target.to_uppercase().replace('-', "_")
        );
        let mut command = workspace.cargo(&["build", "--release", "--target", &target]);
        // With --target the flags reach the program but no build script or macro; the other variables would win over it.
        command
            .env(variable, self.flags())
            // dist strips the program itself, after it looked at its symbols.
            .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_symbol_without_an_address_is_seen() {
        let symbols = "0000000000401460 W __stdio_exit\n                 w pthread_once\n                 U write\n0000000000401460 T main\n";
        assert_eq!(without_address(symbols), ["pthread_once"]);
    }
}
