//! Which attachment the user means, and how it was made.

use anyhow::Result;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_runtime::{CachedAttachment, Cni, RuntimeConf};
use netloom_spec::NetworkConfigList;

use crate::cli::Target;
use crate::configured::find;
use crate::environment;
use crate::options::Options;

/// What ADD is to make, from the command line and the environment alone.
pub(super) fn new(options: &Options, target: &Target) -> Result<RuntimeConf> {
    let netns = environment::absolute_netns(&environment::netns_path(&target.netns))?;
    let id = match &target.container_id {
        Some(id) => id.clone(),
        None => environment::container_id(&netns),
    };
    let mut conf = RuntimeConf::new(id, netns.to_string_lossy(), &options.ifname);
    conf.args = environment::cni_args()?;
    conf.capability_args = environment::capability_args()?;
    Ok(conf)
}

/// An attachment that may be in the cache.
pub(super) struct Attachment {
    pub(super) network: NetworkConfigList,
    pub(super) runtime: RuntimeConf,
    /// Whether it is in the cache.
    pub(super) is_cached: bool,
    /// What else is attached to the namespace.
    pub(super) beside: Vec<CachedAttachment>,
}

impl Attachment {
    /// The attachment that was added, however its namespace is spelled now, with the configuration
    /// and the arguments that it was added with.
    pub(super) fn find(cni: &Cni, options: &Options, target: &Target) -> Result<Self> {
        let mut runtime = new(options, target)?;
        let all = cni.cached_attachments(None)?;
        let is_meant = |it: &&CachedAttachment| {
            it.network == target.network
                && it.if_name == runtime.if_name
                && it.container_id == runtime.container_id
        };
        let exact = all.iter().find(is_meant).cloned();
        let (cached, beside) = match (exact, &target.container_id) {
            (Some(exact), _) => (Some(exact), Vec::new()),
            (None, named) => {
                let mut there = in_same_netns(&all, &runtime.netns);
                let is_own = |it: &CachedAttachment| {
                    named.is_none() && it.network == target.network && it.if_name == runtime.if_name
                };
                let own = there.iter().position(is_own).map(|at| there.remove(at));
                (own, there)
            }
        };
        let network = configuration(options, &target.network, cached.as_ref())?;
        if let Some(cached) = &cached {
            as_added(&mut runtime, cached, target.container_id.is_some());
        }
        Ok(Self {
            network,
            runtime,
            is_cached: cached.is_some(),
            beside,
        })
    }
}

/// Takes from the cache what the user did not say.
fn as_added(runtime: &mut RuntimeConf, cached: &CachedAttachment, is_named: bool) {
    if !is_named {
        runtime.container_id.clone_from(&cached.container_id);
        runtime.netns.clone_from(&cached.netns);
    }
    if runtime.args.is_empty() {
        runtime.args.clone_from(&cached.args);
    }
    if runtime.capability_args.is_empty() {
        runtime.capability_args.clone_from(&cached.capability_args);
    }
}

/// The configuration that the attachment was added with, or else the present one.
fn configuration(
    options: &Options,
    name: &str,
    cached: Option<&CachedAttachment>,
) -> Result<NetworkConfigList> {
    let present = find(options, name);
    let Some(cached) = cached else { return present };
    if matches!(&present, Ok(list) if list.bytes == cached.config) {
        return present;
    }
    match cached.list_as_added(present.as_ref().ok()) {
        Some(list) => {
            let why = match &present {
                Ok(_) => "was changed since ADD".to_owned(),
                Err(error) => format!("cannot be read ({error})"),
            };
            note!("netloom: the configuration of network {name:?} {why}; the one of ADD is used");
            Ok(list)
        }
        None => present,
    }
}

/// The cached attachments of the namespace that the path leads to, by device and inode.
pub(super) fn in_same_netns(all: &[CachedAttachment], path: &str) -> Vec<CachedAttachment> {
    let id_of = |path: &str| Netns::open(path).ok()?.id().ok();
    let Some(wanted) = id_of(path) else {
        return Vec::new();
    };
    all.iter()
        .filter(|it| !it.netns.is_empty() && id_of(&it.netns) == Some(wanted))
        .cloned()
        .collect()
}

/// What is there before ADD, and would go with what a failed ADD leaves. `None` if nothing would.
pub(super) fn before_add(cni: &Cni, network: &str, runtime: &RuntimeConf) -> Option<String> {
    let (id, if_name) = (&runtime.container_id, &runtime.if_name);
    let cached = cni.cached_attachments(Some(id)).unwrap_or_default();
    let is_same = |it: &&CachedAttachment| it.network == network && it.if_name == *if_name;
    if let Some(it) = cached.iter().find(is_same) {
        return Some(format!(
            "container {id} was on network {network:?} as {if_name:?} before, in {:?}",
            it.netns
        ));
    }
    // Where nothing can be opened no ADD succeeds.
    let netns = Netns::open(&runtime.netns).ok()?;
    match Socket::open_in(&netns).and_then(|inside| inside.find_link(if_name)) {
        Ok(None) => None,
        Ok(Some(_)) => Some(format!("{if_name:?} was in {:?} before", runtime.netns)),
        Err(error) => Some(format!(
            "{:?} could not be looked at: {error}",
            runtime.netns
        )),
    }
}
