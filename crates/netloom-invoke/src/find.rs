//! Where a plugin's executable is.

use std::path::{MAIN_SEPARATOR, PathBuf};

use crate::Error;

/// Finds the executable of the plugin named `plugin`: the first of the directories `paths` that
/// has a regular file (symbolic links followed) of this name. Whether it may be executed is found
/// out by executing it.
///
/// # Errors
/// When the name is empty or contains a path separator (a configuration could name any executable
/// of the host: CVE-2021-20206), when no directory is given, or none has the file. An empty path
/// (`CNI_PATH=:/opt/cni/bin`) is no directory: the working directory may be anybody's.
pub fn find_in_path(plugin: &str, paths: &[PathBuf]) -> Result<PathBuf, Error> {
    check_name(plugin)?;
    let dirs = || paths.iter().filter(|dir| !dir.as_os_str().is_empty());
    if dirs().next().is_none() {
        return Err(Error::NoPaths);
    }
    dirs()
        .map(|dir| dir.join(plugin))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::NotFound {
            plugin: plugin.to_owned(),
            paths: paths.to_vec(),
        })
}

/// Refuses a `type` that is no plain file name.
pub(crate) fn check_name(plugin: &str) -> Result<(), Error> {
    if plugin.is_empty() {
        return Err(Error::NoPluginName);
    }
    if plugin.contains(MAIN_SEPARATOR) || plugin.contains('\0') || matches!(plugin, "." | "..") {
        return Err(Error::InvalidPluginName {
            name: plugin.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn dir_with(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(dir.path().join(name), "").unwrap();
        }
        dir
    }

    #[test]
    fn the_first_directory_with_the_file_wins() {
        let (a, b, c) = (dir_with(&[]), dir_with(&["p"]), dir_with(&["p"]));
        let paths = [a.path(), b.path(), c.path()].map(Path::to_owned);
        assert_eq!(find_in_path("p", &paths).unwrap(), b.path().join("p"));
    }

    #[test]
    fn a_directory_of_that_name_is_passed_over_and_a_symlink_is_followed() {
        let (a, b) = (dir_with(&[]), dir_with(&["target"]));
        fs::create_dir(a.path().join("p")).unwrap();
        symlink(b.path().join("target"), b.path().join("p")).unwrap();
        let paths = [a.path(), b.path()].map(Path::to_owned);
        assert_eq!(find_in_path("p", &paths).unwrap(), b.path().join("p"));
    }

    #[test]
    fn a_dangling_symlink_is_not_a_plugin() {
        let dir = dir_with(&[]);
        symlink("nowhere", dir.path().join("p")).unwrap();
        let error = find_in_path("p", &[dir.path().to_owned()]).unwrap_err();
        let expected = format!(
            r#"failed to find plugin "p" in path [{}]"#,
            dir.path().display()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_name_with_a_path_separator_is_refused_even_if_the_file_exists() {
        let dir = dir_with(&["p"]);
        fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["sub/../p", "../p", "/bin/sh", ".", ".."] {
            let error = find_in_path(name, &[dir.path().join("sub")]).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid plugin name: {name}"));
        }
    }

    #[test]
    fn an_empty_name_and_an_empty_path_have_their_own_messages() {
        let error = find_in_path("", &[PathBuf::from("/")]).unwrap_err();
        assert_eq!(error.to_string(), "no plugin name provided");
        assert_eq!(
            find_in_path("p", &[]).unwrap_err().to_string(),
            "no paths provided"
        );
    }

    #[test]
    fn an_empty_directory_is_not_the_working_directory() {
        // Tests run in the directory of their crate.
        assert!(Path::new("Cargo.toml").is_file());
        let find = |paths: &[PathBuf]| find_in_path("Cargo.toml", paths).unwrap_err().to_string();
        assert_eq!(find(&[PathBuf::new()]), "no paths provided");
        let dir = dir_with(&[]);
        let error = find(&[PathBuf::new(), dir.path().to_owned()]);
        assert!(error.starts_with("failed to find plugin"), "{error}");
    }
}
