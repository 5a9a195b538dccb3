//! Plugins that add to what an earlier plugin of the chain made.

pub mod bandwidth;
pub mod debug;
pub mod firewall;
pub mod portmap;
pub mod ratchet;
pub mod sbr;
pub mod tuning;
pub mod vrf;

plugins! {
    bandwidth::Bandwidth,
    debug::Debug,
    firewall::Firewall,
    portmap::Portmap,
    ratchet::Ratchet,
    sbr::Sbr,
    tuning::Tuning,
    vrf::Vrf,
}
