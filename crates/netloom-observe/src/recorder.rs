//! What happens, as it happens.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netloom_kernel::nft;
use netloom_kernel::rtnl::{self, Happened, Link};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::describe::{self, Names, Told};
use crate::{Kind, Object, Place};

/// What the kernel keeps while the recorder is not scheduled, in bytes.
const BUFFER: usize = 8 * 1024 * 1024;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, since the recorder was started.
    pub at: Duration,
    /// What happened.
    pub happened: Happened,
    /// To what.
    pub object: Object,
    /// Its details after the change.
    pub details: String,
    /// The name of the process, where the kernel tells it: of nf_tables alone.
    pub process: Option<String>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.happened {
            Happened::Added => '+',
            Happened::Set => '~',
            Happened::Removed => '-',
        };
        write!(f, "{sign} {}", self.object)?;
        match self.details.as_str() {
            "" => Ok(()),
            details => write!(f, " ({details})"),
        }
    }
}

/// What was heard.
#[derive(Debug, Default)]
pub struct Recording {
    /// The changes in their order. Between namespaces, and between rtnetlink and nf_tables, the order
    /// is that of their arrival.
    pub events: Vec<Event>,
    /// The kernel has dropped some: only the difference between two snapshots is whole.
    pub is_incomplete: bool,
}

/// Listens in some network namespaces until it is stopped.
#[derive(Debug)]
pub struct Recorder {
    stop: OwnedFd,
    thread: JoinHandle<Result<Recording>>,
}

impl Recorder {
    /// Begins to listen: what happens after this call is heard.
    ///
    /// # Errors
    /// If a namespace cannot be entered, or the kernel gives no socket or thread.
    pub fn start(places: &[Place]) -> Result<Self> {
        let ears: Vec<Ear> = places.iter().map(Ear::open).collect::<Result<_>>()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let heard = stop.try_clone()?;
        let thread = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || listen(ears, &heard))?;
        Ok(Self { stop, thread })
    }

    /// Ends it. What happened before this call is in the recording.
    ///
    /// # Errors
    /// If the kernel refused to tell.
    pub fn stop(self) -> Result<Recording> {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes())?;
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the recorder panicked")))
    }
}

fn listen(mut ears: Vec<Ear>, stop: &OwnedFd) -> Result<Recording> {
    let started = Instant::now();
    let mut recording = Recording::default();
    loop {
        let stopped = wait(&ears, stop)?;
        let at = started.elapsed();
        for ear in &mut ears {
            ear.hear(at, &mut recording)?;
        }
        if stopped {
            return Ok(recording);
        }
    }
}

/// Waits until there is something to hear, or an end is asked for.
fn wait(ears: &[Ear], stop: &OwnedFd) -> Result<bool> {
    let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
    for ear in ears {
        fds.push(PollFd::from_borrowed_fd(ear.links.as_fd(), PollFlags::IN));
        if let Some(tables) = &ear.tables {
            fds.push(PollFd::from_borrowed_fd(tables.as_fd(), PollFlags::IN));
        }
    }
    loop {
        match poll(&mut fds, None) {
            Ok(_) => return Ok(!fds[0].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What is heard in one namespace.
struct Ear {
    place: String,
    links: rtnl::Monitor,
    tables: Option<nft::Monitor>,
    /// For the names of links that were there before.
    socket: rtnl::Socket,
    names: Names,
    /// Of each link, what was told of it last.
    last: BTreeMap<u32, String>,
}

impl Ear {
    fn open(place: &Place) -> Result<Self> {
        let ear = place.run(|| {
            Ok(Self {
                place: place.name().to_owned(),
                links: rtnl::Monitor::open(BUFFER)?,
                // A kernel without nf_tables has nothing to tell of it.
                tables: nft::Monitor::open(BUFFER).ok(),
                socket: rtnl::Socket::open()?,
                names: Names::default(),
                last: BTreeMap::new(),
            })
        })?;
        Ok(ear)
    }

    fn hear(&mut self, at: Duration, recording: &mut Recording) -> Result<()> {
        let mut changes = Vec::new();
        let mut whole = self
            .links
            .read(|happened, it| changes.push((happened, it)))?;
        for (happened, changed) in changes {
            if let Some((happened, told)) = self.tell(happened, &changed) {
                recording.events.push(self.event(at, happened, told));
            }
        }
        if let Some(tables) = &self.tables {
            let mut messages = Vec::new();
            whole &= tables.read(|message| messages.push(message))?;
            self.transactions(at, messages, recording);
        }
        recording.is_incomplete |= !whole;
        Ok(())
    }

    fn event(&self, at: Duration, happened: Happened, told: Told) -> Event {
        Event {
            at,
            happened,
            object: Object {
                place: self.place.clone(),
                kind: told.kind,
                name: told.name,
            },
            details: told.details,
            process: None,
        }
    }

    /// `None`: it is not worth telling.
    fn tell(&mut self, happened: Happened, changed: &rtnl::Changed) -> Option<(Happened, Told)> {
        let told = match changed {
            rtnl::Changed::Link(link) => return self.link(happened, link),
            rtnl::Changed::Address(it) => {
                self.ask(it.link);
                describe::address(it, &self.names)?
            }
            rtnl::Changed::Route(it) => {
                it.device.into_iter().for_each(|index| self.ask(index));
                describe::route(it, &self.names)?
            }
            rtnl::Changed::Rule(it) => describe::rule(it),
            rtnl::Changed::Neighbour(it) => {
                self.ask(it.link);
                describe::neighbour(it, &self.names)?
            }
            rtnl::Changed::TrafficControl(it) => {
                self.ask(it.link);
                describe::traffic_control(it, &self.names)?
            }
        };
        let happened = match happened {
            Happened::Removed => Happened::Removed,
            _ => Happened::Added,
        };
        Some((happened, told))
    }

    /// The kernel tells of a link whenever anything about it changes; what is told here must differ.
    fn link(&mut self, happened: Happened, link: &Link) -> Option<(Happened, Told)> {
        self.names.learn(link.index, &link.name);
        link.master.into_iter().for_each(|index| self.ask(index));
        let told = describe::link(link, &self.names);
        let whole = format!("{} {}", told.name, told.details);
        if happened == Happened::Removed {
            self.last.remove(&link.index);
            return Some((happened, told));
        }
        let before = self.last.insert(link.index, whole.clone());
        (before != Some(whole)).then_some((happened, told))
    }

    /// Learns the name of a link that was there before the recorder.
    fn ask(&mut self, index: u32) {
        if !self.names.knows(index)
            && let Ok(Some(link)) = self.socket.find_link(index)
        {
            self.names.learn(index, &link.name);
            let told = describe::link(&link, &self.names);
            let whole = format!("{} {}", told.name, told.details);
            self.last.insert(index, whole);
        }
    }

    fn transactions(&self, at: Duration, messages: Vec<nft::Message>, recording: &mut Recording) {
        let mut first = recording.events.len();
        for message in messages {
            match message {
                nft::Message::Committed { process } => {
                    for event in &mut recording.events[first..] {
                        event.process = Some(process.clone());
                    }
                    first = recording.events.len();
                }
                nft::Message::Change {
                    is_removed,
                    family,
                    table,
                    object,
                } => {
                    let happened = match is_removed {
                        true => Happened::Removed,
                        false => Happened::Added,
                    };
                    let table = format!("{} {table}", family.name());
                    for told in firewall(&table, &object) {
                        recording.events.push(self.event(at, happened, told));
                    }
                }
            }
        }
    }
}

fn firewall(table: &str, changed: &nft::Changed) -> Vec<Told> {
    let told = |kind, name: String, details: String| Told {
        kind,
        name,
        details,
    };
    let one = match changed {
        nft::Changed::Table => told(Kind::Table, table.to_owned(), String::new()),
        nft::Changed::Chain(name) => told(Kind::Chain, format!("{table} {name}"), String::new()),
        nft::Changed::Rule(chain, rule) => {
            let words = describe::chain_rule(rule);
            told(
                Kind::ChainRule,
                format!("{table} {chain}: {words}"),
                String::new(),
            )
        }
        nft::Changed::Set(name) => told(Kind::Set, format!("{table} {name}"), String::new()),
        nft::Changed::Elements(set, elements) => {
            let each = elements.iter().map(|it| {
                let key = describe::element(it);
                let comment = it.comment.clone().unwrap_or_default();
                told(Kind::Element, format!("{table} {set} {{ {key} }}"), comment)
            });
            return each.collect();
        }
    };
    vec![one]
}
