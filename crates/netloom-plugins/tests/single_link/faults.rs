//! A fault at every system call of ADD.

use super::{Lab, Subject, plugin_dir};
use netloom_testkit::{PluginDir, Pod, Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};
use std::sync::Arc;

/// Fails and kills ADD everywhere, with the address reserved by host-local: nothing is left. Prints
/// how many points were tried.
pub(crate) fn leave_nothing_reserved(subject: Subject, keys: &Value) {
    leave_nothing(subject, keys, |_, _| {});
}

/// The same with the master in the pod, and an IPAM plugin that keeps no books: its own points are
/// tried elsewhere.
pub(crate) fn leave_nothing_beside_a_master_in_the_pod(subject: Subject) {
    let keys = json!({"linkInContainer": true, "master": "up0", "ipam": fixed()});
    leave_nothing(subject, &keys, |lab, pod| lab.master_in(pod));
}

/// The same for a link that only a guest's kernel has, where everything is slower.
pub(crate) fn leave_nothing_in_a_guest(subject: Subject) {
    leave_nothing(subject, &json!({"ipam": fixed()}), |_, _| {});
}

fn fixed() -> Value {
    let address = json!({"address": "10.20.0.5/24", "gateway": "10.20.0.1"});
    json!({"type": "static", "addresses": [address], "routes": [{"dst": "0.0.0.0/0"}]})
}

/// Fails and kills DEL everywhere: the next one completes it.
pub(crate) fn del_is_completed(subject: Subject) {
    let plugins = plugin_dir();
    let keys = json!({"ipam": fixed()});
    let scene = || scene(subject, plugins.clone(), &keys, |_, _| {});
    if let Some(tally) = assert_del_completes(subject.name, scene) {
        assert!(tally.has_points(11, 5), "too few points: {tally}");
    }
}

fn leave_nothing(subject: Subject, keys: &Value, prepare: fn(&Lab, &Pod)) {
    let plugins = plugin_dir();
    let scene = || scene(subject, plugins.clone(), keys, prepare);
    if let Some(tally) = assert_no_residue(subject.name, None, scene) {
        let enough = tally.has_points(21, 10);
        assert!(enough, "too few points: {tally}");
    }
}

fn scene(
    subject: Subject,
    plugins: Arc<PluginDir>,
    keys: &Value,
    prepare: fn(&Lab, &Pod),
) -> Option<Scene> {
    let lab = Lab::with_plugins(subject, plugins)?;
    let pod = lab.host.pod("one");
    prepare(&lab, &pod);
    let conf = lab.quick(keys.clone());
    Some(Scene {
        add: lab.plugin.call("ADD", &conf).pod(&pod),
        del: lab.plugin.call("DEL", &conf).pod(&pod),
        pods: vec![pod, lab.uplink.outside],
        bridges: Vec::new(),
        host: lab.host,
    })
}
