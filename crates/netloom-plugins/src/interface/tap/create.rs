//! Making the device.

use super::KIND;
use super::plan::Plan;
use crate::wiring::SetupError;
use crate::wiring::pod;
use crate::wiring::setup_error::invalid;
use crate::wiring::single_link::LinkSides;
use netloom_kernel::rtnl::{Link, LinkChange};
use netloom_kernel::selinux;
use netloom_kernel::tuntap::{Tap, TapSpec};
use netloom_plugin::Undo;
use netloom_spec::{Error, code};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Output, Stdio};

/// What this program is told when it is executed again to make a tap.
const VERB: &str = "create";
/// The exit status when a link of that name exists.
const EXISTS: u8 = 17;

/// The index of the bridge in the pod, if the plan names one.
pub(super) fn find_bridge(sides: &LinkSides<'_>, plan: &Plan) -> Result<Option<u32>, Error> {
    let Some(name) = &plan.bridge else {
        return Ok(None);
    };
    let bridge = sides
        .inside
        .get_link(name)
        .map_err(SetupError::kernel(format!(
            "failed to get bridge {name:?} in the container"
        )))?;
    if bridge.is_bridge() {
        Ok(Some(bridge.index))
    } else {
        Err(invalid(format!(
            "bridge: the link {name:?} in the container is not a bridge"
        )))
    }
}

/// Makes the tap, down, and registers its removal.
pub(super) fn create<'r>(
    sides: &LinkSides<'_>,
    plan: &Plan,
    bridge: Option<u32>,
    undo: &mut Undo<'r>,
) -> Result<Link, Error> {
    let Some(context) = &plan.selinux_context else {
        let tap = create_here(sides, plan)?;
        sides.register_removal(KIND, undo);
        let link = shape(sides, plan, bridge)?;
        sides.remember(&link, undo);
        // Only now does it outlive this process.
        tap.persist().map_err(failed(sides))?;
        return Ok(link);
    };
    create_labelled(sides, plan, context, undo)?;
    let link = shape(sides, plan, bridge)?;
    sides.remember(&link, undo);
    Ok(link)
}

fn create_here(sides: &LinkSides<'_>, plan: &Plan) -> Result<Tap, SetupError> {
    let spec = TapSpec::new(sides.name)
        .multi_queue(plan.multi_queue)
        .vnet_header(plan.vnet_header())
        .owner(plan.owner)
        .group(plan.group);
    let made = sides.netns.run(|| Tap::create(&spec));
    let made = made.map_err(SetupError::kernel("failed to enter the netns"))?;
    if made.as_ref().is_err_and(netloom_kernel::Error::is_exists) {
        pod::refuse_taken_name(&sides.inside, sides.name, sides.path)?;
    }
    made.map_err(failed(sides))
}

fn failed(sides: &LinkSides<'_>) -> impl FnOnce(netloom_kernel::Error) -> SetupError {
    SetupError::kernel(format!("failed to create tap {:?}", sides.name))
}

/// Gives it address, MTU and bridge, in one message.
fn shape(sides: &LinkSides<'_>, plan: &Plan, bridge: Option<u32>) -> Result<Link, SetupError> {
    let mut change = LinkChange::new();
    if let Some(mac) = plan.mac {
        change = change.mac(mac.0);
    }
    if plan.mtu != 0 {
        change = change.mtu(plan.mtu);
    }
    if let Some(bridge) = bridge {
        change = change.master(bridge);
    }
    let name = sides.name;
    sides
        .inside
        .set_link(name, &change)
        .map_err(SetupError::kernel(format!(
            "failed to set MAC address, mtu or bridge of {name:?}"
        )))?;
    sides
        .inside
        .get_link(name)
        .map_err(SetupError::kernel(format!("failed to find {name:?}")))
}

/// Executes this program again, in that context, to make the tap.
fn create_labelled<'r>(
    sides: &LinkSides<'_>,
    plan: &Plan,
    context: &str,
    undo: &mut Undo<'r>,
) -> Result<(), Error> {
    let id = |id: Option<u32>| id.map_or("-".to_owned(), |id| id.to_string());
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("tap")
        .args([VERB, sides.name, &plan.multi_queue.to_string()])
        .args([id(plan.owner), id(plan.group)])
        .env_clear()
        .stdin(Stdio::null());
    let labelled = || -> netloom_kernel::Result<std::io::Result<Output>> {
        selinux::set_context_of_next_execution(context)?;
        let output = command.output();
        // The next delegate is not to be executed in it, whatever came of this one.
        selinux::set_context_of_next_execution("").map(|()| output)
    };
    let ran = sides.netns.run(labelled);
    let ran = ran.map_err(SetupError::kernel("failed to enter the netns"))?;
    let refused = format!("selinuxContext: failed to set the label {context:?}");
    let output = ran.map_err(SetupError::kernel(refused))?;
    let outcome = match &output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{}, {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(error.to_string()),
    };
    // It was free when it was looked at; a process that died may have made it all the same.
    let exists = |output: &Output| output.status.code() == Some(EXISTS.into());
    if !output.as_ref().is_ok_and(exists) {
        sides.register_removal(KIND, undo);
    }
    outcome.map_err(|cause| {
        let name = sides.name;
        let msg = format!("failed to create tap {name:?} in selinuxContext {context:?}: {cause}");
        Error::new(code::INTERNAL, msg)
    })
}

/// `tap create NAME MULTI_QUEUE OWNER GROUP`: makes a persistent tap in this program's namespace
/// and context. An id that is no number stands for none. The exit status is 0, 17 if the name is
/// taken, or 1.
pub(super) fn command_line(arguments: &[OsString]) -> Option<ExitCode> {
    let words: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    let [VERB, name, multi_queue, owner, group] = words?[..] else {
        return None;
    };
    let spec = TapSpec::new(name)
        .multi_queue(multi_queue == "true")
        .owner(owner.parse().ok())
        .group(group.parse().ok());
    Some(match Tap::create(&spec).and_then(|tap| tap.persist()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.is_exists() { EXISTS } else { 1 })
        }
    })
}
