//! GC: links went with their pods.

use crate::wiring::record;
use netloom_plugin::{Cleanup, GcRequest};
use netloom_spec::Error;

/// Has the IPAM plugin do its part, and forgets the attachments that are not valid any more.
pub(crate) fn gc(request: &GcRequest<'_>) -> Result<(), Error> {
    let mut cleanup = Cleanup::new();
    cleanup.step("collect stale addresses", request.forward_to_ipam());
    if let Some(valid) = &request.valid {
        let forgotten = record::collect(request.network().as_str(), valid);
        cleanup.step("forget stale attachments", forgotten);
    }
    cleanup.finish()
}
