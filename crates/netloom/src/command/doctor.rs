//! `doctor`: what is wrong on this host, and the command that mends it.
//!
//! Every kind of finding has one place: what plugins leave behind is found by
//! [`netloom_plugins::doctor`], the rest in the modules beside this one. Nothing is changed, but by
//! `--fix`.

mod cache;
mod config;
mod finding;
mod fix;
mod forgotten;
mod installed;
mod links;
mod missing;
mod plugins;
mod reservation;

use std::path::Path;

use anyhow::Result;
use netloom_plugins::doctor::{Known, examine};
use netloom_plugins::ipam::host_local::{self, Usage};
use netloom_runtime::{CacheSurvey, CachedAttachment, Cni, GcPlan, Judge as _, Life, Valid, load};
use netloom_spec::{Attachment, NetworkConfigList, NetworkName, PluginConf, Version};
use serde_json::json;

use super::life::Judge;
use super::network::cni;
use super::{Told, gc, list};
use crate::cli::{Doctor, Options};

use finding::{Finding, Severity, gravest};

/// A pool this full, in percent, is worth a word.
const NEARLY_FULL: u128 = 90;

/// What is known of the host before it is examined.
struct Host {
    cni: Cni,
    judge: Judge,
    configured: load::Directory,
    networks: Vec<Network>,
    /// The attachments that live, of all networks.
    living: Vec<CachedAttachment>,
}

/// A network, as it is configured, or was when its attachments were added.
struct Network {
    list: NetworkConfigList,
    /// Its plugins, and those of former configurations.
    plugins: Vec<PluginConf>,
    plan: GcPlan,
    /// Why nothing of it can be collected, and hardly more be said.
    problem: Option<netloom_spec::Error>,
}

pub(super) fn run(options: &Options, doctor: &Doctor) -> Result<()> {
    let (mut findings, mut pools) = examine_host(options)?;
    let mut fixed = Vec::new();
    if doctor.fix {
        fixed = fix::safe(options, &findings);
        if !fixed.is_empty() {
            (findings, pools) = examine_host(options)?;
        }
    }
    if options.json {
        print_json(&findings, &pools, &fixed);
    } else {
        fixed.iter().for_each(|command| say!("done: {command}"));
        finding::print(&findings)?;
    }
    let status = gravest(&findings).status();
    let is_to_mend = |it: &&Finding| it.severity() > Severity::Note;
    match findings.iter().filter(is_to_mend).count() {
        0 => Ok(()),
        count => Err(Told::with_status(format!("{count} to mend"), status).into()),
    }
}

type Pools = Vec<(String, Usage)>;

fn examine_host(options: &Options) -> Result<(Vec<Finding>, Pools)> {
    let cni = cni(options);
    let survey = cni.survey_cache()?;
    let host = Host::look(options, cni, &survey)?;
    let mut findings = config::findings(&host);
    findings.extend(installed::findings());
    findings.extend(cache::findings(&host, &survey.unreadable));
    findings.extend(missing::findings(&host));
    let mut pools = Vec::new();
    for network in &host.networks {
        findings.extend(host.left_behind(network));
        pools.extend(network.pools(&mut findings));
    }
    findings.extend(links::findings(&host)?);
    findings.extend(forgotten::findings(options, &host, &survey));
    Ok((findings, pools))
}

impl Host {
    fn look(options: &Options, cni: Cni, survey: &CacheSurvey) -> Result<Self> {
        let judge = Judge::new(&cni, &survey.attachments);
        let configured = load::directory(&options.conf_dir)?;
        let networks = gc::all(&configured, &survey.attachments)
            .into_iter()
            .map(|list| Network::look(&cni, list, &survey.attachments, Valid::Judged(&judge)))
            .collect();
        let mut living = survey.attachments.clone();
        living.retain(|it| judge.life(it) == Life::Living);
        Ok(Self {
            cni,
            judge,
            configured,
            networks,
            living,
        })
    }

    fn is_configured(&self, network: &Network) -> bool {
        let mut all = self.configured.networks.iter();
        all.any(|file| file.list.name == network.list.name)
    }

    /// What the network has of attachments that are gone.
    fn left_behind(&self, network: &Network) -> Vec<Finding> {
        let name = &network.list.name;
        if network.plan.disabled {
            // With `disableGC` others may own what is here.
            return Vec::new();
        }
        let mend = network.collect();
        let of_dead = network.collect_dead(self.is_configured(network));
        let finding = |kind: &'static str, what: String, mend: &str| Finding {
            kind,
            network: name.clone(),
            what,
            mend: mend.to_owned(),
        };
        let mut findings: Vec<_> = network
            .plan
            .stale
            .iter()
            .map(|stale| {
                let it = &stale.attachment;
                let addresses = list::addresses(&self.cni, it).join(" ");
                let what = format!("{} {} {addresses}", it.container_id, it.if_name);
                finding("dead attachment", what.trim().to_owned(), &of_dead)
            })
            .collect();
        findings.extend(network.plan.drafts.iter().map(|draft| {
            let what = format!("{draft:?} was not written to its end");
            finding("cache file", what, &of_dead)
        }));
        let Ok(network_name) = NetworkName::new(name) else {
            return findings;
        };
        // What belongs to a dead attachment that is cached goes with it.
        let mut accounted = network.plan.valid.clone();
        accounted.extend(network.plan.stale.iter().map(|it| Attachment {
            container_id: it.attachment.container_id.clone(),
            if_name: it.attachment.if_name.clone(),
        }));
        let (found, errors) = examine(&Known {
            network: &network_name,
            plugins: &network.plugins,
            valid: &accounted,
        });
        findings.extend(found.into_iter().map(|it| {
            let restored = |file| reservation::restored(self, network, file);
            let mend = match it.broken {
                Some(file) if it.kind == "reservation" && file.is_file() => restored(&file),
                Some(file) => remove(&file),
                None => mend.clone(),
            };
            finding(it.kind, it.what, &mend)
        }));
        findings.extend(
            errors
                .into_iter()
                .map(|error| finding("unreadable", error.to_string(), "see what the error says")),
        );
        findings
    }
}

impl Network {
    fn look(
        cni: &Cni,
        list: NetworkConfigList,
        cached: &[CachedAttachment],
        valid: Valid<'_>,
    ) -> Self {
        let plugins = gc::plugins(&list, cached);
        let name = NetworkName::new(&list.name);
        let planned = name.and_then(|_| Ok(cni.plan_gc(&list, valid)?));
        let (plan, problem) = match planned {
            Ok(plan) => (plan, None),
            Err(error) => (left_alone(), Some(error)),
        };
        Self {
            list,
            plugins,
            plan,
            problem,
        }
    }

    fn has_gc(&self) -> bool {
        let version = self.list.cni_version.parse::<Version>();
        version.is_ok_and(|version| version >= Version::V1_1_0)
    }

    /// The command that collects what the plugins know of.
    fn collect(&self) -> String {
        if !self.has_gc() {
            let name = quoted(&self.list.name);
            return format!(
                "raise cniVersion to 1.1.0, which is the first with GC; then netloom gc {name} --yes"
            );
        }
        self.command(self.plan.valid.is_empty())
    }

    /// The command that collects what is cached. A network without configuration is known by what
    /// is cached, so with the last of it goes all else.
    fn collect_dead(&self, is_configured: bool) -> String {
        self.command(!is_configured && self.has_gc() && self.plan.valid.is_empty())
    }

    /// As long as one is known to live, or dies only now, the plugins are asked; else only where
    /// `all` is to go.
    fn command(&self, all: bool) -> String {
        let name = quoted(&self.list.name);
        match all {
            // Whoever has neither a reservation nor a lease is found by nothing here.
            true => format!("when no container of others is on it: netloom gc {name} --all --yes"),
            false => format!("netloom gc {name} --yes"),
        }
    }

    /// The pools, and a finding for each that is nearly full.
    fn pools(&self, findings: &mut Vec<Finding>) -> Vec<(String, Usage)> {
        let Ok(name) = NetworkName::new(&self.list.name) else {
            return Vec::new();
        };
        let version = self.list.cni_version.parse().unwrap_or(Version::LATEST);
        let mut pools = Vec::new();
        for conf in &self.list.plugins {
            if conf.ipam_type() != Some("host-local") {
                continue;
            }
            let mut finding = |kind, what, mend: &str| {
                findings.push(Finding {
                    kind,
                    network: self.list.name.clone(),
                    what,
                    mend: mend.to_owned(),
                });
            };
            match host_local::usage(conf, &name, version) {
                Err(error) => finding("pool", error.to_string(), "correct the configuration"),
                Ok(usages) => {
                    for usage in usages {
                        if usage.taken * 100 >= usage.size * NEARLY_FULL {
                            let what = format!(
                                "{} has {} of {} addresses taken",
                                usage.pool, usage.taken, usage.size
                            );
                            finding("pool", what, "add a range to ipam.ranges");
                        }
                        pools.push((self.list.name.clone(), usage));
                    }
                }
            }
        }
        pools
    }
}

fn print_json(findings: &[Finding], pools: &[(String, Usage)], fixed: &[String]) {
    let findings: Vec<_> = findings.iter().map(Finding::object).collect();
    let pools: Vec<_> = pools
        .iter()
        .map(|(network, it)| {
            json!({
                "network": network, "pool": it.pool,
                // More than a program can count is as good as all it can.
                "taken": u64::try_from(it.taken).unwrap_or(u64::MAX),
                "size": u64::try_from(it.size).unwrap_or(u64::MAX),
            })
        })
        .collect();
    print_json!(json!({"findings": findings, "pools": pools, "fixed": fixed}));
}

/// The plan for a network of which others may own what is there.
fn left_alone() -> GcPlan {
    let mut plan = GcPlan::default();
    plan.disabled = true;
    plan
}

/// The command that removes a file, or a directory that is in a file's place.
fn remove(path: &Path) -> String {
    let recursive = if path.is_dir() { "-r " } else { "" };
    format!("rm {recursive}{}", quoted(&path.display().to_string()))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_what_is_quoted_as_it_was() {
        assert_eq!(quoted("net-1.x"), "net-1.x");
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
        assert_eq!(quoted(""), "''");
    }
}
