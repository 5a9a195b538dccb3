//! One attachment: its clients, and who waits for them.

use super::client::{Client, Turn};
use super::client4::Client4;
use super::client6::Client6;
use super::clock::Moment;
use super::config::Wanted;
use super::flags::Flags;
use super::identity::{Identity, LongId};
use super::port::PodInterface;
use super::store::{Record, boot_id};
use netloom_kernel::netns::NetnsId;
use netloom_spec::AddResult;
use std::os::fd::BorrowedFd;

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
    pub(super) site: PodInterface,
    wanted: Wanted,
    long_id: LongId,
    v4: Option<Client4>,
    v6: Option<Client6>,
    lost: Option<String>,
    pub(super) waiters: Vec<Waiter>,
    /// The deadline that the daemon has noted.
    pub(super) noted: Option<Moment>,
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
            long_id: LongId::Hashed,
            ipv4: None,
            ipv6: None,
            lost: None,
        };
        Self::resume(record, flags)
    }

    /// An attachment with the leases it had.
    pub(super) fn resume(record: Record, flags: &Flags) -> Self {
        let site = PodInterface {
            netns: format!("{}{}", flags.host_prefix, record.netns).into(),
            if_name: record.identity.if_name.clone(),
            id: record.netns_id(),
        };
        let Record {
            identity,
            netns,
            wanted,
            long_id,
            ipv4,
            ipv6,
            lost,
            ..
        } = record;
        let names = (&identity, long_id);
        let v4 = wanted
            .ipv4
            .then(|| Client4::new(names, &wanted, flags.broadcast, flags.patience, ipv4));
        let v6 = wanted
            .ipv6
            .then(|| Client6::new(&identity, flags.patience, ipv6));
        Self {
            identity,
            netns,
            site,
            wanted,
            long_id,
            v4,
            v6,
            lost,
            waiters: Vec::new(),
            noted: None,
        }
    }

    pub(super) fn log(&self, text: &str) {
        super::log::line(&format!("{}: {text}", self.identity));
    }

    pub(super) fn standing(&self) -> Standing {
        if let Some(reason) = &self.lost {
            return Standing::Lost(reason.clone());
        }
        if self.clients().all(Client::has_lease) {
            Standing::Held
        } else {
            Standing::Acquiring
        }
    }

    fn clients(&self) -> impl Iterator<Item = &dyn Client> {
        let v4 = self.v4.as_ref().map(|client| client as &dyn Client);
        v4.into_iter()
            .chain(self.v6.as_ref().map(|client| client as &dyn Client))
    }

    /// What an ADD returns.
    pub(super) fn result(&self) -> AddResult {
        let mut result = AddResult::new();
        if let Some(lease) = self.v4.as_ref().and_then(Client4::lease) {
            lease.describe(self.wanted.priority, &mut result);
        }
        if let Some(lease) = self.v6.as_ref().and_then(Client6::lease) {
            lease.describe(&mut result);
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
            long_id: self.long_id,
            ipv4: self.v4.as_ref().and_then(Client4::lease).cloned(),
            ipv6: self.v6.as_ref().and_then(Client6::lease).cloned(),
            lost: self.lost.clone(),
        }
    }

    /// When to call [`Attachment::timer`].
    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.lost.is_some() {
            return None;
        }
        self.clients().filter_map(Client::deadline).min()
    }

    /// What to wait for beside what is waited for already.
    pub(super) fn new_descriptors(&mut self) -> (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        let v4 = self.v4.as_mut().and_then(Client::new_descriptor);
        (v4, self.v6.as_mut().and_then(Client::new_descriptor))
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
        self.each(|client, site, log| client.readable(site, now, log))
    }

    /// Gives the leases back, as far as that is possible.
    pub(super) fn release(&mut self) {
        self.each(|client, site, log| {
            client.release(site, log);
            Turn::Quiet
        });
    }

    fn each(
        &mut self,
        mut turn: impl FnMut(&mut dyn Client, &PodInterface, &dyn Fn(&str)) -> Turn,
    ) -> Change {
        let before = self.standing();
        let identity = self.identity.to_string();
        let log = |text: &str| super::log::line(&format!("{identity}: {text}"));
        let mut news = Turn::Quiet;
        if let Some(client) = &mut self.v4 {
            news = turn(client, &self.site, &log);
        }
        if let Some(client) = &mut self.v6 {
            news = news.or_worse(turn(client, &self.site, &log));
        }
        self.changed(&before, news)
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
