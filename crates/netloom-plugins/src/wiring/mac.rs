//! The MAC address that a configuration asks for.

use super::fault::invalid;
use netloom_spec::{Error, Mac};
use serde::Deserialize;

/// An object of the configuration of which only `mac` matters: `runtimeConfig`, `args.cni`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WithMac {
    pub(crate) mac: String,
}

/// Reads the address of an interface.
pub(crate) fn unicast(text: &str) -> Result<Mac, Error> {
    let mac: Mac = text.parse().map_err(|error| {
        invalid(format!(
            "invalid mac {text:?} for the container interface: {error}"
        ))
    })?;
    // The kernel refuses group addresses and zero for an interface.
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        return Err(invalid(format!(
            "invalid mac {text:?} for the container interface: a unicast address is needed"
        )));
    }
    Ok(mac)
}
