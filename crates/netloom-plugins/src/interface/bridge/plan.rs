//! What ADD is going to do, decided from the configuration and the request alone.

use super::config::Config;
use super::vlan::Vlans;
use crate::wiring::masquerade::BackendChoice;
use crate::wiring::setup_error::invalid;
use crate::wiring::veth;
use netloom_spec::{Dns, Error, IfName, Mac, PluginConf};

/// A valid request. Nothing in it can contradict itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Name of the bridge device.
    pub(super) bridge: String,
    /// MTU of both ends of the veth, and of the bridge when it is made.
    pub(super) mtu: Option<u32>,
    /// The bridge receives every frame.
    pub(super) promiscuous: bool,
    /// The port sends frames back to where they came from.
    pub(super) hairpin: bool,
    /// The port talks to no other isolated port.
    pub(super) isolated: bool,
    /// VLANs of bridge and port.
    pub(super) vlans: Vlans,
    /// MAC address of the container interface; the kernel's choice when absent.
    pub(super) mac: Option<Mac>,
    /// Drop frames whose source is not the container's MAC address.
    pub(super) spoof_check: bool,
    /// How much of the container's interface is configured.
    pub(super) layer: Layer,
}

/// How far up the stack the plugin configures the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layer {
    /// Only the veth. `up` is false where the container's interface is left down.
    Two { up: bool },
    /// Addresses and routes from an IPAM plugin.
    Three(LayerThree),
}

/// Everything that needs addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerThree {
    /// The bridge is the container's gateway.
    pub(super) gateway: Option<Gateway>,
    /// Masquerade what leaves the container's subnet.
    pub(super) masquerade: Option<BackendChoice>,
    /// IPv6 duplicate address detection in the container.
    pub(super) dad: bool,
}

/// The bridge as a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gateway {
    /// Give the container a default route through it.
    pub(super) default_route: bool,
    /// Replace a conflicting address on the bridge.
    pub(super) force_address: bool,
}

impl Plan {
    /// Validates the whole request; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf, cni_args: &str) -> Result<(Self, Option<Dns>), Error> {
        let config = Config::parse(conf)?;
        let plan = Self::from_config(&config, conf.ipam_type().is_some(), cni_args)?;
        Ok((plan, config.dns.replacement()))
    }

    /// Whether ADD makes something by nf_tables, or asks it what iptables has.
    pub(super) fn needs_nftables(&self) -> bool {
        let masquerades = |layer: &LayerThree| layer.masquerade.is_some();
        self.spoof_check || matches!(&self.layer, Layer::Three(layer) if masquerades(layer))
    }

    fn from_config(config: &Config, has_ipam: bool, cni_args: &str) -> Result<Self, Error> {
        let vlans = Vlans::new(config)?;
        let mac = config.mac(cni_args)?;
        if has_ipam && config.disable_container_interface {
            return Err(invalid(
                "cannot use IPAM when DisableContainerInterface flag is set",
            ));
        }
        if config.hairpin_mode && config.promisc_mode {
            return Err(invalid(
                "cannot set hairpin mode and promiscuous mode at the same time",
            ));
        }
        let plan = Self {
            bridge: bridge_name(&config.bridge)?,
            mtu: veth::mtu(config.mtu)?,
            promiscuous: config.promisc_mode,
            hairpin: config.hairpin_mode,
            isolated: config.port_isolation,
            vlans,
            mac,
            spoof_check: config.mac_spoof_check,
            layer: layer(config, has_ipam)?,
        };
        plan.gateway_interface_fits()?;
        Ok(plan)
    }

    /// Name of the interface that holds the gateway's addresses.
    pub(super) fn gateway_interface(&self) -> String {
        match self.vlans.access {
            Some(vlan) => format!("{}.{vlan}", self.bridge),
            None => self.bridge.clone(),
        }
    }

    fn gateway_interface_fits(&self) -> Result<(), Error> {
        let Layer::Three(LayerThree {
            gateway: Some(_), ..
        }) = &self.layer
        else {
            return Ok(());
        };
        let name = self.gateway_interface();
        IfName::new(name.as_str()).map(drop).map_err(|error| {
            invalid(format!(
                "bridge {:?} and vlan give the gateway's interface the name {name:?}: {}",
                self.bridge, error.msg
            ))
        })
    }
}

fn layer(config: &Config, has_ipam: bool) -> Result<Layer, Error> {
    // The value is checked even where nothing will use it.
    let backend = BackendChoice::parse(config.ip_masq_backend.as_deref()).map_err(invalid)?;
    if !has_ipam {
        return Ok(Layer::Two {
            up: !config.disable_container_interface,
        });
    }
    let is_gateway = config.is_gateway || config.is_default_gateway;
    Ok(Layer::Three(LayerThree {
        gateway: is_gateway.then_some(Gateway {
            default_route: config.is_default_gateway,
            force_address: config.force_address,
        }),
        masquerade: config.ip_masq.then_some(backend),
        dad: config.enable_dad,
    }))
}

fn bridge_name(name: &str) -> Result<String, Error> {
    match IfName::new(name) {
        Ok(valid) => Ok(valid.as_str().to_owned()),
        Err(error) => Err(invalid(format!(
            "failed to create bridge {name:?}: could not add {name:?}: {}",
            error.msg
        ))),
    }
}

#[cfg(test)]
mod tests;
