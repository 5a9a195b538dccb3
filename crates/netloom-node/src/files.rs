//! Files that others read: whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// Writes a file so that a reader sees the old text or the new one, whatever happens meanwhile. One that
/// has this text already is not touched. Returns whether it was written.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<bool> {
    let failed = || format!("cannot write {}", path.display());
    if fs::read(path).is_ok_and(|now| now == text.as_bytes()) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(failed)?;
    let unfinished = unfinished(path);
    // Made anew, so that nothing of another's is followed or kept.
    remove(&unfinished)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)
        .with_context(failed)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
        let _ = remove(&unfinished);
        return Err(error).with_context(failed);
    }
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(failed)?;
    Ok(true)
}

/// Where a file is while it is written. Runtimes take no file that begins with a dot.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.netloom"))
}

/// Removes what a daemon that was killed has left of a file that it was writing.
pub(crate) fn clear(path: &Path) {
    if let Err(error) = remove(&unfinished(path)) {
        note!("{error:#}");
    }
}

/// Removes a file. Whether there was one.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// Reads a file that is not longer than `longest`. `None` if there is none.
pub(crate) fn read(path: &Path, longest: u64) -> Result<Option<Vec<u8>>> {
    let failed = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut bytes = Vec::new();
    file.take(longest + 1)
        .read_to_end(&mut bytes)
        .with_context(failed)?;
    ensure!(
        bytes.len() as u64 <= longest,
        "{} is longer than {longest} bytes",
        path.display()
    );
    Ok(Some(bytes))
}

/// Reads a file that only root may read.
///
/// # Errors
/// If others may read or change it: the text names what to do about that.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(failed)?;
    let meta = file.metadata().with_context(failed)?;
    let own = rustix::process::geteuid().as_raw();
    let shown = path.display();
    if meta.uid() != own && meta.uid() != 0 {
        bail!("{shown} belongs to user {}: chown root {shown}", meta.uid());
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        bail!("{shown} has mode {mode:04o}, so others can read it: chmod 0600 {shown}");
    }
    let mut bytes = Vec::new();
    file.take(1 << 20)
        .read_to_end(&mut bytes)
        .with_context(failed)?;
    Ok(bytes)
}

/// What the names of the folders in a folder mean, those that mean nothing left out.
pub(crate) fn folders<T>(root: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let failed = || format!("cannot read {}", root.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_type().with_context(failed)?.is_dir() {
            found.extend(entry.file_name().to_str().and_then(&parse));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_is_as_it_shall_be_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/file");
        assert!(write(&path, "one", 0o644).unwrap());
        let before = fs::metadata(&path).unwrap().ino();
        assert!(!write(&path, "one", 0o644).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        assert!(write(&path, "two", 0o644).unwrap());
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1);
        fs::write(unfinished(&path), "cut short").unwrap();
        clear(&path);
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1);
        assert!(remove(&path).unwrap() && !remove(&path).unwrap());
        assert_eq!(read(&path, 10).unwrap(), None);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_chmod() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = format!("{:#}", read_secret(&path).unwrap_err());
        assert!(
            error.contains("mode 0640") && error.contains("chmod 0600"),
            "{error}"
        );
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret(&path).unwrap(), b"secret");
    }
}
