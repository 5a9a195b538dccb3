//! GC: the delegates' own, and the files of attachments that are no longer valid.

use super::plan::Plan;
use super::store::{Listed, Store};
use super::subnet_env::SubnetEnv;
use netloom_plugin::{Cleanup, Found, GcRequest, Owned};
use netloom_spec::{Attachment, Error, NetworkName, PluginConf};
use std::path::PathBuf;

const VALID: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

/// Calls each delegate that the network has, or had for a stale attachment, once.
///
/// A stale attachment then gets its DEL too, for delegates whose GC does nothing: those of the
/// reference. Only after that is its file of no more use.
pub(super) fn collect(request: &GcRequest<'_>, cleanup: &mut Cleanup) {
    let stale = match find_stale(request.conf, request.network(), request.valid.as_deref()) {
        Ok((stale, broken)) => {
            for path in broken {
                let path = path.display();
                request.warn(&format!("{path} is no configuration, and stays"));
            }
            stale
        }
        Err(error) => {
            cleanup.step("list the saved configurations", Err(error));
            Vec::new()
        }
    };
    for conf in delegates(request.conf, &stale) {
        let delegate = request.delegate(conf.plugin_type()).with_conf(conf);
        let what = format!("GC of the delegate {}", delegate.kind());
        cleanup.step(&what, delegate.gc());
    }
    for saved in stale {
        let what = format!("collect {}", saved.path.display());
        cleanup.step(&what, remove(request, &saved));
    }
}

/// The files of attachments that are not valid any more, and the files that are none.
fn find_stale(
    conf: &PluginConf,
    network: &NetworkName,
    valid: Option<&[Attachment]>,
) -> Result<(Vec<Listed>, Vec<PathBuf>), Error> {
    let (mut listed, broken) = Store::of(conf).list(network.as_str())?;
    listed.retain(|saved| valid.is_some_and(|valid| is_stale(saved, valid)));
    Ok((listed, broken))
}

/// The saved configurations of attachments that are not valid any more, and the files that are none. GC
/// removes them after the delegate's DEL, by [`collect`].
pub(super) const OWNED: Owned = Owned::of_conf("flannel configuration", |scope, _| {
    let (stale, broken) = find_stale(scope.conf, scope.network, Some(scope.valid))?;
    let stale = stale.iter().map(|saved| saved.path.display().to_string());
    let stale = stale.map(Found::collectable);
    Ok(stale.chain(broken.into_iter().map(Found::broken)).collect())
});

/// The configurations of all delegates whose GC [`collect`] may call.
pub(super) fn all_delegates(conf: &PluginConf, network: &NetworkName) -> Vec<PluginConf> {
    // What cannot be listed is told by [`stale`].
    let saved = find_stale(conf, network, Some(&[])).unwrap_or_default().0;
    // As it is in a list.
    let mut conf = conf.clone();
    conf.set("name", network.as_str().into());
    delegates(&conf, &saved)
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
fn delegates(own: &PluginConf, stale: &[Listed]) -> Vec<PluginConf> {
    let now = || {
        let plan = Plan::new(own).ok()?;
        plan.render(&SubnetEnv::load(&plan.subnet_file).ok()?).ok()
    };
    let saved = stale.iter().map(|saved| saved.conf.clone());
    let mut confs: Vec<PluginConf> = Vec::new();
    for mut conf in now().into_iter().chain(saved) {
        conf.remove("runtimeConfig");
        conf.set("cniVersion", own.cni_version().into());
        for key in VALID {
            if let Some(value) = own.get(key) {
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
