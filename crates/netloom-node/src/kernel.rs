//! The kernel's side: a thread that brings this host to what the engine wants, and keeps it there.
//!
//! It waits for two things only, a new wish and a change by somebody else, and does one round then: look,
//! compare, change what differs. It never polls, and a round that finds nothing to do changes nothing.

mod apply;
mod devices;
mod look;
mod masquerade;
mod relevance;
mod round;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use netloom_cluster::flannel::{NetworkConfig, Subnets};
use netloom_cluster::peers::Peer;
use netloom_kernel::rtnl::{Monitor, Socket};
use netloom_spec::Mac;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use tokio::sync::mpsc::UnboundedSender;

use crate::cli::UplinkArgs;
use crate::uplink::Uplink;
pub(crate) use devices::{existing_mac, tunnel_name};
pub(crate) use masquerade::remove as remove_masquerade;

/// By which routes of ours are known (`RTPROT_*`).
pub(crate) const PROTOCOL: u8 = 0x6f;

/// Changes by others that come faster than this are one.
const TOGETHER: Duration = Duration::from_millis(20);
/// After a round that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What the kernel is to be brought to.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) config: NetworkConfig,
    pub(crate) subnets: Subnets,
    pub(crate) peers: Vec<Peer>,
    /// These are all of them. Until the store has told that, ways to others stay: the kernel may remember
    /// what a daemon that was killed could not write down.
    pub(crate) complete: bool,
    /// Of the tunnel ends, IPv4 and IPv6.
    pub(crate) macs: [Mac; 2],
    pub(crate) masquerade: bool,
    /// Networks outside that see pods' own addresses.
    pub(crate) exceptions: Vec<IpNet>,
}

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) uplink: Uplink,
    /// The pods'.
    pub(crate) mtu: u32,
    /// Peers' subnets that have a route.
    pub(crate) routes: usize,
    /// How much this round has changed.
    pub(crate) changes: usize,
    /// Peers without a way to them, each with its reason.
    pub(crate) unreachable: Vec<String>,
    /// What the kernel refused.
    pub(crate) errors: Vec<String>,
}

/// The engine's end of the thread.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    wish: Arc<Mutex<Option<Arc<Desired>>>>,
    bell: Arc<OwnedFd>,
}

impl Kernel {
    /// Starts the thread in the network namespace of the caller.
    pub(crate) fn start(
        uplink: UplinkArgs,
        reports: UnboundedSender<Result<Report, String>>,
    ) -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = Arc::new(eventfd(0, flags).context("cannot make an eventfd")?);
        let wish = Arc::new(Mutex::new(None));
        let worker = Worker {
            socket: Socket::open()?,
            monitor: Monitor::open(4 << 20)?,
            wish: Arc::clone(&wish),
            bell: Arc::clone(&bell),
            uplink,
            reports,
        };
        std::thread::Builder::new()
            .name("kernel".into())
            .spawn(move || worker.run())
            .context("cannot start a thread")?;
        Ok(Self { wish, bell })
    }

    /// Says what is wanted from now on.
    pub(crate) fn want(&self, desired: Desired) {
        let mut wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        *wish = Some(Arc::new(desired));
        drop(wish);
        // A counter that is full rings as well.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }
}

struct Worker {
    socket: Socket,
    monitor: Monitor,
    wish: Arc<Mutex<Option<Arc<Desired>>>>,
    bell: Arc<OwnedFd>,
    uplink: UplinkArgs,
    reports: UnboundedSender<Result<Report, String>>,
}

impl Worker {
    /// Ends with the engine.
    fn run(self) {
        let mut retry_at = None;
        let mut relevant = relevance::Relevant::default();
        loop {
            let rung = match self.wait(retry_at, &relevant) {
                Ok(rung) => rung,
                Err(error) => {
                    note!("the kernel cannot be listened to: {error:#}");
                    std::thread::sleep(RETRY);
                    true
                }
            };
            let wish = self
                .wish
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let Some(desired) = wish else { continue };
            let outcome = round::run(&self.socket, &self.uplink, &desired);
            let failed = outcome
                .as_ref()
                .map_or(true, |(report, _)| !report.errors.is_empty());
            retry_at = failed.then(|| Instant::now() + RETRY);
            let worth_telling =
                rung || failed || outcome.as_ref().is_ok_and(|(r, _)| r.changes > 0);
            let report = outcome.map(|(report, seen)| {
                relevant = seen;
                report
            });
            let report = report.map_err(|error| format!("{error:#}"));
            // That nobody hears it means that the daemon ends.
            if worth_telling && self.reports.send(report).is_err() {
                return;
            }
        }
    }

    /// Waits for a wish (`true`), or for a change by somebody else that matters.
    fn wait(&self, until: Option<Instant>, relevant: &relevance::Relevant) -> Result<bool> {
        let mut heard_at: Option<Instant> = None;
        loop {
            let deadline = heard_at.map(|at| at + TOGETHER).or(until);
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let mut fds = [
                PollFd::new(&*self.bell, PollFlags::IN),
                PollFd::from_borrowed_fd(self.monitor.as_fd(), PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error).context("poll"),
            }
            let [bell, heard] = fds.map(|fd| !fd.revents().is_empty());
            if heard {
                let mut matters = false;
                let whole = self
                    .monitor
                    .read(|_, object| matters |= relevant.concerns(&object))?;
                if (matters || !whole) && heard_at.is_none() {
                    heard_at = Some(Instant::now());
                }
            }
            if bell {
                let mut counter = [0; 8];
                let _ = rustix::io::read(&*self.bell, &mut counter);
                return Ok(true);
            }
        }
    }
}
