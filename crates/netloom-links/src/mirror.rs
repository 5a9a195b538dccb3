//! Copies of what passes an interface, sent by another.

use netloom_kernel::rtnl::tc::{Action, Classifier, Discipline, FilterSpec, Handle, QdiscSpec};

use crate::{Error, Place, Result};

/// The preference of our filters for what comes in. Those for what leaves have the next one: of equal
/// ones the kernel lists both as either.
const PRIORITY: u16 = 0x6e6c;

/// Which packets are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Those that come in.
    Ingress,
    /// Those that leave.
    Egress,
    /// All.
    Both,
}

impl Direction {
    fn parents(self) -> &'static [Handle] {
        match self {
            Self::Ingress => &[Handle::COMING_IN],
            Self::Egress => &[Handle::LEAVING],
            Self::Both => &[Handle::COMING_IN, Handle::LEAVING],
        }
    }
}

/// Copies of the packets of one interface that another sends, both in one namespace.
#[derive(Debug, Clone)]
pub struct Mirror<'p> {
    /// Where both are.
    pub place: &'p Place,
    /// The name of the interface whose packets are copied.
    pub from: String,
    /// The name of the interface that sends the copies.
    pub to: String,
    /// Which packets.
    pub direction: Direction,
}

impl Mirror<'_> {
    /// Copies from now on. A mirror of the interface that is there already is replaced; filters of
    /// others stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] if an interface is not there, if it is one and the same, or if the copies
    /// would come back.
    pub fn add(&self) -> Result<()> {
        let (from, to) = (self.index(&self.from)?, self.index(&self.to)?);
        if from == to {
            let words = format!("\"{}\" cannot be mirrored to itself", self.from);
            return Err(Error::invalid(words));
        }
        let socket = self.place.socket();
        for parent in Direction::Both.parents() {
            let back = |filter: &FilterSpec| filter.actions.contains(&Action::Mirror(from));
            if has_clsact(self.place, to)? && socket.list_filters(to, *parent)?.iter().any(back) {
                return Err(Error::invalid(format!(
                    "\"{}\" is mirrored to \"{}\" already; copies would go round",
                    self.to, self.from
                )));
            }
        }
        remove_from(self.place, from, false)?;
        if !has_clsact(self.place, from)? {
            socket.add_qdisc(&QdiscSpec {
                link: from,
                parent: Handle::INGRESS,
                handle: Handle::OF_INGRESS,
                discipline: Discipline::Clsact,
            })?;
        }
        for parent in self.direction.parents() {
            let mut filter = ours(from, *parent);
            filter.actions = vec![Action::Mirror(to)];
            socket.add_filter(&filter)?;
        }
        Ok(())
    }

    /// Stops copying. `false` if nothing was copied. Filters of others stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the interface is not there.
    pub fn remove(place: &Place, from: &str) -> Result<bool> {
        let Some(link) = place.socket().find_link(from)? else {
            return Ok(false);
        };
        remove_from(place, link.index, true)
    }

    /// Where the packets of an interface are copied to: each direction, and the name of the other
    /// interface, `None` for one that is gone.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list(place: &Place, from: u32) -> Result<Vec<(Direction, Option<String>)>> {
        let mut found = Vec::new();
        if !has_clsact(place, from)? {
            return Ok(found);
        }
        let ends = [
            (Direction::Ingress, Handle::COMING_IN),
            (Direction::Egress, Handle::LEAVING),
        ];
        for (direction, parent) in ends {
            let mut filters = place.socket().list_filters(from, parent)?;
            filters.retain(|filter| filter.priority == priority(parent));
            for action in filters.iter().flat_map(|filter| &filter.actions) {
                if let Action::Mirror(to) = action {
                    let to = place.socket().find_link(*to)?;
                    found.push((direction, to.map(|link| link.name)));
                }
            }
        }
        Ok(found)
    }

    fn index(&self, name: &str) -> Result<u32> {
        match self.place.socket().find_link(name)? {
            Some(link) => Ok(link.index),
            None => Err(Error::invalid(format!(
                "{} has no interface \"{name}\"",
                self.place
            ))),
        }
    }
}

fn priority(parent: Handle) -> u16 {
    PRIORITY + u16::from(parent == Handle::LEAVING)
}

/// A filter of ours for every packet.
fn ours(link: u32, parent: Handle) -> FilterSpec {
    FilterSpec {
        link,
        parent,
        priority: priority(parent),
        protocol: FilterSpec::ALL,
        classifier: Classifier::U32(Vec::new()),
        class: None,
        actions: Vec::new(),
    }
}

fn has_clsact(place: &Place, link: u32) -> Result<bool> {
    let found = place.socket().find_qdisc(link, Handle::INGRESS)?;
    match found.map(|found| found.discipline) {
        None => Ok(false),
        Some(Discipline::Clsact) => Ok(true),
        Some(other) => Err(Error::invalid(format!(
            "the interface has the queueing discipline {} for what comes in; a mirror needs clsact in \
             its place",
            other.name()
        ))),
    }
}

/// Removes our filters, and then what held them if nobody else has any there.
fn remove_from(place: &Place, link: u32, and_clsact: bool) -> Result<bool> {
    let socket = place.socket();
    if !has_clsact(place, link)? {
        return Ok(false);
    }
    let (mut removed, mut others) = (false, false);
    let is_ours = |filter: &FilterSpec| (PRIORITY..=PRIORITY + 1).contains(&filter.priority);
    for parent in Direction::Both.parents() {
        let filters = socket.list_filters(link, *parent)?;
        others |= filters.iter().any(|filter| !is_ours(filter));
        if filters.iter().any(is_ours) {
            removed |= socket.remove_filter(&ours(link, *parent))?;
        }
    }
    if removed && !others && and_clsact {
        socket.remove_qdisc(link, Handle::INGRESS)?;
    }
    Ok(removed)
}
