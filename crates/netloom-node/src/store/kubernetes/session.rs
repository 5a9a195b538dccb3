//! A session with the Kubernetes API, and what comes after it.

use std::time::Duration;

use netloom_cluster::NodeName;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::api::Kinds;
use super::objects::{of_network, of_node};
use super::settings::Settings;
use super::source::{News, Source};
use super::{call, place};
use crate::cli::Peers;
use crate::store::pause::{Pause, refuse_calls_for};
use crate::store::{Call, Entry, Event, Trouble, Wish, config_key};

/// Who was refused asks again after so long, or when something changes.
const REFUSED: Duration = Duration::from_secs(5);

pub(super) async fn run(
    settings: Settings,
    mut wish: watch::Receiver<Wish>,
    mut calls: mpsc::Receiver<Call>,
    events: mpsc::Sender<Event>,
) {
    let mut pause = Pause::default();
    while !events.is_closed() {
        let mut session = Session {
            settings: &settings,
            wish: &mut wish,
            calls: &mut calls,
            events: &events,
            pause: &mut pause,
        };
        let Err(trouble) = session.run().await;
        if let Trouble::Stale(_) = trouble {
            continue;
        }
        let why = format!("{}: {trouble}", settings.name());
        let _ = events.send(Event::Disconnected(why)).await;
        refuse_calls_for(pause.after_failure(), &mut calls).await;
    }
}

struct Session<'s> {
    settings: &'s Settings,
    wish: &'s mut watch::Receiver<Wish>,
    calls: &'s mut mpsc::Receiver<Call>,
    events: &'s mpsc::Sender<Event>,
    pause: &'s mut Pause,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<std::convert::Infallible, Trouble> {
        let client = self.settings.client().await;
        let client = client.map_err(|error| Trouble::Gone(format!("{error:#}")))?;
        let kinds = Kinds::new(&client);
        let name = self.wish.borrow().name.clone();
        let cluster = kinds.cluster().await?;
        place::forget_wants(&kinds, &name).await?;
        let mut networks = self.networks(&kinds).await?;
        let mut nodes = self.nodes(&kinds, &name).await?;
        let known = self
            .config()
            .into_iter()
            .chain(networks.entries())
            .chain(nodes.entries());
        self.tell(Event::Listed(known.collect())).await?;
        self.tell(Event::Connected(cluster)).await?;
        self.pause.succeeded();
        let mut holds = self.take_place(&kinds).await?;
        let mut again = Instant::now() + REFUSED;
        let mut renew = Instant::now();
        loop {
            tokio::select! {
                news = networks.next() => {
                    if self.heard(news?, &name).await? {
                        holds = self.take_place(&kinds).await?;
                    }
                }
                news = nodes.next() => {
                    if self.heard(news?, &name).await? {
                        holds = self.take_place(&kinds).await?;
                    }
                }
                // A server that is gone without a word is noticed by this.
                () = tokio::time::sleep_until(renew) => {
                    let wish = self.wish.borrow().clone();
                    place::renew(&kinds, &wish).await?;
                    renew = Instant::now() + wish.alive / 3;
                }
                () = tokio::time::sleep_until(again), if !holds => {
                    holds = self.take_place(&kinds).await?;
                    again = Instant::now() + REFUSED;
                }
                changed = self.wish.changed() => {
                    changed.map_err(|_| ended())?;
                    holds = self.take_place(&kinds).await?;
                }
                call = self.calls.recv() => {
                    let call = call.ok_or_else(ended)?;
                    tokio::spawn(call::make(call, kinds.clone(), name.clone()));
                }
            }
        }
    }

    /// The network's configuration, as etcd would have it.
    fn config(&self) -> [Entry; 1] {
        [Entry {
            key: config_key(&self.settings.prefix),
            value: self.settings.net_conf.clone(),
            created: 0,
        }]
    }

    /// What netloom's nodes tell.
    async fn networks(&self, kinds: &Kinds) -> Result<Source, Trouble> {
        let prefix = self.settings.prefix.clone();
        let parts = self.settings.peers == Peers::Netloom;
        let records = Box::new(move |object: &_| of_network(object, &prefix, parts));
        Source::list(kinds.networks.clone(), None, records).await
    }

    /// Kubernetes' nodes: this one, or all where flannel's are read.
    async fn nodes(&self, kinds: &Kinds, own: &NodeName) -> Result<Source, Trouble> {
        let prefix = self.settings.prefix.clone();
        match self.settings.peers {
            Peers::Nodes => {
                let records = Box::new(move |object: &_| of_node(object, &prefix));
                Source::list(kinds.nodes.clone(), None, records).await
            }
            Peers::Netloom => {
                let fields = format!("metadata.name={own}");
                Source::list(kinds.nodes.clone(), Some(fields), Box::new(|_| Vec::new())).await
            }
        }
    }

    /// Hands on what has changed. Whether it was an object of this node.
    async fn heard(&self, news: News, own: &NodeName) -> Result<bool, Trouble> {
        for change in news.changes {
            self.tell(Event::Changed(change)).await?;
        }
        Ok(news.name == own.as_str())
    }

    /// The name and the part of the network, as far as this node wants them and may have them.
    async fn take_place(&mut self, kinds: &Kinds) -> Result<bool, Trouble> {
        let wish = self.wish.borrow_and_update().clone();
        match place::take(kinds, self.settings, &wish).await {
            Ok(subnets) => {
                if let (Some(subnets), Some(wished)) = (subnets, &wish.place) {
                    let said = wished.announcement.to_json();
                    self.tell(Event::Holds(subnets, said)).await?;
                }
                Ok(true)
            }
            Err(Trouble::Refused(why)) => {
                self.tell(Event::Refused(why)).await?;
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Trouble> {
        self.events.send(event).await.map_err(|_| ended())
    }
}

fn ended() -> Trouble {
    Trouble::Gone("the daemon ends".into())
}
