//! One attachment: its clients, and who waits for them.

use super::client4::{Client4, Turn};
use super::clock::Moment;
use super::config::Wanted;
use super::flags::Flags;
use super::identity::Identity;
use super::port::{Port, Site};
use super::store::{Record, boot_id};
use netloom_kernel::netns::NetnsId;
use netloom_spec::AddResult;

/// A call that waits for a lease.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) connection: u64,
    pub(super) method: String,
    pub(super) sequence: u64,
}

/// How an attachment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Acquiring,
    Held,
    /// Why the pod has no lease any more.
    Lost(String),
}

/// What is to be done after a turn.
#[derive(Debug)]
pub(super) enum Change {
    None,
    /// All leases are there, or one of them lasts longer now.
    Held,
    /// It never had its leases, and will not get them.
    Failed(String),
    /// It had them.
    Lost,
    /// There is nothing left to have them.
    Gone(String),
}

/// An attachment.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) identity: Identity,
    netns: String,
    pub(super) site: Site,
    wanted: Wanted,
    v4: Option<Client4>,
    lost: Option<String>,
    pub(super) waiters: Vec<Waiter>,
    /// The deadline that the daemon has noted.
    pub(super) noted: Option<Moment>,
    /// Whether the daemon waits for the port.
    pub(super) polled: bool,
}

impl Attachment {
    /// An attachment without leases.
    pub(super) fn new(
        identity: Identity,
        netns: String,
        id: Option<NetnsId>,
        wanted: Wanted,
        flags: &Flags,
    ) -> Self {
        let record = Record {
            identity,
            netns,
            netns_id: id.map(|id| (id.device, id.inode)),
            boot_id: String::new(),
            wanted,
            ipv4: None,
            ipv6: None,
            lost: None,
        };
        Self::resume(record, flags)
    }

    /// An attachment with the leases it had.
    pub(super) fn resume(record: Record, flags: &Flags) -> Self {
        let site = Site {
            netns: format!("{}{}", flags.host_prefix, record.netns).into(),
            if_name: record.identity.if_name.clone(),
            id: record.netns_id(),
        };
        let Record {
            identity,
            netns,
            wanted,
            ipv4,
            lost,
            ..
        } = record;
        let v4 = wanted
            .ipv4
            .then(|| Client4::new(&identity, &wanted, flags.broadcast, flags.patience, ipv4));
        Self {
            identity,
            netns,
            site,
            wanted,
            v4,
            lost,
            waiters: Vec::new(),
            noted: None,
            polled: false,
        }
    }

    pub(super) fn log(&self, text: &str) {
        super::daemon::log(&format!("{}: {text}", self.identity));
    }

    pub(super) fn standing(&self) -> Standing {
        if let Some(reason) = &self.lost {
            return Standing::Lost(reason.clone());
        }
        if self
            .v4
            .as_ref()
            .is_none_or(|client| client.lease().is_some())
        {
            Standing::Held
        } else {
            Standing::Acquiring
        }
    }

    /// What an ADD returns.
    pub(super) fn result(&self) -> AddResult {
        let mut result = AddResult::new();
        if let Some(lease) = self.v4.as_ref().and_then(Client4::lease) {
            lease.describe(self.wanted.priority, &mut result);
        }
        result
    }

    /// What is kept on disk.
    pub(super) fn record(&self) -> Record {
        Record {
            identity: self.identity.clone(),
            netns: self.netns.clone(),
            netns_id: self.site.id.map(|id| (id.device, id.inode)),
            boot_id: boot_id(),
            wanted: self.wanted.clone(),
            ipv4: self.v4.as_ref().and_then(Client4::lease).cloned(),
            ipv6: None,
            lost: self.lost.clone(),
        }
    }

    /// When to call [`Attachment::timer`].
    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.lost.is_some() {
            return None;
        }
        self.v4.as_ref().and_then(Client4::deadline)
    }

    pub(super) fn port4(&self) -> Option<&Port> {
        self.v4.as_ref().and_then(Client4::port)
    }

    /// Begins to acquire leases.
    pub(super) fn start(&mut self, now: Moment) -> Change {
        self.log("acquiring lease");
        self.each(|client, site, log| client.start(site, now, log))
    }

    pub(super) fn timer(&mut self, now: Moment) -> Change {
        self.each(|client, site, log| client.timer(site, now, log))
    }

    pub(super) fn readable(&mut self, now: Moment) -> Change {
        self.each(|client, _, log| client.readable(now, log))
    }

    /// Gives the leases back, as far as that is possible.
    pub(super) fn release(&mut self) {
        self.each(|client, site, log| {
            client.release(site, log);
            Turn::Quiet
        });
    }

    fn each(&mut self, mut turn: impl FnMut(&mut Client4, &Site, &dyn Fn(&str)) -> Turn) -> Change {
        let before = self.standing();
        let identity = self.identity.to_string();
        let log = |text: &str| super::daemon::log(&format!("{identity}: {text}"));
        let turn = match &mut self.v4 {
            Some(client) => turn(client, &self.site, &log),
            None => Turn::Quiet,
        };
        if self.port4().is_none() {
            self.polled = false;
        }
        self.changed(&before, turn)
    }

    fn changed(&mut self, before: &Standing, turn: Turn) -> Change {
        match turn {
            Turn::Quiet => Change::None,
            Turn::Bound if self.standing() == Standing::Held => Change::Held,
            Turn::Bound => Change::None,
            Turn::Gone(error) => Change::Gone(error.to_string()),
            Turn::Lost(reason) if *before == Standing::Acquiring => Change::Failed(reason),
            Turn::Lost(reason) => {
                self.lost = Some(reason);
                Change::Lost
            }
        }
    }
}
