//! DEL, by what the record tells.

use super::config::{self, Config};
use super::record::Record;
use super::store::Store;
use super::{meet, unlink};
use crate::wiring::owner::Owner;
use crate::wiring::{record, sandbox};
use netloom_links::{Place, remove_topology};
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::{Error, PluginConf};
use std::path::Path;

pub(super) fn del(request: &DelRequest<'_>) -> Result<(), Error> {
    let is_elsewhere = record::lives_elsewhere(request);
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let store = Store::of(&config::store_in(request.conf), request.network())?;
    let Some(lock) = store.lock_if_there()? else {
        return Ok(());
    };
    let found = store.record_of(owner)?;
    if is_elsewhere
        || found
            .as_ref()
            .is_some_and(|it| lives_elsewhere(request, &store, it))
    {
        return Ok(());
    }
    let mut cleanup = Cleanup::new();
    if let Some(found) = &found {
        let unlinked = unlink::unlink(&store, found, request.network());
        cleanup.step("remove the links", unlinked);
    }
    let delegates = match &found {
        Some(found) => found.delegate().into_iter().collect(),
        None => {
            let path = store.file_of(owner);
            let made_up = path.map(|path| without_record(request, &store, &path));
            made_up.unwrap_or(Ok(Vec::new()))?
        }
    };
    // A delegate may take its time, and needs nothing of the store.
    drop(lock);
    for conf in delegates {
        let delegate = request.delegate(conf.plugin_type());
        let what = format!("DEL of the delegate {}", conf.plugin_type());
        let deleted = delegate.with_conf(with_result(conf, request.conf)).del();
        cleanup.step(&what, deleted);
    }
    cleanup.finish()?;
    store.forget(owner)
}

/// Does without a record that is broken: returns the delegates that ADD would call now.
fn without_record(
    request: &DelRequest<'_>,
    store: &Store,
    path: &Path,
) -> Result<Vec<PluginConf>, Error> {
    let path = path.display();
    request.warn(&format!(
        "{path} is no record: its links are looked for in CNI_NETNS"
    ));
    if let Some(netns) = sandbox::open_if_there(request.netns)? {
        let place = Place::new(netns, "the pod").map_err(super::failure)?;
        let others = store.list()?.records;
        // Another container may have the path now.
        if !others.iter().any(|(_, other)| other.is_in(&place)) {
            let removed = remove_topology(&place, &meet::topology(request.network()));
            removed.map_err(super::failure)?;
        }
    }
    store.sweep()?;
    Ok(configured(request.conf))
}

/// Whether `CNI_NETNS` is another pod's, and the attachment's own namespace lives.
fn lives_elsewhere(request: &DelRequest<'_>, store: &Store, found: &Record) -> bool {
    let told = sandbox::open_if_there(request.netns).ok().flatten();
    let (Some(told), Ok(Some(place))) = (told, found.open_place(store.boot())) else {
        return false;
    };
    let elsewhere = told.id().is_ok_and(|id| id != place.id());
    if elsewhere {
        request.warn(&format!(
            "container {:?} has its links in {:?}, which lives, and CNI_NETNS is {:?}: nothing of \
             that attachment is removed",
            request.container_id.as_str(),
            found.netns(),
            request.netns.unwrap_or_default()
        ));
    }
    elsewhere
}

/// The delegates of a configuration, as far as it can be read.
pub(super) fn configured(conf: &PluginConf) -> Vec<PluginConf> {
    let Ok(config) = Config::read(conf) else {
        return Vec::new();
    };
    let both = [config.delegate, config.boot_network];
    both.into_iter().flatten().collect()
}

/// A kept configuration with the result of the request, if both speak one version: a delegate finds
/// more with it.
pub(super) fn with_result(mut conf: PluginConf, request: &PluginConf) -> PluginConf {
    if let Some(made) = request.get("prevResult")
        && conf.cni_version() == request.cni_version()
    {
        conf.set("prevResult", made.clone());
    }
    conf
}
