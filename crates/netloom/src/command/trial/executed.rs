//! Which programs plugins executed. Only root is told.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use netloom_kernel::executions::{self, Execution, Executions};
use rustix::event::{PollFd, PollFlags, poll};

/// Hears of programs, from before the throw-away host is made.
pub(super) struct Ears(Option<Executions>);

/// Heard what is executed in the host; nothing, where nobody may hear.
pub(super) struct Executed(Option<Arc<Heard>>);

struct Heard {
    executions: Executions,
    /// The host's mounts, by which its processes find programs.
    mounts: Vec<u32>,
    /// Directories of plugins, whose calls are told elsewhere.
    plugin_dirs: Vec<PathBuf>,
    programs: Mutex<Vec<PathBuf>>,
}

impl Ears {
    /// To be called in the namespaces of the machine.
    pub(super) fn new(plugin_dirs: &[PathBuf]) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
        places.extend(["/", "/usr", "/opt"].map(PathBuf::from));
        places.extend(plugin_dirs.iter().cloned());
        Self(Executions::listen(&places).ok())
    }

    /// To be called in the host, once it is furnished. A thread takes what is told at once: until then
    /// the file systems of others cannot be unmounted.
    pub(super) fn within(self, plugin_dirs: &[PathBuf]) -> Executed {
        let (Some(executions), Ok(mounts)) = (self.0, executions::own_mounts()) else {
            return Executed(None);
        };
        let real = |dir: &PathBuf| std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
        let heard = Arc::new(Heard {
            executions,
            mounts,
            plugin_dirs: plugin_dirs.iter().map(real).collect(),
            programs: Mutex::default(),
        });
        let of_thread = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut ready = [PollFd::new(&of_thread.executions, PollFlags::IN)];
            while poll(&mut ready, None).is_ok() {
                of_thread.hear();
            }
        });
        Executed(Some(heard))
    }
}

impl Executed {
    /// What was executed since the last time, in its order; `None` where nobody may hear.
    pub(super) fn take(&self) -> Option<Vec<PathBuf>> {
        let heard = self.0.as_ref()?;
        heard.hear();
        let mut programs = heard
            .programs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut *programs))
    }
}

impl Heard {
    /// Under the lock, so that who takes the programs has all that were executed before.
    fn hear(&self) {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let told = self.executions.take().unwrap_or_default();
        let is_told =
            |it: &Execution| self.mounts.contains(&it.mount) && !self.is_aside(&it.program);
        programs.extend(told.into_iter().filter(is_told).map(|it| it.program));
    }

    /// A plugin, or the loader that the kernel opens for each program.
    fn is_aside(&self, program: &Path) -> bool {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let dir = program.parent();
        name.starts_with("ld-") || self.plugin_dirs.iter().any(|it| Some(it.as_path()) == dir)
    }
}

/// In words: each program once, in the order of its first execution.
pub(super) fn words(programs: &[PathBuf]) -> String {
    let mut counted: Vec<(&PathBuf, usize)> = Vec::new();
    for program in programs {
        match counted.iter_mut().find(|(known, _)| *known == program) {
            Some((_, count)) => *count += 1,
            None => counted.push((program, 1)),
        }
    }
    let word = |(program, count): &(&PathBuf, usize)| match count {
        1 => program.display().to_string(),
        count => format!("{} ×{count}", program.display()),
    };
    counted.iter().map(word).collect::<Vec<_>>().join(", ")
}
