//! STATUS.

use super::config::Config;
use super::error::Failure;
use super::loan::alias_of;
use super::plan::Plan;
use super::selector::Selector;
use super::sysfs::Sysfs;
use crate::wiring::SetupError;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::StatusRequest;
use netloom_spec::Error;

/// Fails when the device is missing. One that a container has is not: the network works as it
/// should, it has one place only.
pub(super) fn status(request: &StatusRequest<'_>, sysfs: &Sysfs) -> Result<(), Error> {
    let config: Config = request.conf.decode()?;
    // Which device it is may come with each ADD only.
    if config.names_a_device() {
        let plan = Plan::new(request.conf, sysfs).map_err(unavailable)?;
        if !plan.user_space {
            find(&plan.selector, sysfs)?;
        }
    }
    request.forward_to_ipam()
}

/// A PCI device without a driver, or a device that is gone, is no bad configuration.
fn unavailable(error: Error) -> Error {
    let code = match error.code {
        netloom_spec::code::INTERNAL => netloom_spec::code::PLUGIN_NOT_AVAILABLE,
        code => code,
    };
    Error { code, ..error }
}

fn find(selector: &Selector, sysfs: &Sysfs) -> Result<(), Failure> {
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    match selector.find(&host, sysfs) {
        Ok(_) => Ok(()),
        Err(Failure::Wiring(fault)) => Err(fault.into()),
        Err(_) if is_in_sysfs(selector, sysfs) || is_lent(&host, selector, sysfs)? => Ok(()),
        Err(_) => Err(Failure::Missing(selector.to_string())),
    }
}

/// The device is there, so a container has its link.
fn is_in_sysfs(selector: &Selector, sysfs: &Sysfs) -> bool {
    match selector {
        Selector::Name(_) | Selector::Address(_) => false,
        Selector::KernelPath(path) => sysfs.has_path(path),
        Selector::Pci(id) => sysfs.has_pci(id),
        Selector::Auxiliary(id) => sysfs.has_auxiliary(id),
    }
}

/// Looks into the namespaces that a link of the host has gone to. One may end meanwhile.
fn is_lent(host: &Socket, selector: &Selector, sysfs: &Sysfs) -> Result<bool, SetupError> {
    let known = host
        .list_namespace_ids()
        .map_err(SetupError::kernel("failed to list the host's containers"))?;
    let holds = |id: &i32| {
        let links = host.list_links_of(*id).unwrap_or_default();
        links
            .iter()
            .any(|link| alias_of(link).is_some() && selector.is(link, sysfs) == Some(true))
    };
    Ok(known.iter().any(holds))
}
