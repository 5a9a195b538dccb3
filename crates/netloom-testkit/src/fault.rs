//! Faults put into a running program from outside: a system call fails, or the program dies
//! there. The program knows nothing of it.

mod harness;
mod points;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::call::{Call, Outcome};
use crate::trace::{TraceLog, has_strace};

pub use harness::{
    Scene, Tally, assert_del_completes, assert_no_residue, assert_no_residue_at_every,
};
pub use points::Point;

/// The places of a call at which a fault can be put.
#[derive(Clone, Debug)]
pub struct Faults {
    call: Call,
    within: Option<Child>,
    points: Vec<Point>,
    /// Where a fault has to hit; anywhere if empty.
    directories: Vec<String>,
}

/// A program that a call executes, and the variable in which it finds its directory.
#[derive(Clone, Debug)]
struct Child {
    program: PathBuf,
    variable: &'static str,
}

/// What came of a run with a fault.
#[derive(Clone, Debug)]
pub struct Struck {
    /// What came of the run.
    pub outcome: Outcome,
    /// Whether the fault took place. The same program may do less in another run.
    pub hit: bool,
}

impl Faults {
    /// Runs the call once to learn its points, or says through [`skip`](crate::skip) that there
    /// is no strace. What the call changed stays changed.
    #[must_use]
    pub fn points(call: &Call) -> Option<Self> {
        Self::learn(call, None, &[])
    }

    /// The same for a program that the call executes, which it finds by this name in its `CNI_PATH`
    /// or `PATH`. A plugin is struck in its ADD, not in the DEL with which a runtime undoes that.
    #[must_use]
    pub fn points_within(call: &Call, child: &str) -> Option<Self> {
        let found = ["CNI_PATH", "PATH"].into_iter().find_map(|variable| {
            let path = call.variable(variable)?;
            std::env::split_paths(path)
                .map(|directory| directory.join(child))
                .find(|file| file.is_file())
                .map(|program| Child { program, variable })
        });
        let Some(child) = found else {
            crate::skip(&format!("no program {child} in PATH"));
            return None;
        };
        Self::learn(call, Some(child), &[])
    }

    /// The same for the places at which the disk that has one of these directories may be found
    /// full: what only reads is none, nor is what is elsewhere.
    #[must_use]
    pub fn points_of_disk(call: &Call, directories: &[&str]) -> Option<Self> {
        Self::learn(call, None, directories)
    }

    fn learn(call: &Call, within: Option<Child>, directories: &[&str]) -> Option<Self> {
        if !has_strace() {
            return None;
        }
        let log = TraceLog::new();
        let directories: Vec<String> = directories.iter().map(|&it| it.to_owned()).collect();
        let outcome = traced(call, within.as_ref(), &log, with_paths(&directories)).run();
        assert!(
            outcome.is_success(),
            "a call without faults should succeed\n{outcome}"
        );
        Some(Self {
            call: call.clone(),
            within,
            points: match directories.as_slice() {
                [] => points::of(&log.calls()),
                some => points::of_disk(&log.calls(), some),
            },
            directories,
        })
    }

    /// Every point, in order.
    #[must_use]
    pub fn list(&self) -> &[Point] {
        &self.points
    }

    /// The numbers of the points at which a fault makes sense: after the start-up of loader and
    /// C library.
    pub fn fallible(&self) -> impl Iterator<Item = usize> {
        (0..self.points.len()).filter(|k| self.points[*k].may_fail)
    }

    /// The numbers of the points before which the program may have changed something.
    pub fn mortal(&self) -> impl Iterator<Item = usize> {
        (0..self.points.len()).filter(|k| self.points[*k].may_change)
    }

    /// The same points for another call of the same program, for instance in another host.
    #[must_use]
    pub fn of_call(&self, call: &Call) -> Self {
        Self {
            call: call.clone(),
            ..self.clone()
        }
    }

    /// Runs the call with the system call at point `k` failing with this errno (`"ENOSPC"`).
    #[must_use]
    pub fn fail_at(&self, k: usize, errno: &str) -> Struck {
        let (struck, log) = self.strike(k, &format!("error={errno}"));
        Struck {
            hit: log
                .lines()
                .any(|line| line.contains("(INJECTED)") && self.is_there(line)),
            outcome: struck,
        }
    }

    /// Runs the call and kills it at the beginning of the system call at point `k`.
    #[must_use]
    pub fn kill_at(&self, k: usize) -> Struck {
        let (struck, log) = self.strike(k, "signal=SIGKILL");
        Struck {
            hit: log.contains("killed by SIGKILL"),
            outcome: struck,
        }
    }

    fn is_there(&self, line: &str) -> bool {
        self.directories.is_empty() || self.directories.iter().any(|it| line.contains(it))
    }

    fn strike(&self, k: usize, fault: &str) -> (Outcome, String) {
        let point = &self.points[k];
        let log = TraceLog::new();
        let (name, when) = (&point.name, point.occurrence);
        let trace = format!("trace={name}");
        let inject = format!("inject={name}:{fault}:when={when}");
        let mut options = vec!["-e", &trace, "-e", &inject];
        options.extend(with_paths(&self.directories));
        let outcome = traced(&self.call, self.within.as_ref(), &log, &options).run();
        (outcome, log.text())
    }
}

/// The option to have the paths of descriptors written, if paths matter.
fn with_paths(directories: &[String]) -> &'static [&'static str] {
    if directories.is_empty() { &[] } else { &["-y"] }
}

/// The call under strace, or with a shell script in its path that starts the child under strace.
/// Strace counts calls for each thread; so it lets go of children when they execute a program.
fn traced(call: &Call, child: Option<&Child>, log: &TraceLog, more: &[&str]) -> Call {
    let options: Vec<&str> = ["-b", "execve"].iter().chain(more).copied().collect();
    // `-qq` would hide how the program ended.
    let mut options = log.options(&options);
    options.retain(|option| option != "-qq");
    let Some(Child { program, variable }) = child else {
        return call.under("strace", &options);
    };
    let options: Vec<String> = options.iter().map(|option| format!("'{option}'")).collect();
    let line = options.join(" ").replace("/log'", "/log.'$$");
    let script = log
        .directory()
        .join(program.file_name().unwrap_or_default());
    let program = program.display();
    let text = format!(
        "#!/bin/sh\n[ \"$CNI_COMMAND\" = DEL ] && exec '{program}' \"$@\"\nexec strace {line} '{program}' \"$@\"\n"
    );
    std::fs::write(&script, text)
        .and_then(|()| std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)))
        .unwrap_or_else(|error| panic!("cannot write {script:?}: {error}"));
    let mut path = log.directory().as_os_str().to_owned();
    path.push(":");
    path.push(call.variable(variable).unwrap_or_default());
    call.clone().env(variable, path)
}
