//! The tiers, and how each is run.

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::built::{self, ALL_BUT_DAEMON, Built};
use super::cached::Cached;
use super::delivered;
use super::former::{self, Former};
use super::product::{self, Product};
use super::program::Program;
use super::report::{Outcome, Skip};
use super::side_by_side;
use crate::process;
use crate::workspace::Workspace;
use crate::{book, dist, tidy};

/// The tier that does what the others skipped.
pub(crate) const VM: &str = "vm";

/// The tier of what is delivered. It links a release and takes minutes: only --full and its name choose it.
pub(crate) const PACKAGES: &str = "packages";

/// The tier of the cluster's daemon: only with `--full`, or by its name.
pub(crate) const ETCD: &str = "etcd";

/// A kind of test.
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    run: fn(&mut Runner, &mut Outcome) -> Result<()>,
}

const fn tier(
    name: &'static str,
    what: &'static str,
    run: fn(&mut Runner, &mut Outcome) -> Result<()>,
) -> Tier {
    Tier { name, what, run }
}

/// From fast to slow.
pub(crate) const TIERS: &[Tier] = &[
    tier("format", "cargo fmt --check", Runner::format),
    tier(
        "lint",
        "clippy and documentation, every target, no warning",
        Runner::lint,
    ),
    tier("tidy", "the rules of cargo xtask tidy", Runner::tidy),
    tier("unit", "pure tests beside the code", Runner::unit),
    tier("doc", "the examples in the documentation", Runner::doc),
    tier(
        "library",
        "corpora and properties of the crates without privileges",
        Runner::library,
    ),
    tier(
        "cluster-sim",
        "whole clusters in virtual time, from seeds, with every fault",
        Runner::cluster_sim,
    ),
    tier("examples", "every example builds", Runner::examples),
    tier(
        "fuzz",
        "the parsers, from a kept corpus and for some seconds more",
        Runner::fuzz,
    ),
    tier("release", "the static binaries", Runner::release),
    tier(
        "network",
        "kernel and plugins, each test in its own namespaces",
        Runner::network,
    ),
    tier(
        "black-box",
        "the command, other programs' plugins, real runtimes",
        Runner::black_box,
    ),
    tier(
        PACKAGES,
        "what dist delivers: installed, upgraded, removed in throw-away trees",
        Runner::packages,
    ),
    tier(
        ETCD,
        "the cluster's daemon on real stores, hosts in namespaces",
        Runner::etcd,
    ),
    tier(
        VM,
        "under User-Mode Linux, what was skipped so far",
        Runner::vm,
    ),
    // Behind the guests, which have no browser for what is skipped here.
    tier(
        "book",
        "the book, built and looked at in a browser",
        Runner::book,
    ),
];

/// A tier's name, for the command line.
pub(crate) fn known(name: &str) -> Result<String> {
    let names: Vec<&str> = TIERS.iter().map(|tier| tier.name).collect();
    ensure!(names.contains(&name), "the tiers are {}", names.join(", "));
    Ok(name.to_owned())
}

/// Crates whose tests need no privilege.
const LIBRARY: [&str; 4] = [
    "netloom-spec",
    "netloom-invoke",
    "netloom-runtime",
    "netloom-plugin",
];
/// Crates whose tests simulate clusters.
const CLUSTER: [&str; 1] = ["netloom-cluster"];
/// Crates whose tests talk to the kernel.
const NETWORK: [&str; 7] = [
    "netloom-kernel",
    "netloom-observe",
    "netloom-conform",
    "netloom-testkit",
    "netloom-links",
    "netloom-plugins",
    "netloom-run",
];

/// Whether a test program is one of the network tier.
pub(super) fn is_network(built: &Built) -> bool {
    built.kind == "test" && NETWORK.contains(&built.krate.as_str()) && !product::is_of(built)
}

/// How the tier `vm` is to be done.
pub(crate) struct Vm {
    pub(crate) kernel: Cached,
    /// A test that runs nowhere is a failure even where there can be no guest, and so is that.
    pub(crate) strict: bool,
    /// All packages that tests use are there, so nothing but the kernel is a reason to skip.
    pub(crate) complete: bool,
    /// No other tier runs: do all network tests in guests.
    pub(crate) alone: bool,
}

/// Runs tiers, and keeps what later ones take from earlier ones.
pub(crate) struct Runner {
    pub(super) workspace: Workspace,
    pub(super) filter: Option<String>,
    /// Which part of the many equal trials of a test is done: `3/10`; all of them without it.
    pub(super) sample: Option<String>,
    built: Option<Vec<Built>>,
    pub(super) product: Product,
    former: OnceCell<Former>,
    vm: Option<Vm>,
    /// The server of the Kubernetes API, for the tests that want one.
    pub(super) apiserver: Option<Cached>,
    /// What the tiers so far could not do.
    pub(super) skipped: Vec<Skip>,
    pub(super) scratch: PathBuf,
}

impl Runner {
    pub(crate) fn new(
        workspace: &Workspace,
        filter: Option<String>,
        sample: Option<String>,
        vm: Option<Vm>,
        product: Product,
    ) -> Result<Self> {
        let scratch = workspace.target.join("xtask-test");
        fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make {}", scratch.display()))?;
        Ok(Self {
            workspace: workspace.clone(),
            filter,
            sample,
            built: None,
            product,
            former: OnceCell::new(),
            vm,
            apiserver: None,
            skipped: Vec::new(),
            scratch,
        })
    }

    /// An error of the tier itself, and a tier without any test, are failures as those of its tests are.
    pub(crate) fn run(&mut self, tier: &Tier) -> Outcome {
        let begin = Instant::now();
        let mut outcome = Outcome::default();
        if let Err(error) = (tier.run)(self, &mut outcome) {
            outcome.failures.push(format!("{error:#}"));
        }
        let nothing = outcome.passed + outcome.failures.len() + outcome.skips.len() == 0;
        // A guest has nothing to do when nothing was skipped.
        if nothing && self.filter.is_none() && tier.name != VM {
            outcome.failures.push("the tier ran no test".into());
        }
        // What the daemon's tests lack is a program; a guest lacks it too.
        if tier.name != ETCD {
            self.skipped.extend_from_slice(&outcome.skips);
        }
        outcome.time = begin.elapsed();
        outcome
    }

    fn format(&mut self, outcome: &mut Outcome) -> Result<()> {
        let result = process::run(&mut self.workspace.cargo(&["fmt", "--all", "--check"]));
        outcome.check("cargo fmt", result.map_err(|error| error.to_string()));
        Ok(())
    }

    fn lint(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.lint_crates(outcome, &ALL_BUT_DAEMON);
        Ok(())
    }

    pub(super) fn lint_crates(&self, outcome: &mut Outcome, crates: &[&str]) {
        let mut clippy = self.workspace.cargo(&["clippy"]);
        clippy.args(crates);
        clippy.args(["--all-targets", "--", "-D", "warnings"]);
        let result = process::run(&mut clippy);
        outcome.check("clippy", result.map_err(|error| error.to_string()));
        let mut doc = self.workspace.cargo(&["doc", "--no-deps"]);
        let result = process::run(doc.args(crates).env("RUSTDOCFLAGS", "-D warnings"));
        outcome.check("cargo doc", result.map_err(|error| error.to_string()));
    }

    fn tidy(&mut self, outcome: &mut Outcome) -> Result<()> {
        let checked = tidy::check(&self.workspace.root)?;
        tidy::print(&checked);
        for (rule, findings) in checked {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            let result = if lines.is_empty() {
                Ok(())
            } else {
                Err(lines.join("; "))
            };
            outcome.check(rule, result);
        }
        Ok(())
    }

    fn unit(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.run_built(outcome, |built| {
            matches!(built.kind.as_str(), "lib" | "bin")
        })
    }

    fn doc(&mut self, outcome: &mut Outcome) -> Result<()> {
        let mut command = self.workspace.cargo(&["test", "--doc"]);
        command.args(ALL_BUT_DAEMON);
        if let Some(filter) = &self.filter {
            command.args(["--", filter]);
        }
        // Several programs in turn, so one thread tells nothing wrong of when a test began.
        let program = self.program("documentation".into(), command, 1)?;
        outcome.absorb(program.run(|line| println!("{line}"))?);
        Ok(())
    }

    fn library(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.run_built(outcome, |built| {
            built.kind == "test" && LIBRARY.contains(&built.krate.as_str())
        })
    }

    fn cluster_sim(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.run_built(outcome, |built| {
            built.kind == "test" && CLUSTER.contains(&built.krate.as_str())
        })
    }

    fn network(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.product.tell()?;
        self.run_built(outcome, is_network)
    }

    fn black_box(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.product.tell()?;
        self.run_built(outcome, |built| {
            let elsewhere = LIBRARY
                .iter()
                .chain(&NETWORK)
                .chain(&CLUSTER)
                .any(|krate| *krate == built.krate);
            built.kind == "test" && !elsewhere && !product::is_of(built)
        })
    }

    fn examples(&mut self, outcome: &mut Outcome) -> Result<()> {
        for example in self.built()?.iter().filter(|built| built.kind == "example") {
            println!("{} builds", example.title());
            outcome.passed += 1;
        }
        Ok(())
    }

    fn release(&mut self, outcome: &mut Outcome) -> Result<()> {
        let plugins = dist::build_plugins(&self.workspace, &self.scratch.join("bin"))?;
        for (name, result) in dist::check(&self.workspace, &plugins) {
            println!("{name}: {}", if result.is_ok() { "ok" } else { "FAILED" });
            outcome.check(&name, result.map_err(|error| format!("{error:#}")));
        }
        if self.sample.is_some() {
            println!("the command's release: --full, which links it in minutes");
            outcome.check(
                "it is linked as this machine can",
                dist::is_linked_as_wanted().map_err(|error| format!("{error:#}")),
            );
            self.product.is_built(plugins.bin);
            return self.run_built(outcome, product::is_of_plugins);
        }
        let command = dist::build_command(&self.workspace, &plugins.bin)?;
        for (name, result) in dist::check_command(&plugins, &command, &self.scratch) {
            println!("{name}: {}", if result.is_ok() { "ok" } else { "FAILED" });
            outcome.check(name, result.map_err(|error| format!("{error:#}")));
        }
        self.product.is_built(plugins.bin);
        self.run_built(outcome, product::is_of)
    }

    fn book(&mut self, outcome: &mut Outcome) -> Result<()> {
        const TEST: &str = "every page is without errors, narrow, light and dark, and is found";
        if !self
            .filter
            .as_deref()
            .is_none_or(|part| TEST.contains(part))
        {
            return Ok(());
        }
        // A run that proves everything has what it needs, or fails.
        let missing = self.sample.as_ref().and_then(|_| book::missing());
        match missing {
            Some(reason) => outcome.skips.push(Skip {
                program: "book".into(),
                test: TEST.into(),
                reason,
            }),
            None => {
                let checked = book::build_and_check(&self.workspace);
                if let Ok(what) = &checked {
                    println!("{what}");
                }
                outcome.check(
                    TEST,
                    checked.map(drop).map_err(|error| format!("{error:#}")),
                );
            }
        }
        Ok(())
    }

    fn packages(&mut self, outcome: &mut Outcome) -> Result<()> {
        delivered::prove(
            &self.workspace,
            &self.scratch,
            self.product.bin(),
            self.filter.as_deref(),
            outcome,
        )
    }

    fn vm(&mut self, outcome: &mut Outcome) -> Result<()> {
        match self.vm.take() {
            Some(vm) => self.run_vm(vm, outcome),
            None => Ok(()),
        }
    }

    pub(super) fn built(&mut self) -> Result<&[Built]> {
        if self.built.is_none() {
            self.built = Some(built::build(&self.workspace, &ALL_BUT_DAEMON)?);
        }
        Ok(self.built.as_deref().unwrap_or_default())
    }

    fn run_built(&mut self, outcome: &mut Outcome, chosen: fn(&Built) -> bool) -> Result<()> {
        let all = self.built()?;
        let chosen = all.iter().filter(|built| chosen(built));
        let commands = chosen.map(|built| (built, built.command(all)));
        let commands = commands.filter(|(built, _)| built.is_test);
        let commands: Vec<(String, Command, bool)> = commands
            .map(|(built, command)| (built.title(), command, built.wants_all()))
            .collect();
        self.run_commands(outcome, commands)
    }

    /// Runs test programs, each with its title and whether it wants the machine for itself.
    pub(super) fn run_commands(
        &self,
        outcome: &mut Outcome,
        commands: Vec<(String, Command, bool)>,
    ) -> Result<()> {
        let mut programs = Vec::new();
        for (title, mut command, alone) in commands {
            let threads = crate::test::cores();
            command.arg(format!("--test-threads={threads}"));
            command.args(&self.filter);
            programs.push(Program {
                alone,
                ..self.program(title, command, threads)?
            });
        }
        for (_, ran) in side_by_side::run(programs, crate::test::cores()) {
            outcome.absorb(ran?);
        }
        Ok(())
    }

    /// A program with what every test finds in its environment, and a file for its skips.
    pub(super) fn program(
        &self,
        title: String,
        mut command: Command,
        threads: usize,
    ) -> Result<Program> {
        let skips = self.skips_file(&title)?;
        command.env("NETLOOM_SKIPS", &skips);
        self.product.give(&title, &mut command);
        if title == former::ASKS {
            let build = || Former::find_or_build(&self.workspace);
            self.former.get_or_init(build).tell(&mut command);
        }
        // Empty asks for everything, in a guest too, whatever this process was told. The harness proves
        // itself whole: it has few points.
        let whole = title.starts_with("netloom-testkit ");
        let sample = self.sample.as_deref().filter(|_| !whole);
        command.env("NETLOOM_SAMPLE", sample.unwrap_or_default());
        Ok(Program {
            title,
            command,
            threads,
            skips,
            alone: false,
        })
    }

    /// An empty file for the tests of one program to write their skips to.
    pub(super) fn skips_file(&self, title: &str) -> Result<PathBuf> {
        let file = self
            .scratch
            .join(format!("skips of {title}").replace(' ', "-"));
        fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}
