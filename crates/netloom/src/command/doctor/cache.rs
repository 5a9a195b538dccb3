//! Cache files that cannot be read.
//!
//! Such a file keeps what its container has from GC and doctor: it must stay as long as the
//! container lives, and whether it does, only people can tell.

use std::path::Path;

use netloom_runtime::CacheError;
use netloom_spec::Attachment;

use super::{Finding, Host, remove};

pub(super) fn findings(host: &Host, unreadable: &[CacheError]) -> Vec<Finding> {
    unreadable
        .iter()
        .map(|error| Finding {
            kind: "cache file",
            network: String::new(),
            what: error.to_string(),
            mend: mend(host, error).into(),
        })
        .collect()
}

fn mend(host: &Host, error: &CacheError) -> String {
    let Some(path) = error.path() else {
        return "see what the error says".to_owned();
    };
    let remove = remove(path);
    let networks = host.networks.iter().map(|it| it.list.name.as_str());
    let mut owners: Vec<_> = networks.flat_map(|name| error.candidates(name)).collect();
    // Of names with a `-` in them, the likely ones first: interfaces seldom have any.
    owners.sort_by_key(|it| it.if_name.len());
    match whose(&owners) {
        Some(whose) => format!("when {whose} has ended: {remove}"),
        None if tells_of_any(path, error) => {
            format!("when the container in the file's name has ended: {remove}")
        }
        None => remove,
    }
}

fn whose(owners: &[Attachment]) -> Option<String> {
    let named = |it: &Attachment| format!("{} ({})", it.container_id, it.if_name);
    let named: Vec<_> = owners.iter().map(named).collect();
    let (last, others) = named.split_last()?;
    Some(match others {
        [] => format!("container {last}"),
        _ => format!(
            "container {} or {last}, whichever it is,",
            others.join(", ")
        ),
    })
}

/// Whether the file's name may stand for an attachment, of a network that nothing else tells of.
fn tells_of_any(path: &Path, error: &CacheError) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    let mut ends = name.match_indices(['-', '+']).map(|(end, _)| end);
    ends.any(|end| end > 0 && !error.candidates(&name[..end]).is_empty())
}
