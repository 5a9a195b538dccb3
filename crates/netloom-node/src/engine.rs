//! The engine: what the store and the kernel say, and what follows from it.

mod network;
mod readiness;
mod tell;

use std::time::Instant;

use anyhow::{Context as _, Result};
use netloom_cluster::flannel::{NetworkConfig, Subnets};
use netloom_cluster::peers::Memory;
use netloom_cluster::record::NodeRecord;
use netloom_kernel::rtnl::Socket;
use netloom_spec::Mac;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::cli::Run;
use crate::grants::{self, Asked, Grants};
use crate::identity::{Identity, random};
use crate::kernel::{self, Kernel, Report};
use crate::links::{self, Links};
use crate::remembered::Remembered;
use crate::status::Shared;
use crate::store::{self, Settings, Wish};
use crate::uplink::{self, Uplink};

/// All that the daemon knows.
pub(crate) struct Engine {
    args: Run,
    identity: Identity,
    started: Instant,
    remembered: Remembered,
    /// What is remembered differs from what is on the disk.
    unsaved: bool,
    memory: Memory,
    /// The store has listed everything since the start.
    listed: bool,
    config: Option<NetworkConfig>,
    own: Option<Subnets>,
    macs: [Mac; 2],
    uplink: Uplink,
    kernel: Kernel,
    report: Option<Result<Report, String>>,
    wish: watch::Sender<Wish>,
    grants: Grants,
    links: Option<Links>,
    status: Shared,
}

/// The engine's ears.
pub(crate) struct Ears {
    reports: mpsc::UnboundedReceiver<Result<Report, String>>,
    events: mpsc::Receiver<store::Event>,
    grants: grants::Ears,
    links: Option<links::Ears>,
}

impl Engine {
    /// Looks at this host, and starts the store's tasks and the kernel's thread.
    pub(crate) fn start(
        args: Run,
        settings: Settings,
        status: Shared,
        asked: mpsc::Receiver<Asked>,
    ) -> Result<(Self, Ears)> {
        let state = args.places.state_dir.clone();
        args.places.clear();
        let identity = Identity::find(args.name.as_deref(), &state)?;
        let mut remembered = Remembered::load(&state, settings.prefix())?;
        let socket = Socket::open()?;
        let uplink = uplink::find(&socket, &args.uplink)?;
        let config = NetworkConfig::parse(remembered.config.as_bytes()).ok();
        let macs = macs(&socket, &remembered, config.as_ref());
        remembered.tunnel_macs = macs.to_vec();
        let own = Subnets::of_key(&remembered.subnets)
            .filter(|own| config.as_ref().is_some_and(|config| config.allows(own)));
        let (tell, reports) = mpsc::unbounded_channel();
        let kernel = Kernel::start(args.uplink.clone(), tell)?;
        let (wish, wished) = watch::channel(first_wish(&identity, &args));
        let (events_in, events) = mpsc::channel(1024);
        let (calls_in, calls) = mpsc::channel(256);
        let root = &args.places.grants_dir;
        let links = Links::start(&identity, &args, uplink.addresses(), calls_in.clone())?;
        let (links, links_hearing) = links.unzip();
        let (grants, hearing) = Grants::start(&identity, root, calls_in, asked)?;
        tokio::spawn(store::run(settings, wished, calls, events_in));
        let remove_after = u64::try_from(args.remove_after.as_millis()).unwrap_or(u64::MAX);
        let mut memory = Memory::new(remove_after);
        memory.recall(0, remembered.records());
        let mut engine = Self {
            args,
            identity,
            started: Instant::now(),
            remembered,
            unsaved: true,
            memory,
            listed: false,
            config,
            own,
            macs,
            uplink,
            kernel,
            report: None,
            wish,
            grants,
            links,
            status,
        };
        // With what is remembered, before the store has said a word.
        engine.wish();
        engine.bring_about();
        engine.tell();
        let ears = Ears {
            reports,
            events,
            grants: hearing,
            links: links_hearing,
        };
        Ok((engine, ears))
    }

    /// Runs until a signal ends it. What it has made stays.
    pub(crate) async fn run(mut self, mut ears: Ears) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
        let mut save = tokio::time::interval(SAVE);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let expiry = self.memory.next_expiry();
            let expiry = expiry.map(|at| self.started + std::time::Duration::from_millis(at));
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                report = ears.reports.recv() => {
                    let report = report.context("the kernel's thread has ended")?;
                    self.reported(report);
                }
                event = ears.events.recv() => {
                    let event = event.context("the store's task has ended")?;
                    self.heard(event);
                    // What has come meanwhile belongs to the same round.
                    while let Ok(event) = ears.events.try_recv() {
                        self.heard(event);
                    }
                    self.bring_about();
                }
                heard = ears.grants.hear() => {
                    self.grants.heard(heard);
                    self.wish();
                }
                () = until(self.grants.wake_at()) => {
                    self.grants.tick();
                    self.wish();
                }
                heard = links::hear(&mut ears.links) => {
                    if let Some(links) = &mut self.links {
                        links.heard(heard);
                    }
                }
                () = until(self.links.as_ref().map(Links::wake_at)) => {
                    if let Some(links) = &mut self.links {
                        links.tick();
                    }
                }
                () = until(expiry) => {
                    let now = self.now();
                    if self.memory.expire(now) {
                        self.unsaved = true;
                        self.bring_about();
                    }
                }
                _ = save.tick(), if self.unsaved => self.save(),
            }
            self.tell();
        }
        self.save();
        Ok(())
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn save(&mut self) {
        let records = self.memory.records();
        self.remembered.set_records(&records);
        match self.remembered.save(&self.args.places.state_dir) {
            Ok(()) => self.unsaved = false,
            Err(error) => note!("{error:#}"),
        }
    }
}

/// Nothing but the node itself: its place depends on what the store says.
fn first_wish(identity: &Identity, args: &Run) -> Wish {
    Wish {
        name: identity.name.clone(),
        instance: identity.instance.clone(),
        lease: args.lease,
        alive: args.alive,
        record: NodeRecord::new(identity.machine.clone()),
        place: None,
    }
}

/// How often what others tell is written down, at most.
const SAVE: std::time::Duration = std::time::Duration::from_secs(1);

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The hardware addresses of the tunnel ends: those of before, those of flannel's devices, or new ones of
/// the kind that nobody is given by a maker.
fn macs(socket: &Socket, remembered: &Remembered, config: Option<&NetworkConfig>) -> [Mac; 2] {
    let vni = config.map_or(1, |config| config.backend.vni);
    [0, 1].map(|number| {
        let kept = remembered.tunnel_macs.get(number).copied();
        let found = || kernel::existing_mac(socket, number == 0, vni);
        kept.or_else(found).unwrap_or_else(|| {
            let [a, b, c, d, e, ..] = random().to_ne_bytes();
            Mac([0x02, a, b, c, d, e])
        })
    })
}
