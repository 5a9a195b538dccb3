//! CHECK: sysctls and interface against the configuration.

use super::key::Key;
use super::plan::{Plan, Sysctl};
use crate::wiring::check::mismatch;
use crate::wiring::{SetupError, sandbox};
use netloom_kernel::rtnl::Socket;
use netloom_kernel::sysctl;
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    let name = request.if_name.as_str();
    let plan = Plan::new(request.conf, request.stdin(), request.args, name)?;
    request.prev_result()?;
    let netns = sandbox::open(request.netns)?;
    if !plan.sysctls.is_empty() {
        let compared = netns.run(|| plan.sysctls.iter().try_for_each(compare));
        compared.map_err(SetupError::kernel("failed to enter the netns"))??;
    }
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let link = inside
        .find_link(name)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    let link = link.ok_or_else(|| mismatch(format!("Cannot find container link {name}")))?;
    if let Some((what, wanted, actual)) = plan.link.difference(&link) {
        return Err(mismatch(format!(
            "Error: Tuning configured {what} of {name} is {wanted}, current value is {actual}"
        ))
        .into());
    }
    if plan.expects_no_promisc && link.flags.is_promiscuous() {
        return Err(mismatch(format!(
            "Error: Tuning configured promisc of {name} is false, current value is true"
        ))
        .into());
    }
    Ok(())
}

/// The blanks between the numbers of a value do not matter, and the kernel writes tabs.
fn compare(wanted: &Sysctl) -> Result<(), SetupError> {
    let Some((path, actual)) = value(&wanted.key)? else {
        return Ok(());
    };
    let words = |text: &str| -> Vec<String> {
        let words = text.split_ascii_whitespace();
        words.map(str::to_owned).collect()
    };
    if words(&actual) == words(&wanted.value) {
        return Ok(());
    }
    Err(mismatch(format!(
        "Error: Tuning configured value of /proc/sys/{path} is {}, current value is {actual}",
        wanted.value
    )))
}

/// What a sysctl is, and where; `None` if it can only be written.
fn value(key: &Key) -> Result<Option<(&str, String)>, SetupError> {
    let mut absent = None;
    for path in &key.paths {
        match sysctl::get(path) {
            Ok(value) => return Ok(Some((path, value))),
            Err(error) if error.is_denied() => return Ok(None),
            Err(error) if error.is_absent() => absent = absent.or(Some(error)),
            Err(error) => return Err(SetupError::kernel("failed to compare a sysctl")(error)),
        }
    }
    match absent {
        Some(_) => Err(key.absent()),
        None => Ok(None),
    }
}
