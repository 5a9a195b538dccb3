//! Attaches a namespace to this host: a veth made in place, an address, a default route.
//!
//! `attach NETNS`, or without an argument in a throw-away host of its own, root or not.

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{AddressSpec, LinkChange, LinkSpec, PeerSpec, RouteSpec, Socket};
use netloom_kernel::unshare::{self, Isolation};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let netns = match std::env::args_os().nth(1) {
        Some(path) => Netns::open(path)?,
        None => throw_away()?,
    };
    let host = Socket::open()?;
    let inside = Socket::open_in(&netns)?;
    let peer = PeerSpec::new("eth0").in_netns(&netns);
    let veth = host.create_link(&LinkSpec::veth("veth0", peer).up())?;
    let eth0 = veth.lower.ok_or("the kernel does not echo")?;
    let mut batch = inside.batch();
    batch
        .add_address(eth0, AddressSpec::new("10.1.0.5/24".parse()?))
        .set_link(eth0, &LinkChange::new().up())
        .add_route(
            &RouteSpec::to("0.0.0.0/0".parse()?)
                .via([10, 1, 0, 1].into())
                .device(eth0),
        );
    batch.commit()?;
    println!("{} is {} here and {eth0} there", veth.name, veth.index);
    Ok(())
}

fn throw_away() -> Result<Netns, Box<dyn std::error::Error>> {
    let user = unshare::needs_user_namespace();
    unshare::host(Isolation {
        user,
        mounts: true,
        uts: false,
    })?;
    unshare::mount_tmpfs("/run")?;
    Ok(netloom_kernel::netns::create_at("/run/netns/pod")?)
}
