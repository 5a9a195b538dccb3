//! What a plugin says about itself: the text for a person, and the answer to VERSION.

use crate::Plugin;
use netloom_spec::Version;
use std::sync::OnceLock;

/// What else the second line is to tell.
static BUILD: OnceLock<fn() -> String> = OnceLock::new();

/// Has every plugin of this program tell people how it was built, after netloom's version: which C
/// library it has, say. Nobody is asked before a person is told. The first call counts.
pub fn tell_build(how: fn() -> String) {
    let _ = BUILD.set(how);
}

/// The lines for somebody who runs the plugin without `CNI_COMMAND`: the first is the reference's,
/// the second tells what it is by.
pub(crate) fn text(plugin: &dyn Plugin) -> String {
    let versions: Vec<String> = plugin.versions().iter().map(Version::to_string).collect();
    let build = BUILD.get().map(|how| format!(" ({})", how()));
    format!(
        "{}\nnetloom v{}{}\nCNI protocol versions supported: {}\n",
        plugin.title(),
        env!("CARGO_PKG_VERSION"),
        build.unwrap_or_default(),
        versions.join(", ")
    )
}

/// The answer to VERSION, one line.
///
/// The spec asks to repeat the request's `cniVersion`, which only a reader of stdin could do. The
/// reference does not read it, and runtimes and people call VERSION with a terminal or an open
/// pipe as stdin; so this answers with the newest version, as the reference does, and never blocks.
pub(crate) fn versions(plugin: &dyn Plugin) -> String {
    let versions: Vec<String> = plugin
        .versions()
        .iter()
        .map(|version| format!("\"{version}\""))
        .collect();
    format!(
        "{{\"cniVersion\":\"{}\",\"supportedVersions\":[{}]}}\n",
        Version::LATEST,
        versions.join(",")
    )
}
