//! The networks and plugins where the options say that they are.

use std::path::Path;

use anyhow::Result;
use netloom_kernel::signals;
use netloom_runtime::{Cni, load};
use netloom_spec::NetworkConfigList;

use crate::environment;
use crate::execution::Bounded;
use crate::near::nearest;
use crate::options::Options;

/// The runtime library with the plugin directories of CNI_PATH and the cache of the options.
pub(crate) fn cni(options: &Options) -> Cni {
    Cni::new(environment::plugin_dirs())
        .cache_dir(&options.cache_dir)
        .exec(Bounded::by(options.timeout))
        .on_wait(|held| {
            // Nothing but this waits.
            signals::expect_none();
            note!("netloom: {held}");
        })
}

/// No network has the name that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoSuchNetwork(#[source] netloom_spec::Error);

/// The network of this name in the configuration directory.
///
/// # Errors
/// [`NoSuchNetwork`], or why the directory or a file in it cannot be read.
pub(crate) fn find(options: &Options, name: &str) -> Result<NetworkConfigList> {
    load::find_by_name(&options.conf_dir, name).map_err(|error| {
        let hint = match &error {
            load::Error::NotFound { dir, .. } => Some(hint(dir, name)),
            _ => None,
        };
        let mut error = netloom_spec::Error::from(error);
        let Some(hint) = hint else {
            return error.into();
        };
        error.msg.push_str(&hint);
        NoSuchNetwork(error).into()
    })
}

/// What was probably meant by a name that no network has.
fn hint(dir: &Path, name: &str) -> String {
    if name.contains('/') {
        return "; the network's name comes first, then the namespace".to_owned();
    }
    let known = load::directory(dir)
        .map(|it| it.networks)
        .unwrap_or_default();
    match nearest(name, known.iter().map(|it| it.list.name.as_str())) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => String::new(),
    }
}
