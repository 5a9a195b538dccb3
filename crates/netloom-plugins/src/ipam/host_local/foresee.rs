//! Which addresses ADD would reserve, found without the lock: another ADD may come first.

use super::allocator::{Pool, take_next};
use super::config::{Plan, place};
use super::directory::Directory;
use super::listing::taken;
use super::store::last_reserved_name;
use ipnet::IpNet;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_spec::{Error, IpConfig, code};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;

/// The addresses that have a file.
struct Taken(BTreeSet<IpAddr>);

impl Pool for Taken {
    type Error = Infallible;

    fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let mut next = Some(from);
        while let Some(address) = next.filter(|address| *address <= to) {
            if !self.0.contains(&address) {
                return Some(address);
            }
            next = super::address::successor(address);
        }
        None
    }

    fn take(&mut self, address: IpAddr) -> Result<bool, Infallible> {
        Ok(self.0.insert(address))
    }
}

pub(super) fn describe(forecast: &mut Forecast<'_>) -> Result<(), Error> {
    let plan = Plan::new(&forecast.conf, forecast.version, forecast.args)?;
    let path = place(&forecast.conf, forecast.network).reservations();
    let files = Directory::open(path.clone()).ok();
    let names = files.as_ref().and_then(|files| files.names().ok());
    let mut pool = Taken(taken(&names.unwrap_or_default()).collect());
    for (number, (set, requested)) in plan.sets.iter().zip(&plan.requested).enumerate() {
        let last = files.as_ref().and_then(|files| {
            let content = files.read(&last_reserved_name(number)).ok()?;
            std::str::from_utf8(&content).ok()?.trim().parse().ok()
        });
        let next = match requested {
            Some(address) => set.range_of(*address).map(|range| (*address, range)),
            None => take_next(set, last, &mut pool).unwrap_or_default(),
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
    let index = match files {
        Some(_) => Effect::Changes,
        None => Effect::Makes,
    };
    forecast.tell(index, Spot::Host, "file", path.display().to_string());
    forecast.result.routes.extend(plan.routes);
    Ok(())
}
