//! What the command line accepts: cnitool's verbs, arguments, flags and environment, and more.

pub(crate) mod conform;
pub(crate) mod dev;
pub(crate) mod pod;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::links::cli::Link;
use crate::options::Options;
use crate::topology::cli::Topo;

const AFTER_HELP: &str = "\
Environment (as cnitool reads it):
  NETCONFPATH   directory of network configurations [default: /etc/cni/net.d]
  CNI_PATH      plugin directories, separated by colons [default: /opt/cni/bin:/usr/lib/cni]
  CNI_ARGS      extra arguments for the plugins: K=V;K=V
  CAP_ARGS      capability arguments, a JSON object: {\"portMappings\": [...]}
  CNI_IFNAME    name of the interface in the container [default: eth0]

Try it:
  netloom demo                                   a whole network, made and removed before your eyes
  ip netns add testing
  netloom add mynet /var/run/netns/testing       attach a namespace to the network `mynet`
  netloom del mynet /var/run/netns/testing       and detach it

Exit status: 0 is success, 1 that it failed, 2 that the command line or a file named there cannot be
used, 141 that nobody reads the output any more. doctor and lint have their own: see their help.

Called as `cnitool`, it answers as cnitool. Called by the name of a plugin (bridge, host-local, ...),
it is that plugin.";

/// The Container Network Interface: attach containers to networks, check them, detach them.
#[derive(Debug, Parser)]
#[command(name = "netloom", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Attach a network namespace to a network and print the result.
    Add(Target),
    /// Tell what ADD would make, what it would change, and what is there already. Changes nothing.
    Plan(Target),
    /// Verify that an attachment is still as ADD made it.
    Check(Target),
    /// Detach a network namespace from a network; the namespace may be gone already.
    Del(Del),
    /// Remove what the network holds for attachments that no longer exist.
    Gc(Gc),
    /// Find what nobody owns, what is missing, and what is in conflict, each with the command that
    /// mends it. Says nothing when all is well. The exit status is 0 for notes, 1 for warnings, and 2
    /// where something does not work.
    Doctor(Doctor),
    /// Ask whether the network can serve an ADD now.
    Status(Network),
    /// Show the spec versions of every plugin of a network, or netloom's own.
    Version(OptionalNetwork),
    /// Verify a configuration: its form, its plugins, their versions, and what the plugins would refuse.
    Validate(Validate),
    /// Tell what is wrong in network configurations, with line and column, and what would be right.
    /// The exit status is 0 unless ADD would refuse something: then 1; and 2 for misuse.
    Lint(Lint),
    /// Show cached attachments: which container is on which network, with which addresses.
    List(OptionalNetwork),
    /// Show the configured networks: their plugins, who is attached, how full their pools are.
    Networks,
    /// Draw the networks of this host: what is outside, the links, the bridges, the pods, and what is
    /// wrong with them.
    Graph(Graph),
    /// Tell what a key of a plugin means.
    Explain(Explain),
    /// Make a plugin to begin with: its program, a configuration, a test, and what to do next.
    New(New),
    /// Print a JSON Schema of configuration lists, or of one plugin's object, for editors.
    Schema(Schema),
    /// Put the plugins into a directory under the names runtimes look for, each a file of its own.
    Install(Install),
    /// Take netloom's plugins out of a directory, and bring back what was there before.
    Uninstall(Uninstall),
    /// Try a network or a plugin in a throw-away host, and see what each call did and what is left.
    /// Needs no root where user namespaces are allowed. The exit status is 1 where a step failed or
    /// something is left.
    Try(Try),
    /// Tell whether plugins, in any language, keep the specification: some 170 cases, each in a
    /// throw-away host. Needs no root where user namespaces are allowed. The exit status is 1 where
    /// a case of the level failed.
    Conform(conform::Conform),
    /// Build, lint and try a plugin whenever its files change, and tell what is different from before.
    Dev(dev::Dev),
    /// See every call of a plugin that a runtime makes: its times, request, answer and stderr.
    #[command(subcommand)]
    Trace(TraceVerb),
    /// Links between chosen containers and namespaces: veth, vxlan, macvlan, ipvlan, vlan.
    Link(Link),
    /// Many links at once, as a file says: make, change and remove what differs from it.
    Topo(Topo),
    #[command(flatten)]
    Pod(pod::PodVerb),
    /// The daemon of a cluster's node: pod networks over many hosts, by etcd. `netloom node --help` tells
    /// its verbs.
    #[command(disable_help_flag = true)]
    Node {
        /// What netloom-node, which is executed, is told.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "VERB"
        )]
        arguments: Vec<OsString>,
    },
    /// Build a network in a throw-away host, use it, remove it, and prove that nothing is left.
    Demo(Demo),
    /// Print the completions for a shell.
    Completion {
        /// The shell to complete for.
        shell: Shell,
    },
    /// What the last of these words may become: what the scripts of `completion` ask.
    #[command(hide = true)]
    CompleteWords {
        /// The words behind the program's name; the last is the one to complete.
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Write the manual pages: in builds with the feature `man` alone.
    #[cfg(feature = "man")]
    #[command(hide = true)]
    Man {
        /// The directory.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The `name` in the network's configuration.
    pub(crate) network: String,
    /// The network namespace: a path such as /var/run/netns/NAME, a NAME of `ip netns`, or the id of
    /// a process in it.
    pub(crate) netns: PathBuf,
    /// The container's id [default: cnitool's, which follows from the namespace's path].
    #[arg(long, value_name = "ID")]
    pub(crate) container_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Del {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Go on past a plugin that fails, and report every failure at the end.
    #[arg(long)]
    pub(crate) best_effort: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Network {
    /// The `name` in the network's configuration.
    pub(crate) network: String,
    /// Accepted because cnitool wants it; not used.
    #[arg(hide = true)]
    pub(crate) netns: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Do what can do no harm, GC that keeps everybody who lives and missing sysctls, and then look
    /// again.
    #[arg(long)]
    pub(crate) fix: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Gc {
    /// The `name` in a network's configuration, which may be gone; without it, every network that
    /// is configured or has cached attachments.
    pub(crate) network: Option<String>,
    /// Accepted because cnitool wants it; not used.
    #[arg(hide = true)]
    pub(crate) netns: Option<PathBuf>,
    /// An attachment that is still in use, as CONTAINERID/IFNAME (repeatable)
    /// [default: every cached attachment whose namespace still is its own].
    #[arg(long, value_name = "ID/IFNAME", requires = "network")]
    pub(crate) keep: Vec<String>,
    /// Keep nothing: remove all that the networks hold.
    #[arg(long, conflicts_with = "keep")]
    pub(crate) all: bool,
    /// Remove only what is known to be of before the last reboot: cached attachments, and
    /// addresses that host-local reserved.
    #[arg(long, conflicts_with_all = ["keep", "all"])]
    pub(crate) stale_boot: bool,
    /// Show what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OptionalNetwork {
    /// The `name` in a network's configuration; without it, all.
    pub(crate) network: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The `name` in a network's configuration, or the path of a file; without it, all networks.
    pub(crate) network: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// PLUGIN.KEY as in bridge.isGateway, a PLUGIN for all its keys, or a KEY for all plugins.
    #[arg(value_name = "PLUGIN.KEY")]
    pub(crate) what: String,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// As text, which is the default.
    #[arg(long)]
    pub(crate) text: bool,
    /// As an SVG picture.
    #[arg(long)]
    pub(crate) svg: bool,
    /// As one HTML page, which needs nothing from elsewhere.
    #[arg(long)]
    pub(crate) html: bool,
    /// Which namespaces beside the host's: a path, a NAME of `ip netns`, the id of a process, or all
    /// that can be reached (repeatable) [default: all].
    #[arg(long, value_name = "NETNS", value_delimiter = ',')]
    pub(crate) netns: Vec<String>,
    /// A topology file: its namespaces alone, with its links that are missing in red.
    #[arg(long, value_name = "FILE")]
    pub(crate) topo: Option<PathBuf>,
    /// Write into a file, which is replaced as a whole.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Draw it anew whenever something changes.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// A plugin, such as bridge [default: lists of plugins].
    pub(crate) plugin: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The plugin's name, which is the `type` in configurations.
    pub(crate) name: String,
    /// What it does, in Rust, or another language.
    #[arg(long, value_enum, default_value_t = Kind::Chained)]
    pub(crate) kind: Kind,
    /// The directory to make [default: the plugin's name].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// A clone of netloom to build on [default: its repository, over git].
    #[arg(long, value_name = "DIR")]
    pub(crate) netloom: Option<PathBuf>,
}

/// What a plugin does, or the language that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Makes an interface.
    Interface,
    /// Works on what the plugins before it made.
    Chained,
    /// Gives addresses to a plugin that asks for them.
    Ipam,
    /// Has another plugin do the work.
    Meta,
    /// A chained one in shell.
    Shell,
    /// A chained one in Python.
    Python,
}

#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// A file, a directory, or - for stdin [default: the directory of network configurations].
    #[arg(value_name = "FILE|DIR")]
    pub(crate) target: Option<PathBuf>,
    /// Also what this machine lacks: plugins, what their STATUS asks for, kinds of links. Plugins are
    /// executed for it.
    #[arg(long)]
    pub(crate) host: bool,
    /// Write what is mended without doubt into the files.
    #[arg(long)]
    pub(crate) fix: bool,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

/// For whom findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With the lines of the file, as rustc does.
    Human,
    /// One JSON document.
    Json,
    /// Workflow commands, which GitHub shows beside the lines.
    Github,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Only these plugins; `cnitool` and `koko`, names of other programs that the command answers
    /// to, come only when they are named
    /// [default: every plugin].
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Where runtimes look for plugins.
    #[arg(long, default_value = "/opt/cni/bin", value_name = "DIR")]
    pub(crate) bin_dir: PathBuf,
    /// Replace plugins of the same names that are not netloom's; they are kept.
    #[arg(long)]
    pub(crate) force: bool,
    /// Bring back what the last installation replaced, and remove what it added.
    #[arg(long, conflicts_with_all = ["names", "force"])]
    pub(crate) rollback: bool,
    /// The root of the host that is meant, as it is seen from here: links lead where they lead on that host.
    #[arg(long, value_name = "DIR")]
    pub(crate) host: Option<PathBuf>,
    /// Wait for SIGTERM or SIGINT afterwards, as the container of a DaemonSet must.
    #[arg(long, conflicts_with_all = ["rollback", "dry_run"])]
    pub(crate) stay: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Where the plugins are.
    #[arg(long, default_value = "/opt/cni/bin", value_name = "DIR")]
    pub(crate) bin_dir: PathBuf,
    /// The root of the host that is meant, as it is seen from here: links lead where they lead on that host.
    #[arg(long, value_name = "DIR")]
    pub(crate) host: Option<PathBuf>,
    /// Wait for SIGTERM or SIGINT afterwards, as the container of a DaemonSet must.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) stay: bool,
    /// Show what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Do not colour the output.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Three hosts and a store: pods that reach each other over host boundaries. Needs etcd and
    /// netloom-node.
    #[arg(long)]
    pub(crate) cluster: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Try {
    /// A configured network's name, a configuration file, a plugin, or a project's directory
    /// [default: the first file of ./conf].
    #[arg(value_name = "NETWORK|CONF|PLUGIN|DIR")]
    pub(crate) subject: Option<String>,
    /// How many pods.
    #[arg(long, default_value_t = 1, value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) pods: u8,
    /// What is called, in this order, each for every pod: add, check, del, status.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "add,check,del,del",
        value_name = "STEPS"
    )]
    pub(crate) steps: Vec<TryStep>,
    /// Open a shell in the host before the first DEL.
    #[arg(long, conflicts_with = "json")]
    pub(crate) hold: bool,
    /// Keep the host when all is done, by a process whose number is told: it ends with that.
    #[arg(long)]
    pub(crate) keep: bool,
    /// A command to run in the first pod before the first DEL.
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// A command of CNI that a trial calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TryStep {
    Add,
    Check,
    Del,
    Status,
}

impl TryStep {
    /// Its value of `CNI_COMMAND`.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Check => "CHECK",
            Self::Del => "DEL",
            Self::Status => "STATUS",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceVerb {
    /// Make a directory of wrappers, one for each plugin, to be put first into CNI_PATH or a runtime's
    /// plugin directories. The plugins themselves are not touched.
    Install(TraceInstall),
    /// Remove the wrappers from a directory.
    Uninstall {
        /// The directory that `trace install` made.
        dir: PathBuf,
    },
    /// Run a program that finds plugins by CNI_PATH, and show what it called.
    Run(TraceRun),
    /// Show the calls, each operation as a waterfall.
    Show(TraceShow),
    /// Make a call again in a throw-away host.
    Replay(TraceReplay),
}

/// Where the wrappers write down the calls.
const TRACE_LOG: &str = "/var/log/netloom/trace.jsonl";

#[derive(Debug, Args)]
pub(crate) struct TraceInstall {
    /// The directory to make, apart from the plugins.
    pub(crate) dir: PathBuf,
    /// Where the plugins are (repeatable) [default: CNI_PATH].
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Vec<PathBuf>,
    /// Where the calls are written down; at 16 MiB it becomes FILE.1.
    #[arg(long, value_name = "FILE", default_value = TRACE_LOG)]
    pub(crate) log: PathBuf,
    /// Write down values of keys such as password and token as they are.
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TraceRun {
    /// Where the plugins are (repeatable) [default: CNI_PATH].
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Vec<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceShow {
    /// Where the calls were written down.
    #[arg(long, value_name = "FILE", default_value = TRACE_LOG)]
    pub(crate) log: PathBuf,
    /// Only calls for the container whose id begins so.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Only the last operation.
    #[arg(long)]
    pub(crate) last: bool,
    /// Then show further calls as they end.
    #[arg(long, conflicts_with = "json")]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TraceReplay {
    /// The number that `trace show` gives the call.
    pub(crate) number: usize,
    /// Where the calls were written down.
    #[arg(long, value_name = "FILE", default_value = TRACE_LOG)]
    pub(crate) log: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
