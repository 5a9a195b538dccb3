//! What ADD would make.

use super::plan::{Layer, Plan};
use crate::wiring::{foretell, gateway};
use netloom_kernel::nft;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_spec::Error;

pub(super) fn describe(forecast: &mut Forecast<'_>) -> Result<(), Error> {
    let (plan, _) = Plan::new(&forecast.conf, forecast.args)?;
    let bridge = foretell::shared_link(forecast, &plan.bridge)?;
    foretell::cable(forecast);
    if plan.spoof_check {
        foretell::table(forecast, nft::Table::new(nft::Family::Bridge, "nat"));
    }
    let Layer::Three(layer) = &plan.layer else {
        forecast.interface();
        return Ok(());
    };
    let holder = plan.gateway_interface();
    let mut link = bridge;
    if layer.gateway.is_some() {
        foretell::fill_gateways(forecast);
        if holder != plan.bridge {
            link = foretell::shared_link(forecast, &holder)?;
            // The bridge's own port for the VLAN.
            forecast.makes("link", "veth*");
        }
    }
    if layer.gateway.is_some_and(|gateway| gateway.default_route) {
        gateway::ensure_default_routes(&mut forecast.result);
    }
    forecast.interface();
    if layer.gateway.is_some() {
        for address in gateway::host_addresses(&forecast.result.ips) {
            let effect = match foretell::has_address(link.as_ref(), address.addr()) {
                true => Effect::IsThere,
                false => Effect::Makes,
            };
            forecast.tell(
                effect,
                Spot::Host,
                "address",
                format!("{address} on {holder}"),
            );
        }
        foretell::forwarding(forecast);
    }
    if let Some(choice) = layer.masquerade {
        foretell::masquerade(forecast, choice);
    }
    Ok(())
}
