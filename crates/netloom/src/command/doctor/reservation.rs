//! Reservations that do not say any more whose they are.

use std::net::IpAddr;
use std::path::Path;

use netloom_runtime::CachedAttachment;

use super::{Host, Network, list, quoted};

/// The command that gives a damaged reservation its content back: to remove it would give the
/// address to another pod beside the one that has it. Where none has it, the command that removes
/// it.
pub(super) fn restored(host: &Host, network: &Network, file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let address: Option<IpAddr> = name.parse().ok();
    let has_it = |given: &String| {
        let given = given.split('/').next().unwrap_or_default();
        given.parse().ok() == address
    };
    let file = file.display().to_string();
    let (file, new) = (quoted(&file), quoted(&format!("{file}.new")));
    let is_in_use = address.is_some_and(|it| host.judge.is_inhabited(&[it]));
    let mut all_known = network.plan.unreadable.is_empty() && !is_in_use;
    let of_network = |it: &&CachedAttachment| it.network == network.list.name;
    for it in host.living.iter().filter(of_network) {
        let given = list::addresses(&host.cni, it);
        if given.iter().any(has_it) {
            let (id, if_name) = (quoted(&it.container_id), quoted(&it.if_name));
            return format!("printf '%s\\r\\n%s' {id} {if_name} > {new} && mv {new} {file}");
        }
        all_known &= !given.is_empty();
    }
    match all_known {
        true => format!("rm {file}"),
        false => format!("when no pod has {name} any more: rm {file}"),
    }
}
