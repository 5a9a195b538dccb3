//! What of a link can be tuned.

use crate::wiring::SetupError;
use netloom_kernel::rtnl::{Link, LinkChange, Socket};
use netloom_spec::Mac;

/// Attributes of a link: those to set, or what they are. `None`: left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mac: Option<Mac>,
    /// Promiscuous mode.
    pub(super) promisc: Option<bool>,
    /// In bytes.
    pub(super) mtu: Option<u32>,
    /// All-multicast mode.
    pub(super) allmulti: Option<bool>,
    /// In packets.
    pub(super) tx_queue_len: Option<u32>,
}

/// One that the kernel refused to set.
pub(super) struct Refused {
    /// Attribute and value, in words.
    pub(super) what: String,
    pub(super) cause: netloom_kernel::Error,
}

impl Attributes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a link has of those that are set here.
    pub(super) fn of(&self, link: &Link) -> Self {
        Self {
            mac: self.mac.and(link.mac.map(Mac)),
            promisc: self.promisc.map(|_| link.flags.is_promiscuous()),
            mtu: self.mtu.map(|_| link.mtu),
            allmulti: self.allmulti.map(|_| link.flags.is_all_multicast()),
            tx_queue_len: self.tx_queue_len.map(|_| link.tx_queue_len),
        }
    }

    /// Those of `self`, then those that only `other` has.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self {
            mac: self.mac.or(other.mac),
            promisc: self.promisc.or(other.promisc),
            mtu: self.mtu.or(other.mtu),
            allmulti: self.allmulti.or(other.allmulti),
            tx_queue_len: self.tx_queue_len.or(other.tx_queue_len),
        }
    }

    /// Sets all of them in one go, one message each, so that one that the kernel refuses does not
    /// keep the others from being set. Returns those that it refused.
    pub(super) fn set(&self, socket: &Socket, index: u32) -> netloom_kernel::Result<Vec<Refused>> {
        let changes = self.changes();
        let mut batch = socket.batch();
        for (_, change) in &changes {
            batch.set_link(index, change);
        }
        let failures = batch.commit_all()?.failures;
        let refused = failures.into_iter().map(|(position, cause)| Refused {
            what: changes
                .get(position)
                .map(|(what, _)| what.clone())
                .unwrap_or_default(),
            cause,
        });
        Ok(refused.collect())
    }

    fn changes(&self) -> Vec<(String, LinkChange<'static>)> {
        let new = LinkChange::new;
        let mut changes = Vec::new();
        if let Some(mac) = self.mac {
            changes.push((format!("mac {mac}"), new().mac(mac.0)));
        }
        if let Some(on) = self.promisc {
            changes.push((format!("promisc {on}"), new().promiscuous(on)));
        }
        if let Some(mtu) = self.mtu {
            changes.push((format!("mtu {mtu}"), new().mtu(mtu)));
        }
        if let Some(on) = self.allmulti {
            changes.push((format!("allmulti {on}"), new().all_multicast(on)));
        }
        if let Some(length) = self.tx_queue_len {
            changes.push((format!("txQLen {length}"), new().tx_queue_len(length)));
        }
        changes
    }

    /// The first that a link has another value of: name, value here, value there.
    pub(super) fn difference(&self, link: &Link) -> Option<(&'static str, String, String)> {
        let actual = self.of(link);
        let text = |mac: Option<Mac>| mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
        let flag = |on: Option<bool>| on.unwrap_or_default().to_string();
        let number = |number: Option<u32>| number.unwrap_or_default().to_string();
        let all = [
            ("Ethernet", text(self.mac), text(actual.mac)),
            ("promisc", flag(self.promisc), flag(actual.promisc)),
            ("MTU", number(self.mtu), number(actual.mtu)),
            (
                "all-multicast mode",
                flag(self.allmulti),
                flag(actual.allmulti),
            ),
            (
                "Transmit Queue Length",
                number(self.tx_queue_len),
                number(actual.tx_queue_len),
            ),
        ];
        all.into_iter().find(|(_, wanted, actual)| wanted != actual)
    }
}

impl Refused {
    /// As a failure to do something with a link: `"failed to set"`.
    pub(super) fn fault(self, verb: &str, link: &str) -> SetupError {
        SetupError::Kernel {
            what: format!("{verb} {} of {link:?}", self.what),
            cause: self.cause,
        }
    }
}
