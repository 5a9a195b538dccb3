//! Which VLANs a port carries: validation of `vlan` and `vlanTrunk`.

use super::config::{Config, Trunk};
use crate::wiring::setup_error::invalid;
use crate::wiring::vlan_id;
use netloom_spec::Error;
use std::collections::BTreeSet;

/// The VLAN that a trunk without `vlan` carries untagged.
const NATIVE_VLAN: u16 = 1;

/// The VLANs of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortVlans {
    /// The VLAN that the port carries untagged.
    pub(super) native: Option<u16>,
    /// The VLANs that the port carries tagged; may contain the native one, which then stays untagged.
    pub(super) tagged: BTreeSet<u16>,
    /// Keep the VLANs that the bridge gave to the new port.
    pub(super) keep_default: bool,
}

/// What the configuration asks of VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vlans {
    /// The bridge has to filter VLANs.
    pub(super) filtering: bool,
    /// `vlan`, which also names the gateway's interface `<bridge>.<vlan>`.
    pub(super) access: Option<u16>,
    /// The port's VLANs, when it has any.
    pub(super) port: Option<PortVlans>,
}

impl PortVlans {
    /// The native VLAN alone, for the port of the gateway.
    pub(super) fn native_only(&self) -> Self {
        Self {
            tagged: BTreeSet::new(),
            ..*self
        }
    }
}

impl Vlans {
    /// Validates `vlan` and `vlanTrunk`.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let access = access(config.vlan)?;
        let tagged = trunk(config.vlan_trunk.as_deref().unwrap_or_default())?;
        let trunked = !tagged.is_empty();
        let port = (access.is_some() || trunked).then(|| PortVlans {
            native: access.or(trunked.then_some(NATIVE_VLAN)),
            tagged,
            keep_default: config.preserve_default_vlan,
        });
        let filtering = access.is_some() || config.vlan_trunk.is_some();
        Ok(Self {
            filtering,
            access,
            port,
        })
    }
}

/// `vlan`; 0 is the same as none.
fn access(vlan: i64) -> Result<Option<u16>, Error> {
    Ok(Some(vlan_id::read(vlan)?).filter(|vlan| *vlan != 0))
}

fn trunk(entries: &[Trunk]) -> Result<BTreeSet<u16>, Error> {
    let mut vlans = BTreeSet::new();
    for entry in entries {
        match (entry.min_id, entry.max_id) {
            (Some(min), Some(max)) => vlans.extend(range(min, max)?),
            (None, Some(_)) => return Err(missing_bound("minID")),
            (Some(_), None) => return Err(missing_bound("maxID")),
            (None, None) => {}
        }
        if let Some(id) = entry.id {
            vlans.insert(trunk_vlan("id", id)?);
        }
    }
    Ok(vlans)
}

fn range(min: i64, max: i64) -> Result<std::ops::RangeInclusive<u16>, Error> {
    let (first, last) = (trunk_vlan("minID", min)?, trunk_vlan("maxID", max)?);
    if first > last {
        return Err(invalid(format!(
            "minID is greater than maxID in trunk parameter: {min} > {max}"
        )));
    }
    Ok(first..=last)
}

fn trunk_vlan(field: &str, value: i64) -> Result<u16, Error> {
    match u16::try_from(value) {
        Ok(vlan) if (1..=vlan_id::LAST).contains(&value) => Ok(vlan),
        _ => Err(invalid(format!(
            "incorrect trunk {field} parameter: {value} (must be between 1 and 4094)"
        ))),
    }
}

fn missing_bound(missing: &str) -> Error {
    invalid(format!(
        "minID and maxID should be configured simultaneously, {missing} is missing"
    ))
}
