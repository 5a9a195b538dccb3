//! The pod as it is found: its rules, its tables, its link.

use super::plan::Source;
use crate::wiring::{Fault, lock, routes};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Family, Link, Route, RouteFilter, Rule, RuleAction, Socket, table};
use netloom_spec::Error;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The first table that is taken, as by the reference.
pub(super) const FIRST_TABLE: u32 = 100;
/// How long to wait for another call that works on the same pod. It takes milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// Both.
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A socket in the pod, and a promise that no other sbr looks for a free table there meanwhile:
/// the lock is the reference's, on the namespace itself.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) socket: Socket,
    _lock: OwnedFd,
}

impl Pod {
    pub(super) fn open(netns: &Netns) -> Result<Self, Error> {
        let file = netns.as_fd().try_clone_to_owned();
        let file = file.map_err(|cause| {
            let what = format!("cannot lock {:?}: {cause}", netns.path());
            Error::new(netloom_spec::code::IO, what)
        })?;
        Ok(Self {
            _lock: lock::acquire(file, netns.path(), LOCK_LIMIT)?,
            socket: inside(netns)?,
        })
    }

    /// Tables that no rule leads to and no route is in, one for each of `count`.
    pub(super) fn free_tables(&self, rules: &[Rule], count: usize) -> Result<Vec<u32>, Fault> {
        let mut free = Vec::with_capacity(count);
        let mut candidates = FIRST_TABLE..;
        while free.len() < count
            && let Some(number) = candidates.next()
        {
            let reserved = (table::DEFAULT..=table::LOCAL).contains(&number);
            let referred = rules.iter().any(|rule| rule.table == number);
            if !reserved && !referred && self.is_empty(number)? {
                free.push(number);
            }
        }
        Ok(free)
    }

    /// Whether a table has no routes.
    pub(super) fn is_empty(&self, number: u32) -> Result<bool, Fault> {
        for family in FAMILIES {
            let filter = RouteFilter::main(family).table(number);
            match self.socket.list_routes(&filter) {
                Ok(listed) if !listed.is_empty() => return Ok(false),
                Err(error) if !error.is_unsupported() => {
                    let what = format!("list the routes of table {number}");
                    return Err(Fault::kernel(what)(error));
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Whether the main table has a default route, by whatever link.
    pub(super) fn has_default(&self, family: Family) -> Result<bool, Fault> {
        let listed = self.socket.list_routes(&RouteFilter::main(family));
        let listed = listed.map_err(Fault::kernel("list the routes of the main table"))?;
        Ok(listed.iter().any(Route::is_default))
    }

    /// The routes by a link in a table of these families, those without a next hop first.
    pub(super) fn routes(
        &self,
        families: &[Family],
        link: u32,
        number: u32,
    ) -> Result<Vec<Route>, Fault> {
        let mut found = Vec::new();
        for family in families {
            let listed = routes::by_link(&self.socket, *family, link, number);
            found.extend(listed.map_err(Fault::kernel("list the routes of the link"))?);
        }
        Ok(found)
    }

    pub(super) fn find_link(&self, name: &str) -> Result<Option<Link>, Fault> {
        let found = self.socket.find_link(name);
        found.map_err(Fault::kernel(format!("look up {name:?}")))
    }
}

/// A socket in the pod.
pub(super) fn inside(netns: &Netns) -> Result<Socket, Fault> {
    Socket::open_in(netns).map_err(Fault::kernel("failed to enter the netns"))
}

/// The rules of both families.
pub(super) fn rules(socket: &Socket) -> Result<Vec<Rule>, Fault> {
    let mut rules = Vec::new();
    for family in FAMILIES {
        match socket.list_rules(family) {
            Ok(listed) => rules.extend(listed),
            Err(error) if error.is_unsupported() && family == Family::V6 => {}
            Err(error) => return Err(Fault::kernel("failed to list all rules")(error)),
        }
    }
    Ok(rules)
}

/// The single address whose packets a rule sends to a table, if that is all it does.
pub(super) fn source_of(rule: &Rule) -> Option<IpAddr> {
    let from = rule.from?;
    let plain = rule.to.is_none()
        && rule.iif.is_none()
        && rule.oif.is_none()
        && rule.mark.is_none()
        && !rule.invert
        && !rule.l3mdev;
    let single = from.prefix_len() == from.max_prefix_len();
    (single && plain && rule.action == RuleAction::ToTable).then(|| from.addr())
}

/// The rule that is about an address of the attachment.
pub(super) fn rule_of<'r>(rules: &'r [Rule], source: &Source) -> Option<&'r Rule> {
    rules
        .iter()
        .find(|rule| source_of(rule) == Some(source.ip()))
}
