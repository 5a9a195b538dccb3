//! GC: what belongs to none of the network's valid attachments goes.

use crate::wiring::{masquerade, record, spoof};
use netloom_plugin::{Cleanup, GcRequest};
use netloom_spec::Error;

/// Removes stale masquerade entries and spoof checks of this network, and has the IPAM plugin
/// do its part. Links of pods that are gone went with them.
pub(super) fn gc(request: &GcRequest<'_>) -> Result<(), Error> {
    let mut cleanup = Cleanup::new();
    cleanup.step("collect stale addresses", request.forward_to_ipam());
    if let Some(valid) = &request.valid {
        let network = request.network().as_str();
        cleanup.step(
            "collect stale masquerade",
            masquerade::collect(network, valid),
        );
        cleanup.step("collect stale spoof checks", spoof::collect(network, valid));
        cleanup.step("forget stale attachments", record::collect(network, valid));
    }
    cleanup.finish()
}
