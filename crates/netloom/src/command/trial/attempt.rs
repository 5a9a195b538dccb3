//! The steps of a trial, each with all that was seen of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Happened;
use netloom_observe::processes::{self, Process};
use netloom_observe::{Change, Difference, Event, Kind, Object, Place, Recorder, Snapshot};
use netloom_runtime::Cni;
use netloom_spec::{AddResult, NetworkConfigList, code};

use super::host::Stage;
use super::leftovers::{self, Left};
use super::witness::{Call, Witness};
use crate::cli::TryStep;
use crate::options::Options;

/// The attachments' cache, out of the way of what plugins write.
const CACHE: &str = "/run/netloom/cache";
/// Longer than this a call is called slow.
const SLOW: Duration = Duration::from_millis(100);

/// A trial under way.
pub(super) struct Attempt<'n> {
    pub(super) stage: Stage,
    network: &'n NetworkConfigList,
    cni: Cni,
    witness: Witness,
    places: Vec<Place>,
    begun: Snapshot,
    last: Snapshot,
    /// Which step an object appeared in or changed.
    origins: BTreeMap<Object, String>,
    lingering: Vec<Process>,
    lingering_since: Vec<String>,
    count: usize,
}

/// What was seen of one step.
pub(super) struct Outcome {
    pub(super) title: String,
    pub(super) time: Duration,
    /// The result of ADD.
    pub(super) result: Option<AddResult>,
    pub(super) failure: Option<String>,
    pub(super) calls: Vec<Call>,
    pub(super) did: Vec<String>,
    /// The programs that plugins executed; `None` where that cannot be seen.
    pub(super) executed: Option<Vec<PathBuf>>,
    pub(super) warnings: Vec<String>,
}

impl<'n> Attempt<'n> {
    pub(super) fn new(
        options: &Options,
        network: &'n NetworkConfigList,
        stage: Stage,
    ) -> Result<Self> {
        processes::adopt()?;
        let witness = Witness::new(options.timeout);
        let cni = Cni::new(stage.plugin_dirs.clone())
            .cache_dir(CACHE)
            .exec(witness.clone());
        let mut places = vec![Place::here("host")];
        for pod in &stage.pods {
            places.push(Place::of(&pod.name, Netns::open(&pod.path)?));
        }
        let begun = look(&places, &stage)?;
        Ok(Self {
            network,
            cni,
            witness,
            last: begun.clone(),
            begun,
            places,
            stage,
            origins: BTreeMap::new(),
            lingering: Vec::new(),
            lingering_since: Vec::new(),
            count: 0,
        })
    }

    pub(super) fn step(&mut self, step: TryStep, pod: usize) -> Result<Outcome> {
        self.count += 1;
        let name = &self.stage.pods[pod].name;
        let title = format!("{}. {} {name}", self.count, step.command());
        // What others executed in between is not the plugins'.
        self.stage.executed.take();
        let recorder = Recorder::start(&self.places)?;
        let started = Instant::now();
        let done = self.call(step, pod);
        let time = started.elapsed();
        let recording = recorder.stop()?;
        let executed = self.stage.executed.take();
        let calls = self.witness.take();
        let (result, failure) = match done {
            Ok(result) => (result, None),
            Err(error) => (None, Some(self.told(&error, &calls))),
        };

        let left = processes::lingering(&self.lingering);
        let now = look(&self.places, &self.stage)?;
        let differences = self.last.diff(&now);
        for it in &differences {
            self.origins.insert(it.object.clone(), title.clone());
        }
        let before = std::mem::replace(&mut self.last, now);
        let mut warnings = warnings(step, &calls, recording.is_incomplete);
        for process in left {
            warnings.push(format!(
                "process {} goes on: {}",
                process.id, process.command
            ));
            self.lingering.push(process);
            self.lingering_since.push(title.clone());
        }
        let did = match recording.is_incomplete {
            true => differences.iter().map(ToString::to_string).collect(),
            false => did(&before, recording.events, &differences),
        };
        Ok(Outcome {
            title,
            time,
            result,
            failure,
            calls,
            did,
            executed,
            warnings,
        })
    }

    fn call(&self, step: TryStep, pod: usize) -> Result<Option<AddResult>, netloom_runtime::Error> {
        let (network, runtime) = (self.network, &self.stage.pods[pod].runtime);
        match step {
            TryStep::Add => return self.cni.add(network, runtime).map(Some),
            TryStep::Check => self.cni.check(network, runtime),
            TryStep::Del => self.cni.del(network, runtime),
            TryStep::Status => self.cni.status(network),
        }?;
        Ok(None)
    }

    /// Why a step failed. Where a plugin does not speak the configuration's version, which file that is
    /// and what it speaks: another of its name may be found before the one that was meant.
    fn told(&self, error: &netloom_runtime::Error, calls: &[Call]) -> String {
        let words = error.to_string();
        let failed = calls.iter().rfind(|it| it.failure.is_some());
        let is_of_version = error.code() == code::INCOMPATIBLE_VERSION;
        let Some(call) = failed.filter(|_| is_of_version) else {
            return words;
        };
        let ipam = self.ipam_of(&call.name());
        let wanted = &self.network.cni_version;
        let older = [Some(call.plugin.clone()), ipam]
            .into_iter()
            .flatten()
            .find_map(|file| {
                let spoken = self.witness.versions(&file).ok()?;
                (!spoken.contains(wanted)).then_some((file, spoken))
            });
        match older {
            None => words,
            Some((file, spoken)) => format!(
                "{words}; cniVersion is {wanted:?}, and {}, which was found first in CNI_PATH, speaks {}",
                file.display(),
                spoken.join(", ")
            ),
        }
    }

    /// The file of the IPAM plugin that a plugin asks.
    fn ipam_of(&self, plugin: &str) -> Option<PathBuf> {
        let mut plugins = self.network.plugins.iter();
        let conf = plugins.find(|it| it.plugin_type() == plugin)?;
        let name = conf.get("ipam")?.get("type")?.as_str()?;
        netloom_invoke::find_in_path(name, &self.stage.plugin_dirs).ok()
    }

    /// Ends what goes on, and tells what is left of all steps.
    pub(super) fn end(self, expects_nothing: bool) -> Result<Vec<Left>> {
        let differences = match expects_nothing {
            true => self.begun.diff(&self.last),
            false => Vec::new(),
        };
        let origin = |it: &Difference| self.origins.get(&it.object).cloned().unwrap_or_default();
        let mut left: Vec<Left> = differences
            .iter()
            .filter_map(|it| leftovers::judge(it, origin(it), self.network))
            .collect();
        for (process, step) in self.lingering.iter().zip(&self.lingering_since) {
            left.push(Left {
                what: format!("host: process {} ({})", process.id, process.command),
                step: step.clone(),
                is_shared: false,
            });
        }
        processes::end(&self.lingering);
        Ok(left)
    }
}

fn look(places: &[Place], stage: &Stage) -> Result<Snapshot> {
    Ok(Snapshot::take(places, &stage.directories)?)
}

fn warnings(step: TryStep, calls: &[Call], is_incomplete: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    for call in calls {
        let name = call.name();
        let printed = !call.stdout.iter().all(u8::is_ascii_whitespace);
        if printed && step != TryStep::Add && call.failure.is_none() {
            let command = step.command();
            warnings.push(format!(
                "{name} prints to stdout at {command}, where nothing belongs"
            ));
        }
        if call.time > SLOW {
            let time = call.time.as_millis();
            warnings.push(format!(
                "{name} is slow: {time} ms, of which a node has many"
            ));
        }
    }
    let is_silent =
        |it: &Call| it.failure.is_none() && it.stdout.iter().all(u8::is_ascii_whitespace);
    for call in calls
        .iter()
        .filter(|it| step == TryStep::Add && is_silent(it))
    {
        warnings.push(format!(
            "{} prints nothing at ADD, where the result belongs: `{{}}` at least, and where there is \
             a prevResult, that",
            call.name()
        ));
    }
    if is_incomplete {
        warnings.push(
            "more happened than could be heard: what is told is the difference before and after"
                .to_owned(),
        );
    }
    warnings
}

/// The changes of the network in their order, an object once; then files and settings.
fn did(before: &Snapshot, events: Vec<Event>, differences: &[Difference]) -> Vec<String> {
    let mut order: Vec<Event> = Vec::new();
    // The kernel tells everybody of a queueing discipline when one asks for it, as if it were new.
    let is_old = |it: &Event| {
        let is_tc = it.object.kind == Kind::TrafficControl;
        is_tc && it.happened == Happened::Added && before.has(&it.object)
    };
    for event in events.into_iter().filter(|it| !is_old(it)) {
        // Rules have no names, and so may be the same one twice.
        let is_same = |it: &Event| it.object == event.object && it.object.kind != Kind::ChainRule;
        match order.iter().position(is_same) {
            Some(at) => match (order[at].happened, event.happened) {
                // What came and went within the step.
                (Happened::Added, Happened::Removed) => drop(order.remove(at)),
                (Happened::Removed, _) => order.push(event),
                (_, Happened::Removed) => order[at] = event,
                _ => order[at].details = event.details,
            },
            None => order.push(event),
        }
    }
    let mut lines: Vec<String> = order.iter().map(ToString::to_string).collect();
    let forwards = differences
        .iter()
        .any(|it| leftovers::is_forwarding(&it.object));
    let others = differences
        .iter()
        .filter(|it| matches!(it.object.kind, Kind::File | Kind::Sysctl))
        .filter(|it| !leftovers::is_own(&it.object))
        .filter(|it| !(forwards && leftovers::follows_forwarding(&it.object)));
    lines.extend(others.map(|it| match &it.change {
        Change::Added(details) => format!("+ {} ({})", it.object, leftovers::shown(it, details)),
        Change::Changed(..) if it.object.kind == Kind::File => format!("~ {}", it.object),
        Change::Changed(before, after) => format!("~ {} ({before} → {after})", it.object),
        Change::Removed(_) => format!("- {}", it.object),
    }));
    lines
}
