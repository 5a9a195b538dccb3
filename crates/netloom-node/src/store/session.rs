//! A session with one member of the store, and what comes after it.

use std::time::Duration;

use etcd_client::{
    Client, EventType, GetOptions, Txn, TxnOp, TxnOpResponse, WatchOptions, WatchResponse,
    WatchStream,
};
use netloom_cluster::{ClusterId, key};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::claim;
use super::endpoint::{identify, revision, within};
use super::keep::Kept;
use super::pause::refuse_calls_for;
use super::settings;
use super::{Call, Change, Endpoint, Entry, Event, Trouble, Wish, network_keys, subnet_keys};

/// A watch that says nothing for so long is asked whether it lives …
const QUIET: Duration = Duration::from_secs(5);
/// … and has so long to answer.
const SILENCE: Duration = Duration::from_secs(3);
/// Who was refused asks again after so long, or when something changes.
const REFUSED: Duration = Duration::from_secs(5);

/// Up to which revision everything is known, and of which store.
type Known = Option<(ClusterId, i64)>;

pub(super) async fn run(
    settings: settings::Settings,
    mut wish: watch::Receiver<Wish>,
    mut calls: mpsc::Receiver<Call>,
    events: mpsc::Sender<Event>,
) {
    let mut endpoint = Endpoint::new(settings);
    let mut known: Known = None;
    while !events.is_closed() {
        let mut session = Session {
            endpoint: &mut endpoint,
            known: &mut known,
            wish: &mut wish,
            calls: &mut calls,
            events: &events,
        };
        let Err(trouble) = session.run().await;
        let why = endpoint.blame(&trouble);
        let pause = match &trouble {
            Trouble::Stale(_) => {
                known = None;
                continue;
            }
            Trouble::Gone(_) | Trouble::Refused(_) => endpoint.failed(),
        };
        let _ = events.send(Event::Disconnected(why)).await;
        refuse_calls_for(pause, &mut calls).await;
    }
}

struct Session<'s> {
    endpoint: &'s mut Endpoint,
    known: &'s mut Known,
    wish: &'s mut watch::Receiver<Wish>,
    calls: &'s mut mpsc::Receiver<Call>,
    events: &'s mpsc::Sender<Event>,
}

/// What hangs on this session.
struct Place {
    alive: Kept,
    /// The part of the network: its key, the lease's id, and the lease if there is one.
    key: String,
    lease: i64,
    subnet: Option<Kept>,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<std::convert::Infallible, Trouble> {
        let mut client = self.endpoint.connect().await?;
        self.catch_up(&mut client).await?;
        let mut stream = self.watch(&mut client).await?;
        self.endpoint.succeeded();
        let seconds = i64::try_from(self.wish.borrow().alive.as_secs())
            .unwrap_or(30)
            .max(2);
        let alive = within("get a lease", client.lease_grant(seconds, None))
            .await?
            .id();
        let mut place = self.take_place(&mut client, alive).await?;
        let mut heard_at = Instant::now();
        let mut asked = false;
        loop {
            let silence = heard_at + if asked { QUIET + SILENCE } else { QUIET };
            let due = place
                .as_ref()
                .map_or_else(|| Instant::now() + REFUSED, Place::due);
            tokio::select! {
                message = stream.message() => {
                    (heard_at, asked) = (Instant::now(), false);
                    let ended = || Trouble::Gone("the watch has ended".into());
                    let message = message?.ok_or_else(ended)?;
                    if self.heard(&message, place.as_ref()).await? {
                        place = self.take_place(&mut client, alive).await?;
                    }
                }
                () = tokio::time::sleep_until(silence) => {
                    if asked {
                        return Err(Trouble::Gone("the watch is silent".into()));
                    }
                    within("ask the watch", stream.request_progress()).await?;
                    asked = true;
                }
                () = tokio::time::sleep_until(due) => {
                    let holds = match &mut place {
                        Some(place) => place.renew().await?,
                        None => false,
                    };
                    if !holds {
                        place = self.take_place(&mut client, alive).await?;
                    }
                }
                changed = self.wish.changed() => {
                    changed.map_err(|_| Trouble::Gone("the daemon ends".into()))?;
                    place = self.take_place(&mut client, alive).await?;
                }
                call = self.calls.recv() => {
                    let call = call.ok_or_else(|| Trouble::Gone("the daemon ends".into()))?;
                    tokio::spawn(call.make(client.clone(), alive));
                }
            }
        }
    }

    /// Tells whether everything is known up to a revision that the store still has; lists everything if
    /// not.
    async fn catch_up(&mut self, client: &mut Client) -> Result<(), Trouble> {
        let (id, revision) = identify(client).await?;
        let goes_on = self
            .known
            .as_ref()
            .is_some_and(|(known, up_to)| *known == id && *up_to <= revision);
        if !goes_on {
            let (revision, entries) = self.list(client).await?;
            *self.known = Some((id.clone(), revision));
            self.tell(Event::Listed(entries)).await?;
        }
        self.tell(Event::Connected(id)).await
    }

    /// All that is watched, as of one revision.
    async fn list(&self, client: &mut Client) -> Result<(i64, Vec<Entry>), Trouble> {
        let get = |keys: String| TxnOp::get(keys, Some(GetOptions::new().with_prefix()));
        let gets = self.watched().map(get);
        let mut answer = within("list", client.txn(Txn::new().and_then(gets))).await?;
        let header = answer.take_header();
        let revision = revision(header.as_ref())?;
        let mut entries = Vec::new();
        for response in answer.op_responses() {
            let TxnOpResponse::Get(mut found) = response else {
                continue;
            };
            entries.extend(found.take_kvs().into_iter().filter_map(|kv| {
                let created = kv.create_revision();
                let (key, value) = kv.into_key_value();
                Some(Entry {
                    key: String::from_utf8(key).ok()?,
                    value,
                    created,
                })
            }));
        }
        Ok((revision, entries))
    }

    /// What the keys begin with that are watched.
    fn watched(&self) -> [String; 4] {
        [
            network_keys(self.endpoint.prefix()),
            key::nodes(),
            key::wants(),
            netloom_cluster::links::all(),
        ]
    }

    async fn watch(&self, client: &mut Client) -> Result<WatchStream, Trouble> {
        let from = self.known.as_ref().map_or(0, |(_, revision)| revision + 1);
        let options = || {
            let options = WatchOptions::new().with_prefix().with_progress_notify();
            Some(options.with_start_revision(from))
        };
        let [first, others @ ..] = self.watched();
        let mut stream = within("watch", client.watch(first, options())).await?;
        for keys in others {
            within("watch", stream.watch(keys, options())).await?;
        }
        Ok(stream)
    }

    /// Hands on what a watch says. Whether this node's place is to be taken again.
    async fn heard(
        &mut self,
        message: &WatchResponse,
        place: Option<&Place>,
    ) -> Result<bool, Trouble> {
        if message.compact_revision() != 0 {
            let text = "the store has compacted what the watch would go on with";
            return Err(Trouble::Stale(text.into()));
        }
        if message.canceled() {
            let why = message.cancel_reason();
            return Err(Trouble::Gone(format!("the watch was cancelled: {why}")));
        }
        let mut disturbed = false;
        for event in message.events() {
            let Some(kv) = event.kv() else { continue };
            let Ok(key) = kv.key_str() else { continue };
            let removed = event.event_type() == EventType::Delete;
            // Who has no place tries again with each change.
            disturbed |= place
                .is_none_or(|place| place.key == key && (removed || kv.lease() != place.lease));
            let change = match removed {
                true => Change::Removed(key.to_owned()),
                false => Change::Put(Entry {
                    key: key.to_owned(),
                    value: kv.value().to_vec(),
                    created: kv.create_revision(),
                }),
            };
            if let Some((_, known)) = self.known {
                *known = kv.mod_revision().max(*known);
            }
            self.tell(Event::Changed(change)).await?;
        }
        Ok(disturbed)
    }

    /// The name and the part of the network, as far as this node wants them and may have them.
    async fn take_place(
        &mut self,
        client: &mut Client,
        alive: i64,
    ) -> Result<Option<Place>, Trouble> {
        let wish = self.wish.borrow_and_update().clone();
        match self.take(client, &wish, alive).await {
            Err(Trouble::Refused(why)) => {
                self.tell(Event::Refused(why)).await?;
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    async fn take(
        &mut self,
        client: &mut Client,
        wish: &Wish,
        alive: i64,
    ) -> Result<Place, Trouble> {
        claim::name(client, wish, alive).await?;
        let gone = || Trouble::Gone("a lease has ended at once".into());
        let kept = Kept::begin(client, alive).await?.ok_or_else(gone)?;
        let Some(wished) = &wish.place else {
            return Ok(Place {
                alive: kept,
                key: String::new(),
                lease: 0,
                subnet: None,
            });
        };
        let prefix = self.endpoint.prefix().to_owned();
        let (subnets, lease) = claim::subnet(client, &prefix, wish, wished).await?;
        let place = Place {
            alive: kept,
            key: format!("{}{}", subnet_keys(&prefix), subnets.key()),
            lease,
            subnet: match lease {
                0 => None,
                lease => Some(Kept::begin(client, lease).await?.ok_or_else(gone)?),
            },
        };
        self.tell(Event::Holds(subnets, wished.announcement.to_json()))
            .await?;
        Ok(place)
    }

    async fn tell(&self, event: Event) -> Result<(), Trouble> {
        let sent = self.events.send(event).await;
        sent.map_err(|_| Trouble::Gone("the daemon ends".into()))
    }
}

impl Place {
    /// When the next lease is to be renewed.
    fn due(&self) -> Instant {
        let subnet = self.subnet.as_ref().map(|kept| kept.next);
        subnet.map_or(self.alive.next, |next| next.min(self.alive.next))
    }

    /// Renews what is due. `false`: a lease has ended.
    async fn renew(&mut self) -> Result<bool, Trouble> {
        let now = Instant::now();
        if self.alive.next <= now && !self.alive.renew().await? {
            return Err(Trouble::Gone("the lease of the daemon has ended".into()));
        }
        match &mut self.subnet {
            Some(kept) if kept.next <= now => kept.renew().await,
            _ => Ok(true),
        }
    }
}
