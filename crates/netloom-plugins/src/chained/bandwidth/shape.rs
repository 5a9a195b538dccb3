//! The objects of traffic control that make a limit, for ADD to add and CHECK to find.

use super::plan::{Limit, Subnets};
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use ipnet::IpNet;
use netloom_kernel::rtnl::tc::{
    Action, ClassSpec, Classifier, Discipline, FilterSpec, Handle, Match, QdiscSpec, Tbf, ticks,
};
use netloom_kernel::rtnl::{Batch, Link, Socket};

/// The discipline at the root.
pub(super) const ROOT: Handle = Handle::new(1, 0);
/// What the kernel tells as the index of a link that is gone.
pub(super) const NOWHERE: u32 = 0;
/// The class that is limited, and the one that is not.
const SHAPED: u16 = 0x30;
const UNSHAPED: u16 = 1;
/// In bytes per second.
const NO_LIMIT: u64 = 100_000_000_000;
/// In microseconds; any does at that rate.
const NO_LIMIT_BUFFER: u64 = 1000;
/// In bytes: more than any packet has.
const QUANTUM: u32 = 100_000;
/// In packets. An ifb has no length of its own to go by.
const UNSHAPED_QUEUE: u32 = 1000;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Qdisc(QdiscSpec),
    Class(ClassSpec),
    Filter(FilterSpec),
}

/// In which address of a packet its other end is: the container is on the one side of a link.
#[derive(Debug, Clone, Copy)]
pub(super) enum OtherEnd {
    Source,
    Destination,
}

/// What limits packets that leave by a link.
pub(super) fn limit(link: u32, bucket: Tbf, subnets: &Subnets, end: OtherEnd) -> Vec<Piece> {
    let (nets, default_class, class_of_nets) = match subnets {
        Subnets::All => {
            return vec![qdisc(link, Handle::ROOT, ROOT, Discipline::Tbf(bucket))];
        }
        Subnets::Except(nets) => (nets, SHAPED, UNSHAPED),
        Subnets::Only(nets) => (nets, UNSHAPED, SHAPED),
    };
    let class = |minor: u16, rate: u64, buffer: u32| {
        Piece::Class(ClassSpec {
            link,
            parent: ROOT,
            handle: Handle::new(1, minor),
            rate,
            buffer,
            quantum: QUANTUM,
        })
    };
    let queue = |minor: u16, discipline: Discipline| {
        let (class, own) = (Handle::new(1, minor), Handle::new(0x100 + minor, 0));
        qdisc(link, class, own, discipline)
    };
    let mut pieces = vec![
        qdisc(link, Handle::ROOT, ROOT, Discipline::Htb { default_class }),
        class(SHAPED, bucket.rate, bucket.buffer),
        class(UNSHAPED, NO_LIMIT, ticks(NO_LIMIT_BUFFER)),
        queue(SHAPED, Discipline::Bfifo(bucket.limit)),
        queue(UNSHAPED, Discipline::Pfifo(UNSHAPED_QUEUE)),
    ];
    let to_class = Handle::new(1, class_of_nets);
    pieces.extend(nets.iter().map(|net| subnet(link, *net, end, to_class)));
    pieces
}

/// Finds a limit on a link, with any numbers that an ADD ever gave it; fails with the difference from
/// those that it should have today.
pub(super) fn check_limit(
    host: &Socket,
    link: &Link,
    wanted: Limit,
    subnets: &Subnets,
    end: OtherEnd,
) -> Result<(), SetupError> {
    let find = |bucket| {
        let pieces = limit(link.index, bucket, subnets, end);
        pieces.iter().try_for_each(|piece| piece.check(host, link))
    };
    let mut failures = Vec::new();
    for bucket in wanted.buckets() {
        match find(bucket) {
            Ok(()) => return Ok(()),
            Err(failure) => failures.push(failure),
        }
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// What sends to another link all that comes in by one.
pub(super) fn redirect(link: u32, to: u32) -> Vec<Piece> {
    let ingress = qdisc(
        link,
        Handle::INGRESS,
        Handle::OF_INGRESS,
        Discipline::Ingress,
    );
    let filter = Piece::Filter(FilterSpec {
        link,
        parent: Handle::OF_INGRESS,
        priority: 1,
        protocol: FilterSpec::ALL,
        classifier: Classifier::U32(Vec::new()),
        class: Some(Handle::new(1, 1)),
        actions: vec![Action::Redirect(to)],
    });
    vec![ingress, filter]
}

/// Whether all that comes in by a link goes to one of these.
pub(super) fn is_redirected(host: &Socket, link: u32, to: &[u32]) -> netloom_kernel::Result<bool> {
    if to.is_empty() {
        return Ok(false);
    }
    let is_to = |action: &Action| matches!(action, Action::Redirect(link) if to.contains(link));
    let every = [Classifier::U32(Vec::new()), Classifier::Matchall];
    let filters = host.list_filters(link, Handle::OF_INGRESS)?;
    Ok(filters.iter().any(|filter| {
        filter.protocol == FilterSpec::ALL
            && every.contains(&filter.classifier)
            && filter.actions.iter().any(is_to)
    }))
}

fn qdisc(link: u32, parent: Handle, handle: Handle, discipline: Discipline) -> Piece {
    Piece::Qdisc(QdiscSpec {
        link,
        parent,
        handle,
        discipline,
    })
}

/// All filters of a priority are of one family.
fn subnet(link: u32, net: IpNet, end: OtherEnd, class: Handle) -> Piece {
    let (priority, protocol) = match net {
        IpNet::V4(_) => (16, FilterSpec::IPV4),
        IpNet::V6(_) => (15, FilterSpec::IPV6),
    };
    let matches = match end {
        OtherEnd::Source => Match::source(net),
        OtherEnd::Destination => Match::destination(net),
    };
    Piece::Filter(FilterSpec {
        link,
        parent: ROOT,
        priority,
        protocol,
        classifier: Classifier::U32(matches),
        class: Some(class),
        actions: Vec::new(),
    })
}

impl Piece {
    pub(super) fn add_to(&self, batch: &mut Batch<'_>) {
        match self {
            Self::Qdisc(spec) => batch.add_qdisc(spec),
            Self::Class(spec) => batch.add_class(spec),
            Self::Filter(spec) => batch.add_filter(spec),
        };
    }

    /// Finds it on a link as it should be.
    pub(super) fn check(&self, host: &Socket, link: &Link) -> Result<(), SetupError> {
        let name = &link.name;
        let look = || SetupError::kernel(format!("look at the shaping of {name:?}"));
        match self {
            Self::Qdisc(wanted) => {
                let found = host
                    .find_qdisc(wanted.link, wanted.parent)
                    .map_err(look())?;
                let kind = wanted.discipline.name();
                let found = found
                    .ok_or_else(|| mismatch(format!("Failed to find qdisc {kind} of {name}")))?;
                same_discipline(name, &wanted.discipline, &found.discipline)
            }
            Self::Class(wanted) => {
                let found = host
                    .find_class(wanted.link, wanted.handle)
                    .map_err(look())?;
                let handle = wanted.handle;
                let found = found
                    .ok_or_else(|| mismatch(format!("Failed to find class {handle} of {name}")))?;
                let place = format!("class {handle} of {name}");
                same("Rate", &place, found.rate, wanted.rate)?;
                same("Buffer", &place, found.buffer, wanted.buffer)
            }
            Self::Filter(wanted) => {
                let found = host
                    .list_filters(wanted.link, wanted.parent)
                    .map_err(look())?;
                if found.contains(wanted) {
                    return Ok(());
                }
                Err(mismatch(format!(
                    "Failed to find filter of {name} for {:?} with class {}",
                    wanted.classifier,
                    wanted.class.unwrap_or_default()
                )))
            }
        }
    }
}

fn same_discipline(link: &str, wanted: &Discipline, found: &Discipline) -> Result<(), SetupError> {
    match (wanted, found) {
        (Discipline::Tbf(wanted), Discipline::Tbf(found)) => {
            same("Rate", link, found.rate, wanted.rate)?;
            same("Limit", link, found.limit, wanted.limit)?;
            same("Buffer", link, found.buffer, wanted.buffer)
        }
        (Discipline::Bfifo(wanted), Discipline::Bfifo(found)) => same("Limit", link, found, wanted),
        (
            Discipline::Htb {
                default_class: wanted,
            },
            Discipline::Htb {
                default_class: found,
            },
        ) => same("Default class", link, found, wanted),
        (wanted, found) if wanted == found => Ok(()),
        (wanted, found) => Err(mismatch(format!(
            "{link} has the qdisc {}, not {}",
            found.name(),
            wanted.name()
        ))),
    }
}

fn same<T: PartialEq + std::fmt::Display>(
    what: &str,
    place: &str,
    found: T,
    wanted: T,
) -> Result<(), SetupError> {
    if found == wanted {
        return Ok(());
    }
    Err(mismatch(format!(
        "{what} doesn't match: that of {place} is {found}, not {wanted}"
    )))
}
