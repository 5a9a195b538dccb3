//! A client of RFC 2131 as a machine: what happened goes in, what to do comes out. Time and chance
//! are handed to it.

use super::super::clock::{Dice, Moment};
use super::super::retry::{Patience, halfway};
use super::lease::{Lease, Unusable, can_be_a_hosts};
use super::message::{Kind, Message, Options};
use super::option;
use netloom_kernel::MacAddress;
use std::net::Ipv4Addr;

/// The longest message to send to this client, as the reference says.
const MESSAGE_MAX: u16 = 1500;

/// A request for an offer that is not answered is sent this often before looking for another.
const REQUEST_TRIES: u32 = 4;

/// What the client is and wants; the same in all of its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Profile {
    /// Option 61, first byte included.
    pub(in super::super) client_id: Vec<u8>,
    /// Codes the server is asked for (option 55).
    pub(in super::super) request: Vec<u8>,
    /// Options sent, over those of the same code that the client would send.
    pub(in super::super) provide: Vec<(u8, Vec<u8>)>,
    /// Ask for answers to be broadcast.
    pub(in super::super) broadcast: bool,
}

/// Why there is no lease, or no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Failure {
    /// Nothing usable came for as long as the client was to try.
    #[error("no more tries{}", last(.0))]
    NoMoreTries(Option<String>),
    #[error("the lease of {0} expired")]
    Expired(Ipv4Addr),
    #[error("the server took {old} back and offers {new}")]
    Moved { old: Ipv4Addr, new: Ipv4Addr },
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

fn last(problem: &Option<String>) -> String {
    match problem {
        Some(problem) => format!(", last problem: {problem}"),
        None => ": no DHCP server answered".to_owned(),
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum To {
    /// Everybody on the link, from no address.
    Everybody,
    /// The server, through the kernel, from the leased address.
    Server { from: Ipv4Addr, server: Ipv4Addr },
    /// The server, without asking the kernel for the way: when this is sent it is on the link,
    /// and the link may be removed.
    ServerAtOnce {
        from: Ipv4Addr,
        server: Ipv4Addr,
        mac: MacAddress,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Effect {
    Send(Message, To),
    /// There is a lease, a new one or one that lasts longer.
    Bound,
    /// There is none and there will be none. The machine has stopped.
    Failed(Failure),
    /// Worth a line in the log.
    Note(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Looking for offers; `give_up` ends it.
    Selecting {
        tries: u32,
        give_up: Moment,
    },
    /// Taking one.
    Requesting {
        offer: Box<Message>,
        tries: u32,
        sent: u32,
        give_up: Moment,
        asked: Moment,
    },
    Bound,
    /// Asking the lease's server for more time, since T1.
    Renewing {
        asked: Moment,
    },
    /// Asking any server, since T2.
    Rebinding {
        asked: Moment,
    },
    Stopped,
}

/// The client of one link.
#[derive(Clone, Debug)]
pub(in super::super) struct Machine {
    profile: Profile,
    patience: Patience,
    dice: Dice,
    /// Asked for at each exchange: a plugin later in the chain may have changed it.
    mac: MacAddress,
    state: State,
    xid: u32,
    lease: Option<Lease>,
    deadline: Option<Moment>,
    problem: Option<String>,
}

impl Machine {
    /// A client without a lease. [`Machine::start`] sets it going.
    pub(in super::super) fn new(profile: Profile, patience: Patience, dice: Dice) -> Self {
        Self {
            profile,
            patience,
            dice,
            mac: MacAddress::default(),
            state: State::Stopped,
            xid: 0,
            lease: None,
            deadline: None,
            problem: None,
        }
    }

    /// A client that has a lease already.
    pub(in super::super) fn resume(
        profile: Profile,
        patience: Patience,
        dice: Dice,
        lease: Lease,
    ) -> Self {
        let mut machine = Self::new(profile, patience, dice);
        machine.state = State::Bound;
        machine.deadline = lease.times.map(|times| times.renew);
        machine.lease = Some(lease);
        machine
    }

    /// The lease there is.
    pub(in super::super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Until there is a lease for the first time, or none.
    #[cfg(test)]
    pub(in super::super) fn is_acquiring(&self) -> bool {
        self.lease.is_none() && !matches!(self.state, State::Stopped)
    }

    /// Answers are waited for.
    pub(in super::super) fn is_listening(&self) -> bool {
        !matches!(self.state, State::Bound | State::Stopped)
    }

    /// When to call [`Machine::timer`].
    pub(in super::super) fn deadline(&self) -> Option<Moment> {
        self.deadline
    }

    pub(in super::super) fn set_mac(&mut self, mac: MacAddress) {
        self.mac = mac;
    }

    /// Begins to look for a lease.
    pub(in super::super) fn start(&mut self, now: Moment) -> Vec<Effect> {
        self.problem = None;
        self.select(now, 0, now + self.patience.give_up)
    }

    /// The time of [`Machine::deadline`] has come.
    pub(in super::super) fn timer(&mut self, now: Moment) -> Vec<Effect> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        match self.state.clone() {
            State::Stopped => Vec::new(),
            State::Selecting { give_up, .. } | State::Requesting { give_up, .. }
                if now >= give_up =>
            {
                let problem = self.problem.take();
                self.fail(Failure::NoMoreTries(problem))
            }
            State::Selecting { tries, give_up } => self.discover(now, tries, give_up),
            State::Requesting {
                tries,
                sent,
                give_up,
                ..
            } if sent >= REQUEST_TRIES => {
                self.problem = Some("the server did not answer the request for its offer".into());
                self.select(now, tries, give_up)
            }
            State::Requesting {
                offer,
                tries,
                sent,
                give_up,
                ..
            } => self.request(now, offer, (tries, sent), give_up),
            State::Bound | State::Renewing { .. } | State::Rebinding { .. } => self.extend(now),
        }
    }

    /// A message arrived from a link-layer address.
    pub(in super::super) fn receive(
        &mut self,
        now: Moment,
        message: &Message,
        from: MacAddress,
    ) -> Vec<Effect> {
        if message.xid != self.xid || message.chaddr != self.mac {
            return Vec::new();
        }
        match (message.kind, self.state.clone()) {
            (Kind::Offer, State::Selecting { tries, give_up }) => {
                if !can_be_a_hosts(message.yiaddr) {
                    let address = message.yiaddr;
                    self.problem = Some(format!("an offer of {address}, which no host can have"));
                    return Vec::new();
                }
                self.request(now, Box::new(message.clone()), (tries, 0), give_up)
            }
            (
                Kind::Ack | Kind::Nak,
                State::Requesting {
                    offer,
                    tries,
                    give_up,
                    asked,
                    ..
                },
            ) if is_of_one_server(message, &offer) => match message.kind {
                Kind::Ack => self.acknowledged(message, from, asked),
                _ => self.refused(now, message, tries, give_up),
            },
            (Kind::Ack, State::Renewing { asked } | State::Rebinding { asked }) => {
                self.acknowledged(message, from, asked)
            }
            (Kind::Nak, State::Renewing { .. } | State::Rebinding { .. }) => {
                let mut effects = vec![Effect::Note(refusal(message))];
                effects.extend(self.start(now));
                effects
            }
            _ => Vec::new(),
        }
    }

    /// Gives the lease back, and stops. What was asked for but not granted yet counts as granted.
    pub(in super::super) fn release(&mut self) -> Vec<Effect> {
        let held = match (&self.lease, &self.state) {
            (Some(lease), State::Stopped | State::Bound)
            | (Some(lease), State::Renewing { .. } | State::Rebinding { .. }) => {
                Some((lease.address.addr(), lease.server, lease.server_mac))
            }
            (_, State::Requesting { offer, .. }) => offer
                .server_address()
                .map(|server| (offer.yiaddr, server, netloom_kernel::packet::BROADCAST)),
            _ => None,
        };
        self.stop();
        self.lease = None;
        let Some((from, server, mac)) = held else {
            return Vec::new();
        };
        vec![Effect::Send(
            self.release_message(from, server),
            To::ServerAtOnce { from, server, mac },
        )]
    }

    fn release_message(&mut self, from: Ipv4Addr, server: Ipv4Addr) -> Message {
        let mut message = Message::new(Kind::Release, self.dice.xid(), self.mac);
        message.ciaddr = from;
        let server = server.octets();
        message.options.set(option::SERVER, server);
        message.options.set(option::CLIENT_ID, self.client_id());
        message
    }

    /// The client id that the server knows: one that is provided replaces ours.
    fn client_id(&self) -> Vec<u8> {
        let provided = self.profile.provide.iter().rev();
        let mut provided = provided.filter(|(code, _)| *code == option::CLIENT_ID);
        provided
            .next()
            .map_or_else(|| self.profile.client_id.clone(), |(_, id)| id.clone())
    }

    fn stop(&mut self) {
        self.state = State::Stopped;
        self.deadline = None;
    }

    fn fail(&mut self, failure: Failure) -> Vec<Effect> {
        self.stop();
        vec![Effect::Failed(failure)]
    }

    fn select(&mut self, now: Moment, tries: u32, give_up: Moment) -> Vec<Effect> {
        self.xid = self.dice.xid();
        self.discover(now, tries, give_up)
    }

    fn discover(&mut self, now: Moment, tries: u32, give_up: Moment) -> Vec<Effect> {
        let mut message = self.message(Kind::Discover);
        if let Some(lease) = &self.lease {
            let wanted = lease.address.addr().octets();
            message.options.set(option::REQUESTED_ADDRESS, wanted);
        }
        self.provide(&mut message.options);
        self.state = State::Selecting {
            tries: tries + 1,
            give_up,
        };
        self.wait(now, tries, give_up);
        vec![Effect::Send(message, To::Everybody)]
    }

    fn request(
        &mut self,
        now: Moment,
        offer: Box<Message>,
        (tries, sent): (u32, u32),
        give_up: Moment,
    ) -> Vec<Effect> {
        let mut message = self.message(Kind::Request);
        let wanted = offer.yiaddr.octets();
        message.options.set(option::REQUESTED_ADDRESS, wanted);
        if let Some(server) = offer.server() {
            message.options.set(option::SERVER, server.octets());
        }
        self.provide(&mut message.options);
        self.wait(now, sent, give_up);
        self.state = State::Requesting {
            offer,
            tries,
            sent: sent + 1,
            give_up,
            asked: now,
        };
        vec![Effect::Send(message, To::Everybody)]
    }

    fn wait(&mut self, now: Moment, tries: u32, give_up: Moment) {
        let wait = self.patience.wait(tries, &mut self.dice);
        self.deadline = Some((now + wait).min(give_up));
    }

    fn acknowledged(&mut self, ack: &Message, from: MacAddress, asked: Moment) -> Vec<Effect> {
        let lease = match Lease::from_ack(ack, from, asked, &self.profile.request) {
            Ok(lease) => lease,
            // The server means to give this; asking again would bring the same.
            Err(unusable) if self.lease.is_none() => return self.fail(unusable.into()),
            Err(unusable) => return vec![Effect::Note(unusable.to_string())],
        };
        if let Some(old) = self.lease.as_ref().map(|old| old.address.addr())
            && old != lease.address.addr()
        {
            return self.moved(old, &lease);
        }
        self.state = State::Bound;
        self.deadline = lease.times.map(|times| self.spread(asked, times.renew));
        self.lease = Some(lease);
        vec![Effect::Bound]
    }

    /// The pod's address cannot be changed under it: what was granted instead goes back.
    fn moved(&mut self, old: Ipv4Addr, granted: &Lease) -> Vec<Effect> {
        let (new, server) = (granted.address.addr(), granted.server);
        let message = self.release_message(new, server);
        let to = To::ServerAtOnce {
            from: new,
            server,
            mac: granted.server_mac,
        };
        let mut effects = vec![Effect::Send(message, to)];
        effects.extend(self.fail(Failure::Moved { old, new }));
        effects
    }

    /// Up to a twentieth early, so that what started together does not stay together (RFC 2131,
    /// section 4.4.5).
    fn spread(&mut self, asked: Moment, renew: Moment) -> Moment {
        let early = self.dice.up_to(renew.saturating_sub(asked) / 20);
        renew.saturating_sub(early)
    }

    /// A server that refuses its own offer is asked again, but not at once.
    fn refused(&mut self, now: Moment, nak: &Message, tries: u32, give_up: Moment) -> Vec<Effect> {
        self.problem = Some(refusal(nak));
        self.xid = self.dice.xid();
        self.state = State::Selecting { tries, give_up };
        self.wait(now, tries, give_up);
        vec![Effect::Note(refusal(nak))]
    }

    /// T1 has passed: the lease must be extended before it ends.
    fn extend(&mut self, now: Moment) -> Vec<Effect> {
        let Some((lease, times)) = self.lease.as_ref().and_then(|l| Some((l, l.times?))) else {
            return Vec::new();
        };
        let (address, server) = (lease.address.addr(), lease.server);
        if now >= times.expire {
            return self.fail(Failure::Expired(address));
        }
        self.xid = self.dice.xid();
        let mut message = self.message(Kind::Request);
        message.broadcast = false;
        message.ciaddr = address;
        self.provide(&mut message.options);
        let to = if now < times.rebind {
            self.state = State::Renewing { asked: now };
            self.deadline = Some(halfway(now, times.rebind));
            To::Server {
                from: address,
                server,
            }
        } else {
            self.state = State::Rebinding { asked: now };
            self.deadline = Some(halfway(now, times.expire));
            To::Everybody
        };
        vec![Effect::Send(message, to)]
    }

    fn message(&self, kind: Kind) -> Message {
        let mut message = Message::new(kind, self.xid, self.mac);
        message.broadcast = self.profile.broadcast;
        let options = &mut message.options;
        options.set(option::MAX_SIZE, MESSAGE_MAX.to_be_bytes());
        options.set(option::CLIENT_ID, self.profile.client_id.clone());
        if !self.profile.request.is_empty() {
            options.set(option::REQUEST_LIST, self.profile.request.clone());
        }
        message
    }

    fn provide(&self, options: &mut Options) {
        for (code, value) in &self.profile.provide {
            options.set(*code, value.clone());
        }
    }
}

/// Whether an answer is from the server of an offer. One that does not name itself is taken at its
/// word, as the reference does.
fn is_of_one_server(answer: &Message, offer: &Message) -> bool {
    let (answering, offering) = (answer.server(), offer.server());
    answering.is_none() || offering.is_none() || answering == offering
}

fn refusal(nak: &Message) -> String {
    match nak.options.text(option::TEXT) {
        Some(text) if !text.is_empty() => {
            format!("server rejected request with Nak (msg: {text:?})")
        }
        _ => "server rejected request with Nak".to_owned(),
    }
}
