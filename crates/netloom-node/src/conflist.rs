//! The network's configuration for runtimes: there only while pods can start.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::Places;
use crate::files;

/// The name that flannel's own configuration has: the reservations of pods that were added under it count.
const NETWORK: &str = "cbr0";
/// What the configuration names, by itself or through a delegate.
const PLUGINS: [&str; 4] = ["flannel", "bridge", "host-local", "portmap"];

/// The plugins that are not installed.
pub(crate) fn missing_plugins(bin_dir: &Path) -> Vec<&'static str> {
    let missing = PLUGINS.iter().filter(|name| !bin_dir.join(name).is_file());
    missing.copied().collect()
}

/// Writes it, unless it is there. Whether it was written.
pub(crate) fn write(places: &Places) -> Result<bool> {
    let text = format!("{:#}\n", document(&places.subnet_file));
    files::write(&places.conf_dir.join(&places.conf_name), &text, 0o644)
}

/// Says that no pod is to start here, whatever happens, until the file is gone.
pub(crate) fn drained(places: &Places) -> PathBuf {
    places.state_dir.join("drained")
}

/// Takes it away. Whether it was there.
pub(crate) fn remove(places: &Places) -> Result<bool> {
    files::remove(&places.conf_dir.join(&places.conf_name))
}

fn document(subnet_file: &Path) -> Value {
    json!({
        // A runtime that knows no newer one reads this; the others choose from the list.
        "cniVersion": "1.0.0",
        "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
        "name": NETWORK,
        "plugins": [
            {
                "type": "flannel",
                "subnetFile": subnet_file,
                "delegate": { "hairpinMode": true, "isDefaultGateway": true }
            },
            { "type": "portmap", "capabilities": { "portMappings": true } }
        ]
    })
}
