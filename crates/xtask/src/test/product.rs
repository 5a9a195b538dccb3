//! What the tests of plugins and command run: a release, byte for byte as it is packed, or what cargo
//! builds for tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::built::Built;
use crate::dist;

/// The test programs, of plugins and of command, that are for the release above all.
const PROGRAMS: &str = "product";

/// By this all tests find the folder of the release's programs, which take the place of those that cargo built.
const VARIABLE: &str = "NETLOOM_PRODUCT";

/// By this those find it that measure memory: a build for tests tells nothing there.
const MEASURED: &str = "NETLOOM_RELEASE_BIN";

/// Whether a test program belongs to the tier of the release.
pub(super) fn is_of(built: &Built) -> bool {
    built.kind == "test" && built.name == PROGRAMS
}

/// The same of the plugins alone.
pub(super) fn is_of_plugins(built: &Built) -> bool {
    is_of(built) && built.krate == "netloom-plugins"
}

/// The release of a run.
pub(super) struct Product {
    /// The folder of its programs, once it is built.
    bin: Option<PathBuf>,
    /// Whether every test is done with it. A build for tests has the checks for overflow.
    for_all: bool,
}

impl Product {
    pub(super) fn new(for_all: bool) -> Self {
        Self { bin: None, for_all }
    }

    pub(super) fn is_built(&mut self, bin: PathBuf) {
        self.bin = Some(bin);
    }

    /// The same if every test is done with it.
    pub(super) fn for_all(&self) -> Option<&Path> {
        self.bin().filter(|_| self.for_all)
    }

    /// The folder of its programs, once it is built.
    pub(super) fn bin(&self) -> Option<&Path> {
        self.bin.as_deref()
    }

    /// Tells a test program of it.
    pub(super) fn give(&self, title: &str, command: &mut Command) {
        let Some(bin) = &self.bin else { return };
        command.env(MEASURED, bin);
        if self.for_all || title.ends_with(&format!(" {PROGRAMS}")) {
            command.env(VARIABLE, bin);
        }
    }

    /// Says what the next tests run.
    pub(super) fn tell(&self) -> Result<()> {
        match self.for_all() {
            Some(bin) => ["netloom-plugins", "netloom"]
                .iter()
                .try_for_each(|name| dist::tell(&bin.join(name))),
            None => {
                println!("tested: what cargo builds for tests (--full: the release)");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(for_all: bool, title: &str) -> Vec<String> {
        let mut product = Product::new(for_all);
        let mut command = Command::new("/test");
        product.give(title, &mut command);
        assert_eq!(command.get_envs().count(), 0, "before it is built");
        product.is_built("/bin".into());
        product.give(title, &mut command);
        let names = command.get_envs().map(|(name, _)| name.to_string_lossy());
        names.map(|name| name.into_owned()).collect()
    }

    #[test]
    fn a_full_run_tests_the_release_and_the_tests_of_the_release_always_do() {
        assert_eq!(
            given(true, "netloom-plugins test ptp"),
            [VARIABLE, MEASURED]
        );
        assert_eq!(given(false, "netloom-plugins test ptp"), [MEASURED]);
        assert_eq!(given(false, "netloom test product"), [VARIABLE, MEASURED]);
    }
}
