//! ADD of the tuning plugin.

use super::allowlist::Allowlist;
use super::attributes::Attributes;
use super::backup::{Backup, Mark};
use super::host_end;
use super::plan::{Plan, Sysctl};
use crate::wiring::announcement::Announcement;
use crate::wiring::owner::Owner;
use crate::wiring::setup_error::invalid;
use crate::wiring::{SetupError, listed, mtu, sandbox, spoof};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_kernel::sysctl;
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error, Interface, Version};
use rustix::io::Errno;

/// Sets the sysctls and the attributes. Nothing is changed before the whole request has been checked.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let name = request.if_name.as_str();
    let plan = Plan::new(request.conf, request.stdin(), request.args, name)?;
    if !plan.sysctls.is_empty() {
        Allowlist::read()?.permit(&plan.sysctls)?;
    }
    let made = request.prev_result()?;
    let mut result = made.ok_or_else(|| invalid("Required prevResult missing"))?;
    if let Some(mtu) = plan.link.mtu {
        require_room_for_ipv6(&result, name, mtu)?;
    }
    let netns = sandbox::open(request.netns)?;
    let settings = locate_all(&netns, &plan.sysctls)?;

    if plan.link.is_empty() {
        set_sysctls(request, &netns, settings, undo)?;
        return Ok(result);
    }
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let link = inside
        .get_link(name)
        .map_err(SetupError::kernel(format!("failed to get {name:?}")))?;
    keep_backup(request, &plan, &netns, &link, undo)?;
    set_sysctls(request, &netns, settings, undo)?;
    set_link(request, &plan.link, &inside, &link, undo)?;
    if let Some(mtu) = plan.link.mtu {
        host_end::follow(&mut result, &link, mtu, request.version(), undo)?;
    }
    update(&mut result, name, &plan.link, request.version());
    if let Some(mac) = plan.link.mac {
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        spoof::follow(owner, mac.0, link.mac, undo)?;
        // The neighbours still have the former MAC address.
        let (now, result) = (Some(mac.0), &result);
        let tell = || Announcement::of_result(result, &Link { mac: now, ..link });
        netns
            .run(tell)
            .map_err(SetupError::kernel("failed to enter the netns"))?
            .send(&netns, &inside);
    }
    Ok(result)
}

/// Refuses an MTU that is too small for the IPv6 address of the link: the kernel would remove the
/// address, and turn IPv6 off.
fn require_room_for_ipv6(result: &AddResult, name: &str, mtu: u32) -> Result<(), SetupError> {
    let is_of_link = |position: Option<usize>| {
        let listed = position.and_then(|at| result.interfaces.get(at));
        listed.is_none_or(|interface| interface.name == name)
    };
    let mut own = result.ips.iter().filter(|ip| is_of_link(ip.interface));
    match own.find(|ip| ip.address.addr().is_ipv6()) {
        Some(ip) => mtu::refuse_without_ipv6(name, mtu, ip.address),
        None => Ok(()),
    }
}

/// A sysctl that exists: what it is to be, and what it was.
struct Setting<'p> {
    path: &'p str,
    value: &'p str,
    /// `None` if it cannot be read.
    before: Option<String>,
}

fn locate_all<'p>(netns: &Netns, sysctls: &'p [Sysctl]) -> Result<Vec<Setting<'p>>, SetupError> {
    if sysctls.is_empty() {
        return Ok(Vec::new());
    }
    let located = netns.run(|| sysctls.iter().map(locate).collect());
    located.map_err(SetupError::kernel("failed to enter the netns"))?
}

/// Finds the sysctl, under the first path of its key that exists, and reads it.
fn locate(wanted: &Sysctl) -> Result<Setting<'_>, SetupError> {
    let Sysctl { key, value } = wanted;
    let mut absent = None;
    for path in &key.paths {
        let before = match sysctl::get(path) {
            Ok(before) => Some(before),
            Err(error) if error.is_absent() => {
                absent = absent.or(Some(error));
                continue;
            }
            Err(error) if error.errno() == Errno::ISDIR.raw_os_error() => {
                return Err(refused(key.spelled.as_str())(error));
            }
            // Some can only be written, others have no value until one is written.
            Err(_) => None,
        };
        return Ok(Setting {
            path,
            value,
            before,
        });
    }
    // A key has at least one path.
    Err(match absent {
        Some(_) => key.absent(),
        None => SetupError::Mismatch(format!("sysctl {:?} is nowhere", key.spelled)),
    })
}

fn refused(key: &str) -> impl FnOnce(netloom_kernel::Error) -> SetupError {
    SetupError::kernel(format!("failed to set sysctl {key:?}"))
}

fn set_sysctls<'r>(
    request: &'r AddRequest<'r>,
    netns: &Netns,
    settings: Vec<Setting<'_>>,
    undo: &mut Undo<'r>,
) -> Result<(), SetupError> {
    if settings.is_empty() {
        return Ok(());
    }
    let set = || {
        for setting in settings {
            let path = setting.path.to_owned();
            if let Some(before) = setting.before {
                undo.on_failure(format!("restore sysctl {path}"), move || {
                    restore_sysctl(request.netns, &path, &before)
                });
            }
            sysctl::set(setting.path, setting.value).map_err(refused(setting.path))?;
        }
        Ok(())
    };
    netns
        .run(set)
        .map_err(SetupError::kernel("failed to enter the netns"))?
}

fn restore_sysctl(netns: &str, path: &str, value: &str) -> Result<(), Error> {
    let Some(netns) = sandbox::open_if_there(Some(netns))? else {
        return Ok(());
    };
    let restored = netns.run(|| sysctl::set(path, value)).and_then(|set| set);
    Ok(restored.map_err(SetupError::kernel("failed to restore a sysctl"))?)
}

/// Writes the link's attributes into the backup before they are changed. What an earlier ADD of this
/// attachment has written there of the same link stays.
fn keep_backup<'r>(
    request: &'r AddRequest<'r>,
    plan: &Plan,
    netns: &Netns,
    link: &Link,
    undo: &mut Undo<'r>,
) -> Result<(), Error> {
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let mark = Mark::new(owner, netns, link);
    let mark = mark.map_err(SetupError::kernel("failed to identify the netns"))?;
    let before = plan.store.content(owner)?;
    let earlier = before.as_deref().and_then(Backup::parse);
    let backup = Backup::first(earlier.as_ref(), &plan.link.of(link), mark);
    if earlier.as_ref() == Some(&backup) {
        return Ok(());
    }
    let store = plan.store.clone();
    undo.on_failure("restore the backup of the interface", move || {
        store.restore(owner, before.as_deref())
    });
    plan.store.write(owner, &backup)
}

/// Sets the attributes, and registers how to restore them: all of them, since some may be set when one
/// is refused.
fn set_link<'r>(
    request: &'r AddRequest<'r>,
    wanted: &Attributes,
    inside: &Socket,
    link: &Link,
    undo: &mut Undo<'r>,
) -> Result<(), SetupError> {
    let (name, index, before) = (link.name.clone(), link.index, wanted.of(link));
    let tune = || SetupError::kernel(format!("failed to tune {name:?}"));
    undo.on_failure(format!("restore the interface {name}"), {
        let name = name.clone();
        move || {
            let Some(netns) = sandbox::open_if_there(Some(request.netns))? else {
                return Ok(());
            };
            let restore = || Socket::open_in(&netns).and_then(|inside| before.set(&inside, index));
            let refused =
                restore().map_err(SetupError::kernel("failed to restore the interface"))?;
            match refused.into_iter().find(|one| !one.cause.is_absent()) {
                Some(refused) => Err(refused.fault("failed to restore", &name).into()),
                None => Ok(()),
            }
        }
    });
    let refused = wanted.set(inside, index).map_err(tune())?;
    match refused.into_iter().next() {
        Some(refused) => Err(refused.fault("failed to set", &name)),
        None => Ok(()),
    }
}

/// Writes the new MAC address and MTU into the result. Some plugins list the container's interface
/// without its namespace: such an entry counts only if there is none with it.
fn update(result: &mut AddResult, name: &str, link: &Attributes, version: Version) {
    let is_inside = |interface: &Interface| interface.name == name && !interface.sandbox.is_empty();
    let told = result.interfaces.iter().any(is_inside);
    for interface in &mut result.interfaces {
        if interface.name != name || told && interface.sandbox.is_empty() {
            continue;
        }
        if let Some(mac) = link.mac {
            interface.mac = mac.to_string();
        }
        if let Some(mtu) = link.mtu {
            interface.mtu = listed::mtu(mtu, version);
        }
    }
}
