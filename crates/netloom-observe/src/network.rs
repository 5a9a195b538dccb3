//! What rtnetlink tells of the current network namespace.

use netloom_kernel::Result;
use netloom_kernel::rtnl::{Family, RouteFilter, Socket, table};

use crate::describe::{self, Names, Told};

pub(crate) fn observe() -> Result<Vec<Told>> {
    let socket = Socket::open()?;
    let links = socket.list_links()?;
    let mut names = Names::default();
    for link in &links {
        names.learn(link.index, &link.name);
    }
    let mut found: Vec<Told> = Vec::new();
    found.extend(links.iter().map(|link| describe::link(link, &names)));
    let addresses = socket.list_all_addresses()?;
    found.extend(
        addresses
            .iter()
            .filter_map(|it| describe::address(it, &names)),
    );
    for family in [Family::V4, Family::V6] {
        let routes = socket.list_routes(&RouteFilter::main(family).table(table::ANY))?;
        found.extend(routes.iter().filter_map(|it| describe::route(it, &names)));
        found.extend(socket.list_rules(family)?.iter().map(describe::rule));
        for link in &links {
            let neighbours = socket.list_neighbours(family, link.index)?;
            let told = neighbours.iter();
            found.extend(told.filter_map(|it| describe::neighbour(it, &names)));
        }
    }
    let qdiscs = socket.list_qdiscs()?;
    let told = qdiscs.iter();
    found.extend(told.filter_map(|it| describe::traffic_control(it, &names)));
    Ok(found)
}
