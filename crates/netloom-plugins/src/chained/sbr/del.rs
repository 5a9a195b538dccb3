//! DEL: from what is found in the pod.

use super::moves::{Moves, OWN, Restore, is_hint, was_in_main};
use super::plan::{Tables, sources};
use super::pod::{FIRST_TABLE, find_link, has_default, routes, source_of};
use crate::wiring::SetupError;
use crate::wiring::identity::may_be_own;
use crate::wiring::record;
use crate::wiring::sandbox::{self, LockedPod};
use crate::wiring::tables::{self, FAMILIES};
use netloom_kernel::rtnl::{Family, Link, Route, RouteSpec, Rule, Socket, table};
use netloom_plugin::DelRequest;
use netloom_spec::{AddResult, Error, PluginConf};
use std::net::IpAddr;

/// Removes the rules of the interface's addresses and gives the main table its routes back, for
/// those who still have to speak through the link, as DHCP to release a lease.
///
/// With the namespace all of it is gone already.
pub(super) fn del(request: &DelRequest<'_>) -> Result<(), Error> {
    if record::lives_elsewhere(request) {
        return Ok(());
    }
    let made = request.prev_result();
    let Some(netns) = sandbox::of_attachment(request, made.as_ref())? else {
        return Ok(());
    };
    let name = request.if_name.as_str();
    let pod = LockedPod::enter(netns, request)?;
    let wanted = wanted_table(request.conf);
    let present = tables::rules(&pod.socket)?;
    let link = find_link(&pod.socket, name)?;
    let mut own = own_addresses(made.as_ref(), name);
    let mut moves = Moves::default();
    match &link {
        Some(link) => {
            // The namespace may be another pod's by now.
            let is_own = |made| may_be_own(&pod.socket, link, request.container_id.as_str(), made);
            let is_own = made.as_ref().map_or(Ok(true), is_own);
            if !is_own.map_err(SetupError::kernel(format!("look at {name:?}")))? {
                return Ok(());
            }
            own.extend(addresses(&pod.socket, Some(link))?);
            moves.rules = chosen(&present, wanted, |ip| own.contains(&ip));
            if wanted.is_none() {
                give_back(
                    &pod.socket,
                    link,
                    &present,
                    hints_wanted(request.conf),
                    &mut moves,
                )?;
            }
        }
        None if made.is_some() => moves.rules = chosen(&present, wanted, |ip| own.contains(&ip)),
        None => moves.rules = orphans(&pod.socket, &present, wanted)?,
    }
    Ok(moves.take_back(&pod.socket, Restore::IfPossible)?)
}

/// `table`; one that cannot be read was none that ADD accepted.
fn wanted_table(conf: &PluginConf) -> Option<u32> {
    let number = conf.get("table")?.as_u64()?;
    u32::try_from(number).ok()
}

fn own_addresses(made: Option<&AddResult>, name: &str) -> Vec<IpAddr> {
    let sources = made.map(|made| sources(made, name, &Tables::default()));
    sources.iter().flatten().map(|source| source.ip()).collect()
}

/// The addresses of one link, or of all.
fn addresses(socket: &Socket, link: Option<&Link>) -> Result<Vec<IpAddr>, SetupError> {
    let listed = match link {
        Some(link) => socket.list_addresses(link.index),
        None => socket.list_all_addresses(),
    };
    let listed = listed.map_err(SetupError::kernel("list the addresses in the container"))?;
    Ok(listed.iter().map(|found| found.address.addr()).collect())
}

fn chosen(present: &[Rule], wanted: Option<u32>, is_own: impl Fn(IpAddr) -> bool) -> Vec<Rule> {
    present
        .iter()
        .filter(|rule| source_of(rule).is_some_and(&is_own))
        .filter(|rule| wanted.is_none_or(|table| rule.table == table))
        .cloned()
        .collect()
}

/// The link's routes in the tables of these rules go back to the main table; a default route not,
/// if there is another: it would share the traffic of an interface that stays.
fn give_back(
    socket: &Socket,
    link: &Link,
    present: &[Rule],
    hinted: bool,
    moves: &mut Moves,
) -> Result<(), SetupError> {
    let mut numbers: Vec<u32> = moves.rules.iter().map(|rule| rule.table).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let others: Vec<u32> = present
        .iter()
        .filter(|rule| !moves.rules.contains(rule))
        .map(|rule| rule.table)
        .collect();
    numbers.retain(|number| {
        *number >= FIRST_TABLE && !tables::is_reserved(*number) && !others.contains(number)
    });
    let mut moved = Vec::new();
    for number in numbers {
        // Of both families: the reference copies some routes to the other family's table.
        moved.extend(routes(socket, &FAMILIES, link.index, number)?);
    }
    moves.into = moved.iter().map(RouteSpec::of).collect();
    for family in FAMILIES {
        let of_family = |route: &&Route| Family::of(route.dst.addr()) == family;
        let back: Vec<&Route> = moved
            .iter()
            .filter(of_family)
            .filter(|route| was_in_main(route))
            .collect();
        let contested = back.iter().any(|route| route.is_default()) && has_default(socket, family)?;
        let back = back.iter().filter(|r| !(contested && r.is_default()));
        let back = back.map(|route| RouteSpec::of(route).table(table::MAIN));
        moves.out.extend(back);
    }
    if hinted {
        let main = routes(socket, &FAMILIES, link.index, table::MAIN)?;
        let hints = main.iter().filter(|route| is_hint(route, &moved));
        moves.hints = hints.map(RouteSpec::of).collect();
    }
    Ok(())
}

/// `addSourceHints`, unless it is off or absent: what cannot be read means more to remove.
fn hints_wanted(conf: &PluginConf) -> bool {
    let value = conf.get("addSourceHints");
    value.is_some_and(|value| *value != false && !value.is_null())
}

/// Without the link and without a result nothing tells the attachment's addresses. What can go is
/// a rule of ours for an address that no link has, to a table without routes.
fn orphans(
    socket: &Socket,
    present: &[Rule],
    wanted: Option<u32>,
) -> Result<Vec<Rule>, SetupError> {
    let has = addresses(socket, None)?;
    let mut orphans = chosen(present, wanted, |ip| !has.contains(&ip));
    orphans.retain(|rule| rule.protocol == OWN);
    if wanted.is_some() {
        return Ok(orphans);
    }
    let mut empty = Vec::new();
    for rule in orphans {
        if rule.table >= FIRST_TABLE && tables::is_empty(socket, rule.table)? {
            empty.push(rule);
        }
    }
    Ok(empty)
}
