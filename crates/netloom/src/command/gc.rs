//! `gc`: what a network still holds for attachments that are gone.

use std::path::Path;

use anyhow::{Context, Result};
use netloom_spec::Attachment;

use super::Caller;
use super::network::{cni, find};
use crate::cli::{Gc, Options};

pub(super) fn run(options: &Options, gc: &Gc, caller: Caller) -> Result<()> {
    let network = find(options, &gc.network.network)?;
    let keep = if gc.all || caller == Caller::Cnitool {
        None
    } else if gc.keep.is_empty() {
        Some(living(options, &network.name)?)
    } else {
        Some(
            gc.keep
                .iter()
                .map(|text| named(text))
                .collect::<Result<_>>()?,
        )
    };
    Ok(cni(options).gc(&network, keep.as_deref())?)
}

/// The cached attachments of a network whose namespace still exists.
fn living(options: &Options, network: &str) -> Result<Vec<Attachment>> {
    let cached = cni(options).cached_attachments(None)?;
    Ok(cached
        .into_iter()
        .filter(|it| it.network == network && Path::new(&it.netns).exists())
        .map(|it| Attachment {
            container_id: it.container_id,
            if_name: it.if_name,
        })
        .collect())
}

fn named(text: &str) -> Result<Attachment> {
    let (container_id, if_name) = text
        .split_once('/')
        .with_context(|| format!("invalid --keep {text:?}: expected CONTAINERID/IFNAME"))?;
    Ok(Attachment {
        container_id: container_id.to_owned(),
        if_name: if_name.to_owned(),
    })
}
