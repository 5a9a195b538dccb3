//! The IPv4 client of one link: the machine, and the port it speaks through when it must.

use super::client::{Client, Turn};
use super::clock::{Dice, Moment};
use super::config::Wanted;
use super::identity::{Identity, LongId};
use super::port::{PodInterface, Port, PortError};
use super::retry::Patience;
use super::v4::lease::Lease;
use super::v4::machine::{Effect, Machine, Profile};
use std::os::fd::{AsFd, BorrowedFd};

/// An IPv4 client.
#[derive(Debug)]
pub(super) struct Client4 {
    machine: Machine,
    port: Option<Port>,
    /// The port is known to who waits for it.
    known: bool,
}

/// What an attachment's client says of itself.
fn profile(identity: &Identity, long_id: LongId, wanted: &Wanted, broadcast: bool) -> Profile {
    Profile {
        client_id: identity.client_id(long_id),
        request: wanted.request.clone(),
        provide: wanted.provide.clone(),
        broadcast,
    }
}

impl Client4 {
    pub(super) fn new(
        (identity, long_id): (&Identity, LongId),
        wanted: &Wanted,
        broadcast: bool,
        patience: Patience,
        lease: Option<Lease>,
    ) -> Self {
        let profile = profile(identity, long_id, wanted, broadcast);
        let machine = match lease {
            None => Machine::new(profile, patience, Dice::new()),
            Some(lease) => Machine::resume(profile, patience, Dice::new(), lease),
        };
        Self {
            machine,
            port: None,
            known: false,
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.machine.lease()
    }

    fn ensure_port(&mut self, site: &PodInterface) -> Result<(), PortError> {
        if self.port.is_none() {
            let leased = self.machine.lease().map(|lease| lease.address.addr());
            let port = Port::open(site, leased)?;
            self.machine.set_mac(port.mac);
            self.port = Some(port);
            self.known = false;
        }
        Ok(())
    }

    fn perform(&mut self, effects: Vec<Effect>, log: &dyn Fn(&str)) -> Turn {
        let mut turn = Turn::Quiet;
        for effect in effects {
            match effect {
                Effect::Note(text) => log(&text),
                Effect::Bound => turn = Turn::Bound,
                Effect::Failed(failure) => turn = Turn::Lost(failure.to_string()),
                Effect::Send(message, to) => {
                    let sent = self.port.as_ref().map(|port| port.send(&message, to));
                    if let Some(Err(error)) = sent {
                        log(&format!("{:?} not sent: {error}", message.kind));
                    }
                }
            }
        }
        if !self.machine.is_listening() {
            self.port = None;
        }
        turn
    }
}

impl Client for Client4 {
    fn deadline(&self) -> Option<Moment> {
        self.machine.deadline()
    }

    fn has_lease(&self) -> bool {
        self.lease().is_some()
    }

    fn new_descriptor(&mut self) -> Option<BorrowedFd<'_>> {
        let known = std::mem::replace(&mut self.known, true);
        self.port.as_ref().filter(|_| !known).map(AsFd::as_fd)
    }

    fn start(&mut self, site: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn {
        if let Err(error) = self.ensure_port(site) {
            return Turn::Lost(error.to_string());
        }
        let effects = self.machine.start(now);
        self.perform(effects, log)
    }

    fn timer(&mut self, site: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Turn::Quiet;
        }
        match self.ensure_port(site) {
            Err(error) if error.is_gone() => return Turn::Gone(error),
            // What could not be opened now may be openable at the next try.
            Err(error) => log(&error.to_string()),
            Ok(()) => {}
        }
        let effects = self.machine.timer(now);
        self.perform(effects, log)
    }

    fn readable(&mut self, _: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn {
        loop {
            let Some(port) = &self.port else {
                return Turn::Quiet;
            };
            match port.receive() {
                Ok(None) => return Turn::Quiet,
                Ok(Some((message, from))) => {
                    let effects = self.machine.receive(now, &message, from);
                    match self.perform(effects, log) {
                        Turn::Quiet => {}
                        turn => return turn,
                    }
                }
                Err(error) => {
                    // Down or removed: the next try will tell.
                    log(&error.to_string());
                    self.port = None;
                    return Turn::Quiet;
                }
            }
        }
    }

    fn release(&mut self, site: &PodInterface, log: &dyn Fn(&str)) {
        if self.lease().is_none() && !self.machine.is_listening() {
            return;
        }
        if let Err(error) = self.ensure_port(site) {
            log(&format!("cannot release the lease: {error}"));
        }
        let effects = self.machine.release();
        self.perform(effects, log);
        self.port = None;
    }
}
