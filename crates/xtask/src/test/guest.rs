//! A guest whose kernel has every link type, for what the running kernel is too small for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::workspace::Workspace;

/// A program that runs its arguments as root in a throw-away guest:
/// `GUEST --timeout SECONDS --out DIR -- COMMAND`, where only DIR is written through to the host.
pub(crate) struct Guest(PathBuf);

impl Guest {
    /// `$NETLOOM_GUEST`, or the scripts for User-Mode Linux beside the workspace.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let beside = || workspace.root.join("../shared/vm/run-in-uml.sh");
        let program = std::env::var_os("NETLOOM_GUEST").map_or_else(beside, PathBuf::from);
        ensure!(
            program.is_file(),
            "{} is not there: let $NETLOOM_GUEST name a program that runs a command in a guest",
            program.display()
        );
        Ok(Self(program))
    }

    /// The same command with the same environment, in a guest.
    pub(crate) fn command(&self, inner: &Command, out: &Path, skips: &Path) -> Command {
        let mut command = Command::new(&self.0);
        command.args(["--timeout", "1200", "--out"]).arg(out);
        // env(1) and not --env: cargo's names for programs are none that a shell can export.
        command.args(["--", "env"]);
        let skips = ("NETLOOM_SKIPS".as_ref(), Some(skips.as_os_str()));
        for (name, value) in inner.get_envs().chain([skips]) {
            let value = value.unwrap_or_default().to_string_lossy();
            command.arg(format!("{}={value}", name.to_string_lossy()));
        }
        command.arg(inner.get_program()).args(inner.get_args());
        command.current_dir(inner.get_current_dir().unwrap_or(Path::new("/")));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reaches_the_guest_with_its_environment() {
        let mut inner = Command::new("/bin/test");
        inner.arg("--exact").env("A", "b").current_dir("/usr");
        let command =
            Guest("/guest".into()).command(&inner, Path::new("/out"), Path::new("/out/s"));
        assert_eq!(
            crate::process::shown(&command),
            "/guest --timeout 1200 --out /out -- env A=b NETLOOM_SKIPS=/out/s /bin/test --exact"
        );
        assert_eq!(command.get_current_dir(), Some(Path::new("/usr")));
    }
}
