//! The IPv6 client of one link: the machine, and the port it speaks through when it must.

use super::client::{Client, Turn};
use super::clock::{Dice, Moment};
use super::identity::Identity;
use super::port::{PodInterface, PortError};
use super::port6::Port6;
use super::retry::Patience;
use super::v6::lease::Lease;
use super::v6::machine::{Effect, Machine, Profile};
use std::os::fd::{AsFd, BorrowedFd};

/// An IPv6 client.
#[derive(Debug)]
pub(super) struct Client6 {
    machine: Machine,
    port: Option<Port6>,
    /// The port is known to who waits for it.
    known: bool,
}

impl Client6 {
    pub(super) fn new(identity: &Identity, patience: Patience, lease: Option<Lease>) -> Self {
        let profile = Profile::from_digest(&identity.digest());
        Self {
            machine: Machine::new(profile, patience, Dice::new(), lease),
            port: None,
            known: false,
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.machine.lease()
    }

    fn ensure_port(&mut self, site: &PodInterface) -> Result<(), PortError> {
        if self.port.is_none() {
            self.port = Some(Port6::open(site)?);
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
                Effect::Send(message) => {
                    let sent = self.port.as_ref().map(|port| port.send(&message));
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

impl Client for Client6 {
    fn has_lease(&self) -> bool {
        self.lease().is_some()
    }

    fn deadline(&self) -> Option<Moment> {
        self.machine.deadline()
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

    fn readable(&mut self, site: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn {
        let settled = self.port.as_ref().map(|port| port.settle(site));
        match settled {
            Some(Ok(Some(ready))) => {
                self.port = Some(ready);
                self.known = false;
                let effects = self.machine.again(now);
                return self.perform(effects, log);
            }
            Some(Err(error)) => {
                log(&error.to_string());
                self.port = None;
            }
            Some(Ok(None)) | None => {}
        }
        loop {
            let Some(port) = &self.port else {
                return Turn::Quiet;
            };
            match port.receive() {
                Ok(None) => return Turn::Quiet,
                Ok(Some(message)) => {
                    let effects = self.machine.receive(now, &message);
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
        if !self.has_lease() && !self.machine.is_listening() {
            return;
        }
        match self.ensure_port(site) {
            Err(error) => log(&format!("cannot release the IPv6 lease: {error}")),
            Ok(()) => {
                if let Some(Port6::Settling { .. }) = self.port {
                    log("cannot release the IPv6 lease: no link-local address");
                }
            }
        }
        let effects = self.machine.release();
        self.perform(effects, log);
        self.port = None;
    }
}
