//! GC: the delegates' own, and the files of attachments that are no longer valid.

use super::plan::Plan;
use super::store::{Listed, Store};
use super::subnet_env::SubnetEnv;
use netloom_plugin::{Cleanup, GcRequest};
use netloom_spec::{Attachment, Error, PluginConf};

const VALID: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

/// Calls each delegate that the network has, or had for a stale attachment, once.
///
/// A stale attachment then gets its DEL too, for delegates whose GC does nothing: those of the
/// reference. Only after that is its file of no more use.
pub(super) fn collect(request: &GcRequest<'_>, cleanup: &mut Cleanup) {
    let store = Store::of(request.conf);
    let listed = store
        .list(request.network().as_str())
        .unwrap_or_else(|error| {
            cleanup.step("list the saved configurations", Err(error));
            Vec::new()
        });
    let stale: Vec<&Listed> = match &request.valid {
        Some(valid) => listed
            .iter()
            .filter(|saved| is_stale(saved, valid))
            .collect(),
        None => Vec::new(),
    };
    for conf in delegates(request, &stale) {
        let delegate = request.delegate(conf.plugin_type()).with_conf(conf);
        let what = format!("GC of the delegate {}", delegate.kind());
        cleanup.step(&what, delegate.gc());
    }
    for saved in stale {
        let what = format!("collect {}", saved.path.display());
        cleanup.step(&what, remove(request, saved));
    }
}

fn is_stale(saved: &Listed, valid: &[Attachment]) -> bool {
    !valid.iter().any(|attachment| {
        let of_interface = |if_name: &String| *if_name == attachment.if_name;
        attachment.container_id == saved.container_id
            && saved.if_name.as_ref().is_none_or(of_interface)
    })
}

/// The configurations for the delegates' GC: what an ADD would use now, and what ADDs used that
/// nobody wants any more. What differs by pod alone is one.
fn delegates(request: &GcRequest<'_>, stale: &[&Listed]) -> Vec<PluginConf> {
    let now = || {
        let plan = Plan::new(request.conf).ok()?;
        plan.render(&SubnetEnv::load(&plan.subnet_file).ok()?).ok()
    };
    let saved = stale.iter().map(|saved| saved.conf.clone());
    let mut confs: Vec<PluginConf> = Vec::new();
    for mut conf in now().into_iter().chain(saved) {
        conf.remove("runtimeConfig");
        conf.set("cniVersion", request.conf.cni_version().into());
        for key in VALID {
            if let Some(value) = request.conf.get(key) {
                conf.set(key, value.clone());
            }
        }
        if !confs.contains(&conf) {
            confs.push(conf);
        }
    }
    confs
}

fn remove(request: &GcRequest<'_>, saved: &Listed) -> Result<(), Error> {
    if let Some(attachment) = saved.attachment() {
        let delegate = request.delegate(saved.conf.plugin_type());
        delegate.with_conf(saved.conf.clone()).del_of(&attachment)?;
    }
    saved.forget()
}
