//! The keys of plugins, as the reference pages (docs/plugins) tell them.

/// A key of a plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) plugin: &'static str,
    /// With dots into objects and `[]` into lists: `ranges[][].subnet`.
    pub(crate) name: &'static str,
    /// In words: `list of strings`, `string, required`.
    pub(crate) kind: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const ROWS: &[Row] = include!(concat!(env!("OUT_DIR"), "/keys.rs"));

/// All of them, by plugin and in the order of its page.
pub(crate) fn all() -> impl Iterator<Item = Key> {
    let key = |&(plugin, name, kind, default, meaning): &Row| Key {
        plugin,
        name,
        kind,
        default,
        meaning,
    };
    ROWS.iter().map(key)
}
