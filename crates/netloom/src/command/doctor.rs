//! `doctor`: what is wrong on this host, and the command that mends it.
//!
//! Every kind of finding has one place: what plugins leave behind is found by
//! `Plugin::inventory`, the rest in the modules beside this one. Nothing is changed, but by
//! `--fix`.

mod cache;
mod config;
mod finding;
mod fix;
mod forgotten;
mod installed;
mod links;
mod missing;
mod node;
mod plugins;
mod reservation;

use std::path::Path;

use anyhow::Result;
use netloom_plugin::host::{HostLink, Pool};
use netloom_plugin::{Plugin, Removal, of_conf};
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::{CacheSurvey, CachedAttachment, Cni, GcPlan, Judge as _, Life, Valid, load};
use netloom_spec::{NetworkConfigList, NetworkName, PluginConf, Version};
use serde_json::json;

use super::life::Judge;
use super::{Told, gc, list};
use crate::cli::Doctor;
use crate::configured::cni;
use crate::graph::Problem;
use crate::options::Options;

use finding::{Finding, Mend, Severity, gravest};

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

/// What a picture of the host shows of its health.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The attachments that live.
    pub(super) living: Vec<CachedAttachment>,
    /// What is left behind, or missing. No plugin is called for that.
    pub(super) problems: Vec<Problem>,
}

/// Looks at attachments and links alone.
pub(super) fn health(options: &Options) -> Result<Health> {
    let cni = cni(options);
    let survey = cni.survey_cache()?;
    let host = Host::look(options, cni, &survey)?;
    let mut findings = missing::findings(&host);
    findings.extend(links::findings(&host)?);
    let told = |it: &Finding| Problem {
        // What a finding tells begins with the name.
        about: it.what.split(' ').next().unwrap_or_default().to_owned(),
        words: format!("{}: {}", it.kind, it.what),
    };
    let is_to_mend = |it: &&Finding| it.severity() > Severity::Note;
    Ok(Health {
        problems: findings.iter().filter(is_to_mend).map(told).collect(),
        living: host.living,
    })
}

type Pools = Vec<(String, Pool)>;

fn examine_host(options: &Options) -> Result<(Vec<Finding>, Pools)> {
    let cni = cni(options);
    let survey = cni.survey_cache()?;
    let host = Host::look(options, cni, &survey)?;
    let mut findings = config::findings(&host);
    findings.extend(installed::findings());
    findings.extend(node::findings());
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
        let finding = |kind: &'static str, what: String, mend: Mend| Finding {
            kind,
            network: name.clone(),
            what,
            mend,
        };
        let mut findings: Vec<_> = network
            .plan
            .stale
            .iter()
            .map(|stale| {
                let it = &stale.attachment;
                let addresses = list::addresses(&self.cni, it).join(" ");
                let what = format!("{} {} {addresses}", it.container_id, it.if_name);
                finding("dead attachment", what.trim().to_owned(), of_dead.clone())
            })
            .collect();
        findings.extend(network.plan.drafts.iter().map(|draft| {
            let what = format!("{draft:?} was not written to its end");
            finding("cache file", what, of_dead.clone())
        }));
        let Ok(network_name) = NetworkName::new(name) else {
            return findings;
        };
        // What belongs to a dead attachment that is cached goes with it.
        let accounted = network.plan.accounted();
        let survey = gc::survey(&network_name, &network.plugins);
        let (mut found, errors) = survey.orphans(&accounted);
        found.extend(survey.orphans_of_others(&accounted));
        findings.extend(found.into_iter().map(|it| {
            let mend = match it.removal {
                Removal::Restore(file) => reservation::restored(self, network, &file).into(),
                Removal::File(file) => remove(&file).into(),
                Removal::Gc => mend.clone(),
            };
            finding(it.kind, it.what, mend)
        }));
        findings.extend(errors.into_iter().map(|error| {
            let what = error.to_string();
            finding("unreadable", what, "see what the error says".into())
        }));
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

    /// The plugins of its configuration that netloom has, those of its IPAM among them.
    fn configured(&self) -> impl Iterator<Item = (&'static dyn Plugin, &PluginConf)> {
        let plugins = self.list.plugins.iter();
        plugins.flat_map(|conf| of_conf(PLUGINS, conf).map(move |plugin| (plugin, conf)))
    }

    /// How its pods are reached from the host, as it is configured.
    fn link(&self) -> Option<HostLink> {
        self.configured()
            .find_map(|(plugin, conf)| plugin.host_link(conf))
    }

    /// The same by all its plugins, those of former configurations and delegates included.
    fn all_links(&self) -> Vec<HostLink> {
        let Ok(name) = NetworkName::new(&self.list.name) else {
            return Vec::new();
        };
        let configured = gc::survey(&name, &self.plugins).configured();
        let links = configured.iter();
        links
            .filter_map(|(plugin, conf)| plugin.host_link(conf))
            .collect()
    }

    fn has_gc(&self) -> bool {
        let version = self.list.cni_version.parse::<Version>();
        version.is_ok_and(|version| version >= Version::V1_1_0)
    }

    /// The command that collects what the plugins know of.
    fn collect(&self) -> Mend {
        if !self.has_gc() {
            let name = quoted(&self.list.name);
            return format!(
                "raise cniVersion to 1.1.0, which is the first with GC; then netloom gc {name} --yes"
            )
            .into();
        }
        self.command(self.plan.valid.is_empty())
    }

    /// The command that collects what is cached. A network without configuration is known by what
    /// is cached, so with the last of it goes all else.
    fn collect_dead(&self, is_configured: bool) -> Mend {
        self.command(!is_configured && self.has_gc() && self.plan.valid.is_empty())
    }

    /// As long as one is known to live, or dies only now, the plugins are asked; else only where
    /// `all` is to go.
    fn command(&self, all: bool) -> Mend {
        let name = quoted(&self.list.name);
        match all {
            // Whoever has neither a reservation nor a lease is found by nothing here.
            true => format!("when no container of others is on it: netloom gc {name} --all --yes")
                .into(),
            false => Mend::Gc(self.list.name.clone()),
        }
    }

    /// The pools, and a finding for each that is nearly full.
    fn pools(&self, findings: &mut Vec<Finding>) -> Pools {
        let Ok(name) = NetworkName::new(&self.list.name) else {
            return Vec::new();
        };
        let version = self.list.cni_version.parse().unwrap_or(Version::LATEST);
        let mut pools = Vec::new();
        for (plugin, conf) in self.configured() {
            let mut finding = |kind, what, mend: &str| {
                findings.push(Finding {
                    kind,
                    network: self.list.name.clone(),
                    what,
                    mend: mend.into(),
                });
            };
            match plugin.pools(conf, &name, version) {
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

fn print_json(findings: &[Finding], pools: &[(String, Pool)], fixed: &[String]) {
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
