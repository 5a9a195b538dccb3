//! The verbs that make, change and remove.

use anyhow::{Context, Result, bail, ensure};
use netloom_kernel::rtnl::LinkChange;
use netloom_links::{
    Direction, End, Interface, Link, LinkId, Mirror, Place, Seen, impairment_of, is_mark,
    kernel_name, remove_interface, set_impairment,
};
use netloom_runtime::Cni;

use super::SINGLE;
use super::at::At;
use super::cli::{self, Wanted};
use super::endpoint::{Endpoint, Other, mac, number};
use super::lock::Lock;
use super::places::Places;
use crate::causes;
use crate::configured::cni;
use crate::options::Options;

pub(super) fn add(options: &Options, wanted: &Wanted) -> Result<()> {
    let asked = Asked::parse(wanted)?;
    let places = asked.open(&cni(options))?;
    let link = asked.link(&places);
    let _lock = Lock::of(SINGLE)?;
    match link.apply()? {
        Seen::Absent => say!("made {}", asked.name),
        Seen::AsWanted => say!("{} is as asked already", asked.name),
        Seen::Differs(changes) => say!("changed {}: {}", asked.name, changes.join("; ")),
        Seen::Broken(why) => say!("made {} anew: {}", asked.name, why.join("; ")),
    }
    Ok(())
}

pub(super) fn check(options: &Options, wanted: &Wanted) -> Result<()> {
    let asked = Asked::parse(wanted)?;
    let places = asked.open(&cni(options))?;
    match asked.link(&places).look()? {
        Seen::AsWanted => Ok(()),
        Seen::Absent => bail!("{} is not there", asked.name),
        Seen::Differs(words) | Seen::Broken(words) => bail!("{}: {}", asked.name, words.join("; ")),
    }
}

/// A link as it is asked for.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) end: Endpoint,
    pub(super) other: Other,
}

impl Asked {
    fn parse(wanted: &Wanted) -> Result<Self> {
        let mut end = Endpoint::parse(&wanted.end)?;
        let mut other = Other::parse(&wanted.other)?;
        let mtu = wanted
            .mtu
            .as_deref()
            .map(|mtu| number("mtu", mtu, 68, 65535));
        let mtu = mtu.transpose()?;
        let settle = |interface: &mut Interface| {
            interface.mtu = interface.mtu.or(mtu);
            wanted.impair.put(&mut interface.impairment)
        };
        settle(&mut end.interface)?;
        if let Other::End(other) = &mut other {
            settle(&mut other.interface)?;
        }
        let name = wanted.name.clone();
        Ok(Self {
            name: name.unwrap_or_else(|| default_name(&end, &other)),
            end,
            other,
        })
    }

    pub(super) fn new(end: Endpoint, other: Other) -> Self {
        Self {
            name: default_name(&end, &other),
            end,
            other,
        }
    }

    pub(super) fn open(&self, cni: &Cni) -> Result<Places> {
        let other = match &self.other {
            Other::End(other) => Some(&other.at),
            Other::Outside(_) => None,
        };
        Places::open(cni, std::iter::once(&self.end.at).chain(other))
    }

    pub(super) fn link<'p>(&self, places: &'p Places) -> Link<'p> {
        let id = LinkId::new(SINGLE, self.name.clone());
        let open = |end: &Endpoint| End {
            place: places.get(&end.at),
            interface: end.interface.clone(),
        };
        let near = open(&self.end);
        match &self.other {
            Other::End(other) => Link::cable(id, near, open(other)),
            Other::Outside(by) => Link::outside(id, near, places.get(&At::Host), by.clone()),
        }
    }
}

/// What a link is called: by both ends, or by the only one, so that how it leads outside can change.
fn default_name(end: &Endpoint, other: &Other) -> String {
    match other {
        Other::End(other) => format!("{end}--{other}"),
        Other::Outside(_) => end.to_string(),
    }
}

pub(super) fn del(options: &Options, ends: &[String]) -> Result<()> {
    let ends: Vec<Endpoint> = ends
        .iter()
        .map(|end| Endpoint::parse(end))
        .collect::<Result<_>>()?;
    let cni = cni(options);
    let _lock = Lock::of(SINGLE)?;
    let mut failed = Vec::new();
    for end in &ends {
        match remove(&cni, end) {
            Ok(true) => say!("removed the link of {end}"),
            Ok(false) => note!("netloom: {end} is not there"),
            Err(error) => failed.push(causes::told(&error)),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// Removes the link of an end. What is mirrored to it is mirrored no more.
pub(super) fn remove(cni: &Cni, end: &Endpoint) -> Result<bool> {
    let place = match end.at.open(cni) {
        Ok(place) => place,
        // A namespace that is gone took its links along.
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    stop_mirrors_to(&place, &kernel_name(&end.interface.name))?;
    Ok(remove_interface(&place, &end.interface.name)?)
}

/// Ends the mirrors of a place whose copies leave by an interface, which is to go.
fn stop_mirrors_to(place: &Place, name: &str) -> Result<()> {
    for link in place.socket().list_links()? {
        // Whoever has another discipline there has no mirror of ours.
        let mirrors = Mirror::list(place, link.index).unwrap_or_default();
        if mirrors.iter().any(|(_, to)| to.as_deref() == Some(name)) {
            Mirror::remove(place, &link.name)?;
        }
    }
    Ok(())
}

fn is_gone(error: &anyhow::Error) -> bool {
    use netloom_kernel::netns::OpenError;
    let cause = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<OpenError>());
    matches!(cause, Some(OpenError::NotFound { .. }))
}

/// One of our interfaces, by its end.
pub(super) fn ours(place: &Place, end: &Endpoint) -> Result<netloom_kernel::rtnl::Link> {
    let found = place
        .socket()
        .find_link(&*kernel_name(&end.interface.name))?;
    let found =
        found.with_context(|| format!("{} has no interface \"{}\"", place, end.interface.name))?;
    ensure!(
        found.alternative_names.iter().any(|name| is_mark(name)),
        "{end} is no link of netloom; change it with `ip link`"
    );
    Ok(found)
}

pub(super) fn set(options: &Options, set: &cli::Set) -> Result<()> {
    let end = Endpoint::parse(&set.end)?;
    let nothing = Interface {
        name: end.interface.name.clone(),
        ..Interface::default()
    };
    ensure!(
        end.interface == nothing,
        "{}: say what changes by options: --mtu, --delay …",
        set.end
    );
    let changes_link = set.mtu.is_some() || set.mac.is_some() || set.up || set.down;
    ensure!(
        changes_link || set.reset || set.impair.is_any(),
        "nothing is to change; name --mtu, --mac, --up, --down, --reset, --delay, --jitter, --loss, \
         --duplicate, --corrupt or --rate"
    );
    let place = end.at.open(&cni(options))?;
    let link = ours(&place, &end)?;
    let mut change = LinkChange::new();
    if let Some(mtu) = &set.mtu {
        change = change.mtu(number("mtu", mtu, 68, 65535)?);
    }
    if let Some(text) = &set.mac {
        change = change.mac(mac(text)?);
    }
    if set.up {
        change = change.up();
    }
    if set.down {
        change = change.down();
    }
    let mut impairment = impairment_of(&place, link.index)?;
    if set.reset {
        impairment = Default::default();
    }
    set.impair.put(&mut impairment)?;
    set_impairment(&place, link.index, &impairment)?;
    if changes_link {
        place.socket().set_link(link.index, &change)?;
    }
    Ok(())
}

pub(super) fn mirror(options: &Options, mirror: &cli::Mirror) -> Result<()> {
    let from = Endpoint::parse(&mirror.from)?;
    let place = from.at.open(&cni(options))?;
    if mirror.off {
        if !Mirror::remove(&place, &from.interface.name)? {
            note!("netloom: {from} is not mirrored");
        }
        return Ok(());
    }
    let to = mirror.to.clone().unwrap_or_default();
    let to = match to.contains('/') {
        true => {
            let end = Endpoint::parse(&to)?;
            let other = end.at.open(&cni(options))?;
            ensure!(
                other.id() == place.id(),
                "{end} is in another namespace than {from}; a mirror is of one"
            );
            end.interface.name
        }
        false => to,
    };
    let direction = match (mirror.ingress, mirror.egress) {
        (true, _) => Direction::Ingress,
        (_, true) => Direction::Egress,
        _ => Direction::Both,
    };
    let from = from.interface.name;
    Ok(Mirror {
        place: &place,
        from,
        to,
        direction,
    }
    .add()?)
}
