//! ADD with a fault at every point: nothing may be left.

use std::fmt;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::call::{Call, Outcome};
use crate::fault::{Faults, Point};
use crate::host::Host;
use crate::parallel::parallel_with;
use crate::pod::Pod;
use crate::sample::Sample;
use crate::snapshot::Snapshot;

/// How many runs the points are learned from.
const LESSONS: usize = 3;
/// How often a point is tried that a run does not reach.
const ATTEMPTS: usize = 4;

/// A fresh host in which an ADD is about to happen.
pub struct Scene {
    /// Pods to look into; the first is the one that is added. (They go before the host does.)
    pub pods: Vec<Pod>,
    /// The host.
    pub host: Host,
    /// The call of ADD.
    pub add: Call,
    /// The call of DEL that undoes it.
    pub del: Call,
    /// Bridges that may stay: see [`Snapshot::without_shared`].
    pub bridges: Vec<String>,
}

/// A scene and what it was before the first trial in it.
struct Stage {
    scene: Scene,
    before: Snapshot,
}

impl Stage {
    fn of(scene: Scene) -> Self {
        let before = snapshot(&scene);
        Self { scene, before }
    }

    /// Whether everything is as it was, what attachments share included: then the next trial finds
    /// what it would find in a fresh scene.
    fn is_as_before(&self) -> bool {
        snapshot(&self.scene) == self.before
    }

    /// Nothing is left but what attachments share.
    fn same(&self, when: &str) -> Result<(), String> {
        let bridges: Vec<&str> = self.scene.bridges.iter().map(String::as_str).collect();
        let now = snapshot(&self.scene).without_shared(&bridges);
        let difference = now.difference_from(&self.before.without_shared(&bridges));
        if difference.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{when} the state is not what it was:\n{difference}"
        ))
    }

    fn same_after_del(&self) -> Result<(), String> {
        let del = self.scene.del.run();
        if !del.is_success() || !del.stdout.is_empty() {
            return Err(format!("DEL fails or speaks\n{del}"));
        }
        self.same("after DEL")
    }
}

fn snapshot(scene: &Scene) -> Snapshot {
    let pods: Vec<&Pod> = scene.pods.iter().collect();
    Snapshot::take(&scene.host, &pods)
}

/// How many points were tried, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Points at which a system call was made to fail.
    pub failed: usize,
    /// Those of them after which ADD succeeded all the same.
    pub tolerated: usize,
    /// Those of them after which ADD aborted itself.
    pub aborted: usize,
    /// Points at which the program was killed.
    pub killed: usize,
    /// Points that were not reached in the run with the fault.
    pub missed: usize,
    /// Points that this run leaves out, at which a system call could fail.
    pub unsampled_failing: usize,
    /// Points that this run leaves out, at which the program could be killed.
    pub unsampled_killed: usize,
}

impl Tally {
    /// Whether there are so many points at least to fail at and to be killed at, those that a
    /// [`Sample`] left out among them.
    #[must_use]
    pub fn has_points(&self, failing: usize, killed: usize) -> bool {
        self.failed + self.unsampled_failing >= failing
            && self.killed + self.unsampled_killed >= killed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            failed,
            tolerated,
            aborted,
            killed,
            missed,
            unsampled_failing,
            unsampled_killed,
        } = self;
        write!(
            f,
            "{} points tried: {failed} failed (tolerated: {tolerated}, aborted: {aborted}), {killed} killed; \
             {missed} more were not reached again",
            failed + killed,
        )?;
        match unsampled_failing + unsampled_killed {
            0 => Ok(()),
            left => write!(f, "; {left} are left to other runs"),
        }
    }
}

enum Trial {
    Refused,
    Tolerated,
    Aborted,
    Killed,
    Missed,
}

/// Puts a fault at every point of the scene's ADD, each in a scene that is as when it was made, and
/// asserts that nothing is left:
///
/// - a system call fails and ADD fails: everything is as before, without any DEL;
/// - a system call fails and ADD succeeds all the same: after DEL everything is as before;
/// - a system call fails and ADD aborts, because it is stuck in a wrong namespace: the same;
/// - ADD is killed: after DEL everything is as before, and then ADD and DEL work as ever.
///
/// `within` names a program that ADD executes, to put the faults there. Prints and gives back how
/// many points were tried; `None` after a [`skip`](crate::skip).
pub fn assert_no_residue(
    name: &str,
    within: Option<&str>,
    scene: impl Fn() -> Option<Scene> + Sync,
) -> Option<Tally> {
    assert_no_residue_at_every(1, name, within, scene)
}

/// The same at every `nth` point only, where all of them are tried elsewhere or take too long;
/// at all of them with `NETLOOM_EVERY_POINT` in the environment.
pub fn assert_no_residue_at_every(
    nth: usize,
    name: &str,
    within: Option<&str>,
    scene: impl Fn() -> Option<Scene> + Sync,
) -> Option<Tally> {
    let nth = match std::env::var_os("NETLOOM_EVERY_POINT") {
        Some(_) => 1,
        None => nth,
    };
    let learn = |scene: &Scene| match within {
        None => Faults::points(&scene.add),
        Some(child) => Faults::points_within(&scene.add, child),
    };
    try_all(nth, name, &scene, learn, |stage, faults, k, kill| {
        let faults = faults.of_call(&stage.scene.add);
        if kill {
            kill_at(stage, &faults, k)
        } else {
            fail_at(stage, &faults, k)
        }
    })
}

/// Puts a fault at every point of the scene's DEL of what its ADD made, each in a scene that is as
/// when it was made, and asserts that DEL ends what it began:
///
/// - a system call fails and DEL fails: after another DEL everything is as it was before ADD;
/// - a system call fails and DEL succeeds all the same: everything is so already;
/// - DEL is killed: after another DEL everything is so.
///
/// Prints and gives back how many points were tried; `None` after a [`skip`](crate::skip).
pub fn assert_del_completes(name: &str, scene: impl Fn() -> Option<Scene> + Sync) -> Option<Tally> {
    let learn = |scene: &Scene| {
        scene.add.run().succeeds();
        Faults::points(&scene.del)
    };
    try_all(1, name, &scene, learn, |stage, faults, k, kill| {
        stage.scene.add.run().succeeds();
        let faults = faults.of_call(&stage.scene.del);
        let errno = faults.list()[k].likely_errno();
        let struck = if kill {
            faults.kill_at(k)
        } else {
            faults.fail_at(k, errno)
        };
        let outcome = &struck.outcome;
        let told = |problem| format!("{problem}\n{outcome}");
        if !struck.hit {
            return Ok(Trial::Missed);
        }
        if kill {
            stage.same_after_del().map_err(told)?;
            return Ok(Trial::Killed);
        }
        if outcome.is_success() {
            stage
                .same("after a DEL that claims success")
                .map_err(told)?;
            return Ok(Trial::Tolerated);
        }
        if outcome.status.signal() != Some(Signal::ABORT.as_raw()) {
            answers(&faults.list()[k], outcome)?;
        }
        stage.same_after_del().map_err(told)?;
        Ok(Trial::Refused)
    })
}

/// Learns the points in one scene and tries every `nth` in another; of those, the part that this
/// run is to [sample](Sample).
fn try_all(
    nth: usize,
    name: &str,
    scene: &(impl Fn() -> Option<Scene> + Sync),
    learn: impl Fn(&Scene) -> Option<Faults>,
    attempt: impl Fn(&Stage, &Faults, usize, bool) -> Result<Trial, String> + Sync,
) -> Option<Tally> {
    let faults = shortest(scene, learn)?;
    let mut trials: Vec<(usize, bool)> = faults.fallible().map(|k| (k, false)).collect();
    trials.extend(faults.mortal().map(|k| (k, true)));
    let trials = trials.into_iter().step_by(nth.max(1));
    let [trials, left] = sampled(name, &faults, trials.collect());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let results = parallel_with(trials.len(), workers, Stages::default, |stages, index| {
        let (k, kill) = trials[index];
        let tried = stages.reach(scene, |stage| attempt(stage, &faults, k, kill));
        if matches!(tried, Ok(Trial::Tolerated)) {
            println!("{name}: tolerated is {}", faults.list()[k]);
        }
        tried.map_err(|problem| {
            let verb = if kill { "killed" } else { "made to fail" };
            format!("{verb} at {}\n{problem}", faults.list()[k])
        })
    });
    let killed = left.iter().filter(|(_, kill)| *kill).count();
    let unsampled = Tally {
        unsampled_failing: left.len() - killed,
        unsampled_killed: killed,
        ..Tally::default()
    };
    Some(count(name, unsampled, results))
}

/// Learns the points from the run that has the fewest: on a busy machine one may wait for what others
/// find done, and most trials would not reach its points.
fn shortest(
    scene: &impl Fn() -> Option<Scene>,
    learn: impl Fn(&Scene) -> Option<Faults>,
) -> Option<Faults> {
    let mut shortest = learn(&scene()?)?;
    for _ in 1..LESSONS {
        let faults = learn(&scene()?)?;
        if faults.list().len() < shortest.list().len() {
            shortest = faults;
        }
    }
    Some(shortest)
}

/// The trials that this run does, each named where they are not all, and those it leaves out.
fn sampled(name: &str, faults: &Faults, trials: Vec<(usize, bool)>) -> [Vec<(usize, bool)>; 2] {
    let sample = Sample::of_this_run();
    let numbered = trials.into_iter().enumerate();
    let (chosen, left): (Vec<_>, Vec<_>) = numbered.partition(|(number, _)| sample.has(*number));
    let without_number = |trials: Vec<(usize, (usize, bool))>| {
        let trials = trials.into_iter().map(|(_, trial)| trial);
        trials.collect::<Vec<_>>()
    };
    let [chosen, left] = [chosen, left].map(without_number);
    if !sample.is_whole() {
        for (k, kill) in &chosen {
            let point = &faults.list()[*k];
            let verb = if *kill { "killed at" } else { "fails at" };
            println!(
                "{name}: sampled {sample}: {verb} {} number {}",
                point.name, point.occurrence
            );
        }
    }
    [chosen, left]
}

/// The stages of one worker: one that a trial left as it was serves the next.
#[derive(Default)]
struct Stages {
    ready: Option<Stage>,
}

impl Stages {
    /// Tries until the fault hits: a run on a busy machine may do less than the one that the points
    /// were learned from, as it finds things done already or awaits them elsewhere.
    fn reach(
        &mut self,
        scene: &impl Fn() -> Option<Scene>,
        attempt: impl Fn(&Stage) -> Result<Trial, String>,
    ) -> Result<Trial, String> {
        for _ in 0..ATTEMPTS {
            let Some(stage) = self.ready.take().or_else(|| scene().map(Stage::of)) else {
                return Ok(Trial::Missed);
            };
            let tried = attempt(&stage)?;
            if !matches!(tried, Trial::Missed) {
                self.ready = Some(stage).filter(Stage::is_as_before);
                return Ok(tried);
            }
        }
        Ok(Trial::Missed)
    }
}

fn count(name: &str, mut tally: Tally, results: Vec<Result<Trial, String>>) -> Tally {
    let mut problems = Vec::new();
    for result in results {
        match result {
            Ok(Trial::Refused) => tally.failed += 1,
            Ok(Trial::Tolerated) => {
                tally.failed += 1;
                tally.tolerated += 1;
            }
            Ok(Trial::Aborted) => {
                tally.failed += 1;
                tally.aborted += 1;
            }
            Ok(Trial::Killed) => tally.killed += 1,
            Ok(Trial::Missed) => tally.missed += 1,
            Err(problem) => problems.push(problem),
        }
    }
    println!("{name}: {tally}");
    assert!(
        problems.is_empty(),
        "{name}: {} faults leave something behind; {tally}\n\n{}",
        problems.len(),
        problems.join("\n\n"),
    );
    tally
}

fn fail_at(stage: &Stage, faults: &Faults, k: usize) -> Result<Trial, String> {
    let point = &faults.list()[k];
    let struck = faults.fail_at(k, point.likely_errno());
    if !struck.hit {
        return Ok(Trial::Missed);
    }
    let outcome = &struck.outcome;
    if outcome.is_success() {
        stage
            .same_after_del()
            .map_err(|problem| format!("{problem}\n{outcome}"))?;
        return Ok(Trial::Tolerated);
    }
    if outcome.status.signal() == Some(Signal::ABORT.as_raw()) {
        stage.same_after_del()?;
        return Ok(Trial::Aborted);
    }
    answers(point, outcome)?;
    stage
        .same("after the failed ADD")
        .map_err(|text| format!("{text}\n{outcome}"))?;
    Ok(Trial::Refused)
}

fn kill_at(stage: &Stage, faults: &Faults, k: usize) -> Result<Trial, String> {
    let struck = faults.kill_at(k);
    if !struck.hit {
        return Ok(Trial::Missed);
    }
    stage.same_after_del()?;
    let again = stage.scene.add.run();
    if !again.is_success() {
        return Err(format!("ADD no longer works after that\n{again}"));
    }
    stage.same_after_del()?;
    Ok(Trial::Killed)
}

/// A failed call says so with an error object, unless its stdout was what failed.
fn answers(point: &Point, outcome: &Outcome) -> Result<(), String> {
    if outcome.status.signal().is_some() {
        return Err(format!("the call died\n{outcome}"));
    }
    let stdout_failed = point.name.starts_with("write") && point.text.starts_with("1,");
    let object: Result<serde_json::Value, _> = serde_json::from_str(&outcome.stdout);
    match object {
        Ok(object) if object["code"].is_u64() && object["msg"].is_string() => Ok(()),
        _ if stdout_failed => Ok(()),
        _ => Err(format!(
            "the call failed without an error object\n{outcome}"
        )),
    }
}
