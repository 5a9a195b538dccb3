//! What ADD takes over from the plugin before it in the chain.

use super::plan::Plan;
use crate::wiring::setup_error::invalid;
use crate::wiring::single_link::POSITION;
use netloom_plugin::AddRequest;
use netloom_spec::{AddResult, Error};

/// Where master and addresses come from.
#[derive(Debug)]
pub(super) struct Chain {
    /// The master's name; that of the default route when absent.
    pub(super) master: Option<String>,
    /// Addresses, routes and DNS of the plugin before, when no IPAM plugin is to give them.
    pub(super) given: Option<AddResult>,
}

impl Chain {
    /// Completes the plan; nothing has been touched when this fails.
    pub(super) fn new(plan: &Plan, request: &AddRequest<'_>) -> Result<Self, Error> {
        let previous = request.prev_result()?;
        let master = match (&plan.master, &previous) {
            (None, Some(previous)) => Some(only_interface(previous)?),
            (named, _) => named.clone(),
        };
        let given = if request.ipam().is_some() {
            None
        } else {
            Some(take_over(previous)?)
        };
        Ok(Self { master, given })
    }
}

fn only_interface(previous: &AddResult) -> Result<String, Error> {
    match &previous.interfaces[..] {
        [only] if !only.name.is_empty() => Ok(only.name.clone()),
        all => Err(invalid(format!(
            "chained master failure. PrevResult lacks a single named interface (it lists {}): name \
             one as \"master\"",
            all.len()
        ))),
    }
}

fn take_over(previous: Option<AddResult>) -> Result<AddResult, Error> {
    let mut given = previous
        .filter(|previous| !previous.ips.is_empty())
        .ok_or_else(|| {
            invalid(
                "ipvlan interface requires an IPAM configuration, or a prevResult with ips: no \
                 plugin name provided as ipam.type",
            )
        })?;
    for ip in &mut given.ips {
        ip.interface = Some(POSITION);
    }
    Ok(given)
}
