//! my-plugin: a cable (veth) between host and container, with the addresses of the IPAM plugin.

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{AddressSpec, LinkChange, LinkSpec, PeerSpec, Socket};
use netloom_plugin::{AddRequest, AddResult, CheckRequest, DelRequest, Error, Plugin, Undo, code};

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
        let ipam = request.ipam().ok_or_else(|| {
            Error::new(
                code::INVALID_CONFIG,
                "ipam is missing: expected an object with a type",
            )
        })?;
        let result = ipam.add(undo)?;
        let host = Socket::open().map_err(failed)?;
        let netns = Netns::open(request.netns).map_err(failed)?;
        let inside = Socket::open_in(&netns).map_err(failed)?;
        // The host's end goes with the container's: nobody else has to be told to remove it.
        let name = request.if_name.as_str();
        undo.push("remove the interface", || remove(request.netns, name));
        let peer = PeerSpec::new(name).in_netns(&netns);
        let end = format!("veth{:08x}", std::process::id());
        let made = host
            .create_link(&LinkSpec::veth(&end, peer).up())
            .map_err(failed)?;
        let index = made
            .lower
            .ok_or_else(|| failed("the kernel tells no index"))?;
        let mut batch = inside.batch();
        for ip in &result.ips {
            batch.add_address(index, AddressSpec::new(ip.address));
        }
        batch.set_link(index, &LinkChange::new().up());
        batch.commit().map_err(failed)?;
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let netns = Netns::open(request.netns).map_err(failed)?;
        let inside = Socket::open_in(&netns).map_err(failed)?;
        inside
            .get_link(request.if_name.as_str())
            .map(drop)
            .map_err(failed)
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        request.forward_to_ipam()?;
        match request.netns {
            Some(path) => remove(path, request.if_name.as_str()),
            None => Ok(()),
        }
    }
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
