//! my-plugin: a cable (veth) between host and container, with the addresses of the IPAM plugin.

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{
    AddressSpec, Family, LinkChange, LinkSpec, PeerSpec, RouteFilter, RouteSpec, Socket,
};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Cleanup, DelRequest, Error, Interface, Mac, Plugin, Undo,
    code,
};

struct MyPlugin;

impl Plugin for MyPlugin {
    fn name(&self) -> &'static str {
        "my-plugin"
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let name = request.if_name.as_str();
        let netns = Netns::open(request.netns).map_err(failed)?;
        let inside = Socket::open_in(&netns).map_err(failed)?;
        // Before anything is made: what has the name is not this plugin's to remove.
        if inside.find_link(name).map_err(failed)?.is_some() {
            return Err(failed(format!("{name} exists in the container already")));
        }
        let ipam = request.ipam().ok_or_else(|| {
            let what = "ipam is missing: expected an object with a type";
            Error::new(code::INVALID_CONFIG, what)
        })?;
        let mut result = ipam.add(undo)?;
        // The host's end goes with the container's: nobody else has to be told to remove it.
        undo.on_failure("remove the interface", || remove(request.netns, name));
        let end = format!("veth{:08x}", std::process::id());
        let peer = PeerSpec::new(name).in_netns(&netns);
        let host = Socket::open().map_err(failed)?;
        let made = host.create_link(&LinkSpec::veth(&end, peer).up());
        let made = made.map_err(failed)?;
        let own = inside.get_link(name).map_err(failed)?;
        configure(&inside, own.index, &result)?;

        let mac = |link: &netloom_kernel::rtnl::Link| {
            link.mac.map(|it| Mac(it).to_string()).unwrap_or_default()
        };
        let mut interface = Interface::new(name);
        interface.mac = mac(&own);
        interface.sandbox = request.netns.to_owned();
        let mut on_host = Interface::new(end);
        on_host.mac = mac(&made);
        result.interfaces = vec![on_host, interface];
        for ip in &mut result.ips {
            ip.interface = Some(1);
        }
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let expected = request.prev_result()?;
        let netns = Netns::open(request.netns).map_err(failed)?;
        let inside = Socket::open_in(&netns).map_err(failed)?;
        let link = inside.get_link(request.if_name.as_str()).map_err(failed)?;
        let there = inside.list_addresses(link.index).map_err(failed)?;
        for ip in &expected.ips {
            if !there.iter().any(|it| it.address == ip.address) {
                return Err(failed(format!("the address {} is gone", ip.address)));
            }
        }
        for route in &expected.routes {
            let filter = RouteFilter::main(Family::of(route.dst.addr())).dst(route.dst);
            if inside.list_routes(&filter).map_err(failed)?.is_empty() {
                return Err(failed(format!("the route to {} is gone", route.dst)));
            }
        }
        request.forward_to_ipam()
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        // One step that fails does not keep the next from being done.
        let mut cleanup = Cleanup::new();
        if let Some(path) = request.netns {
            let removed = remove(path, request.if_name.as_str());
            cleanup.step("remove the interface", removed);
        }
        cleanup.step("free the addresses", request.forward_to_ipam());
        cleanup.finish()
    }
}

/// Addresses, up, and routes, in this order.
fn configure(inside: &Socket, link: u32, result: &AddResult) -> Result<(), Error> {
    let mut batch = inside.batch();
    for ip in &result.ips {
        batch.add_address(link, AddressSpec::new(ip.address));
    }
    batch.set_link(link, &LinkChange::new().up());
    for route in &result.routes {
        let is_v4 = route.dst.addr().is_ipv4();
        let gateways = result.ips.iter().filter_map(|ip| ip.gateway);
        let gateway = route
            .gw
            .or(gateways.into_iter().find(|it| it.is_ipv4() == is_v4));
        let spec = RouteSpec::to(route.dst).device(link);
        batch.add_route(&match gateway {
            Some(gateway) => spec.via(gateway),
            None => spec,
        });
    }
    batch.commit().map(drop).map_err(failed)
}

/// What is gone already is success.
fn remove(path: &str, name: &str) -> Result<(), Error> {
    let Ok(netns) = Netns::open(path) else {
        return Ok(());
    };
    let inside = Socket::open_in(&netns).map_err(failed)?;
    inside.remove_link(name).map(drop).map_err(failed)
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(code::INTERNAL, cause.to_string())
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&MyPlugin])
}
