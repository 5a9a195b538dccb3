//! Which C library a release is linked with: what it costs to start is decided here.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

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

    fn flags(self) -> &'static str {
        match self {
            Self::MuslTarget | Self::Glibc => {
                "-C target-feature=+crt-static -C relocation-model=static"
            }
            Self::GlibcTargetOnMusl => {
                "-C target-feature=+crt-static -C relocation-model=static -C linker=musl-gcc --cfg netloom_musl"
            }
        }
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
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}
