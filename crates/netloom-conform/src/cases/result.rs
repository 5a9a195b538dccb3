//! Whether the result of ADD describes what is there.

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Family, Link, RouteFilter, Socket};
use netloom_spec::{Interface, Mac};

use crate::bench::{Attached, Bench};
use crate::case::cases;
use crate::stop::{Check, skip, wrong};
use crate::stub;

cases! {
    "220" Must IM "Success" "the interfaces of the result exist where it says" interfaces_exist "";
    "221" Must IM "Success" "the hardware addresses of the result are right" macs "";
    "222" Must IM "Success" "the result has the interface CNI_IFNAME in the container" own_interface "";
    "223" Must IM "Success" "the addresses of the result are on their interfaces" addresses "";
    "224" Should IM "Success" "the container's interface is up" is_up "";
    "225" Should IM "Success" "the routes of the result are in the container" routes "";
    "226" Should IM "Success" "the MTU of the result is right" mtu "";
    "227" Must IM "Delegated plugins" "the addresses are those of the IPAM plugin" of_ipam "";
    "228" Should IM "Delegated plugins" "IPv4 and IPv6 addresses of the IPAM plugin are set" dual_stack "";
    "229" Must ALL "Success" "the interface numbers of the result are within its list" indices "";
}

fn made(bench: &mut Bench<'_>) -> Check<Attached> {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    bench.add(pod)
}

/// The link of an interface of the result.
fn link_of(of: &Interface) -> Check<Option<Link>> {
    let socket = match of.sandbox.as_str() {
        "" => Socket::open()?,
        path => match Netns::open(path) {
            Ok(netns) => Socket::open_in(&netns)?,
            Err(error) => {
                return wrong(format!(
                    "the sandbox of {} cannot be entered: {error}",
                    of.name
                ));
            }
        },
    };
    Ok(socket.find_link(of.name.as_str())?)
}

fn place(of: &Interface) -> &str {
    match of.sandbox.is_empty() {
        true => "on the host",
        false => "in the container",
    }
}

fn each_link(bench: &mut Bench<'_>, look: impl Fn(&Interface, &Link) -> Check) -> Check {
    let made = made(bench)?;
    for interface in &made.result.interfaces {
        match link_of(interface)? {
            Some(link) => look(interface, &link)?,
            None => {
                return wrong(format!(
                    "the result has the interface {} {}, where none is",
                    interface.name,
                    place(interface)
                ));
            }
        }
    }
    Ok(())
}

fn interfaces_exist(bench: &mut Bench<'_>, _: &str) -> Check {
    each_link(bench, |_, _| Ok(()))
}

fn macs(bench: &mut Bench<'_>, _: &str) -> Check {
    each_link(bench, |interface, link| {
        let there = link.mac.map(|it| Mac(it).to_string()).unwrap_or_default();
        match interface.mac.is_empty() || interface.mac.eq_ignore_ascii_case(&there) {
            true => Ok(()),
            false => wrong(format!(
                "{} has the address {there}, got {} in the result",
                interface.name, interface.mac
            )),
        }
    })
}

fn mtu(bench: &mut Bench<'_>, _: &str) -> Check {
    each_link(bench, |interface, link| {
        match interface.mtu == 0 || interface.mtu == link.mtu {
            true => Ok(()),
            false => wrong(format!(
                "{} has the MTU {}, got {} in the result",
                interface.name, link.mtu, interface.mtu
            )),
        }
    })
}

fn own_interface(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let path = bench.pods[made.pod].path.to_string_lossy();
    let is_own = |it: &Interface| it.name == made.ifname && it.sandbox == path;
    match made.result.interfaces.iter().any(is_own) {
        true => Ok(()),
        false => wrong(format!(
            "expected an interface {} with the sandbox {path}, got {}",
            made.ifname, made.document
        )),
    }
}

fn addresses(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    on_their_links(&made)
}

fn on_their_links(made: &Attached) -> Check {
    for ip in &made.result.ips {
        let Some(interface) = ip.interface.and_then(|at| made.result.interfaces.get(at)) else {
            return wrong(format!(
                "the address {} of the result is on no interface of it",
                ip.address
            ));
        };
        let Some(link) = link_of(interface)? else {
            return wrong(format!(
                "the interface {} of the result does not exist",
                interface.name
            ));
        };
        let socket = match interface.sandbox.as_str() {
            "" => Socket::open()?,
            path => Socket::open_in(&Netns::open(path).map_err(std::io::Error::other)?)?,
        };
        let has = socket
            .list_addresses(link.index)?
            .iter()
            .any(|it| it.address.addr() == ip.address.addr());
        if !has {
            return wrong(format!(
                "{} does not have the address {} of the result",
                interface.name, ip.address
            ));
        }
    }
    Ok(())
}

fn is_up(bench: &mut Bench<'_>, _: &str) -> Check {
    each_link(bench, |interface, link| {
        match interface.sandbox.is_empty() || link.flags.is_up() {
            true => Ok(()),
            false => wrong(format!("{} is down", interface.name)),
        }
    })
}

fn routes(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let inside = Socket::open_in(&bench.pods[made.pod].netns)?;
    for route in &made.result.routes {
        let family = Family::of(route.dst.addr());
        let mut filter = RouteFilter::main(family);
        if let Some(table) = route.table {
            filter = filter.table(table);
        }
        let there = inside.list_routes(&filter)?;
        let is_it = |it: &netloom_kernel::rtnl::Route| it.dst.trunc() == route.dst.trunc();
        if !there.iter().any(is_it) {
            return wrong(format!(
                "the route to {} of the result is not in the container",
                route.dst
            ));
        }
    }
    Ok(())
}

fn of_ipam(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let made = with_ipam(bench, stub::IPAM.0)?;
    let has = made
        .result
        .ips
        .iter()
        .any(|it| it.address.to_string().starts_with("10.88.99."));
    match has {
        true => on_their_links(&made),
        false => wrong(format!(
            "expected the address 10.88.99.… that the IPAM plugin gave, got {}",
            made.document
        )),
    }
}

fn dual_stack(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.put(stub::DUAL)?;
    let made = with_ipam(bench, stub::DUAL.0)?;
    match made.result.ips.len() {
        2 => on_their_links(&made),
        count => wrong(format!(
            "the IPAM plugin gave 2 addresses, the result has {count}"
        )),
    }
}

fn with_ipam(bench: &mut Bench<'_>, name: &str) -> Check<Attached> {
    let pod = bench.pod("one")?;
    let request = super::failure::with_ipam(bench, "ADD", pod, name)?;
    bench.add_by(pod, &request)
}

fn indices(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    if made.result.ips.is_empty() {
        return skip("the result has no addresses");
    }
    let count = made.result.interfaces.len();
    let ends = |it: &netloom_spec::IpConfig| it.interface.is_some_and(|at| at >= count);
    match made.result.ips.iter().find(|it| ends(it)) {
        Some(ip) => wrong(format!(
            "the address {} has an interface number behind the end of {count}",
            ip.address
        )),
        None => Ok(()),
    }
}
