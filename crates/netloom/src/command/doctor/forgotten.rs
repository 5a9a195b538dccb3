//! Reservations of networks that are neither configured nor cached: GC of no network finds them.

use netloom_plugin::host::Forgotten;
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::CacheSurvey;

use super::{Finding, Host, quoted};
use crate::options::Options;

pub(super) fn findings(options: &Options, host: &Host, survey: &CacheSurvey) -> Vec<Finding> {
    let problems = &host.configured.problems;
    // Of which network a file is that cannot be used, or whom a cache in another place remembers,
    // nothing here tells.
    let is_untold = problems.iter().any(|it| it.network.is_none());
    if is_untold {
        return Vec::new();
    }
    let is_known = |name: &str| {
        host.networks.iter().any(|it| it.list.name == name)
            || problems
                .iter()
                .any(|it| it.network.as_deref() == Some(name))
            || survey.attachments.iter().any(|it| it.network == name)
            || (survey.unreadable.iter()).any(|it| !it.candidates(name).is_empty())
    };
    let living = host.living.iter().map(|it| it.container_id.as_str());
    let living: Vec<_> = living.collect();
    let finding = |kind, network: String, what: String, mend: String| Finding {
        kind,
        network,
        what,
        mend: mend.into(),
    };
    let is_beside_cache = |it: &Forgotten| {
        let mut directories = it.directories.iter();
        directories.all(|it| it.starts_with(&options.cache_dir))
    };
    let mut findings = Vec::new();
    for plugin in PLUGINS {
        match plugin.forgotten(&is_known, &living) {
            Ok(found) => findings.extend(
                found
                    .into_iter()
                    .filter(|it| is_beside_cache(it) && !host.judge.is_inhabited(&it.addresses))
                    .map(|it| finding(it.kind, it.network.clone(), what(&it), mend(&it))),
            ),
            Err(error) => {
                let mend = "see what the error says".to_owned();
                findings.push(finding(
                    "unreadable",
                    String::new(),
                    error.to_string(),
                    mend,
                ));
            }
        }
    }
    findings
}

fn what(it: &Forgotten) -> String {
    let directory = it.directories.first().map(|it| it.display().to_string());
    format!(
        "{} holds {} of a network that is neither configured nor cached",
        directory.unwrap_or_default(),
        match it.count {
            1 => "an address".to_owned(),
            count => format!("{count} addresses"),
        }
    )
}

fn mend(it: &Forgotten) -> String {
    let directories = it.directories.iter().map(|it| it.display().to_string());
    let directories: Vec<_> = directories.map(|it| quoted(&it)).collect();
    format!(
        "when no container has them, of no other runtime either: rm -r {}",
        directories.join(" ")
    )
}
