//! A host of the demo's cluster, and the pods on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use netloom_kernel::netns::{self, Netns};
use netloom_kernel::rtnl::{
    Family, Group, LinkChange, LinkSpec, PeerSpec, RouteFilter, RouteSpec, Socket, Subscription,
};
use netloom_runtime::{Cni, RuntimeConf, load};
use netloom_spec::{AddResult, NetworkConfigList};
use serde_json::json;

use super::programs::{Programs, Running, Store};
use super::{folder, last_words};
use crate::stage;

const PATIENCE: Duration = Duration::from_secs(30);
/// By which routes of the daemon's are known (`RTPROT_*`).
const PROTOCOL: u8 = 0x6f;

pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) address: IpNet,
    /// Its files.
    pub(super) folder: PathBuf,
    netns: Netns,
    daemon: Option<Running>,
}

/// A pod, and what ADD answered.
pub(super) struct Pod {
    pub(super) netns: Netns,
    pub(super) result: AddResult,
    runtime: RuntimeConf,
}

impl Host {
    /// A namespace with a link to a switch, and a default route to its router.
    pub(super) fn new(
        name: &'static str,
        switch: &str,
        router: IpNet,
        address: IpNet,
    ) -> Result<Self> {
        let netns = netns::create_at(Path::new(stage::RUN).join("netns").join(name))?;
        let outside = Socket::open()?;
        let switch = outside.get_link(switch)?;
        let peer = PeerSpec::new("eth0").in_netns(&netns);
        outside.create_link(&LinkSpec::veth(name, peer).master(switch.index).up())?;
        let inside = Socket::open_in(&netns)?;
        inside.set_link("lo", &LinkChange::new().up())?;
        let uplink = inside.get_link("eth0")?;
        inside.set_link(uplink.index, &LinkChange::new().up())?;
        inside.add_address(uplink.index, address)?;
        let all = IpNet::V4(ipnet::Ipv4Net::default());
        inside.add_route(&RouteSpec::to(all).via(router.addr()).device(uplink.index))?;
        let folder = folder(name)?;
        // Of several hosts on one machine each must be a machine of its own.
        std::fs::create_dir_all(folder.join("state"))?;
        std::fs::write(folder.join("state/machine-id"), name)?;
        Ok(Self {
            name,
            address,
            folder,
            netns,
            daemon: None,
        })
    }

    /// Starts the daemon in the host's namespace, and waits until pods can start.
    pub(super) fn join(
        &mut self,
        programs: &Programs,
        store: &Store,
        plugins: &Path,
    ) -> Result<()> {
        let mut command = Command::new(&programs.node);
        command.args([
            "run",
            "--insecure",
            "--etcd",
            &store.url,
            "--name",
            self.name,
        ]);
        for (flag, place) in [
            ("--conf-dir", "net.d"),
            ("--subnet-file", "subnet.env"),
            ("--run-dir", "run"),
            ("--state-dir", "state"),
        ] {
            command.arg(flag).arg(self.folder.join(place));
        }
        command.arg("--bin-dir").arg(plugins);
        let log = self.folder.join("log");
        let start = || Running::start(command, &log, "pods can start");
        self.daemon = Some(self.netns.run(start)??);
        Ok(())
    }

    /// The host's part of the network.
    pub(super) fn part(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.folder.join("subnet.env"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("FLANNEL_SUBNET="));
        let gateway: IpNet = line.context("subnet.env names no subnet")?.parse()?;
        Ok(gateway.trunc().to_string())
    }

    /// Waits until there are so many routes to others' pods.
    pub(super) fn until_routes(&self, count: usize) -> Result<()> {
        let socket = Socket::open_in(&self.netns)?;
        let events = Subscription::open(&socket, &[Group::RoutesV4])?;
        let deadline = Instant::now() + PATIENCE;
        let filter = RouteFilter::main(Family::V4).protocol(PROTOCOL);
        while socket.list_routes(&filter)?.len() < count {
            let log = self.daemon.as_ref().map(|daemon| last_words(&daemon.log));
            ensure!(
                events.wait(deadline)?,
                "{} has not {count} routes to the others: {}",
                self.name,
                log.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// `a` on `h1`, `b` on `h2`.
    pub(super) fn pod_name(&self) -> &'static str {
        match self.name {
            "h1" => "a",
            "h2" => "b",
            _ => "c",
        }
    }

    pub(super) fn add(&self, cni: &Cni) -> Result<Pod> {
        self.add_as(cni, self.pod_name())
    }

    /// Attaches a pod by the configuration that the daemon wrote.
    pub(super) fn add_as(&self, cni: &Cni, name: &str) -> Result<Pod> {
        let path = Path::new(stage::RUN)
            .join("netns")
            .join(format!("{}-{name}", self.name));
        let netns = netns::create_at(&path)?;
        let path = path.to_string_lossy().into_owned();
        let runtime = RuntimeConf::new(format!("demo-{}-{name}", self.name), path, "eth0");
        let network = self.network()?;
        let result = self.netns.run(|| cni.add(&network, &runtime))??;
        Ok(Pod {
            netns,
            result,
            runtime,
        })
    }

    pub(super) fn del(&self, cni: &Cni, pod: &Pod) -> Result<()> {
        let network = self.network()?;
        self.netns.run(|| cni.del(&network, &pod.runtime))??;
        Ok(())
    }

    /// As the daemon wrote it, with the files in this host's folder: a real host has them in /var/lib.
    fn network(&self) -> Result<NetworkConfigList> {
        let file = self.folder.join("net.d/10-netloom.conflist");
        let mut network = load::list_from_file(&file)?;
        let flannel = network
            .plugins
            .first_mut()
            .context("the network has no plugin")?;
        flannel.set("dataDir", json!(self.folder.join("flannel")));
        flannel.set("ipam", json!({ "dataDir": self.folder.join("networks") }));
        Ok(network)
    }
}
