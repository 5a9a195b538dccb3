//! A client of RFC 8415 as a machine: what happened goes in, what to do comes out. Time and chance
//! are handed to it.
//!
//! The first server that offers an address is taken, as for IPv4; preferences are not waited for.

use super::super::clock::{Dice, Moment};
use super::super::retry::{Patience, halfway};
use super::lease::{Denied, Lease, NO_BINDING};
use super::message::{self, Kind, Message, Options};
use std::net::Ipv6Addr;
use std::time::Duration;

/// A request for an offer is sent this often before looking for another server.
const REQUEST_TRIES: u32 = 4;

/// What the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Profile {
    pub(in super::super) duid: Vec<u8>,
    pub(in super::super) iaid: u32,
}

impl Profile {
    /// A DUID made of a UUID (RFC 6355), and the number of the one association there is.
    pub(in super::super) fn from_digest(digest: &[u8; 32]) -> Self {
        let mut duid = vec![0, 4];
        duid.extend_from_slice(&digest[..16]);
        // A UUID of a form of one's own (RFC 9562, section 5.8).
        duid[8] = duid[8] & 0x0f | 0x80;
        duid[10] = duid[10] & 0x3f | 0x80;
        let iaid = u32::from_be_bytes([digest[16], digest[17], digest[18], digest[19]]);
        Self { duid, iaid }
    }
}

/// Why there is no lease, or no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Failure {
    #[error("no more tries{}", last(.0))]
    NoMoreTries(Option<Denied>),
    #[error("the lease of {0} expired")]
    Expired(Ipv6Addr),
    #[error("the server took {old} back and offers {new}")]
    Moved { old: Ipv6Addr, new: Ipv6Addr },
}

fn last(denied: &Option<Denied>) -> String {
    match denied {
        Some(denied) => format!(", last problem: {denied}"),
        None => ": no DHCPv6 server answered".to_owned(),
    }
}

/// What to do. All messages go to all servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Effect {
    Send(Message),
    Bound,
    Failed(Failure),
    Note(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Soliciting,
    Requesting,
    Bound,
    Renewing,
    Rebinding,
    Stopped,
}

/// The client of one link.
#[derive(Clone, Debug)]
pub(in super::super) struct Machine {
    profile: Profile,
    patience: Patience,
    dice: Dice,
    state: State,
    xid: u32,
    /// When the exchange began, and what came of it so far.
    began: Moment,
    tries: u32,
    /// When an acquisition is given up.
    give_up: Moment,
    /// What a server offers while it is requested.
    offer: Option<Lease>,
    lease: Option<Lease>,
    deadline: Option<Moment>,
    problem: Option<Denied>,
}

impl Machine {
    /// A client, with the lease it has if it has one.
    pub(in super::super) fn new(
        profile: Profile,
        patience: Patience,
        dice: Dice,
        lease: Option<Lease>,
    ) -> Self {
        let times = lease.as_ref().and_then(|lease| lease.times);
        Self {
            profile,
            patience,
            dice,
            state: if lease.is_some() {
                State::Bound
            } else {
                State::Stopped
            },
            xid: 0,
            began: Moment::ZERO,
            tries: 0,
            give_up: Moment::ZERO,
            offer: None,
            lease,
            deadline: times.map(|times| times.renew),
            problem: None,
        }
    }

    pub(in super::super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Answers are waited for.
    pub(in super::super) fn is_listening(&self) -> bool {
        !matches!(self.state, State::Bound | State::Stopped)
    }

    pub(in super::super) fn deadline(&self) -> Option<Moment> {
        self.deadline
    }

    /// Begins to look for a lease.
    pub(in super::super) fn start(&mut self, now: Moment) -> Vec<Effect> {
        self.problem = None;
        self.give_up = now + self.patience.give_up;
        self.enter(State::Soliciting, now)
    }

    /// The link has become usable: what was sent before was lost.
    pub(in super::super) fn again(&mut self, now: Moment) -> Vec<Effect> {
        if !self.is_listening() {
            return Vec::new();
        }
        self.tries = 0;
        self.transmit(now)
    }

    /// The time of [`Machine::deadline`] has come.
    pub(in super::super) fn timer(&mut self, now: Moment) -> Vec<Effect> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        match self.state {
            State::Stopped => Vec::new(),
            State::Soliciting | State::Requesting if now >= self.give_up => {
                let problem = self.problem.take();
                self.fail(Failure::NoMoreTries(problem))
            }
            State::Requesting if self.tries >= REQUEST_TRIES => self.enter(State::Soliciting, now),
            State::Soliciting | State::Requesting => self.transmit(now),
            State::Bound | State::Renewing | State::Rebinding => self.extend(now),
        }
    }

    /// A message arrived.
    pub(in super::super) fn receive(&mut self, now: Moment, message: &Message) -> Vec<Effect> {
        let for_us = message.xid == self.xid
            && message.options.get(message::CLIENT_ID) == Some(&self.profile.duid);
        let expected = match self.state {
            State::Soliciting => Kind::Advertise,
            State::Requesting | State::Renewing | State::Rebinding => Kind::Reply,
            State::Bound | State::Stopped => return Vec::new(),
        };
        if !for_us || message.kind != expected {
            return Vec::new();
        }
        match Lease::from_answer(message, self.profile.iaid, self.began) {
            Err(denied) => self.denied(now, denied),
            Ok(lease) if self.state == State::Soliciting => {
                self.offer = Some(lease);
                self.enter(State::Requesting, now)
            }
            Ok(lease) => self.granted(lease),
        }
    }

    /// Gives the lease back, and stops. What was asked for but not granted yet counts as granted.
    pub(in super::super) fn release(&mut self) -> Vec<Effect> {
        let held = self.lease.take().or_else(|| self.offer.take());
        let asked = self.state != State::Soliciting;
        self.stop();
        let Some(lease) = held.filter(|_| asked) else {
            return Vec::new();
        };
        let xid = self.dice.xid();
        vec![Effect::Send(self.message(
            Kind::Release,
            xid,
            Some(&lease),
            Duration::ZERO,
        ))]
    }

    fn stop(&mut self) {
        self.state = State::Stopped;
        self.deadline = None;
    }

    fn fail(&mut self, failure: Failure) -> Vec<Effect> {
        self.stop();
        vec![Effect::Failed(failure)]
    }

    fn enter(&mut self, state: State, now: Moment) -> Vec<Effect> {
        self.state = state;
        self.xid = self.dice.xid() & 0x00ff_ffff;
        self.began = now;
        self.tries = 0;
        self.transmit(now)
    }

    fn transmit(&mut self, now: Moment) -> Vec<Effect> {
        let wait = self.patience.wait(self.tries, &mut self.dice);
        self.tries += 1;
        let times = self.lease.as_ref().and_then(|lease| lease.times);
        let kind = match (self.state, times) {
            (State::Requesting, _) => Kind::Request,
            (State::Renewing, Some(times)) => {
                self.deadline = Some(halfway(now, times.rebind));
                Kind::Renew
            }
            (State::Rebinding, Some(times)) => {
                self.deadline = Some(halfway(now, times.expire));
                Kind::Rebind
            }
            _ => Kind::Solicit,
        };
        if matches!(kind, Kind::Solicit | Kind::Request) {
            self.deadline = Some((now + wait).min(self.give_up));
        }
        let lease = match kind {
            Kind::Request => self.offer.as_ref(),
            _ => self.lease.as_ref(),
        };
        let elapsed = now.saturating_sub(self.began);
        vec![Effect::Send(self.message(kind, self.xid, lease, elapsed))]
    }

    /// T1 has passed: the lease must be extended before it ends.
    fn extend(&mut self, now: Moment) -> Vec<Effect> {
        let Some((address, times)) = self
            .lease
            .as_ref()
            .and_then(|lease| Some((lease.address, lease.times?)))
        else {
            return Vec::new();
        };
        let wanted = if now >= times.expire {
            return self.fail(Failure::Expired(address));
        } else if now < times.rebind {
            State::Renewing
        } else {
            State::Rebinding
        };
        if self.state == wanted {
            self.transmit(now)
        } else {
            self.enter(wanted, now)
        }
    }

    fn granted(&mut self, lease: Lease) -> Vec<Effect> {
        if let Some(old) = self.lease.as_ref().map(|old| old.address)
            && old != lease.address
        {
            let new = lease.address;
            let xid = self.dice.xid();
            let release = self.message(Kind::Release, xid, Some(&lease), Duration::ZERO);
            let mut effects = vec![Effect::Send(release)];
            effects.extend(self.fail(Failure::Moved { old, new }));
            return effects;
        }
        self.state = State::Bound;
        self.deadline = lease.times.map(|times| {
            let early = times.renew.saturating_sub(self.began) / 20;
            times.renew.saturating_sub(self.dice.up_to(early))
        });
        self.offer = None;
        self.lease = Some(lease);
        vec![Effect::Bound]
    }

    fn denied(&mut self, now: Moment, denied: Denied) -> Vec<Effect> {
        let note = vec![Effect::Note(denied.to_string())];
        let unknown = matches!(
            denied,
            Denied::Status {
                code: NO_BINDING,
                ..
            }
        );
        match self.state {
            // The next try comes in its time.
            State::Requesting => {
                self.state = State::Soliciting;
                self.xid = self.dice.xid() & 0x00ff_ffff;
            }
            // The server has forgotten the lease, and may give it again.
            State::Renewing | State::Rebinding if unknown => {
                return note.into_iter().chain(self.start(now)).collect();
            }
            _ => {}
        }
        self.problem = Some(denied);
        note
    }

    fn message(&self, kind: Kind, xid: u32, lease: Option<&Lease>, elapsed: Duration) -> Message {
        let mut message = Message::new(kind, xid);
        let options = &mut message.options;
        options.push(message::CLIENT_ID, self.profile.duid.clone());
        if !matches!(kind, Kind::Solicit | Kind::Rebind)
            && let Some(lease) = lease
        {
            options.push(message::SERVER_ID, lease.server.clone());
        }
        let hundredths = u16::try_from(elapsed.as_millis() / 10).unwrap_or(u16::MAX);
        options.push(message::ELAPSED_TIME, hundredths.to_be_bytes());
        options.push(message::IA_NA, self.association(lease));
        if kind != Kind::Release {
            let wanted = [message::NAME_SERVERS, message::SEARCH, message::SOL_MAX_RT];
            let wanted: Vec<u8> = wanted.iter().flat_map(|code| code.to_be_bytes()).collect();
            options.push(message::REQUEST_LIST, wanted);
        }
        message
    }

    /// The association, with the address it has or should have. Times are the server's business.
    fn association(&self, lease: Option<&Lease>) -> Vec<u8> {
        let mut association = self.profile.iaid.to_be_bytes().to_vec();
        association.extend_from_slice(&[0; 8]);
        if let Some(lease) = lease {
            let mut address = lease.address.octets().to_vec();
            address.extend_from_slice(&[0; 8]);
            let mut inner = Options::default();
            inner.push(message::IA_ADDRESS, address);
            association.extend(inner.to_bytes());
        }
        association
    }
}
