//! What is delivered, in place of what cargo built for tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The variable by which `cargo xtask test` names the folder of the release's programs.
const VARIABLE: &str = "NETLOOM_PRODUCT";

/// The program with all plugins, of a release.
const PLUGINS: &str = "netloom-plugins";

/// What a shell does to the descriptors of a program: each of stdin, stdout and stderr closed or not.
pub const CLOSED: [&str; 8] = [
    "",
    "<&-",
    ">&-",
    "2>&-",
    "<&- >&-",
    "<&- 2>&-",
    ">&- 2>&-",
    "<&- >&- 2>&-",
];

/// The program to test where cargo built `program` for tests (`env!("CARGO_BIN_EXE_netloom")`): the
/// release's of the same name, if the run of all tests built a release, and otherwise itself. Any other
/// program is itself.
///
/// [`Call`](crate::Call), [`PluginDir`](crate::PluginDir) and [`link_plugins`](crate::link_plugins) ask
/// this themselves.
#[must_use]
pub fn product(program: impl AsRef<Path>) -> PathBuf {
    let program = program.as_ref();
    let release = release().filter(|_| is_built_for_tests(program));
    let own = || program.to_owned();
    release.map_or_else(own, |folder| {
        there(folder.join(program.file_name().unwrap_or_default()))
    })
}

/// The program that answers as the plugins. The command does so too, which spares its tests a second
/// program; but what users install is the plugins'.
pub(crate) fn plugins(program: &Path) -> PathBuf {
    match release().filter(|_| is_built_for_tests(program)) {
        Some(folder) => there(folder.join(PLUGINS)),
        None => program.to_owned(),
    }
}

/// Whether a release is tested.
#[must_use]
pub fn is_release() -> bool {
    release().is_some()
}

fn release() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE)?;
    (!folder.is_empty()).then(|| folder.into())
}

fn there(program: PathBuf) -> PathBuf {
    assert!(program.is_file(), "{VARIABLE} has no {program:?}");
    program
}

/// Whether it lies where cargo puts the programs for this test: `debug/deps/TEST` finds them in `debug`.
fn is_built_for_tests(program: &Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str);
    let folder = |path: &Path| path.parent()?.canonicalize().ok();
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|test| folder(test.parent()?));
    matches!(name, Some("netloom" | PLUGINS)) && beside.is_some() && folder(program) == beside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_built_beside_the_test_is_replaced() {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).unwrap();
        for name in ["netloom", "netloom-plugins"] {
            assert!(is_built_for_tests(&folder.join(name)), "{name}");
            assert!(!is_built_for_tests(&folder.join("deps").join(name)));
            assert!(!is_built_for_tests(Path::new(name)), "found in PATH");
        }
        assert!(!is_built_for_tests(&folder.join("xtask")));
    }
}
