//! Which attachments live: what their namespaces tell.

mod inhabited;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;

use netloom_kernel::netns::{Netns, NetnsId, OpenError};
use netloom_kernel::rtnl::Socket;
use netloom_plugin::host::{Claimant, ClaimedAddress};
use netloom_plugin::{Plugin, Survey, of_conf};
use netloom_plugins::claimant;
use netloom_plugins::identity;
use netloom_plugins::record;
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::{CachedAttachment, Cni, Life, RuntimeConf};
use netloom_spec::{AddResult, Attachment, Error, NetworkName, PluginConf, code};

use inhabited::Inhabited;

/// Where only the container is known, and its interface cannot be found: GC tells containers apart then.
const USUAL_INTERFACE: &str = "eth0";

/// What the path of an attachment's namespace leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing, or no network namespace.
    NoNetns,
    /// The host's own namespace.
    Host,
    /// A namespace with the attachment's link, or where that cannot be told.
    Own,
    /// A namespace without a link of that name.
    NoLink,
    /// A namespace with another's link of that name.
    Stranger,
}

/// Judges attachments by the namespaces they were added to and, where those do not tell, by who has
/// their addresses.
pub(super) struct Judge {
    cni: Cni,
    /// By the path of their namespace.
    cached: HashMap<String, Vec<CachedAttachment>>,
    /// Which addresses living namespaces have that no living cached attachment accounts for. Found
    /// out when somebody asks: most hosts have nobody who is in doubt.
    inhabited: RefCell<Option<Rc<Inhabited>>>,
}

impl Judge {
    pub(super) fn new(cni: &Cni, cached: &[CachedAttachment]) -> Self {
        let mut by_path: HashMap<String, Vec<CachedAttachment>> = HashMap::new();
        for it in cached {
            by_path
                .entry(it.netns.clone())
                .or_default()
                .push(it.clone());
        }
        Self {
            cni: cni.clone(),
            cached: by_path,
            inhabited: RefCell::default(),
        }
    }

    fn life_at_its_path(&self, it: &CachedAttachment) -> Life {
        match self.look(it) {
            Seen::NoNetns => Life::Gone,
            Seen::Host | Seen::Stranger => Life::NetnsReused,
            Seen::NoLink if self.another_is_at_home(it) => Life::NetnsReused,
            Seen::Own | Seen::NoLink => Life::Living,
        }
    }

    /// Whether somebody who lives has one of the addresses; also when that cannot be found out.
    pub(super) fn is_inhabited(&self, addresses: &[IpAddr]) -> bool {
        self.inhabited().map_or(true, |it| it.has_any(addresses))
    }

    fn inhabited(&self) -> Result<Rc<Inhabited>, Error> {
        if let Some(known) = &*self.inhabited.borrow() {
            return Ok(known.clone());
        }
        let mut inhabited = Inhabited::look()?;
        for it in self.cached.values().flatten() {
            if self.life_at_its_path(it) == Life::Living {
                inhabited.account(&it.netns, &self.addresses(it));
            }
        }
        let inhabited = Rc::new(inhabited);
        *self.inhabited.borrow_mut() = Some(inhabited.clone());
        Ok(inhabited)
    }

    /// Whether a record says that it lives; also when that cannot be found out.
    fn is_remembered(&self, it: &CachedAttachment) -> bool {
        record::lives(&it.network, &attachment(it), &|id| self.path_of(id)).unwrap_or(true)
    }

    fn path_of(&self, namespace: NetnsId) -> Result<Option<PathBuf>, Error> {
        Ok(self.inhabited()?.path_of(namespace))
    }

    /// The whole name of one who lives.
    fn named(&self, claimed: ClaimedAddress) -> Result<Attachment, Error> {
        let address = claimed.address;
        match claimed.claimant {
            Claimant::Attachment(attachment) => Ok(attachment),
            Claimant::Container(container_id) => Ok(Attachment {
                container_id,
                if_name: (self.inhabited()?.link_with(address))
                    .unwrap_or_else(|| USUAL_INTERFACE.to_owned()),
            }),
            Claimant::Cut(comment) => Err(Error::new(
                code::TRY_AGAIN_LATER,
                format!(
                    "{address} is of a pod that lives, but nf_tables tells only the beginning of its name, \
                     so the plugins cannot be told to keep what it has: {comment:?}; GC with `--keep \
                     CONTAINER/INTERFACE`, or once it is deleted"
                ),
            )),
        }
    }

    /// The addresses that it was given when it was added.
    fn addresses(&self, it: &CachedAttachment) -> Vec<IpAddr> {
        let made = self.result(it).unwrap_or_default();
        made.ips.iter().map(|ip| ip.address.addr()).collect()
    }

    /// Whether the namespace at the path has the link of another container.
    fn another_is_at_home(&self, it: &CachedAttachment) -> bool {
        self.cached.get(&it.netns).is_some_and(|at_path| {
            at_path
                .iter()
                .any(|other| other.container_id != it.container_id && self.look(other) == Seen::Own)
        })
    }

    fn look(&self, it: &CachedAttachment) -> Seen {
        if it.netns.is_empty() {
            return Seen::Own;
        }
        let netns = match Netns::open(&it.netns) {
            Ok(netns) => netns,
            Err(OpenError::NotFound { .. } | OpenError::NotANetns { .. }) => return Seen::NoNetns,
            Err(OpenError::Io(_)) => return Seen::Own,
        };
        let is_host = Netns::current().and_then(|own| own.is_same(&netns));
        if is_host.unwrap_or(false) {
            return Seen::Host;
        }
        // What the host remembers counts more than what the pod shows.
        if identity::is_where_it_was(&it.network, &it.container_id, &it.if_name) {
            return Seen::Own;
        }
        look_inside(&netns, it, self.result(it).as_ref()).unwrap_or(Seen::Own)
    }

    fn result(&self, it: &CachedAttachment) -> Option<AddResult> {
        let runtime = RuntimeConf::new(&it.container_id, &it.netns, &it.if_name);
        self.cni.cached_result(&it.list()?, &runtime).ok()?
    }
}

impl netloom_runtime::Judge for Judge {
    /// An attachment is dead only if that is certain: what cannot be looked at lives, and so does who
    /// has its address in a namespace whose path is gone.
    fn life(&self, it: &CachedAttachment) -> Life {
        match self.life_at_its_path(it) {
            Life::Gone | Life::NetnsReused
                if self.is_inhabited(&self.addresses(it)) || self.is_remembered(it) =>
            {
                Life::Living
            }
            life => life,
        }
    }

    /// Whoever added them: of whom a record tells, and for whom a reservation, a port or a rule speaks and
    /// an address in a living namespace.
    fn beside(&self, network: &str, plugins: &[PluginConf]) -> Result<Vec<Attachment>, Error> {
        let Ok(network) = NetworkName::new(network) else {
            return Ok(Vec::new());
        };
        // The question comes first, whenever GC is planned or done: what was seen before may have changed.
        self.inhabited.take();
        let living = self.cached.values().flatten();
        let living = living.filter(|it| it.network == network.as_str());
        let known: Vec<_> = living
            .filter(|it| self.life_at_its_path(it) == Life::Living)
            .map(attachment)
            .collect();
        let mut beside = record::living(network.as_str(), &|id| self.path_of(id))?;
        beside.retain(|it| !known.contains(it));
        let survey = Survey {
            registry: PLUGINS,
            network: &network,
            plugins,
        };
        let mut claims = Vec::new();
        for (plugin, conf) in survey.configured() {
            claims.extend(plugin.claims(&conf, &network)?);
        }
        for claimed in claims {
            let is_named = |it: &Attachment| claimant::is(&claimed.claimant, network.as_str(), it);
            let is_known = known.iter().chain(&beside).any(is_named);
            if !is_known && self.inhabited()?.has_any(&[claimed.address]) {
                beside.push(self.named(claimed)?);
            }
        }
        Ok(beside)
    }
}

fn attachment(cached: &CachedAttachment) -> Attachment {
    Attachment {
        container_id: cached.container_id.clone(),
        if_name: cached.if_name.clone(),
    }
}

fn look_inside(
    netns: &Netns,
    it: &CachedAttachment,
    made: Option<&AddResult>,
) -> netloom_kernel::Result<Seen> {
    let inside = Socket::open_in(netns)?;
    let Some(link) = inside.find_link(&it.if_name)? else {
        return Ok(Seen::NoLink);
    };
    let id = &it.container_id;
    let may_live = identity::may_live(&inside, &link, id, made, is_lent(it))?;
    Ok(if may_live { Seen::Own } else { Seen::Stranger })
}

/// Whether the link may be a device of the host, which is the same for every pod that it is lent
/// to.
fn is_lent(it: &CachedAttachment) -> bool {
    it.list().is_some_and(|list| {
        let mut plugins = list.plugins.iter();
        plugins.any(|conf| of_conf(PLUGINS, conf).any(Plugin::lends_devices))
    })
}
