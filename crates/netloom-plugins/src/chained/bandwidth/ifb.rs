//! The link through which goes what the pod sends.

use crate::wiring::owner::{Owner, network_hash};
use crate::wiring::{SetupError, random};
use netloom_kernel::MacAddress;
use netloom_kernel::rtnl::{KindSpec, Link, LinkKind, LinkSpec, Socket};
use netloom_plugin::{Cleanup, Found, Owned, Undo};
use netloom_spec::{Attachment, Error};

/// Makes it: up, and as upstream makes it without a queue of its own. It has no alias yet.
pub(super) fn create(
    host: &Socket,
    owner: Owner<'_>,
    mtu: u32,
    undo: &mut Undo<'_>,
) -> Result<Link, Error> {
    let first = owner.ifb_name();
    match create_named(host, &first, mtu, undo) {
        Err(Failure::Taken(taken)) => {
            if !is_of_other_interface(host, &first, owner)? {
                return Err(taken.into());
            }
            match create_named(host, &owner.second_ifb_name(), mtu, undo) {
                Ok(link) => Ok(link),
                Err(Failure::Taken(fault) | Failure::Other(fault)) => Err(fault.into()),
            }
        }
        Err(Failure::Other(fault)) => Err(fault.into()),
        Ok(link) => Ok(link),
    }
}

enum Failure {
    /// The name is.
    Taken(SetupError),
    Other(SetupError),
}

fn create_named(host: &Socket, name: &str, mtu: u32, undo: &mut Undo<'_>) -> Result<Link, Failure> {
    let mac = random::mac();
    let spec = LinkSpec::new(name, KindSpec::Ifb).mac(mac).mtu(mtu);
    let created = host.create_link(&spec.tx_queue_len(0).up());
    let fault = SetupError::kernel(format!("adding link {name:?}"));
    if let Err(error) = &created
        && error.is_exists()
    {
        return Err(Failure::Taken(fault(error.clone())));
    }
    // It is there as well if only the kernel's answer was lost.
    let own = name.to_owned();
    undo.on_failure(format!("remove the link {name}"), move || {
        remove_made(&own, mac)
    });
    created.map_err(|error| Failure::Other(fault(error)))
}

/// The address tells it from one that somebody else made under this name.
fn remove_made(name: &str, mac: MacAddress) -> Result<(), Error> {
    let remove = || {
        let host = Socket::open()?;
        match host.find_link(name)? {
            Some(link) if is_ifb(&link) && link.mac == Some(mac) => {
                host.remove_link(link.index).map(drop)
            }
            _ => Ok(()),
        }
    };
    Ok(remove().map_err(SetupError::kernel(format!("failed to remove {name:?}")))?)
}

/// The ifb of an attachment, if there is one. What has the first name and no alias may be
/// upstream's, or what a killed ADD left; it counts if nothing better is found.
pub(super) fn find(host: &Socket, owner: Owner<'_>) -> netloom_kernel::Result<Option<Link>> {
    let first = host.find_link(&owner.ifb_name())?.filter(is_ifb);
    let known = first.as_ref().and_then(|link| is_of(link, owner));
    if known == Some(true) {
        return Ok(first);
    }
    let second = host.find_link(&owner.second_ifb_name())?.filter(is_ifb);
    let second = second.filter(|link| is_of(link, owner) != Some(false));
    Ok(second.or(first.filter(|_| known.is_none())))
}

/// The ifbs of a network that belong to none of the valid attachments. What has no alias does not
/// say whose it is.
fn find_stale(
    host: &Socket,
    network: &str,
    valid: &[Attachment],
) -> netloom_kernel::Result<Vec<Link>> {
    let mine = format!("{}-", network_hash(network));
    let valid: Vec<String> = valid
        .iter()
        .map(|attachment| Owner::of(network, attachment).nft_prefix())
        .collect();
    let mut links = host.list_links_of_kind("ifb")?;
    links.retain(|link| {
        let alias = link.alias.as_deref().unwrap_or_default();
        alias.starts_with(&mine) && !valid.iter().any(|valid| alias.starts_with(valid))
    });
    Ok(links)
}

/// The ifbs of a network that belong to none of the valid attachments.
pub(super) const OWNED: Owned = Owned::of_network("ifb", |scope, how| {
    let failed = || SetupError::kernel("failed to sweep ifbs");
    let host = Socket::open().map_err(failed())?;
    let links = find_stale(&host, scope.network.as_str(), scope.valid).map_err(failed())?;
    let mut cleanup = Cleanup::new();
    if how.removes() {
        let mut batch = host.batch();
        for link in &links {
            batch.remove_link(link.index);
        }
        for (_, error) in batch.commit_all().map_err(failed())?.failures {
            cleanup.step("remove a link", Err(failed()(error)));
        }
    }
    let told = |link: Link| format!("{} ({})", link.name, link.alias.unwrap_or_default());
    cleanup.finish()?;
    Ok(links
        .into_iter()
        .map(told)
        .map(Found::collectable)
        .collect())
});

fn is_ifb(link: &Link) -> bool {
    link.kind == Some(LinkKind::Ifb)
}

/// `None` if nothing tells.
fn is_of(link: &Link, owner: Owner<'_>) -> Option<bool> {
    let alias = link.alias.as_deref()?;
    Some(alias.starts_with(&owner.nft_prefix()))
}

/// Whether the name is taken by the ifb of another interface of the container.
fn is_of_other_interface(host: &Socket, name: &str, owner: Owner<'_>) -> Result<bool, SetupError> {
    let found = host
        .find_link(name)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    Ok(found.is_some_and(|link| is_ifb(&link) && is_of(&link, owner) == Some(false)))
}
