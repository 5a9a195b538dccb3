//! One round: look, compare, change what differs.

use std::net::IpAddr;

use anyhow::Result;
use netloom_cluster::peers::{Tunnels, difference, wanted};
use netloom_kernel::rtnl::{RouteKind, Socket};

use super::relevance::Relevant;
use super::{Desired, Report, apply, devices, look, masquerade};
use crate::cli::UplinkArgs;
use crate::uplink;

/// What came of it, and what is worth another round.
pub(super) fn run(
    socket: &Socket,
    uplink: &UplinkArgs,
    desired: &Desired,
) -> Result<(Report, Relevant)> {
    let uplink = uplink::find(socket, uplink)?;
    let made = devices::ensure(socket, &uplink, desired)?;
    let on_link = |ip| direct(socket, ip, &made.tunnels);
    let wanted = wanted(
        &desired.peers,
        &desired.config.backend,
        &made.tunnels,
        on_link,
    );
    let seen = look::look(socket, &made.tunnels, &desired.config)?;
    let (mut changes, foreign) = difference(&wanted, &seen);
    changes.retain(|change| desired.complete || !change.removes());
    let mut errors = apply::apply(socket, &changes);
    let masqueraded = masquerade::ensure(desired);
    let masqueraded = masqueraded.unwrap_or_else(|error| {
        errors.push(format!("{error:#}"));
        0
    });
    let mut devices: Vec<u32> = wanted.routes.values().map(|route| route.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let relevant = Relevant {
        uplink: uplink.index,
        tunnels: made.names,
        networks: desired.config.pools().map(|pool| pool.network).collect(),
        devices,
    };
    let unreachable = wanted.unreachable.iter();
    let unreachable = unreachable.map(|(key, why)| format!("{key}: {why}"));
    let report = Report {
        uplink,
        mtu: made.mtu,
        routes: wanted
            .routes
            .len()
            .saturating_sub(foreign.len() + errors.len()),
        changes: changes.len() + made.changes + masqueraded,
        unreachable: unreachable
            .chain(foreign.iter().map(ToString::to_string))
            .collect(),
        errors,
    };
    Ok((report, relevant))
}

/// The link that an address is on, if no gateway is needed to reach it. What the routing policy says of
/// the address counts, as for a packet to it.
fn direct(socket: &Socket, ip: IpAddr, tunnels: &Tunnels) -> Option<u32> {
    let route = socket.match_route(ip).ok()?;
    let device = route.device?;
    let on_link = route.gateway.is_none() && route.kind == RouteKind::Unicast;
    (on_link && !tunnels.devices().any(|tunnel| tunnel == device)).then_some(device)
}
