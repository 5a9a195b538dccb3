//! Files that outlive a call.
//!
//! Nobody but root should be able to put anything beside them. If somebody did, symbolic links are not
//! followed: what they lead to is neither read nor written nor removed.

use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// No file of state or configuration is as long as this.
const LONGEST: u64 = 16 << 20;

/// Makes a directory for state, root's alone, and what is above it.
pub(crate) fn ensure_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file (mode 0600). Whoever reads sees the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, content, 0o600, |_| Ok(()))
}

/// The same for what others may read (mode 0644).
pub(crate) fn replace_public(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, content, 0o644, |_| Ok(()))
}

/// The same for what is needed after a loss of power too: the content is on the disk.
pub(crate) fn replace_on_disk(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, content, 0o600, File::sync_data)
}

fn replace_with(
    path: &Path,
    content: &[u8],
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let draft = draft(path);
    let mut file = create_new(&draft, mode)?;
    let written = file
        .write_all(content)
        .and_then(|()| finish(&file))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It is used up by the next one if it cannot be removed.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Makes a file. One of that name is removed and never written to: it may be a link, or have another
/// name as well.
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let open = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode).open(path)
    };
    match open() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove_one(path)?;
            open()
        }
        outcome => outcome,
    }
}

/// Opens or makes a file for flock(2), mode 0600.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    // Not blocking: it may be a fifo.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    require_regular(&file)?;
    Ok(file)
}

/// The content of a file that an administrator wrote, of at most [`LONGEST`] bytes. A link is followed,
/// but only to a regular file: a fifo has no end, and a device may be endless.
pub(crate) fn read_configuration(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(flags).open(path)?;
    require_regular(&file)?;
    read_bounded(file)
}

/// The same as text.
pub(crate) fn read_configuration_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_configuration(path)?)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn require_regular(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST {
        let what = format!("it is longer than {LONGEST} bytes");
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    Ok(content)
}

/// Gives a file another name unless there is a file of that name; says whether it has it.
pub(crate) fn rename_unless_taken(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to) {
        // Under two names it is no worse than under one.
        Ok(()) => fs::remove_file(from).or(Ok(())).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The content of a file; `None` if there is none. DEL and GC must come to an end whatever somebody
/// put there: a link is no file, and what is not regular, a directory say, is as good as an empty one.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Not blocking: it may be a fifo.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    match options.open(path) {
        Err(error) if is_absent(&error) || is_link(&error) => Ok(None),
        opened => match opened? {
            file if !file.metadata()?.is_file() => Ok(Some(Vec::new())),
            file => read_bounded(file).map(Some),
        },
    }
}

/// Removes a file, and what a killed process left of a new one. Absent is success, and so is a
/// directory, which is no such file and stays.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = remove_one(path);
    removed.and(remove_one(&draft(path)))
}

fn remove_one(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if is_absent(&error) || error.kind() == ErrorKind::IsADirectory => Ok(()),
        outcome => outcome,
    }
}

/// A name that is too long for a file has none.
fn is_absent(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::InvalidFilename,
    ];
    kinds.contains(&error.kind())
}

/// What open(2) says of a link that it was told not to follow.
fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// The name that a file has while it is written: always the same for the same file, so that what
/// a killed process left is found again; short, as the file's own name may be as long as a name
/// can be; hidden from those who look for files by their endings.
fn draft(path: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    path.file_name().hash(&mut hasher);
    path.with_file_name(format!(".draft-{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_read_and_removed_with_what_was_left_half_written() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        ensure_directory(&directory).unwrap();
        let path = directory.join("x".repeat(255));
        fs::write(draft(&path), "longer than what comes").unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(draft(&path), "half").unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_neither_read_nor_written_through_nor_followed_when_it_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let [path, victim] = ["path", "victim"].map(|name| home.path().join(name));
        fs::write(&victim, "precious").unwrap();
        for place in [path.clone(), draft(&path)] {
            std::os::unix::fs::symlink(&victim, place).unwrap();
        }
        assert_eq!(read(&path).unwrap(), None);
        assert!(open_lock(&path).is_err());
        replace(&path, b"ours").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"ours");
        std::os::unix::fs::symlink(&victim, draft(&path)).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_gets_another_name_only_if_that_is_free() {
        let home = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| home.path().join(name));
        replace_on_disk(&one, b"one").unwrap();
        assert!(rename_unless_taken(&one, &two).unwrap());
        assert_eq!(read(&two).unwrap().unwrap(), b"one");
        replace_on_disk(&one, b"other").unwrap();
        assert!(!rename_unless_taken(&one, &two).unwrap());
        assert_eq!(read(&two).unwrap().unwrap(), b"one");
        assert_eq!(read(&one).unwrap().unwrap(), b"other");
    }

    #[test]
    fn a_directory_in_a_files_place_has_no_content_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("one");
        fs::create_dir_all(path.join("other")).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"");
        remove(&path).unwrap();
        assert!(path.join("other").exists());
        assert!(replace(&path, b"x").is_err());
    }

    #[test]
    fn a_name_that_no_file_can_have_is_absent() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x".repeat(300));
        assert_eq!(read(&path).unwrap(), None);
        remove(&path).unwrap();
        assert!(replace(&path, b"x").is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
