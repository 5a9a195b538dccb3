//! What `netloom link` accepts.

use clap::{ArgGroup, Args, Subcommand};
use netloom_links::Impairment;

const PLACES: &str = "\
An end is KIND:NAME/INTERFACE, and after it, by commas: addresses (192.0.2.1/24), mtu=N, mac=MAC,
route=NETWORK@GATEWAY, delay=20ms, jitter=2ms, loss=1%, duplicate=1%, corrupt=1%, rate=100mbit.

  ns:blue/eth1              a namespace of `ip netns`
  path:/proc/1/ns/net/eth1  the file of a namespace
  pid:4711/eth1             that of a process
  docker:web/eth1           that of a container; podman:web, containerd:NAMESPACE/ID, crio:ID too
  cri:default/r1/eth1       that of a pod of containerd, by its namespace and name
  cni:ID/eth1               that of an attachment (`netloom list`)
  host/eth1                 where this command runs; bridge:br0/eth1 is a port of that bridge there

The other side is one more end, or a way outside:

  vxlan:192.0.2.7,vni=1001[,port=4789][,local=ADDRESS][,dev=INTERFACE]
  macvlan:eth0[,mode=bridge]   ipvlan:eth0[,mode=l2]   vlan:eth0,id=7

Try it:
  ip netns add blue; ip netns add red
  netloom link add ns:blue/in1,192.168.2.100/24 ns:red/in2,192.168.2.101/24
  ip netns exec blue ping -c 1 192.168.2.101
  netloom link set ns:blue/in1 --rate 10mbit
  netloom link ls
  netloom link del ns:blue/in1";

#[derive(Debug, Args)]
#[command(after_long_help = PLACES)]
pub(crate) struct Link {
    #[command(subcommand)]
    pub(crate) verb: LinkVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkVerb {
    /// Make a link, or bring one that is there to what is asked; what is as asked stays.
    #[command(after_long_help = PLACES)]
    Add(Wanted),
    /// Remove links, each by one of its ends; one that is not there is removed already.
    #[command(alias = "delete")]
    Del {
        /// An end, KIND:NAME/INTERFACE.
        #[arg(required = true, value_name = "END")]
        ends: Vec<String>,
    },
    /// Change an end that is there; what is not named stays.
    Set(Set),
    /// Show one end.
    Show {
        /// KIND:NAME/INTERFACE.
        end: String,
    },
    /// List the ends of links, of all namespaces that have a name or a process.
    #[command(alias = "list")]
    Ls {
        /// Only those of a topology.
        #[arg(long, value_name = "NAME")]
        topology: Option<String>,
    },
    /// Say how a link differs from what is asked, which is told as to `add`.
    Check(Wanted),
    /// Send copies of what passes one interface by another of the same namespace.
    Mirror(Mirror),
}

#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// One end.
    pub(crate) end: String,
    /// The other end, or a way outside.
    pub(crate) other: String,
    /// What the link is called [default: its ends].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The MTU of both ends, in bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<String>,
    #[command(flatten)]
    pub(crate) impair: Impair,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The end, KIND:NAME/INTERFACE; what it sends is impaired.
    pub(crate) end: String,
    /// Its MTU, in bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<String>,
    /// Its hardware address.
    #[arg(long)]
    pub(crate) mac: Option<String>,
    /// Set it up.
    #[arg(long, conflicts_with = "down")]
    pub(crate) up: bool,
    /// Set it down.
    #[arg(long)]
    pub(crate) down: bool,
    /// Take every impairment away that is not named.
    #[arg(long)]
    pub(crate) reset: bool,
    #[command(flatten)]
    pub(crate) impair: Impair,
}

/// How bad a link is.
#[derive(Debug, Default, Args)]
pub(crate) struct Impair {
    /// How long each packet waits: 20ms.
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// By how much the delay varies: 2ms.
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// How many packets are lost: 1%.
    #[arg(long, value_name = "PERCENT")]
    loss: Option<String>,
    /// How many packets come twice.
    #[arg(long, value_name = "PERCENT")]
    duplicate: Option<String>,
    /// How many packets have one bit wrong.
    #[arg(long, value_name = "PERCENT")]
    corrupt: Option<String>,
    /// How fast it is: 100mbit.
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
}

impl Impair {
    /// Sets what is named, and leaves the rest.
    pub(crate) fn put(&self, impairment: &mut Impairment) -> netloom_links::Result<()> {
        let named = [
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
            ("duplicate", &self.duplicate),
            ("corrupt", &self.corrupt),
            ("rate", &self.rate),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                impairment.set(name, value)?;
            }
        }
        Ok(())
    }

    /// Whether anything is named.
    pub(crate) fn is_any(&self) -> bool {
        let times = self.delay.is_some() || self.jitter.is_some() || self.rate.is_some();
        times || self.loss.is_some() || self.duplicate.is_some() || self.corrupt.is_some()
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["to", "off"])))]
pub(crate) struct Mirror {
    /// Whose packets are copied: KIND:NAME/INTERFACE.
    pub(crate) from: String,
    /// Which interface sends the copies: its name, or KIND:NAME/INTERFACE in the same namespace.
    #[arg(long, value_name = "INTERFACE")]
    pub(crate) to: Option<String>,
    /// Only what comes in.
    #[arg(long, conflicts_with = "egress")]
    pub(crate) ingress: bool,
    /// Only what leaves.
    #[arg(long)]
    pub(crate) egress: bool,
    /// Copy no more.
    #[arg(long)]
    pub(crate) off: bool,
}
