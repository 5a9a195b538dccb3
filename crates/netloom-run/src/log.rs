//! What a pod without a foreground writes: kept, but never more than a pod may fill the host with.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use crate::Pod;
use crate::error::{Doing, Result};

/// When a log is this long, it becomes `log.1`, in place of the one before.
const LONGEST: u64 = 8 << 20;

/// Takes what comes out of a pipe into the pod's log.
pub(crate) struct Log {
    pipe: OwnedFd,
    file: File,
    length: u64,
}

impl Log {
    pub(crate) fn new(pod: &Pod, pipe: OwnedFd) -> Result<Self> {
        let file = pod.open_log()?;
        let length = file.metadata().doing(|| "look at the log")?.len();
        Ok(Self { pipe, file, length })
    }

    pub(crate) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Takes some; `false` when nobody can write any more.
    pub(crate) fn pump(&mut self, pod: &Pod) -> bool {
        let mut buffer = [0; 1 << 16];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.keep(pod, &buffer[..count]);
                true
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => true,
            Err(_) => false,
        }
    }

    /// A log that cannot be written is no reason to keep the command waiting.
    fn keep(&mut self, pod: &Pod, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.length > LONGEST {
            let former = pod.dir().join("log.1");
            if std::fs::rename(pod.log(), former).is_ok()
                && let Ok(file) = pod.open_log()
            {
                self.file = file;
                self.length = bytes.len() as u64;
            }
        }
        let _ = self.file.write_all(bytes);
    }
}
