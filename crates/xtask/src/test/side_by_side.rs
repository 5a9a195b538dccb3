//! Several test programs at the same time: most tests wait for a kernel or for another process.

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::{Result, anyhow};

use super::program::Program;
use super::report::Outcome;

/// Runs the programs, up to `at_once` of them at the same time, and then those that want the
/// machine for themselves, each in view. What one of many prints is shown when it has ended.
pub(super) fn run(programs: Vec<Program>, at_once: usize) -> Vec<(String, Result<Outcome>)> {
    let (alone, shared): (Vec<_>, Vec<_>) = programs
        .into_iter()
        .partition(|program| program.alone || at_once < 2);
    let work = |program: Program| {
        let (title, mut lines) = (program.title.clone(), Vec::new());
        let ran = program.run(|line| lines.push(line.to_owned()));
        // One call, so that what it printed stays together.
        println!("\n{title}\n{}", lines.join("\n"));
        ran
    };
    let mut done = each(shared, at_once, |program| program.title.clone(), work);
    for program in alone {
        println!("\n{}", program.title);
        let title = program.title.clone();
        done.push((title, program.run(|line| println!("{line}"))));
    }
    done
}

/// Does something with each of many, up to `at_once` at the same time. Returns the outcomes by their
/// titles, in the order in which they ended.
pub(super) fn each<T: Send, R: Send>(
    all: Vec<T>,
    at_once: usize,
    title: impl Fn(&T) -> String,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Vec<(String, Result<R>)> {
    let titled = all.into_iter().map(|one| (title(&one), one));
    let titled: VecDeque<_> = titled.collect();
    let titles: Vec<String> = titled.iter().map(|(title, _)| title.clone()).collect();
    let queue = Mutex::new(titled);
    let next = || queue.lock().ok()?.pop_front();
    let worker = || -> Vec<_> {
        let mine = std::iter::from_fn(next);
        mine.map(|(title, one)| (title, work(one))).collect()
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let count = at_once.clamp(1, titles.len().max(1));
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|it| it.join().unwrap_or_default());
        ended.flatten().collect()
    });
    for title in titles {
        if !done.iter().any(|(other, _)| *other == title) {
            done.push((title.clone(), Err(anyhow!("{title}: its run was lost"))));
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    fn program(title: &str, script: &str, folder: &Path, alone: bool) -> Program {
        let skips = folder.join(title);
        std::fs::write(&skips, "").unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(folder);
        Program {
            title: title.into(),
            command,
            threads: 1,
            skips,
            alone,
        }
    }

    fn told(script: &str) -> String {
        format!(
            "echo running 1 test; {script}; echo test t ... ok; \
             echo 'test result: ok. 1 passed; 0 failed'"
        )
    }

    #[test]
    fn two_programs_run_at_the_same_time_and_one_that_wants_all_runs_when_they_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        // A reader and a writer of a pipe wait for each other: neither ends without the other.
        let programs = vec![
            program("alone", &told("test -e over"), folder.path(), true),
            program(
                "reader",
                &told("cat <fifo; touch over"),
                folder.path(),
                false,
            ),
            program("writer", &told("echo x >fifo"), folder.path(), false),
        ];
        let done = run(programs, 2);
        assert_eq!(done.len(), 3);
        assert_eq!(done[2].0, "alone");
        for (title, ran) in done {
            let ran = ran.unwrap();
            assert_eq!((ran.passed, ran.failures.len()), (1, 0), "{title}");
        }
    }

    #[test]
    fn a_program_that_dies_is_told_and_the_others_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let programs = vec![
            program(
                "dies",
                "echo running 1 test; kill -9 $$",
                folder.path(),
                false,
            ),
            program("lives", &told("true"), folder.path(), false),
        ];
        let mut done = run(programs, 2);
        done.sort_by(|(one, _), (other, _)| one.cmp(other));
        let [(_, dies), (_, lives)] = done.try_into().ok().unwrap();
        let dies = dies.unwrap();
        assert!(
            dies.failures[0].starts_with("dies: died: "),
            "{:?}",
            dies.failures
        );
        assert_eq!(lives.unwrap().passed, 1);
    }
}
