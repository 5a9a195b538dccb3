//! Writing a file of the cache so that a reader sees the old one or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{CacheError, boot};

/// Replaces `path`, about an attachment to `network`, with a file of this content (mode 0600), in a
/// directory of mode 0700.
///
/// The data is on disk before the file gets its name. Otherwise a power loss could leave an empty
/// file of that name, and runtimes with libcni up to 1.3.0, which share the directory, then fail
/// to DEL the container for good (containernetworking/cni issue 1055). That the name itself is on
/// disk need not be waited for: a reader that finds no file does without.
pub(super) fn replace(network: &str, path: &Path, content: &[u8]) -> Result<(), CacheError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|cause| CacheError::io(dir, cause))?;
    let temporary = temporary(network, path);
    let written = write(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|cause| {
        // It will be overwritten if it cannot be removed.
        let _ = fs::remove_file(&temporary);
        CacheError::io(path, cause)
    })
}

/// Removes what a killed process left of a new file of this name. In vain is no harm: it is used up
/// by the next ADD.
pub(super) fn discard(network: &str, path: &Path) {
    let _ = fs::remove_file(temporary(network, path));
}

/// What the names of this network's new files begin with while they are written.
pub(super) fn draft_prefix(network: &str) -> String {
    format!(".tmp-{:016x}-", hash(network.as_bytes()))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create_new(path)?;
    file.write_all(content)?;
    boot::mark(&file);
    file.sync_data()
}

/// Makes a file. One of that name is removed and never written to: it may be a link.
fn create_new(path: &Path) -> io::Result<File> {
    let open = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(path)
    };
    match open() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            open()
        }
        outcome => outcome,
    }
}

/// The name that a file has while it is written: always the same for the same file, so that what
/// a killed process leaves is used up by the next; with the network in it, so that GC, which keeps
/// ADD of one network waiting, knows which nobody writes any more; short, as the file's own name may
/// be as long as a name can be; with a dot, which no network name starts with, so that it is not
/// listed.
fn temporary(network: &str, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    path.with_file_name(format!("{}{:016x}", draft_prefix(network), hash(name)))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn directory_and_file_are_private_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cni/results/a-b-eth0");
        replace("a", &path, b"one").unwrap();
        replace("a", &path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_used_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-b-eth0");
        fs::write(temporary("a", &path), "longer than what comes").unwrap();
        replace("a", &path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert!(!temporary("a", &path).exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_temporary_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("a-b-eth0"), dir.path().join("victim"));
        for content in ["precious", ""] {
            if !content.is_empty() {
                fs::write(&victim, content).unwrap();
            }
            std::os::unix::fs::symlink(&victim, temporary("a", &path)).unwrap();
            replace("a", &path, b"x").unwrap();
            assert_eq!(fs::read_to_string(&victim).unwrap_or_default(), content);
            drop(fs::remove_file(&victim));
        }
    }

    #[test]
    fn a_name_of_255_bytes_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        replace("a", &dir.path().join("n".repeat(255)), b"x").unwrap();
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("occupied");
        fs::create_dir_all(path.join("by a directory")).unwrap();
        assert!(matches!(
            replace("a", &path, b"x"),
            Err(CacheError::Io { .. })
        ));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-b-eth0");
        fs::write(temporary("a", &path), "{\"kind\":\"cniCa").unwrap();
        discard("a", &path);
        discard("a", &path);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
