//! What `netloom topo` accepts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

const EXAMPLE: &str = "\
A file, in YAML or JSON:

  name: lab
  nodes:
    r1: {}                          # a namespace of its own: ip netns exec lab-r1 …
    r2: { attach: \"docker:r2\" }     # a container that runs already
  links:
    - endpoints: [\"r1:eth1:10.0.0.1/31\", \"r2:eth1:10.0.0.0/31\"]
      mtu: 9000
      impair: { delay: 20ms, loss: 1% }
    - endpoints: [\"r1:up0:192.0.2.2/24\", \"host:lab0:192.0.2.1/24\"]

The files of containerlab are understood, with links in brief and in extended form.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Topo {
    #[command(subcommand)]
    pub(crate) verb: TopoVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopoVerb {
    /// Say what `apply` would do.
    Plan(File),
    /// Make all as the file says: what is as it says stays, what it says no more goes.
    Apply(File),
    /// Remove all that the topology has here.
    Destroy(Destroy),
    /// Show the topology's ends that are there.
    Show(File),
    /// Say what is not as the file says; the exit status is 1 then.
    Check(File),
    /// Draw the topology.
    Graph {
        /// The file.
        file: PathBuf,
        /// In which language.
        #[arg(long, default_value = "mermaid")]
        format: Format,
    },
    /// Print the links between pods as the JSON that the plugin ratchet reads.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Print the JSON schema of topology files, for editors.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct File {
    /// The file.
    pub(crate) file: PathBuf,
    /// Which of the file's hosts this is [default: the one whose underlay address it has].
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The file.
    #[arg(required_unless_present = "name")]
    pub(crate) file: Option<PathBuf>,
    /// The topology's name, where its file is lost: every namespace is searched.
    #[arg(long, conflicts_with = "file")]
    pub(crate) name: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A picture.
    Svg,
}
