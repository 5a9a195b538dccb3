//! `--keep`: what it says lives is all that stays, so a slip of the pen must not pass.

use anyhow::{Context, Result, bail};
use netloom_runtime::CachedAttachment;
use netloom_spec::{Attachment, ContainerId, IfName};

/// The attachments of a network that `--keep` names.
pub(super) fn named(
    keep: &[String],
    network: Option<&str>,
    cached: &[CachedAttachment],
) -> Result<Vec<Attachment>> {
    let of_network = |it: &&CachedAttachment| Some(it.network.as_str()) == network;
    let cached: Vec<_> = cached.iter().filter(of_network).collect();
    keep.iter()
        .map(|text| {
            let kept = parse(text).with_context(|| format!("invalid --keep {text:?}"))?;
            refuse_slip(&kept, &cached).with_context(|| format!("invalid --keep {text:?}"))?;
            Ok(kept)
        })
        .collect()
}

fn parse(text: &str) -> Result<Attachment> {
    let Some((container_id, if_name)) = text.split_once('/') else {
        bail!("expected CONTAINERID/IFNAME");
    };
    Ok(Attachment {
        container_id: ContainerId::new(container_id)?.into(),
        if_name: IfName::new(if_name)?.into(),
    })
}

/// Refuses what names no cached attachment but looks like one: the beginning of its id, as runtimes
/// print it, or another interface. What the cache does not know at all may be another runtime's.
fn refuse_slip(kept: &Attachment, cached: &[&CachedAttachment]) -> Result<()> {
    let Attachment {
        container_id: id,
        if_name,
    } = kept;
    let of_container = || cached.iter().filter(|it| it.container_id.starts_with(id));
    let is_kept = |it: &&CachedAttachment| it.container_id == *id && it.if_name == *if_name;
    if of_container().any(is_kept) {
        return Ok(());
    }
    match of_container().min_by_key(|it| it.container_id.len()) {
        None => Ok(()),
        Some(it) => bail!(
            "no such attachment is cached; did you mean {:?}?",
            format!("{}/{}", it.container_id, it.if_name)
        ),
    }
}
