//! What the command line accepts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;

/// The daemon of a cluster's node: pod networks and cluster-wide addresses by etcd.
#[derive(Debug, Parser)]
#[command(name = "netloom-node", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write the pod network into the store, where it has none: once for a cluster.
    Init(Init),
    /// Join the cluster and stay: take a part of the pod network, reach the others' pods, keep it so.
    /// When it ends, by a signal or otherwise, routes and addresses stay: the next start takes them over.
    Run(Box<Run>),
    /// Tell what the daemon of this node knows. The exit status is 0 if pods can start, 1 if not.
    Status(Status),
    /// Take the network's configuration away until `drain --end`, so that no pod starts here any more.
    /// Pods that run keep their network.
    Drain(Drain),
    /// Take away all that the daemon made on this host: configuration, routes, tunnels, rules. The
    /// daemon must not run.
    Uninstall(Uninstall),
    /// Forget a node that is gone for good: its part of the network and all addresses that it held are
    /// given to others.
    Remove(Remove),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The pods' addresses, one network of each family that pods shall have.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', required = true)]
    pub(crate) network: Vec<IpNet>,
    /// How hosts reach each other's pods: directly where they are on one link and by vxlan elsewhere
    /// (auto), always by vxlan, or only directly (host-gw).
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = ["auto", "vxlan", "host-gw"])]
    pub(crate) mode: String,
}

/// Where the other hosts' parts of the network are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peers {
    /// In the objects `NodeNetwork` of netloom-node's own: they change only when a network does.
    Netloom,
    /// In the nodes' annotations, where flannel has them: for clusters in which some nodes run flannel.
    Nodes,
}

/// Which store, and how to speak to it.
#[derive(Debug, Args, Clone)]
pub(crate) struct StoreArgs {
    /// The store's endpoints, separated by commas: https://10.0.0.1:2379,https://10.0.0.2:2379
    #[arg(
        long,
        env = "NETLOOM_ETCD",
        value_name = "URL",
        value_delimiter = ',',
        required_unless_present_any = ["kubernetes", "kubeconfig"]
    )]
    pub(crate) etcd: Vec<String>,
    /// The store is the Kubernetes API of the cluster in whose pod this runs.
    #[arg(long, conflicts_with_all = ["etcd", "kubeconfig"])]
    pub(crate) kubernetes: bool,
    /// The store is the Kubernetes API that this file names, mode 0600.
    #[arg(long, value_name = "FILE", conflicts_with = "etcd")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// With Kubernetes: the pod network's configuration, as flannel's.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/kube-flannel/net-conf.json"
    )]
    pub(crate) net_conf: PathBuf,
    /// With Kubernetes: where the other hosts' parts of the network are read.
    #[arg(long, value_name = "WHERE", default_value = "netloom")]
    pub(crate) peers: Peers,
    /// The certificate authority that the endpoints' certificates are of.
    #[arg(long, value_name = "FILE")]
    pub(crate) etcd_cafile: Option<PathBuf>,
    /// The node's certificate; its common name is the user.
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    pub(crate) etcd_certfile: Option<PathBuf>,
    /// The key of the node's certificate, mode 0600.
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub(crate) etcd_keyfile: Option<PathBuf>,
    /// The user, where etcd knows the node by a password.
    #[arg(long, value_name = "NAME", requires = "etcd_password_file")]
    pub(crate) etcd_username: Option<String>,
    /// The file with the user's password, mode 0600.
    #[arg(long, value_name = "FILE", requires = "etcd_username")]
    pub(crate) etcd_password_file: Option<PathBuf>,
    /// Speak to endpoints that are not on this host without TLS: whoever is on the path can read and
    /// change everything.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Where the pod network's records are.
    #[arg(long, value_name = "KEY", default_value = netloom_cluster::flannel::PREFIX)]
    pub(crate) prefix: String,
}

/// Where the daemon keeps and tells what.
#[derive(Debug, Args, Clone)]
pub(crate) struct Places {
    /// Where runtimes look for network configurations.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub(crate) conf_dir: PathBuf,
    /// The name of the configuration there.
    #[arg(long, value_name = "NAME", default_value = "10-netloom.conflist", value_parser = file_name)]
    pub(crate) conf_name: String,
    /// Where the plugins are.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub(crate) bin_dir: PathBuf,
    /// What the plugin flannel reads.
    #[arg(long, value_name = "FILE", default_value = "/run/flannel/subnet.env")]
    pub(crate) subnet_file: PathBuf,
    /// The daemon's socket and status.
    #[arg(long, value_name = "DIR", default_value = "/run/netloom")]
    pub(crate) run_dir: PathBuf,
    /// Addresses for the plugin cluster.
    #[arg(long, value_name = "DIR", default_value = netloom_cluster::disk::ROOT)]
    pub(crate) grants_dir: PathBuf,
    /// The store of the plugin ratchet.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/cni/netloom/ratchet"
    )]
    pub(crate) links_dir: PathBuf,
    /// What must survive a reboot.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/netloom")]
    pub(crate) state_dir: PathBuf,
}

impl Places {
    /// Removes what a daemon that was killed has left of files that it was writing.
    pub(crate) fn clear(&self) {
        for path in [
            self.conf_dir.join(&self.conf_name),
            self.subnet_file.clone(),
            crate::status::path(&self.run_dir),
            crate::remembered::path(&self.state_dir),
        ] {
            crate::files::clear(&path);
        }
    }
}

/// By which link the others reach this host.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct UplinkArgs {
    /// The name of the link, or an address on it [default: that of the default route]
    #[arg(long, value_name = "NAME", group = "which")]
    pub(crate) iface: Option<String>,
    /// The first link whose name or address matches.
    #[arg(long, value_name = "REGEX", group = "which", value_parser = pattern)]
    pub(crate) iface_regex: Option<String>,
    /// The link by which this address is reached.
    #[arg(long, value_name = "IP", group = "which")]
    pub(crate) iface_can_reach: Option<IpAddr>,
    /// The address that the others use, where it is not one of the link's: behind NAT.
    #[arg(long, value_name = "IP")]
    pub(crate) public_ip: Option<std::net::Ipv4Addr>,
    /// The same, IPv6.
    #[arg(long, value_name = "IP")]
    pub(crate) public_ipv6: Option<std::net::Ipv6Addr>,
}

#[derive(Debug, Args, Clone)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) uplink: UplinkArgs,
    /// The node's name in the cluster [default: the host's name]
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub(crate) name: Option<String>,
    /// Leave pods' addresses as they are when they leave the network.
    #[arg(long)]
    pub(crate) no_masquerade: bool,
    /// Networks outside that see pods' own addresses, separated by commas.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) no_masquerade_to: Vec<IpNet>,
    /// How long, in seconds, hosts are believed that vanish from the store.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(crate) remove_after: Duration,
    /// How long, in seconds, this host's part of the network is its own without a word from it; 0: for
    /// ever.
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = seconds)]
    pub(crate) lease: Duration,
    /// How long, in seconds, the store may not know this node's daemon before it counts as away.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) alive: Duration,
    /// Link pods of this host to pods of other hosts, as the plugin ratchet is asked to: needs etcd, and
    /// CAP_SYS_ADMIN to enter the pods' network namespaces.
    #[arg(long, conflicts_with_all = ["kubernetes", "kubeconfig"])]
    pub(crate) links: bool,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9470")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) places: Places,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) places: Places,
    /// Pods may start again, as soon as the daemon has seen that they can.
    #[arg(long)]
    pub(crate) end: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) places: Places,
    /// Also forget which part of the network was this host's.
    #[arg(long)]
    pub(crate) forget: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The node's name in the cluster.
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The machine is off, or cut off for good: nobody else can tell. Needed, since what it held is given
    /// to others at once.
    #[arg(long)]
    pub(crate) fenced: bool,
}

fn file_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("the name of a file is right".into()),
        text if text.contains('/') => {
            Err("a name without / is right: --conf-dir is the directory".into())
        }
        text => Ok(text.to_owned()),
    }
}

fn pattern(text: &str) -> Result<String, String> {
    let read = regex_lite::Regex::new(text);
    read.map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: Result<u64, _> = text.parse();
    number
        .map(Duration::from_secs)
        .map_err(|_| "a whole number of seconds is right".into())
}
