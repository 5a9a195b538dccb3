//! The verbs about pods.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum PodVerb {
    /// Run a command in a pod: namespaces of its own, on the networks that --net names. Its root is the
    /// host's, read-only beneath what the pod writes, unless an image or a directory is given.
    #[command(after_help = RUN_HELP)]
    Run(Box<Run>),
    /// Show the pods that run; with -a those that have ended as well.
    Ps(Ps),
    /// Run one more command in a pod.
    Exec(Exec),
    /// Show what a detached pod wrote.
    Logs(OnePod),
    /// Ask pods to end (SIGTERM), and kill what does not.
    Stop(Stop),
    /// Forget pods that have ended.
    Rm(Rm),
    /// Show all that is known of a pod, as JSON.
    Inspect(OnePod),
    /// Wait until a pod has ended, and print its exit status.
    Wait(OnePod),
    /// Run a container by podman on CNI networks: with podman's options, image and command.
    #[command(visible_alias = "podman-run", after_help = ENGINE_HELP)]
    DockerRun(EngineRun),
    /// The images that pods run from.
    #[command(subcommand)]
    Image(ImageVerb),
    /// Attach a running pod to a network, or detach it.
    #[command(subcommand)]
    Net(NetVerb),
}

const RUN_HELP: &str = "\
The exit status is the command's; 128 and the signal's number if a signal ended it; 127 if it is not
there, 126 if it cannot be executed, 125 if the pod could not be made.

  netloom run --rm -it --net mynet sh
  netloom run --rm --net mynet:ip=10.16.0.9 --net storage -p 8080:80 httpd -f
  netloom run -d --name web --net mynet --rootfs ./alpine nginx
  netloom run --interactive --net=mynet docker://busybox

Without root, pods are on a host of the user's own, which ends with the last of them.
It is a tool to try networks, not a wall around hostile programs.";

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A network: NAME, NAME:ip=ADDRESS,mac=ADDRESS,if=NAME,KEY=VALUE, none, host, all, ns:PATH or
    /// pod:ID (repeatable) [default: none].
    #[arg(
        long = "net",
        visible_alias = "network",
        env = "NETLOOM_NET",
        value_name = "NET"
    )]
    pub(crate) nets: Vec<String>,
    /// Lead a port of the host to the pod: HOST:POD, IP:HOST:POD, HOST:POD/udp (repeatable).
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<String>,
    /// Limit what the pod receives, and what it sends, in bits a second: 10M or 10M:20M.
    #[arg(long, value_name = "RATE")]
    pub(crate) bandwidth: Option<String>,
    /// For plugins that read the pod's annotations: KEY=VALUE (repeatable).
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub(crate) annotations: Vec<String>,
    /// Name of the first network's interface.
    #[arg(long, env = "CNI_IFNAME", default_value = "eth0", hide = true)]
    pub(crate) ifname: String,

    /// The image: docker://NAME, docker-archive:FILE, oci-archive:FILE, oci:DIR, a tar of a root file
    /// system, or the name of a loaded one.
    #[arg(long, value_name = "IMAGE", conflicts_with = "rootfs")]
    pub(crate) image: Option<String>,
    /// A directory as root; what the pod writes vanishes with it.
    #[arg(long, value_name = "DIR")]
    pub(crate) rootfs: Option<PathBuf>,
    /// Let the pod write into the directory itself.
    #[arg(long, requires = "rootfs")]
    pub(crate) rw: bool,
    /// Mount a directory or file of the host: SOURCE:TARGET or SOURCE:TARGET:ro (repeatable).
    #[arg(short, long = "volume", value_name = "VOLUME")]
    pub(crate) volumes: Vec<String>,

    /// Hand stdin to the command; with a terminal if it is one.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal.
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Print the pod's id and do not wait; `netloom logs` shows what it writes.
    #[arg(short, long, conflicts_with_all = ["interactive", "tty"])]
    pub(crate) detach: bool,
    /// Forget the pod when it has ended.
    #[arg(long)]
    pub(crate) rm: bool,
    /// A name for the pod, by which others on its networks find it too.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The host name in the pod [default: its name, or the begin of its id].
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// Run a first process that collects orphans and hands signals on.
    #[arg(long)]
    pub(crate) init: bool,

    /// A name server for the pod (repeatable) [default: the networks', else the host's].
    #[arg(long = "dns", value_name = "IP")]
    pub(crate) dns: Vec<IpAddr>,
    /// A domain that short names are looked up in (repeatable).
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) dns_search: Vec<String>,
    /// An option for the pod's resolver (repeatable).
    #[arg(long, value_name = "OPTION")]
    pub(crate) dns_option: Vec<String>,
    /// A line for the pod's /etc/hosts: NAME:IP (repeatable).
    #[arg(long = "add-host", value_name = "NAME:IP")]
    pub(crate) add_host: Vec<String>,

    /// Set an environment variable: KEY=VALUE, or KEY for its value here (repeatable).
    #[arg(short, long = "env", value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// The working directory in the pod.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// As whom the command runs: USER or USER:GROUP, numbers or names of the pod's.
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// A capability more (repeatable): NET_ADMIN, or ALL.
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_add: Vec<String>,
    /// A capability less (repeatable).
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_drop: Vec<String>,

    /// Have an OCI runtime make the sandbox: runc, crun, or a path.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) runtime: Option<String>,
    /// Limit the memory, as 512M; needs a runtime.
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory: Option<String>,
    /// Limit the processors, as 1.5; needs a runtime.
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<String>,
    /// Limit the processes; needs a runtime.
    #[arg(long, value_name = "N")]
    pub(crate) pids: Option<String>,
    /// Accepted as rkt has it; images are checked by their digests all the same.
    #[arg(long, hide = true)]
    pub(crate) insecure_options: Option<String>,

    /// The command and its arguments; first an image, if it is one [default: the image's, or /bin/sh].
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<String>,
}

const ENGINE_HELP: &str = "\
Networks are those that --net names, or every one that is configured; -p leads ports of the host to the
container. Other options are podman's.

  netloom docker-run --rm busybox ifconfig
  netloom docker-run -d --net mynet -p 8080:80 nginx";

#[derive(Debug, Args)]
pub(crate) struct EngineRun {
    // In place of the global option, whose -i means something else here.
    #[arg(long, env = "CNI_IFNAME", default_value = "eth0", hide = true)]
    pub(crate) ifname: String,
    /// Options, image, command.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "ARGUMENT"
    )]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Those that have ended, too.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only ids.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Hand stdin to the command; with a terminal if it is one.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal.
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Set an environment variable: KEY=VALUE, or KEY for its value here (repeatable).
    #[arg(short, long = "env", value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// The working directory in the pod [default: that of its command].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// As whom the command runs [default: as the pod's].
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    // In place of the global option, whose -i means something else here.
    #[arg(long, env = "CNI_IFNAME", default_value = "eth0", hide = true)]
    ifname: String,
    /// The pod: its name, id, or the begin of its id.
    pub(crate) pod: String,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OnePod {
    /// The pod: its name, id, or the begin of its id.
    pub(crate) pod: String,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Seconds to wait before a pod is killed.
    #[arg(short, long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) time: u64,
    /// The pods: names, ids, or begins of ids.
    #[arg(required = true)]
    pub(crate) pods: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Kill those that run, and forget what could not be deleted.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The pods: names, ids, or begins of ids.
    #[arg(required = true)]
    pub(crate) pods: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NetVerb {
    /// Attach a running pod to one more network.
    Connect {
        /// The pod: its name, id, or the begin of its id.
        pod: String,
        /// The network, as --net has it.
        network: String,
    },
    /// Detach a running pod from a network.
    Disconnect {
        /// The pod: its name, id, or the begin of its id.
        pod: String,
        /// The network's name, or the interface's.
        network: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Show the images in the store.
    Ls,
    /// Take an image into the store.
    Load {
        /// docker-archive:FILE, oci-archive:FILE, oci:DIR, oci:DIR:TAG, or FILE.tar of any of these or of a root
        /// file system.
        source: String,
        /// Its name [default: what it calls itself, else what its file is called].
        #[arg(long)]
        name: Option<String>,
    },
    /// Forget images, and the layers that nothing else needs.
    Rm {
        /// The images' names.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Bring an image from the store of podman or docker, or from its registry by skopeo.
    Pull {
        /// The image's name.
        name: String,
    },
}
