//! CHECK: the device in the pod against the result of ADD and the configuration.

use super::address;
use super::loan::alias_of;
use super::plan::Plan;
use super::selector::Selector;
use super::sysfs::Sysfs;
use crate::wiring::check::{self, mismatch};
use crate::wiring::{SetupError, sandbox};
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::CheckRequest;
use netloom_spec::{Error, Interface};

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>, sysfs: &Sysfs) -> Result<(), Error> {
    let plan = Plan::new(request.conf, sysfs)?;
    let netns = sandbox::open(request.netns)?;
    let made = request.prev_result()?;
    request.forward_to_ipam()?;
    let name = request.if_name.as_str();
    let (position, listed) = check::container_interface(&made, name, request.netns)?;
    if plan.user_space {
        return Ok(());
    }
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let found = inside
        .find_link(name)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    let missing = || {
        mismatch(format!(
            "Container Interface name in prevResult: {name} not found"
        ))
    };
    let link = found.ok_or_else(missing)?;
    same_address(&link, listed)?;
    same_device(&link, &plan.selector, sysfs)?;
    check::up(&link)?;
    check::addresses(&inside, &link, &made, position)?;
    check::routes(&inside, &made)?;
    Ok(())
}

fn same_address(link: &Link, listed: &Interface) -> Result<(), SetupError> {
    let actual = address::text(&link.address);
    if listed.mac.is_empty() || listed.mac.eq_ignore_ascii_case(&actual) {
        return Ok(());
    }
    Err(mismatch(format!(
        "Interface {} Mac {} doesn't match container Mac: {actual}",
        listed.name, listed.mac
    )))
}

/// Without its alias DEL could not give the device its name back.
fn same_device(link: &Link, selector: &Selector, sysfs: &Sysfs) -> Result<(), SetupError> {
    let name = &link.name;
    let alias = link.alias.as_deref().unwrap_or_default();
    if alias_of(link).is_none() {
        return Err(mismatch(format!(
            "Interface {name} has the alias {alias:?}, not its name on the host"
        )));
    }
    // The address has been compared.
    let by_address = matches!(selector, Selector::Address(_));
    if !by_address && selector.is(link, sysfs) == Some(false) {
        return Err(mismatch(format!(
            "Interface {name} with the alias {alias:?} is not the device {selector}"
        )));
    }
    Ok(())
}
