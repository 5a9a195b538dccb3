//! CHECK.

use netloom_kernel::rtnl::{RouteSpec, Socket};
use netloom_observe::{Change, Kind};
use netloom_spec::Version;

use crate::bench::{Attached, Bench};
use crate::case::cases;
use crate::stop::{Check, skip};

cases! {
    "401" Must ALL "CHECK" "CHECK succeeds after ADD" succeeds "";
    "402" Must ALL "CHECK" "CHECK changes nothing" changes_nothing "";
    "403" Must IM "CHECK" "CHECK fails when the interface is gone" fails_without "interface";
    "404" Must IM "CHECK" "CHECK fails when an address is gone" fails_without "address";
    "405" Should IM "CHECK" "CHECK fails when a route is gone" fails_without "route";
    "406" Should IM "CHECK" "CHECK fails after DEL" fails_after_del "";
    "407" Should IM "CHECK" "CHECK without a prevResult is refused" without_result "";
    "408" Should IM "CHECK" "CHECK fails when the namespace is gone" fails_without "namespace";
    "409" Extra C "CHECK" "CHECK fails when the filter rules that ADD made are gone" fails_without_rules "";
}

fn made(bench: &mut Bench<'_>) -> Check<Attached> {
    bench.needs_version(Version::V0_4_0)?;
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    bench.add(pod)
}

fn succeeds(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let request = bench.after("CHECK", &made);
    bench.succeeds(&request).map(drop)
}

fn changes_nothing(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let before = bench.look()?;
    let request = bench.after("CHECK", &made);
    bench.succeeds(&request)?;
    bench.unchanged(&before, "after CHECK")
}

fn fails_without(bench: &mut Bench<'_>, what: &'static str) -> Check {
    let made = made(bench)?;
    let request = bench.after("CHECK", &made);
    bench.succeeds(&request)?;
    match what {
        "namespace" => {
            netloom_kernel::netns::remove_at(&bench.pods[made.pod].path)?;
            bench.step("ip netns del one");
        }
        "interface" => {
            let inside = Socket::open_in(&bench.pods[made.pod].netns)?;
            if inside.remove_link(made.ifname.as_str()).is_err() {
                return skip("the interface cannot be removed");
            }
            bench.step("ip -n one link del eth0");
        }
        "address" => remove_address(bench, &made)?,
        _ => remove_route(bench, &made)?,
    }
    bench.refused(&request).map(drop)
}

fn remove_address(bench: &mut Bench<'_>, made: &Attached) -> Check {
    let inside = Socket::open_in(&bench.pods[made.pod].netns)?;
    let link = inside.get_link(made.ifname.as_str())?;
    let Some(ip) = made.result.ips.first() else {
        return skip("the result has no addresses");
    };
    let there = inside.list_addresses(link.index)?;
    let address = there
        .iter()
        .find(|it| it.address.addr() == ip.address.addr());
    let address = address.map_or(ip.address, |it| it.address);
    inside.remove_address(link.index, address)?;
    bench.step(format!("ip -n one addr del {address} dev {}", made.ifname));
    Ok(())
}

fn remove_route(bench: &mut Bench<'_>, made: &Attached) -> Check {
    let inside = Socket::open_in(&bench.pods[made.pod].netns)?;
    let Some(route) = made.result.routes.first() else {
        return skip("the result has no routes");
    };
    if !inside.remove_route(&RouteSpec::to(route.dst))? {
        return skip("the route is not in the main table");
    }
    bench.step(format!("ip -n one route del {}", route.dst));
    Ok(())
}

fn fails_after_del(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    bench.del(&made)?;
    let request = bench.after("CHECK", &made);
    bench.refused(&request).map(drop)
}

fn without_result(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let request = bench.request("CHECK", made.pod);
    bench.refused(&request).map(drop)
}

fn fails_without_rules(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_version(Version::V0_4_0)?;
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let made = bench.add(pod)?;
    let found = bench.differences(&before)?;
    let of_host = |it: &&netloom_observe::Difference| {
        let is_table = it.object.kind == Kind::Table && it.object.place == "host";
        is_table && matches!(it.change, Change::Added(_))
    };
    let tables: Vec<&str> = found
        .iter()
        .filter(of_host)
        .map(|it| it.object.name.as_str())
        .collect();
    if tables.is_empty() {
        return skip("ADD made no table of nf_tables on the host");
    }
    for table in tables {
        let (family, name) = table.split_once(' ').unwrap_or_default();
        remove_table(family, name)?;
        bench.step(format!("nft delete table {family} {name}"));
    }
    let request = bench.after("CHECK", &made);
    bench.refused(&request).map(drop)
}

fn remove_table(family: &str, name: &str) -> Check {
    use netloom_kernel::nft::{Family, Socket, Table};
    let families = [
        ("ip", Family::Ip),
        ("ip6", Family::Ip6),
        ("inet", Family::Inet),
        ("bridge", Family::Bridge),
    ];
    let Some((_, family)) = families.into_iter().find(|(word, _)| *word == family) else {
        return skip(format!(
            "tables of the family {family} are not known to the kit"
        ));
    };
    let socket = Socket::open()?;
    let mut batch = socket.batch();
    batch.delete_table(&Table::new(family, name));
    Ok(batch.commit()?)
}
