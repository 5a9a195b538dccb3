//! The host-device plugin: lends a device of the host to a pod.
//!
//! | object | owner |
//! |---|---|
//! | the device | the host; the pod has it from ADD to DEL |
//! | the device's alias: its name on the host | the attachment, gone after DEL |
//! | the device's name in the pod, its addresses and routes there | the attachment, go with the move |
//!
//! The alias is what makes a loan survive: it is set before the device leaves the host and cleared
//! when it has its name again, and goes with it wherever it goes. So DEL knows the device after the
//! container renamed it, after ADD or DEL was killed half way, and after the container died and the
//! kernel gave it back to the host under the name that it had in there. No other state is kept.
//!
//! A device that is bound to a driver of user space (DPDK) has no link: nothing is moved.

mod add;
mod address;
mod check;
mod config;
mod error;
mod give_back;
mod lend;
mod loan;
mod plan;
mod selector;
mod status;
mod sysfs;

use crate::wiring::owner::Owner;
use crate::wiring::record::{self, Record};
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::{SetupError, sandbox};
use config::Config;
use loan::Loan;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_plugin::{AddRequest, CheckRequest, Cleanup, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Found, Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf, code};
use selector::Selector;
use sysfs::Sysfs;

/// A device on the host is in no pod, so whatever its alias says of a loan is over. GC restores its name.
const LENT: Owned = Owned::of_conf("lent device", |scope, how| {
    let Some(Selector::Name(name)) = Selector::remembered(&Config::lenient(scope.conf)) else {
        return Ok(Vec::new());
    };
    let sysfs = Sysfs::of_host();
    let stray = give_back::stray(&name, &sysfs)?;
    if how.removes() {
        give_back::restore_name(&name, &sysfs)?;
    }
    let told = stray.map(|now| format!("{name}, which was lent, is {now} now"));
    Ok(told.into_iter().map(Found::collectable).collect())
});

/// The plugin `host-device`.
#[derive(Debug, Clone, Copy)]
pub struct HostDevice;

impl Plugin for HostDevice {
    fn name(&self) -> &'static str {
        "host-device"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let advertisements = RouterAdvertisements::validate(conf);
        match plan::Plan::new(conf, &Sysfs::at("/nonexistent")) {
            // What the host has not, is not the configuration's fault.
            Err(error) if error.code != code::INTERNAL && !names_device_later(conf) => {
                return Err(error);
            }
            _ => {}
        }
        advertisements?;
        Ok(Needs::ADDRESSES)
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        add::add(request, &Sysfs::of_host(), undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        check::check(request, &Sysfs::of_host())
    }

    /// What the configuration names need not exist any more; the device is known by its loan.
    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        if record::lives_elsewhere(request) {
            return request.forward_to_foreign_ipam();
        }
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let mut cleanup = Cleanup::new();
        let made = request.prev_result();
        let netns = sandbox::of_attachment(request, made.as_ref()).unwrap_or_else(|fault| {
            cleanup.step("open the netns", Err(fault));
            None
        });
        // DHCP gives its lease back through the device.
        cleanup.step("release the addresses", request.forward_to_ipam());
        let sysfs = Sysfs::of_host();
        let loan = Loan {
            if_name: request.if_name.as_str(),
            selector: Selector::remembered(&Config::lenient(request.conf)),
            address: made
                .as_ref()
                .and_then(|made| address::listed(made, request.if_name.as_str())),
            record: Record::of(owner),
            made: made.as_ref(),
            sysfs: &sysfs,
        };
        let given_back = give_back::give_back(netns.as_ref(), &loan);
        // What could not be brought back is still to be found by it.
        if given_back.is_ok() {
            cleanup.step("forget the attachment", record::forget(owner));
        }
        cleanup.step("give the device back", given_back);
        cleanup.finish()
    }

    fn owned(&self) -> &'static [Owned] {
        &[LENT, record::OWNED]
    }

    fn lends_devices(&self) -> bool {
        true
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        status::status(request, &Sysfs::of_host())
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let sysfs = Sysfs::of_host();
        let plan = plan::Plan::new(&forecast.conf, &sysfs)?;
        if plan.user_space {
            // Its driver is a program's, so there is no link to move.
            let device = plan.selector.to_string();
            forecast.tell(Effect::LeavesAlone, Spot::Host, "device", device);
            return Ok(());
        }
        let host = Socket::open().map_err(SetupError::kernel("open a netlink socket"))?;
        let device = plan.selector.find(&host, &sysfs)?;
        forecast.tell(Effect::Changes, Spot::Host, "link", device.link.name);
        forecast.interface();
        Ok(())
    }

    plan_door!(|conf, _| plan::Plan::new(conf, &sysfs::Sysfs::at("/nonexistent")));
}

/// Whether the runtime is to name the device, by a capability.
fn names_device_later(conf: &PluginConf) -> bool {
    conf.capabilities().get("deviceID") == Some(&true)
}
