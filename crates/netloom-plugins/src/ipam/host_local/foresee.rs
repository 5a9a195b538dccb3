//! Which addresses ADD would reserve, found without the lock: another ADD may come first.

use super::config::{Plan, place};
use crate::wiring::reservations::foresee::Look;
use ipnet::IpNet;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_spec::{Error, IpConfig, code};

pub(super) fn describe(forecast: &mut Forecast<'_>) -> Result<(), Error> {
    let plan = Plan::new(&forecast.conf, forecast.version, forecast.args)?;
    let path = place(&forecast.conf, forecast.network).reservations();
    let mut look = Look::at(path.clone());
    for (number, (set, requested)) in plan.sets.iter().zip(&plan.requested).enumerate() {
        let next = match requested {
            Some(address) => set.range_of(*address).map(|range| (*address, range)),
            None => look.next(number, set),
        };
        let Some((address, range)) = next else {
            let text = format!("no address of {set} is free");
            return Err(Error::new(code::TRY_AGAIN_LATER, text));
        };
        let net = IpNet::new(address, range.prefix_len());
        forecast.result.ips.extend(net.map(|address| IpConfig {
            gateway: range.gateway(),
            ..IpConfig::new(address)
        }));
        forecast.makes("file", path.join(address.to_string()).display().to_string());
    }
    let index = match look.is_there() {
        true => Effect::Changes,
        false => Effect::Makes,
    };
    forecast.tell(index, Spot::Host, "file", path.display().to_string());
    forecast.result.routes.extend(plan.routes);
    Ok(())
}
