//! What plugins own that can outlive its attachment, and what of it is nobody's any more.
//!
//! A plugin tells each kind of object once, as an [`Owned`]: one function finds what belongs to no
//! valid attachment, and removes it if it is asked to. GC, `netloom doctor` and `netloom gc --dry-run`
//! all call that function.

use crate::{Plugin, find};
use netloom_spec::{Attachment, Error, NetworkName, PluginConf, Version};
use std::collections::HashSet;
use std::path::PathBuf;

/// Where to look: a network, as one plugin of it is configured.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The plugin's configuration.
    pub conf: &'a PluginConf,
    /// The network.
    pub network: &'a NetworkName,
    /// The version of the configuration.
    pub version: Version,
    /// The attachments that live, and whose objects stay.
    pub valid: &'a [Attachment],
}

/// What to do about what is found.
#[derive(Clone, Copy)]
pub enum Sweep<'a> {
    /// Nothing.
    Look,
    /// It is removed, as far as it is certain whose it was.
    Remove {
        /// Gets what a person should know, one line at a time.
        warn: &'a dyn Fn(&str),
    },
}

impl Sweep<'_> {
    /// Whether what is found goes.
    #[must_use]
    pub fn removes(self) -> bool {
        matches!(self, Self::Remove { .. })
    }

    /// Tells a person something. Who only looks is told by the orphans.
    pub fn warn(self, message: &str) {
        if let Self::Remove { warn } = self {
            warn(message);
        }
    }
}

/// An object that belongs to no valid attachment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Orphan {
    /// What kind of object it is: `"ifb"`.
    pub kind: &'static str,
    /// The object: its name, and whose it was, as far as it tells.
    pub what: String,
    /// How it is removed.
    pub removal: Removal,
}

/// How an orphan is removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// By GC of its plugin.
    Gc,
    /// By a person, who removes this file: nothing tells whose it is, so GC leaves it.
    File(PathBuf),
    /// By nobody: the file was somebody's reservation, and has to get its content back.
    Restore(PathBuf),
}

/// What a [`Sweep`] found: an [`Orphan`] of whatever kind it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// See [`Orphan::what`].
    pub what: String,
    /// See [`Orphan::removal`].
    pub removal: Removal,
}

impl Found {
    /// What GC removes.
    #[must_use]
    pub fn collectable(what: String) -> Self {
        Self {
            what,
            removal: Removal::Gc,
        }
    }

    /// A file that says nothing, which GC leaves.
    #[must_use]
    pub fn broken(file: PathBuf) -> Self {
        Self {
            what: format!("{} is broken", file.display()),
            removal: Removal::File(file),
        }
    }
}

/// What belongs to none of the valid attachments and, if it is told so, its removal.
pub type Examine = fn(&Scope<'_>, Sweep<'_>) -> Result<Vec<Found>, Error>;

/// A kind of object that a plugin makes for an attachment and that can outlive it.
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    /// Its name, as people read it: `"tuning backup"`.
    pub kind: &'static str,
    /// Finds those of a network that belong to no valid attachment, and removes them if it is told
    /// to. Then it may answer only what it leaves to people.
    pub sweep: Examine,
    /// The same for those that were made before the last reboot, for whoever. Each is told by a
    /// name alone.
    pub of_earlier_boots: Option<Examine>,
    /// Whether the network's name is enough to find them, so that they are found also when the plugin
    /// is not configured any more.
    by_name: bool,
    /// The key in the configuration without which none are made, and nobody misses what cannot be
    /// read.
    key: Option<&'static str>,
}

impl Owned {
    /// A kind of object that bears the name of its network, wherever that is configured.
    #[must_use]
    pub const fn of_network(kind: &'static str, sweep: Examine) -> Self {
        Self {
            kind,
            sweep,
            of_earlier_boots: None,
            by_name: true,
            key: None,
        }
    }

    /// A kind of object whose place is in the plugin's configuration.
    #[must_use]
    pub const fn of_conf(kind: &'static str, sweep: Examine) -> Self {
        Self {
            by_name: false,
            ..Self::of_network(kind, sweep)
        }
    }

    /// The same, made only where the configuration has this key.
    #[must_use]
    pub const fn with_key(self, key: &'static str) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// The same, that can tell what is of before the last reboot: see
    /// [`of_earlier_boots`](Owned::of_earlier_boots).
    #[must_use]
    pub const fn with_earlier_boots(self, examine: Examine) -> Self {
        Self {
            of_earlier_boots: Some(examine),
            ..self
        }
    }

    /// What is found of the kind in one place.
    fn look(&self, scope: &Scope<'_>) -> Result<Vec<Orphan>, Error> {
        let found = (self.sweep)(scope, Sweep::Look)
            .map_err(|error| error.context(format_args!("look for every {}", self.kind)))?;
        let orphan = |found: Found| Orphan {
            kind: self.kind,
            what: found.what,
            removal: found.removal,
        };
        Ok(found.into_iter().map(orphan).collect())
    }
}

/// A network, and who is on it, as a table of plugins sees it.
#[derive(Clone, Copy)]
pub struct Survey<'a> {
    /// All plugins there are.
    pub registry: &'a [&'static dyn Plugin],
    /// The network.
    pub network: &'a NetworkName,
    /// The configurations of its plugins, those of former configurations included.
    pub plugins: &'a [PluginConf],
}

impl<'a> Survey<'a> {
    /// The network's plugins with their configurations, the plugins that they have their addresses
    /// from, and those that they have do their work. A plugin that is not in the table is left out.
    #[must_use]
    pub fn configured(&self) -> Vec<(&'static dyn Plugin, PluginConf)> {
        let mut all = Vec::new();
        for conf in self.plugins {
            all.extend(of_conf(self.registry, conf).map(|plugin| (plugin, conf.clone())));
            let delegates: Vec<_> = of_conf(self.registry, conf)
                .flat_map(|plugin| plugin.delegates(conf, self.network))
                .collect();
            for conf in delegates {
                all.extend(of_conf(self.registry, &conf).map(|plugin| (plugin, conf.clone())));
            }
        }
        all
    }

    /// What the network's plugins would remove by GC, and what they leave to people. What cannot be
    /// read is told in the second list; it does not keep the rest from being looked at.
    #[must_use]
    pub fn orphans(&self, valid: &'a [Attachment]) -> (Vec<Orphan>, Vec<Error>) {
        let (mut orphans, mut errors) = (Vec::new(), Vec::new());
        for (plugin, conf) in self.configured() {
            let (found, failed) = plugin.inventory(&self.scope(&conf, valid));
            add_new(&mut orphans, found);
            // Two plugins may fail at one thing.
            errors.extend(
                failed
                    .into_iter()
                    .filter(|it| !errors.contains(it))
                    .collect::<Vec<_>>(),
            );
        }
        (orphans, errors)
    }

    /// What is in the network's name of plugins that it does not have any more: GC does not ask those.
    /// What cannot be read is missed by nobody.
    #[must_use]
    pub fn orphans_of_others(&self, valid: &'a [Attachment]) -> Vec<Orphan> {
        let configured = self.configured();
        let owned = configured.iter().flat_map(|(plugin, _)| plugin.owned());
        let mut seen: Vec<_> = owned.map(|owned| owned.kind).collect();
        let nothing = PluginConf::default();
        let scope = self.scope(&nothing, valid);
        let mut orphans = Vec::new();
        for owned in self.registry.iter().flat_map(|plugin| plugin.owned()) {
            if owned.by_name && !seen.contains(&owned.kind) {
                seen.push(owned.kind);
                add_new(&mut orphans, owned.look(&scope).unwrap_or_default());
            }
        }
        orphans
    }

    /// What was made before the last reboot, by name, and is there still. It is removed if `sweep`
    /// says so.
    ///
    /// # Errors
    /// When something cannot be read or removed.
    pub fn of_earlier_boots(&self, sweep: Sweep<'_>) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for (plugin, conf) in self.configured() {
            for examine in plugin.owned().iter().filter_map(|it| it.of_earlier_boots) {
                let found = examine(&self.scope(&conf, &[]), sweep)?;
                names.extend(found.into_iter().map(|it| it.what));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn scope<'s>(&self, conf: &'s PluginConf, valid: &'s [Attachment]) -> Scope<'s>
    where
        'a: 's,
    {
        Scope {
            conf,
            network: self.network,
            version: Version::LATEST,
            valid,
        }
    }
}

/// The default of [`Plugin::inventory`].
pub(crate) fn of_plugin(owned: &[Owned], scope: &Scope<'_>) -> (Vec<Orphan>, Vec<Error>) {
    let (mut orphans, mut errors) = (Vec::new(), Vec::new());
    for owned in owned {
        let is_expected = owned.key.is_none_or(|key| scope.conf.get(key).is_some());
        match owned.look(scope) {
            Ok(found) => orphans.extend(found),
            Err(error) if is_expected => errors.push(error),
            Err(_) => {}
        }
    }
    (orphans, errors)
}

/// The plugin of a configuration, and the one that it has its addresses from.
pub fn of_conf(
    registry: &[&'static dyn Plugin],
    conf: &PluginConf,
) -> impl Iterator<Item = &'static dyn Plugin> {
    let ipam = conf.ipam_type().filter(|ipam| *ipam != conf.plugin_type());
    let own = find(registry, conf.plugin_type());
    own.into_iter()
        .chain(ipam.and_then(|ipam| find(registry, ipam)))
}

/// Two plugins may look in one place. What is there several times by one name, as one owner's elements
/// are, is found so often.
fn add_new(orphans: &mut Vec<Orphan>, mut found: Vec<Orphan>) {
    let known: HashSet<&Orphan> = orphans.iter().collect();
    found.retain(|orphan| !known.contains(orphan));
    orphans.append(&mut found);
}
