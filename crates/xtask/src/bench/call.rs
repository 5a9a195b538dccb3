//! One timed execution.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A program with all that it is given.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) stdin: Vec<u8>,
}

impl Call {
    /// From just before the spawn to the exit, and what was written to stdout.
    ///
    /// # Errors
    /// When the program cannot be run, or says that it failed: with all it said.
    pub(crate) fn time(&self) -> Result<(Duration, Vec<u8>)> {
        let mut stderr = tempfile::tempfile()?;
        let mut command = self.command(stderr.try_clone()?);
        let mut stdout = Vec::with_capacity(64 * 1024);
        let begin = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        let mut input = child.stdin.take().context("a piped stdin is there")?;
        // A program may well end without reading its stdin, which closes the pipe.
        let _ = input.write_all(&self.stdin);
        drop(input);
        child
            .stdout
            .take()
            .context("a piped stdout is there")?
            .read_to_end(&mut stdout)?;
        let status = child.wait()?;
        let time = begin.elapsed();
        if !status.success() {
            let mut said = String::from_utf8_lossy(&stdout).into_owned();
            stderr.seek(SeekFrom::Start(0))?;
            stderr.read_to_string(&mut said)?;
            let what = self
                .environment
                .iter()
                .map(|(name, value)| format!("{name}={value} "));
            let what: String = what.collect();
            bail!(
                "{what}{}: {status}: {}",
                self.program.display(),
                said.trim()
            );
        }
        Ok((time, stdout))
    }

    /// The same in a named network namespace.
    pub(crate) fn inside(mut self, netns: Option<&str>) -> Self {
        if let Some(netns) = netns {
            let program = std::mem::replace(&mut self.program, "ip".into());
            let words = ["netns", "exec", netns].map(str::to_owned);
            let program = [program.display().to_string()];
            let all = words.into_iter().chain(program);
            self.arguments = all.chain(std::mem::take(&mut self.arguments)).collect();
        }
        self
    }

    fn command(&self, stderr: File) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr);
        command
    }
}

/// What a runtime does for one pod: one call, or one for each plugin of a list.
pub(crate) struct Job {
    pub(crate) calls: Vec<Call>,
    /// Whether each call's answer is the next one's `prevResult`.
    pub(crate) hands_on: bool,
}

impl Job {
    /// The times of all calls together, and the last answer.
    ///
    /// # Errors
    /// When a call fails, or what it answered cannot be handed on.
    pub(crate) fn time(&mut self) -> Result<(Duration, Vec<u8>)> {
        let (mut total, mut answer) = (Duration::ZERO, Vec::new());
        for (index, call) in self.calls.iter_mut().enumerate() {
            if self.hands_on && index > 0 {
                call.stdin = with_prev_result(&call.stdin, &answer)?;
            }
            let (time, stdout) = call.time()?;
            total += time;
            answer = stdout;
        }
        Ok((total, answer))
    }
}

impl From<Call> for Job {
    fn from(call: Call) -> Self {
        Self {
            calls: vec![call],
            hands_on: false,
        }
    }
}

/// A configuration with what the plugin before, or ADD, answered.
pub(crate) fn with_prev_result(conf: &[u8], answer: &[u8]) -> Result<Vec<u8>> {
    let mut conf: Value = serde_json::from_slice(conf).context("a plugin's configuration")?;
    conf["prevResult"] = serde_json::from_slice(answer).context("a plugin's answer")?;
    Ok(serde_json::to_vec(&conf)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Call {
        Call {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            stdin: b"in".to_vec(),
            ..Call::default()
        }
    }

    #[test]
    fn the_time_covers_the_whole_process() {
        let (time, stdout) = shell("cat; exec 1>&-; sleep 0.05").time().unwrap();
        assert!(time >= Duration::from_millis(50), "{time:?}");
        assert_eq!(stdout, b"in");
    }

    #[test]
    fn a_failure_tells_what_the_program_said() {
        let error = shell("echo out; echo err >&2; exit 3")
            .time()
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit status: 3: out\nerr"), "{error}");
    }

    #[test]
    fn a_list_takes_the_time_of_all_and_hands_each_answer_on() {
        let call = |script: &str| Call {
            stdin: b"{}".to_vec(),
            ..shell(script)
        };
        let mut job = Job {
            calls: vec![
                call("sleep 0.03; echo '{\"n\":1}'"),
                call("sleep 0.03; cat"),
            ],
            hands_on: true,
        };
        let (time, answer) = job.time().unwrap();
        assert!(time >= Duration::from_millis(60), "{time:?}");
        assert_eq!(answer, br#"{"prevResult":{"n":1}}"#);
    }
}
