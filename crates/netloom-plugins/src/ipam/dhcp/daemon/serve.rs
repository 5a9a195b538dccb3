//! What the daemon does with what happens.

use super::super::attachment::{Attachment, Change, Standing, Waiter};
use super::super::clock::{self, Moment};
use super::super::config::Wanted;
use super::super::flags::Flags;
use super::super::identity::Identity;
use super::super::log;
use super::super::rpc::{CmdArgs, Method, no_such_method};
use super::super::store::Store;
use super::connection::{Answer, Call, Connection, End};
use super::error::DaemonError;
use super::listen::{self, Listening};
use super::poller::{Poller, Token};
use netloom_kernel::netns::Netns;
use netloom_plugin::PluginConf;
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;

/// The daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    flags: Flags,
    poller: Poller,
    listening: Listening,
    /// Descriptors have run out: no more connections until one is closed.
    full: bool,
    store: Store,
    connections: HashMap<u64, Connection>,
    attachments: HashMap<u64, Attachment>,
    by_identity: HashMap<Identity, u64>,
    deadlines: BTreeSet<(Moment, u64)>,
    last_id: u64,
}

impl Daemon {
    pub(super) fn new(flags: Flags, poller: Poller, listening: Listening, store: Store) -> Self {
        Self {
            flags,
            poller,
            listening,
            full: false,
            store,
            connections: HashMap::new(),
            attachments: HashMap::new(),
            by_identity: HashMap::new(),
            deadlines: BTreeSet::new(),
            last_id: 0,
        }
    }

    /// Goes on with the leases on disk.
    pub(super) fn resume(&mut self) -> Result<(), DaemonError> {
        let listed = self.store.list();
        let (records, faults) = listed.map_err(|cause| DaemonError::Leases {
            directory: self.store.directory().to_owned(),
            cause,
        })?;
        faults.iter().for_each(|fault| log::line(fault));
        for record in records {
            let attachment = Attachment::resume(record, &self.flags);
            if attachment.standing() == Standing::Acquiring {
                continue;
            }
            attachment.log("lease resumed");
            let id = self.insert(attachment);
            self.settle(id);
        }
        Ok(())
    }

    /// Serves until it is told to end.
    pub(super) fn serve(&mut self) -> Result<(), DaemonError> {
        loop {
            let next = self.deadlines.first().map(|(moment, _)| *moment);
            self.poller.arm(next)?;
            for token in self.poller.wait()? {
                match token {
                    Token::Termination => return Ok(()),
                    Token::Listener => self.accept(),
                    Token::Timer => {
                        self.poller.clear_timer();
                        self.timers();
                    }
                    Token::Connection(id) => self.converse(id),
                    Token::Port4(id) | Token::Port6(id) => {
                        self.turn(id, |attachment, now| attachment.readable(now));
                    }
                }
            }
        }
    }

    /// Gives up what is not finished. Leases stay: the next daemon goes on with them.
    pub(super) fn end(mut self) -> Listening {
        for attachment in self.attachments.values_mut() {
            if attachment.standing() == Standing::Acquiring {
                attachment.release();
            }
        }
        self.listening
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn accept(&mut self) {
        loop {
            let stream = match self.listening.socket.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    log::line(&format!("cannot accept a connection: {error}"));
                    self.full = self.poller.remove(&self.listening.socket).is_ok();
                    return;
                }
            };
            if let Err(refusal) = listen::admit(&stream) {
                log::line(&refusal.to_string());
                continue;
            }
            let id = self.next_id();
            let accepted = Connection::new(stream).and_then(|connection| {
                self.poller.add(&connection, Token::Connection(id))?;
                Ok(connection)
            });
            match accepted {
                Ok(connection) => drop(self.connections.insert(id, connection)),
                Err(error) => log::line(&format!("cannot accept a connection: {error}")),
            }
        }
    }

    fn timers(&mut self) {
        let now = clock::now();
        while let Some((moment, id)) = self.deadlines.first().copied() {
            if moment > now {
                return;
            }
            self.deadlines.remove(&(moment, id));
            if let Some(attachment) = self.attachments.get_mut(&id) {
                attachment.noted = None;
            }
            self.turn(id, |attachment, now| attachment.timer(now));
        }
    }

    /// Takes what a connection has to say.
    fn converse(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let outcome = connection.read();
        if let Err(end) = outcome.and_then(|()| self.serve_calls(id)) {
            self.hang_up(id, &end);
        }
    }

    fn serve_calls(&mut self, id: u64) -> Result<(), End> {
        loop {
            let Some(connection) = self.connections.get_mut(&id) else {
                return Ok(());
            };
            let Some(call) = connection.next_call()? else {
                let done = connection.flush()?;
                self.poller
                    .set_writing(&*connection, Token::Connection(id), !done)
                    .map_err(|errno| End::Io(errno.into()))?;
                return Ok(());
            };
            if let Some(answer) = self.call(id, &call)
                && let Some(connection) = self.connections.get_mut(&id)
            {
                connection.answer(&call.method, call.sequence, &answer);
            }
        }
    }

    /// A connection is over, and with it what was done for it alone.
    fn hang_up(&mut self, id: u64, end: &End) {
        if !matches!(end, End::Closed) {
            log::line(&format!("a connection ends: {end}"));
        }
        self.connections.remove(&id);
        if self.full
            && self
                .poller
                .add(&self.listening.socket, Token::Listener)
                .is_ok()
        {
            self.full = false;
        }
        let abandoned: Vec<u64> = self
            .attachments
            .iter_mut()
            .filter_map(|(attachment_id, attachment)| {
                let waited = attachment.waiters.len();
                attachment.waiters.retain(|waiter| waiter.connection != id);
                let left = waited > 0 && attachment.waiters.is_empty();
                (left && attachment.standing() == Standing::Acquiring).then_some(*attachment_id)
            })
            .collect();
        for id in abandoned {
            if let Some(attachment) = self.attachments.get(&id) {
                attachment.log("nobody waits for the lease any more");
            }
            self.forget(id, true);
        }
    }

    /// Answers a call, or notes who waits for the answer.
    fn call(&mut self, connection: u64, call: &Call) -> Option<Answer> {
        let Some(method) = Method::named(&call.method) else {
            return Some(Answer::Error(no_such_method(&call.method)));
        };
        let conf = match PluginConf::parse(&call.args.stdin) {
            Ok(conf) => conf,
            Err(error) => return Some(Answer::Error(format!("error parsing netconf: {error}"))),
        };
        let identity = Identity {
            container_id: call.args.container_id.clone(),
            network: conf.name().to_owned(),
            if_name: call.args.if_name.clone(),
        };
        match method {
            Method::Allocate => {
                let waiter = Waiter {
                    connection,
                    method: call.method.clone(),
                    sequence: call.sequence,
                };
                self.allocate(identity, &conf, &call.args, waiter)
            }
            Method::Release => Some(self.release(&identity)),
            Method::Check => Some(self.check(&identity)),
            Method::Collect => Some(self.collect(&conf)),
        }
    }

    fn allocate(
        &mut self,
        identity: Identity,
        conf: &PluginConf,
        args: &CmdArgs,
        waiter: Waiter,
    ) -> Option<Answer> {
        let wanted = match Wanted::new(conf, &args.args) {
            Ok(wanted) => wanted,
            Err(error) => return Some(Answer::Error(error.to_string())),
        };
        let path = format!("{}{}", self.flags.host_prefix, args.netns);
        let netns = Netns::open(&path)
            .map_err(|error| error.to_string())
            .and_then(|netns| netns.id().map_err(|error| error.to_string()));
        let netns_id = match netns {
            Ok(id) => id,
            Err(error) => {
                return Some(Answer::Error(format!(
                    "failed to open netns {path:?}: {error}"
                )));
            }
        };
        if let Some(id) = self.by_identity.get(&identity).copied() {
            if let Some(attachment) = self.attachments.get_mut(&id)
                && attachment.site.id == Some(netns_id)
            {
                match attachment.standing() {
                    Standing::Held => return Some(Answer::Result(attachment.result())),
                    Standing::Acquiring => {
                        attachment.waiters.push(waiter);
                        return None;
                    }
                    Standing::Lost(_) => {}
                }
            }
            // Of another life of the container, or lost: the server knows the client and gives
            // the same address again if it can.
            self.forget(id, false);
        }
        let mut attachment = Attachment::new(
            identity,
            args.netns.clone(),
            Some(netns_id),
            wanted,
            &self.flags,
        );
        attachment.waiters.push(waiter);
        let id = self.insert(attachment);
        self.turn(id, |attachment, now| attachment.start(now));
        None
    }

    fn release(&mut self, identity: &Identity) -> Answer {
        match self.by_identity.get(identity).copied() {
            Some(id) => self.forget(id, true),
            // One that could not be resumed may have left its file.
            None => self.remove_file(identity),
        }
        Answer::Nothing
    }

    fn check(&self, identity: &Identity) -> Answer {
        let id = self.by_identity.get(identity);
        let Some(attachment) = id.and_then(|id| self.attachments.get(id)) else {
            return Answer::Error(format!("no lease for {identity}"));
        };
        match attachment.standing() {
            Standing::Held => Answer::Result(attachment.result()),
            Standing::Acquiring => {
                Answer::Error(format!("the lease for {identity} is still being acquired"))
            }
            Standing::Lost(reason) => Answer::Error(format!("no lease for {identity}: {reason}")),
        }
    }

    fn collect(&mut self, conf: &PluginConf) -> Answer {
        let valid = match conf.valid_attachments() {
            Ok(Some(valid)) => valid,
            Ok(None) => return Answer::Error("no cni.dev/valid-attachments".to_owned()),
            Err(error) => return Answer::Error(error.to_string()),
        };
        let stale: Vec<u64> = self
            .by_identity
            .iter()
            .filter(|(identity, _)| identity.is_stale(conf.name(), &valid))
            .map(|(_, id)| *id)
            .collect();
        for id in stale {
            if let Some(attachment) = self.attachments.get(&id) {
                attachment.log("not a valid attachment any more");
            }
            self.forget(id, true);
        }
        Answer::Nothing
    }

    fn insert(&mut self, attachment: Attachment) -> u64 {
        let id = self.next_id();
        self.by_identity.insert(attachment.identity.clone(), id);
        self.attachments.insert(id, attachment);
        id
    }

    /// Lets an attachment react, and does what follows from it.
    fn turn(&mut self, id: u64, react: impl FnOnce(&mut Attachment, Moment) -> Change) {
        let Some(attachment) = self.attachments.get_mut(&id) else {
            return;
        };
        match react(attachment, clock::now()) {
            Change::None => {}
            Change::Held => self.held(id),
            Change::Lost => self.lost(id),
            Change::Failed(reason) => {
                attachment.log(&reason);
                let waiters = std::mem::take(&mut attachment.waiters);
                self.forget(id, true);
                self.answer(waiters, &Answer::Error(reason));
            }
            Change::Gone(reason) => {
                attachment.log(&format!("{reason}, terminating lease maintenance"));
                self.forget(id, false);
            }
        }
        self.settle(id);
    }

    fn held(&mut self, id: u64) {
        let Some(attachment) = self.attachments.get_mut(&id) else {
            return;
        };
        attachment.log("lease held");
        let waiters = std::mem::take(&mut attachment.waiters);
        let answer = match self.store.write(&attachment.record()) {
            Ok(()) => Answer::Result(attachment.result()),
            // It works until the daemon starts again, which is no reason to fail now.
            Err(error) => {
                attachment.log(&format!("lease not kept on disk: {error}"));
                Answer::Result(attachment.result())
            }
        };
        self.answer(waiters, &answer);
    }

    /// The pod must not use what is not its own any more.
    fn lost(&mut self, id: u64) {
        let Some(attachment) = self.attachments.get_mut(&id) else {
            return;
        };
        if let Standing::Lost(reason) = attachment.standing() {
            attachment.log(&format!("{reason}, bringing interface DOWN"));
        }
        if let Err(error) = attachment.site.set_down() {
            attachment.log(&format!("failed to bring the interface DOWN: {error}"));
        }
        if let Err(error) = self.store.write(&attachment.record()) {
            attachment.log(&format!("lease not kept on disk: {error}"));
        }
    }

    /// Ends the maintenance of an attachment, and gives its leases back if that is wanted.
    fn forget(&mut self, id: u64, release: bool) {
        let Some(mut attachment) = self.attachments.remove(&id) else {
            return;
        };
        self.by_identity.remove(&attachment.identity);
        if let Some(noted) = attachment.noted {
            self.deadlines.remove(&(noted, id));
        }
        if release {
            attachment.log("releasing lease");
            attachment.release();
        }
        self.remove_file(&attachment.identity);
        let gone = format!("the lease for {} was released", attachment.identity);
        self.answer(attachment.waiters, &Answer::Error(gone));
    }

    fn remove_file(&self, identity: &Identity) {
        if let Err(error) = self.store.remove(identity) {
            log::line(&format!("{identity}: lease not removed from disk: {error}"));
        }
    }

    fn answer(&mut self, waiters: Vec<Waiter>, answer: &Answer) {
        for waiter in waiters {
            let id = waiter.connection;
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.answer(&waiter.method, waiter.sequence, answer);
            }
            if let Err(end) = self.serve_calls(id) {
                self.hang_up(id, &end);
            }
        }
    }

    /// Notes the next deadline of an attachment, and waits for its port if it has a new one.
    fn settle(&mut self, id: u64) {
        let Some(attachment) = self.attachments.get_mut(&id) else {
            return;
        };
        let deadline = attachment.deadline();
        if deadline != attachment.noted {
            if let Some(old) = attachment.noted {
                self.deadlines.remove(&(old, id));
            }
            self.deadlines.extend(deadline.map(|moment| (moment, id)));
            attachment.noted = deadline;
        }
        let (v4, v6) = attachment.new_descriptors();
        for (descriptor, token) in [(v4, Token::Port4(id)), (v6, Token::Port6(id))] {
            let added = descriptor.map(|descriptor| self.poller.add(descriptor, token));
            if let Some(Err(errno)) = added {
                log::line(&format!("cannot wait for answers: {errno}"));
            }
        }
    }
}
