//! Changes, sent to the kernel in order, many in one system call with one acknowledgement.

use netloom_cluster::peers::{Change, Forwarding, Neighbour, SeenRoute};
use netloom_kernel::rtnl::{self, Batch, NeighbourSpec, RouteSpec, Socket};

use super::PROTOCOL;

/// So many messages are far from what a socket takes at once.
const AT_ONCE: usize = 512;

/// Makes the changes; returns what the kernel refused. The others are made all the same.
pub(super) fn apply(socket: &Socket, changes: &[Change]) -> Vec<String> {
    let mut errors = Vec::new();
    for some in changes.chunks(AT_ONCE) {
        let mut batch = socket.batch();
        for change in some {
            push(&mut batch, change);
        }
        match batch.commit_all() {
            Ok(outcome) => {
                errors.extend(outcome.failures.iter().map(|(_, error)| error.to_string()));
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    errors
}

fn push(batch: &mut Batch<'_>, change: &Change) {
    match change {
        Change::SetNeighbour(n) => batch.set_neighbour(n.device, &neighbour(n)),
        Change::RemoveNeighbour(n) => batch.remove_neighbour(n.device, &neighbour(n)),
        Change::SetForwarding(f) => batch.set_forwarding(f.device, &forwarding(f)),
        Change::RemoveForwarding(f) => batch.remove_forwarding(f.device, &forwarding(f)),
        Change::ReplaceRoute(route) => {
            let spec = RouteSpec::to(route.dst).via(route.via).device(route.device);
            let spec = spec.protocol(PROTOCOL);
            batch.replace_route(&if route.onlink { spec.onlink() } else { spec })
        }
        Change::RemoveRoute(seen) => batch.remove_route(&exactly(seen)),
    };
}

fn neighbour(n: &Neighbour) -> NeighbourSpec {
    NeighbourSpec::new(n.ip, n.mac.0)
}

fn forwarding(f: &Forwarding) -> rtnl::Forwarding {
    rtnl::Forwarding {
        mac: f.mac.0,
        remote: f.remote,
    }
}

/// The route that was seen and no other to the same destination.
fn exactly(seen: &SeenRoute) -> RouteSpec {
    let mut spec = RouteSpec::to(seen.dst);
    if let Some(via) = seen.via {
        spec = spec.via(via);
    }
    if let Some(device) = seen.device {
        spec = spec.device(device);
    }
    if seen.ours {
        spec.protocol(PROTOCOL)
    } else {
        spec
    }
}
