//! CHECK: what the delegate finds, with the configuration that it was called with.

use super::plan::Plan;
use super::store::Store;
use super::with_result;
use crate::wiring::check::mismatch;
use crate::wiring::owner::Owner;
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    request.prev_result()?;
    let plan = Plan::new(request.conf)?;
    let store = Store::at(&plan.data_dir);
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let Some(saved) = store.find(owner)? else {
        return Err(mismatch(format!(
            "no delegate's configuration for container {} and interface {} is saved in {}",
            request.container_id,
            request.if_name,
            plan.data_dir.display()
        ))
        .into());
    };
    let Some(conf) = saved.conf else {
        let text = format!("{} is no delegate's configuration", saved.path.display());
        return Err(mismatch(text).into());
    };
    let conf = with_result(conf, request.conf);
    let delegate = request.delegate(conf.plugin_type()).with_conf(conf);
    delegate.check()
}
