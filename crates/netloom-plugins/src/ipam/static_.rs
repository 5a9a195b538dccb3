//! static: gives a pod the addresses that the configuration or the runtime names.
//!
//! It makes nothing, on disk or in the kernel, and reserves nothing: whoever writes the configuration
//! must see that no two containers get the same address. So DEL and GC have nothing to remove.

mod error;
mod plan;

use error::StaticError;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, DelRequest, Error, Needs, Plugin, StatusRequest, Undo,
};
use netloom_spec::{IpConfig, PluginConf};
use plan::Plan;

/// The plugin static.
#[derive(Debug)]
pub struct Static;

impl Plugin for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Plan::new(conf, conf.version()?, "")?;
        Ok(Needs::default())
    }

    fn add<'r>(&self, request: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf, request.version(), request.args)?;
        for gateway in &plan.unused_gateways {
            request.warn(&format!(
                "GATEWAY {gateway} in CNI_ARGS is in no subnet of IP in CNI_ARGS, it is not used"
            ));
        }
        Ok(AddResult {
            ips: plan.ips,
            routes: plan.routes,
            dns: plan.dns,
            ..AddResult::default()
        })
    }

    /// Looks for its own addresses alone: other plugins may have added more to the result.
    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf, request.version(), request.args)?;
        let observed = request.prev_result()?.ips;
        for ip in &plan.ips {
            require(ip, &observed, request.if_name.as_str())?;
        }
        Ok(())
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Fails if the configuration is invalid. One without addresses is valid, since they may come
    /// with each ADD.
    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        Plan::new(request.conf, request.version(), "")?;
        Ok(())
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf, forecast.version, forecast.args)?;
        forecast.result.ips.extend(plan.ips);
        forecast.result.routes.extend(plan.routes);
        Ok(())
    }

    plan_door!(|conf, args| Plan::new(conf, conf.version()?, args));
}

/// Requires that an address is among the observed ones, with its gateway if it has one.
fn require(ip: &IpConfig, observed: &[IpConfig], if_name: &str) -> Result<(), StaticError> {
    let same: Vec<&IpConfig> = observed
        .iter()
        .filter(|other| other.address.addr() == ip.address.addr())
        .collect();
    let Some(other) = same
        .iter()
        .find(|other| other.address == ip.address)
        .or(same.first())
    else {
        return Err(StaticError::Missing {
            address: ip.address,
            if_name: if_name.to_owned(),
        });
    };
    if other.address != ip.address {
        return Err(StaticError::Prefix {
            address: ip.address,
            if_name: if_name.to_owned(),
            observed: other.address.prefix_len(),
        });
    }
    match ip.gateway {
        Some(gateway) if other.gateway != Some(gateway) => Err(StaticError::Gateway {
            address: ip.address,
            if_name: if_name.to_owned(),
            gateway,
            observed: other.gateway,
        }),
        _ => Ok(()),
    }
}
