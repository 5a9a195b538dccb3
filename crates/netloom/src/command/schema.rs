//! `schema`: JSON Schemas for editors.

use anyhow::{Result, bail};
use netloom_plugins::registry::PLUGINS;

use crate::cli::Schema;
use crate::near::nearest;
use crate::schema;

pub(super) fn run(wanted: &Schema) -> Result<()> {
    let Some(name) = &wanted.plugin else {
        print_json!(schema::list());
        return Ok(());
    };
    let names = || PLUGINS.iter().map(|it| it.name());
    if !names().any(|it| it == name) {
        match nearest(name, names()) {
            Some(near) => bail!("no plugin {name:?}; did you mean {near:?}?"),
            None => bail!(
                "no plugin {name:?}; there are {}",
                names().collect::<Vec<_>>().join(", ")
            ),
        }
    }
    print_json!(schema::plugin(name));
    Ok(())
}
