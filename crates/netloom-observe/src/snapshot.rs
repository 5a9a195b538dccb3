//! What there is at one moment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use netloom_kernel::Result;

use crate::describe::Told;
use crate::{Kind, Object, Place, files, firewall, network, sysctl};

/// What there is in some network namespaces and below some directories.
///
/// What changes by itself is left out: indices, counters, carrier, link-local IPv6 addresses, routes
/// that follow from addresses, learned neighbours, and queueing disciplines of the kernel's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) objects: BTreeMap<Object, String>,
}

impl Snapshot {
    /// Looks at each place, and at the files below the directories.
    ///
    /// # Errors
    /// If a namespace cannot be entered, or the kernel refuses to tell. A directory that does not
    /// exist holds no files.
    pub fn take(places: &[Place], directories: &[PathBuf]) -> Result<Self> {
        let mut snapshot = Self::default();
        for place in places {
            let found = place.run(|| {
                let mut found = network::observe()?;
                found.extend(firewall::observe()?);
                found.extend(sysctl::observe()?);
                Ok(found)
            })?;
            for told in found {
                snapshot.insert(place.name(), told);
            }
        }
        let place = places.first().map(Place::name).unwrap_or_default();
        for told in files::observe(directories) {
            snapshot.insert(place, told);
        }
        Ok(snapshot)
    }

    /// Every object with its details, sorted by place, kind and name.
    pub fn objects(&self) -> impl Iterator<Item = (&Object, &str)> {
        self.objects
            .iter()
            .map(|(object, details)| (object, details.as_str()))
    }

    /// Whether the object was there.
    #[must_use]
    pub fn has(&self, object: &Object) -> bool {
        self.objects.contains_key(object)
    }

    /// Of objects that are equal in all that is told, each counts: a chain may have a rule twice.
    fn insert(&mut self, place: &str, told: Told) {
        let mut object = Object {
            place: place.to_owned(),
            kind: told.kind,
            name: told.name,
        };
        let may_repeat = matches!(object.kind, Kind::ChainRule | Kind::TrafficControl);
        let name = object.name.clone();
        let mut number = 1;
        while may_repeat && self.objects.contains_key(&object) {
            number += 1;
            object.name = format!("{name} ({number})");
        }
        self.objects.insert(object, told.details);
    }
}
