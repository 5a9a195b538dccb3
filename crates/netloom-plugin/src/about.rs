//! What a plugin says about itself: the text for a person, and the answer to VERSION.

use crate::Plugin;
use netloom_spec::Version;
use std::sync::OnceLock;

/// Who made the plugins of a program.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// The [`release`](Plugin::release) of each plugin that tells none of its own.
    pub release: &'static str,
    /// The second line of what a plugin says of itself: by whom it is, and how it was built. Nobody is
    /// asked before a person is told.
    pub line: fn() -> String,
}

static MAKER: OnceLock<Maker> = OnceLock::new();

/// Tells who made the plugins of this program. The first call counts. Without it they introduce
/// themselves by their own names and releases alone.
pub fn tell_maker(maker: Maker) {
    let _ = MAKER.set(maker);
}

pub(crate) fn release() -> &'static str {
    MAKER.get().map_or("version unknown", |maker| maker.release)
}

/// The lines for somebody who runs the plugin without `CNI_COMMAND`: its title, its maker if that is
/// told, and the versions of the spec.
pub(crate) fn text(plugin: &dyn Plugin) -> String {
    let versions: Vec<String> = plugin.versions().iter().map(Version::to_string).collect();
    let maker = MAKER.get().map(|maker| format!("{}\n", (maker.line)()));
    format!(
        "{}\n{}CNI protocol versions supported: {}\n",
        plugin.title(),
        maker.unwrap_or_default(),
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
