//! A guest whose kernel has every link type, for what the running kernel is too small for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::workspace::Workspace;

/// Runs commands as root of throw-away guests under User-Mode Linux.
pub(crate) struct Guest {
    script: PathBuf,
    kernel: PathBuf,
}

impl Guest {
    pub(crate) fn new(workspace: &Workspace, kernel: PathBuf) -> Self {
        Self {
            script: workspace.root.join("vm/run-in-uml.sh"),
            kernel,
        }
    }

    /// The same command with the same environment and this file for skips, in a guest of its own that
    /// ends after `limit`. Of what it writes, only `out` with all in it reaches this machine.
    pub(crate) fn command(
        &self,
        inner: &Command,
        out: &Path,
        skips: &Path,
        limit: Duration,
    ) -> Command {
        let mut command = Command::new(&self.script);
        command.arg("--linux").arg(&self.kernel);
        command.args(["--timeout", &limit.as_secs().to_string(), "--out"]);
        command.arg(out);
        let skips = ("NETLOOM_SKIPS".as_ref(), Some(skips.as_os_str()));
        for (name, value) in inner.get_envs().chain([skips]) {
            let value = value.unwrap_or_default().to_string_lossy();
            command
                .arg("--env")
                .arg(format!("{}={value}", name.to_string_lossy()));
        }
        command.arg("--").arg(inner.get_program());
        command.args(inner.get_args());
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
        let guest = Guest {
            script: "/run".into(),
            kernel: "/linux".into(),
        };
        let command = guest.command(
            &inner,
            Path::new("/out"),
            Path::new("/out/s"),
            Duration::from_secs(9),
        );
        assert_eq!(
            crate::process::shown(&command),
            "/run --linux /linux --timeout 9 --out /out --env A=b --env NETLOOM_SKIPS=/out/s \
             -- /bin/test --exact"
        );
        assert_eq!(command.get_current_dir(), Some(Path::new("/usr")));
    }
}
