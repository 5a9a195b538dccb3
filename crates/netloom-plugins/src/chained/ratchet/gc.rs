//! GC: the delegates' own, and the records of attachments that are no longer valid with all that
//! they tell of.

use super::config;
use super::del::configured;
use super::record::Record;
use super::store::{Listed, Store};
use super::unlink;
use netloom_plugin::{Cleanup, Found, GcRequest, Owned};
use netloom_spec::{Attachment, Error, NetworkName, PluginConf};

const VALID: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

pub(super) fn collect(request: &GcRequest<'_>) -> Result<(), Error> {
    let mut cleanup = Cleanup::new();
    let store = Store::of(&config::store_in(request.conf), request.network())?;
    let listed = match store.list() {
        Ok(listed) => listed,
        Err(error) => {
            cleanup.step("list the records", Err(error));
            Listed::default()
        }
    };
    for path in &listed.broken {
        request.warn(&format!("{} is no record, and stays", path.display()));
    }
    let valid = request.valid.as_deref();
    let stale: Vec<Record> = (listed.records.into_iter())
        .filter(|(_, record)| valid.is_some_and(|valid| is_stale(record, valid)))
        .map(|(_, record)| record)
        .collect();
    for conf in delegates(request.conf, &stale) {
        let delegate = request.delegate(conf.plugin_type()).with_conf(conf);
        let what = format!("GC of the delegate {}", delegate.kind());
        cleanup.step(&what, delegate.gc());
    }
    for record in stale {
        let what = format!("collect container {:?}", record.owner().container_id);
        cleanup.step(&what, remove(request, &store, &record));
    }
    cleanup.step("sweep the store", sweep(&store));
    cleanup.finish()
}

fn sweep(store: &Store) -> Result<(), Error> {
    match store.lock_if_there()? {
        Some(_lock) => store.sweep(),
        None => Ok(()),
    }
}

/// The records of attachments that are not valid any more, and the files that are none. GC removes
/// them after the delegate's DEL, by [`collect`].
pub(super) const OWNED: Owned = Owned::of_conf("record of links", |scope, _| {
    let listed = Store::of(&config::store_in(scope.conf), scope.network)?.list()?;
    let records = listed.records.into_iter();
    let stale = records.filter(|(_, record)| is_stale(record, scope.valid));
    let stale = stale.map(|(path, _)| Found::collectable(path.display().to_string()));
    Ok(stale
        .chain(listed.broken.into_iter().map(Found::broken))
        .collect())
});

/// The configurations of all delegates whose GC [`collect`] may call.
pub(super) fn all_delegates(conf: &PluginConf, network: &NetworkName) -> Vec<PluginConf> {
    // What cannot be listed is told by [`OWNED`].
    let listed = Store::of(&config::store_in(conf), network).and_then(|store| store.list());
    let records = listed.unwrap_or_default().records;
    let records: Vec<Record> = records.into_iter().map(|(_, record)| record).collect();
    // As it is in a list.
    let mut conf = conf.clone();
    conf.set("name", network.as_str().into());
    delegates(&conf, &records)
}

fn is_stale(record: &Record, valid: &[Attachment]) -> bool {
    let owner = record.owner();
    !valid.iter().any(|attachment| {
        attachment.container_id == owner.container_id && attachment.if_name == owner.if_name
    })
}

/// The configurations for the delegates' GC: those of now, and what ADDs used that nobody wants any
/// more. What differs by pod alone is one.
fn delegates(own: &PluginConf, stale: &[Record]) -> Vec<PluginConf> {
    let kept = stale.iter().filter_map(Record::delegate);
    let mut confs: Vec<PluginConf> = Vec::new();
    for mut conf in configured(own).into_iter().chain(kept) {
        conf.remove("runtimeConfig");
        conf.set("cniVersion", own.cni_version().into());
        for key in VALID {
            if let Some(value) = own.get(key) {
                conf.set(key, value.clone());
            }
        }
        if !confs.contains(&conf) {
            confs.push(conf);
        }
    }
    confs
}

fn remove(request: &GcRequest<'_>, store: &Store, record: &Record) -> Result<(), Error> {
    let owner = record.owner();
    if let Some(lock) = store.lock_if_there()? {
        unlink::unlink(store, record, request.network())?;
        drop(lock);
    }
    if let Some(conf) = record.delegate() {
        let attachment = Attachment {
            container_id: owner.container_id.to_owned(),
            if_name: owner.if_name.to_owned(),
        };
        let delegate = request.delegate(conf.plugin_type());
        delegate.with_conf(conf).del_of(&attachment)?;
    }
    store.forget(owner)
}
