//! What GC would remove, for people and for programs.

use std::fmt::Write as _;

use anyhow::Result;
use netloom_runtime::{Cni, GcPlan, Life, StaleAttachment};
use netloom_spec::{NetworkConfigList, Version, terminal};
use serde_json::{Value, json};

use super::super::list::addresses;
use super::Planned;

const NOTHING: &str = "nothing to remove";

pub(super) fn dry_run(cni: &Cni, planned: &[Planned], as_json: bool) -> Result<()> {
    if as_json {
        let all: Vec<_> = planned.iter().map(|it| object(cni, it)).collect();
        print_json!(json!(all));
    } else {
        print!("{}", terminal::lines(&words(cni, planned)));
    }
    Ok(())
}

/// A paragraph for each network.
pub(super) fn words(cni: &Cni, planned: &[Planned]) -> String {
    let mut text = String::new();
    for it in planned {
        let Planned { network, plan, .. } = it;
        let _ = writeln!(text, "{}:", network.name);
        for stale in &plan.stale {
            let it = &stale.attachment;
            let _ = writeln!(
                text,
                "  DEL {} {} {}{}",
                it.container_id,
                it.if_name,
                addresses(cni, it)
                    .iter()
                    .map(|address| format!("{address} "))
                    .collect::<String>(),
                why(stale)
            );
        }
        for draft in &plan.drafts {
            let _ = writeln!(
                text,
                "  remove {}, which was not written to its end",
                draft.display()
            );
        }
        if !it.addresses.is_empty() {
            let _ = writeln!(text, "  free {}", it.addresses.join(" "));
        }
        for line in remarks(network, plan) {
            if it.addresses.is_empty() || line != NOTHING {
                let _ = writeln!(text, "  {line}");
            }
        }
        for (kind, what) in &it.objects {
            let _ = writeln!(text, "    {kind}: {}", terminal::one_line(what));
        }
    }
    text
}

fn why(stale: &StaleAttachment) -> String {
    let netns = terminal::one_line(&stale.attachment.netns);
    match stale.life {
        Life::Living => String::new(),
        Life::Gone => format!("({netns})"),
        Life::NetnsReused if stale.attachment.is_of_earlier_boot => {
            "(before the last reboot)".to_owned()
        }
        Life::NetnsReused => format!("({netns} is another's now)"),
    }
}

/// What there is to say besides the attachments.
fn remarks(network: &NetworkConfigList, plan: &GcPlan) -> Vec<String> {
    if plan.disabled {
        return vec!["has disableGC: left alone".to_owned()];
    }
    let mut lines = Vec::new();
    for error in &plan.unreadable {
        lines.push(format!("counted as living: {error}"));
    }
    for it in &plan.beside {
        lines.push(format!(
            "counted as living: {} {}, which others added: a living namespace has its address",
            it.container_id, it.if_name
        ));
    }
    if plan.withheld {
        lines.push(
            "no living attachment is known, so the plugins are not asked to remove the rest: --all \
             does that"
                .to_owned(),
        );
    } else if !plan.plugins.is_empty() {
        lines.push(format!(
            "then {} {} what belongs to none of {} valid attachments",
            plan.plugins.join(", "),
            if plan.plugins.len() == 1 {
                "removes"
            } else {
                "remove"
            },
            plan.valid.len()
        ));
    }
    if is_without_gc(network) {
        lines.push(format!(
            "cniVersion {} has no GC, so the plugins are not asked to remove the rest: 1.1.0 is the first",
            network.cni_version
        ));
    }
    if lines.is_empty() && plan.is_empty() {
        lines.push(NOTHING.to_owned());
    }
    lines
}

fn is_without_gc(network: &NetworkConfigList) -> bool {
    let version = network.cni_version.parse::<Version>();
    version.is_ok_and(|version| version < Version::V1_1_0)
}

/// Says on stderr what was left alone, and why.
pub(super) fn remark(network: &NetworkConfigList, plan: &GcPlan) {
    if plan.disabled || plan.withheld || is_without_gc(network) {
        for line in remarks(network, plan) {
            note!("netloom: {}: {line}", network.name);
        }
    }
}

fn object(cni: &Cni, planned: &Planned) -> Value {
    let plan = &planned.plan;
    let stale: Vec<_> = plan
        .stale
        .iter()
        .map(|stale| {
            let it = &stale.attachment;
            json!({
                "containerID": it.container_id,
                "ifname": it.if_name,
                "netns": it.netns,
                "netnsReused": stale.life == Life::NetnsReused,
                "addresses": addresses(cni, it),
            })
        })
        .collect();
    let unreadable: Vec<_> = plan.unreadable.iter().map(ToString::to_string).collect();
    let objects = planned.objects.iter();
    let objects: Vec<_> = objects
        .map(|(kind, what)| json!({"kind": kind, "what": what}))
        .collect();
    json!({
        "network": planned.network.name,
        "disableGC": plan.disabled,
        "stale": stale,
        "addresses": planned.addresses,
        "objects": objects,
        "valid": plan.valid,
        "plugins": plan.plugins,
        "withheld": plan.withheld,
        "unreadable": unreadable,
        "drafts": plan.drafts,
    })
}
