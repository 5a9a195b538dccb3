//! The objects of one kind, listed once and then watched.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use kube_client::Error;
use kube_client::api::{Api, ListParams, WatchParams};
use kube_client::core::WatchEvent;

use super::api::{Object, within, words};
use crate::store::{Change, Entry, Trouble};

/// The server ends each watch after so many seconds, and the next one goes on where it ended.
const SECONDS: u32 = 240;

type Events = Pin<Box<dyn Stream<Item = Result<WatchEvent<Object>, Error>> + Send>>;

/// What an object stands for.
type Records = Box<dyn Fn(&Object) -> Vec<Entry> + Send + Sync>;

/// What has changed.
pub(super) struct News {
    /// Of the records.
    pub(super) changes: Vec<Change>,
    /// Whose object it was.
    pub(super) name: String,
}

/// The objects of one kind.
pub(super) struct Source {
    api: Api<Object>,
    fields: Option<String>,
    records: Records,
    known: BTreeMap<String, Vec<Entry>>,
    version: String,
    events: Option<Events>,
    /// Whether the watch has said anything, so that one that ends at once is not begun for ever.
    heard: bool,
}

impl Source {
    /// Lists all, or those that a field selector picks.
    pub(super) async fn list(
        api: Api<Object>,
        fields: Option<String>,
        records: Records,
    ) -> Result<Self, Trouble> {
        let mut source = Self {
            api,
            fields,
            records,
            known: BTreeMap::new(),
            version: String::new(),
            events: None,
            heard: true,
        };
        let params = ListParams {
            field_selector: source.fields.clone(),
            ..ListParams::default()
        };
        let list = within("list", source.api.list(&params)).await?;
        source.version = list.metadata.resource_version.unwrap_or_default();
        for object in list.items {
            let records = (source.records)(&object);
            source
                .known
                .insert(object.metadata.name.unwrap_or_default(), records);
        }
        Ok(source)
    }

    /// All records, as of the list and what was heard since.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.known.values().flatten().cloned()
    }

    /// Waits for the next change. A call that is given up loses nothing.
    pub(super) async fn next(&mut self) -> Result<News, Trouble> {
        loop {
            let events = match &mut self.events {
                Some(events) => events,
                None => {
                    let opened = open(self.api.clone(), self.fields.clone(), &self.version);
                    self.events.insert(opened.await?)
                }
            };
            let event = events.next().await;
            match event {
                None if self.heard => {
                    (self.events, self.heard) = (None, false);
                }
                None => {
                    return Err(Trouble::Gone(
                        "the watch ends as soon as it has begun".into(),
                    ));
                }
                Some(Err(error)) => return Err(Trouble::Gone(format!("watch: {}", words(&error)))),
                Some(Ok(event)) => {
                    self.heard = true;
                    if let Some(news) = self.heard(event)? {
                        return Ok(news);
                    }
                }
            }
        }
    }

    fn heard(&mut self, event: WatchEvent<Object>) -> Result<Option<News>, Trouble> {
        let (object, gone) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
            WatchEvent::Deleted(object) => (object, true),
            WatchEvent::Bookmark(mark) => {
                self.version = mark.metadata.resource_version;
                return Ok(None);
            }
            WatchEvent::Error(status) if status.code == 410 => {
                return Err(Trouble::Stale(status.message.clone()));
            }
            WatchEvent::Error(status) => {
                return Err(Trouble::Gone(format!("watch: {}", status.message)));
            }
        };
        if let Some(version) = &object.metadata.resource_version {
            self.version.clone_from(version);
        }
        let now = if gone {
            Vec::new()
        } else {
            (self.records)(&object)
        };
        let name = object.metadata.name.unwrap_or_default();
        let before = self.known.remove(&name).unwrap_or_default();
        let changes = difference(&before, &now);
        if !gone {
            self.known.insert(name.clone(), now);
        }
        Ok(Some(News { changes, name }))
    }
}

/// Begins, or goes on, behind a version.
async fn open(api: Api<Object>, fields: Option<String>, version: &str) -> Result<Events, Trouble> {
    let mut params = WatchParams::default().timeout(SECONDS);
    params.field_selector = fields;
    let events = within("watch", api.watch(&params, version)).await?;
    Ok(Box::pin(events))
}

/// What must be told to whoever knows `before`.
fn difference(before: &[Entry], now: &[Entry]) -> Vec<Change> {
    let has = |all: &[Entry], key: &str| all.iter().any(|entry| entry.key == key);
    let gone = before.iter().filter(|entry| !has(now, &entry.key));
    let new = now.iter().filter(|entry| {
        let same = |other: &&Entry| other.key == entry.key && other.value == entry.value;
        !before.iter().any(|other| same(&other))
    });
    gone.map(|entry| Change::Removed(entry.key.clone()))
        .chain(new.map(|entry| Change::Put(entry.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        Entry {
            key: key.into(),
            value: value.into(),
            created: 0,
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let before = [entry("a", "1"), entry("b", "1"), entry("c", "1")];
        let now = [entry("b", "1"), entry("c", "2"), entry("d", "1")];
        let told: Vec<String> = difference(&before, &now)
            .iter()
            .map(|change| match change {
                Change::Removed(key) => format!("-{key}"),
                Change::Put(entry) => format!("+{}", entry.key),
            })
            .collect();
        assert_eq!(told, ["-a", "+c", "+d"]);
    }
}
