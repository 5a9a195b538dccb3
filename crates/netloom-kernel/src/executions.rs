//! Which programs are executed (fanotify(7)). Only root of the machine may ask.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The kernel's `fanotify_event_metadata`: length, version, a reserved byte, the metadata's length, the
/// mask, the descriptor, the process.
const HEAD: usize = 24;

/// Hears of every execution of a program on some file systems.
#[derive(Debug)]
pub struct Executions {
    group: OwnedFd,
}

/// A file that was opened to be executed: a program, the interpreter of a script, a loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its path.
    pub program: PathBuf,
    /// The mount by which it was found, as `/proc/self/mountinfo` numbers it. It tells the processes of
    /// one mount namespace from those of others.
    pub mount: u32,
}

impl Executions {
    /// Hears from here on of programs on the file systems that these paths are on. The file systems
    /// must be known before the user namespace is left; the descriptor goes on to hear in another.
    ///
    /// # Errors
    /// If the kernel refuses: it asks for root of the machine.
    pub fn listen(paths: &[PathBuf]) -> io::Result<Self> {
        let flags = libc::FAN_CLASS_NOTIF
            | libc::FAN_CLOEXEC
            | libc::FAN_NONBLOCK
            | libc::FAN_UNLIMITED_QUEUE;
        let of_files = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE).cast_unsigned();
        // SAFETY: the call has no pointers.
        #[expect(unsafe_code, reason = "rustix has no fanotify")]
        let group = unsafe { libc::fanotify_init(flags, of_files) };
        if group < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
        #[expect(unsafe_code, reason = "the descriptor is the kernel's answer")]
        let group = unsafe { OwnedFd::from_raw_fd(group) };
        let this = Self { group };
        for path in paths.iter().filter(|path| path.exists()) {
            this.mark(path)?;
        }
        Ok(this)
    }

    fn mark(&self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        let group = self.group.as_raw_fd();
        // SAFETY: the path is a string with its end, which the kernel only reads.
        #[expect(unsafe_code, reason = "rustix has no fanotify")]
        let marked = unsafe {
            libc::fanotify_mark(
                group,
                flags,
                libc::FAN_OPEN_EXEC,
                libc::AT_FDCWD,
                path.as_ptr(),
            )
        };
        match marked {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What was executed since the last time, in its order.
    ///
    /// # Errors
    /// If the kernel tells what cannot be understood.
    pub fn take(&self) -> io::Result<Vec<Execution>> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.group, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(all),
                Ok(length) => told(&buffer[..length], &mut all)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Executions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// Reads events, of which each has a descriptor that is ours to close.
fn told(mut bytes: &[u8], all: &mut Vec<Execution>) -> io::Result<()> {
    let word = |bytes: &[u8], at: usize| {
        let four = bytes[at..].first_chunk::<4>();
        four.map_or(0, |four| i32::from_ne_bytes(*four))
    };
    while bytes.len() >= HEAD {
        let length = word(bytes, 0) as usize;
        let event = bytes.get(..length).filter(|event| event.len() >= HEAD);
        let event = event.ok_or(io::ErrorKind::InvalidData)?;
        let file = word(event, 16);
        if file >= 0 {
            // SAFETY: the kernel made this descriptor for us, and tells it once.
            #[expect(unsafe_code, reason = "the descriptor is in the kernel's answer")]
            let file = unsafe { OwnedFd::from_raw_fd(file) };
            all.extend(execution(&file));
        }
        bytes = &bytes[length..];
    }
    Ok(())
}

fn execution(file: &OwnedFd) -> Option<Execution> {
    let number = file.as_raw_fd();
    let program = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    let mount = about
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))?;
    let mount = mount.trim().parse().ok()?;
    Some(Execution { program, mount })
}

/// The numbers of this mount namespace's mounts.
///
/// # Errors
/// If `/proc` is not there.
pub fn own_mounts() -> io::Result<Vec<u32>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let number = |line: &str| line.split(' ').next()?.parse().ok();
    Ok(text.lines().filter_map(number).collect())
}
