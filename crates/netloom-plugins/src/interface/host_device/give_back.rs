//! The device's way back to the host, from wherever it is.

use super::error::Failure;
use super::loan::{InPod, Loan, OnHost};
use super::selector::{Selector, list};
use super::sysfs::Sysfs;
use crate::wiring::record::{self, Record};
use crate::wiring::{SetupError, identity};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, LinkChange, Socket};
use netloom_spec::Interface;

/// Brings the device back under its own name, down and without the alias. Success if there is
/// nothing to bring back.
///
/// If the host has another link of that name, nothing is changed: the device stays in the pod as it
/// is, or on the host under the name that it has.
pub(super) fn give_back(netns: Option<&Netns>, loan: &Loan<'_>) -> Result<(), Failure> {
    let host = open_host()?;
    if let Some((record, name)) = remembered(loan) {
        return give_back_remembered(&host, netns, loan, record, name);
    }
    if let Some(netns) = netns {
        let inside =
            Socket::open_in(netns).map_err(SetupError::kernel("failed to enter the netns"))?;
        match loan.in_pod(list(&inside)?) {
            InPod::Lent(link, name) if is_own(&inside, &link, loan)? => {
                return move_out(&inside, netns, &host, &link, &name);
            }
            // Lent again since, to a pod that has the path of the namespace now.
            InPod::Lent(..) => {}
            InPod::Nameless(link) => return Err(Failure::Nameless(link.name)),
            InPod::Absent => {}
        }
    }
    settle(&host, loan)
}

/// What is remembered of the device, if nothing that the pod shows is needed beside it.
fn remembered<'l>(loan: &'l Loan<'_>) -> Option<(&'l Record, &'l str)> {
    let record = loan.record.as_ref()?;
    let is_enough = record.is_certain() && record.index != record::UNKNOWN;
    Some((record, record.lent().filter(|_| is_enough)?))
}

/// The same by namespace and index, whatever name, alias and address the pod has given the device.
fn give_back_remembered(
    host: &Socket,
    netns: Option<&Netns>,
    loan: &Loan<'_>,
    record: &Record,
    name: &str,
) -> Result<(), Failure> {
    let enter = || SetupError::kernel("failed to enter the netns");
    let mut found = None;
    if let Some(netns) = netns {
        let inside = Socket::open_in(netns).map_err(enter())?;
        found = record.is_in(netns, &inside).then_some((netns, inside));
    }
    let remembered;
    if found.is_none()
        && let Some((netns, inside)) = record.open()
    {
        remembered = netns;
        found = Some((&remembered, inside));
    }
    if let Some((netns, inside)) = found {
        let link = find(&inside, record.index)?.filter(|link| !loan.is_another(link));
        if let Some(link) = link {
            return move_out(&inside, netns, host, &link, name);
        }
    }
    let here = match record.index_of_returned() {
        Some(index) => find(host, index)?.filter(|link| !loan.is_another(link)),
        None => None,
    };
    match here.filter(|link| !link.flags.is_up()) {
        Some(link) => settle_as(host, OnHost::of(link, name.to_owned())),
        None => settle(host, loan),
    }
}

fn find(socket: &Socket, index: u32) -> Result<Option<Link>, SetupError> {
    let found = socket.find_link(index);
    found.map_err(SetupError::kernel(format!("look up the link {index}")))
}

/// Whether the device has an address of the attachment, or none: the traits of the device itself do
/// not tell to whom it is lent.
fn is_own(inside: &Socket, link: &Link, loan: &Loan<'_>) -> Result<bool, SetupError> {
    let Some(made) = loan.made else {
        return Ok(true);
    };
    let in_pod = |i: &Interface| i.name == loan.if_name && !i.sandbox.is_empty();
    let position = made.interfaces.iter().position(in_pod);
    identity::has_addresses_of(inside, link, made, position).map_err(SetupError::kernel(format!(
        "list the addresses of {:?}",
        link.name
    )))
}

/// Restores the name of a device that the kernel gave back to the host, whoever had it.
pub(super) fn restore_name(host_name: &str, sysfs: &Sysfs) -> Result<(), Failure> {
    settle(&open_host()?, &unknown_loan(host_name, sysfs))
}

/// The name under which a device that [`restore_name`] would see to is on the host.
pub(super) fn stray(host_name: &str, sysfs: &Sysfs) -> Result<Option<String>, Failure> {
    Ok(
        match unknown_loan(host_name, sysfs).on_host(list(&open_host()?)?) {
            OnHost::Settled => None,
            OnHost::Marked(link) | OnHost::Renamed(link, _) => Some(link.name),
        },
    )
}

/// Whoever had the device.
fn unknown_loan<'a>(host_name: &'a str, sysfs: &'a Sysfs) -> Loan<'a> {
    Loan {
        if_name: host_name,
        selector: Some(Selector::Name(host_name.to_owned())),
        address: None,
        record: None,
        made: None,
        sysfs,
    }
}

fn open_host() -> Result<Socket, SetupError> {
    Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))
}

/// One message moves, renames and clears the alias: killed or not, the device has either its alias
/// or its name.
fn move_out(
    inside: &Socket,
    netns: &Netns,
    host: &Socket,
    link: &Link,
    name: &str,
) -> Result<(), Failure> {
    let failed = || {
        format!(
            "failed to move {:?} back to the host as {name:?}",
            link.name
        )
    };
    refuse_taken(host, link, name)?;
    drop_names_in_the_way(inside, host, link, name)?;
    let home = Netns::current().map_err(SetupError::kernel(failed()))?;
    let change = LinkChange::new().alias("");
    match inside.move_link_as(link.index, &home, name, &change) {
        Ok(()) => Ok(()),
        Err(error) if error.is_exists() => {
            // Somebody took the name just now: back to the pod with it, as it was.
            return_to_pod(host, netns, link, name);
            Err(taken(link, name))
        }
        Err(error) => Err(SetupError::kernel(failed())(error).into()),
    }
}

/// The kernel moves no link with an alternative name that is taken where it goes to, and gives no
/// name that the link has as an alternative: a pod could keep the device by such a one.
fn drop_names_in_the_way(
    inside: &Socket,
    host: &Socket,
    link: &Link,
    name: &str,
) -> Result<(), SetupError> {
    let drop_them = || {
        for alternative in &link.alternative_names {
            if alternative == name || host.find_link(alternative)?.is_some() {
                inside.remove_alternative_name(link.index, alternative)?;
            }
        }
        Ok(())
    };
    drop_them().map_err(SetupError::kernel(format!(
        "failed to take a taken alternative name from {:?}",
        link.name
    )))
}

/// What fails here is made good by the next DEL.
fn return_to_pod(host: &Socket, netns: &Netns, link: &Link, host_name: &str) {
    let Ok(Some(stray)) = host.find_link(&link.name) else {
        return;
    };
    if stray.alias.as_deref() == Some(host_name) && stray.address == link.address {
        let mut change = LinkChange::new();
        if link.flags.is_up() {
            change = change.up();
        }
        let _ = host.move_link_as(stray.index, netns, &link.name, &change);
    }
}

/// Makes good on the host what a killed ADD or DEL, or a container that died, left there.
fn settle(host: &Socket, loan: &Loan<'_>) -> Result<(), Failure> {
    settle_as(host, loan.on_host(list(host)?))
}

fn settle_as(host: &Socket, found: OnHost) -> Result<(), Failure> {
    match found {
        OnHost::Settled => Ok(()),
        OnHost::Marked(link) => clear_alias(host, &link),
        OnHost::Renamed(link, name) => {
            if link.alternative_names.contains(&name) {
                let removed = host.remove_alternative_name(link.index, &name);
                removed.map_err(SetupError::kernel(
                    "failed to make the alternative name the name",
                ))?;
            }
            refuse_taken(host, &link, &name)?;
            rename(host, &link, &name)?;
            clear_alias(host, &link)
        }
    }
}

fn rename(host: &Socket, link: &Link, name: &str) -> Result<(), Failure> {
    let failed = || SetupError::kernel(format!("failed to rename {:?} to {name:?}", link.name));
    if link.flags.is_up() {
        // Kernels before 6.2 rename only links that are down.
        host.set_link(link.index, &LinkChange::new().down())
            .map_err(failed())?;
    }
    match host.rename_link(link.index, name) {
        Err(error) if error.is_exists() => Err(taken(link, name)),
        done => Ok(done.map_err(failed())?),
    }
}

fn clear_alias(host: &Socket, link: &Link) -> Result<(), Failure> {
    let cleared = host.set_link(link.index, &LinkChange::new().alias(""));
    Ok(cleared.map_err(SetupError::kernel(format!(
        "failed to clear the alias of {:?}",
        link.name
    )))?)
}

fn refuse_taken(host: &Socket, link: &Link, name: &str) -> Result<(), Failure> {
    let found = host
        .find_link(name)
        .map_err(SetupError::kernel(format!("failed to look for {name:?}")))?;
    match found {
        None => Ok(()),
        Some(_) => Err(taken(link, name)),
    }
}

fn taken(link: &Link, name: &str) -> Failure {
    Failure::HostNameTaken {
        link: link.name.clone(),
        name: name.to_owned(),
    }
}
