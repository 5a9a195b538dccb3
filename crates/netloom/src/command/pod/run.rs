//! `run`: what the user said, made into a pod.

use std::env;

use anyhow::Result;
use netloom_run::net_argument::{self, NetArgument, Wanted};
use netloom_run::network::{Wishes, attachments};
use netloom_run::sandbox::privileges;
use netloom_run::{
    Attachment, DnsOptions, Error, NetworkMode, Phase, PodSpec, PodState, Root, Runtime, Store,
    client, private_host,
};
use netloom_runtime::load;
use netloom_spec::NetworkConfigList;

use super::image;
use super::{ask, end_with, place, store};
use crate::cli::pod::Run;
use crate::options::Options;

/// Where programs are, where an image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn run(options: &Options, run: &Run) -> Result<()> {
    let store = store()?;
    let spec = specify(options, run, &store)?;
    if run.nets.is_empty() {
        hint(options);
    }
    let outcome = client::run(&spec)?;
    for line in &outcome.left {
        note!("netloom: pod {}: {line}", &spec.id[..8]);
    }
    if run.detach {
        say!("{}", spec.id);
    }
    end_with(outcome.status)
}

/// All that can be wrong is found here, before there is any effect.
fn specify(options: &Options, run: &Run, store: &Store) -> Result<PodSpec> {
    ask::no_option(&run.command, "run")?;
    let runtime = runtime(run)?;
    let choice = image::choose(run)?;
    let (network, attachments) = networks(options, run, store)?;
    let id = client::new_id()?;
    let name = run.name.as_deref().map(|it| ask::name(it, "--name"));
    let name = name.transpose()?.unwrap_or_default();
    let hostname = match &run.hostname {
        Some(hostname) => ask::name(hostname, "--hostname")?,
        None if name.is_empty() => id[..8].to_owned(),
        None => name.clone(),
    };
    let tty = run.tty || (run.interactive && client::has_terminal());
    let mut spec = PodSpec {
        id,
        name,
        command: Vec::new(),
        env: Vec::new(),
        cwd: run.workdir.clone().unwrap_or_else(|| "/".to_owned()),
        user: run.user.clone().unwrap_or_default(),
        hostname,
        root: Root::Host,
        volumes: each(&run.volumes, ask::volume)?,
        network,
        attachments,
        dns: dns(run)?,
        hosts: each(&run.add_host, ask::host)?,
        ports: ask::ports(&run.publish)?,
        capabilities: privileges::choose(&run.cap_add, &run.cap_drop)?,
        tty,
        interactive: run.interactive,
        detach: run.detach,
        remove: run.rm,
        init: run.init,
        cni: place(options)?,
        engine: None,
        runtime,
    };
    if !spec.cwd.starts_with('/') {
        return Err(Error::new(format!("-w {:?}: expected an absolute path", spec.cwd)).into());
    }
    environment(&mut spec.env, &run.env)?;
    // Last, as it may take long, and bring an image.
    complete(&mut spec, run, image::open(choice)?)?;
    Ok(spec)
}

fn each<T>(texts: &[String], read: impl Fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    texts.iter().map(|text| read(text)).collect()
}

/// What the user said counts more than what the image says.
fn complete(spec: &mut PodSpec, run: &Run, chosen: image::Chosen) -> Result<(), Error> {
    spec.root = chosen.root;
    spec.command = chosen.command;
    if run.workdir.is_none() {
        spec.cwd = chosen.cwd;
    }
    if run.user.is_none() {
        spec.user = chosen.user;
    }
    let mut env = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOSTNAME".to_owned(), spec.hostname.clone()),
    ];
    environment(&mut env, &chosen.env)?;
    environment(&mut env, &run.env)?;
    if spec.tty {
        terminal_kind(&mut env);
    }
    spec.env = env;
    Ok(())
}

/// The OCI runtime, with its limits, which need one.
fn runtime(run: &Run) -> Result<Option<Runtime>, Error> {
    let Some(program) = run.runtime.clone() else {
        let limits = [
            ("--memory", &run.memory),
            ("--cpus", &run.cpus),
            ("--pids", &run.pids),
        ];
        return match limits.iter().find(|(_, value)| value.is_some()) {
            None => Ok(None),
            Some((option, _)) => Err(Error::new(format!(
                "{option}: netloom's own pods have no limits, which need control groups: add --runtime runc"
            ))),
        };
    };
    if private_host::is_inside() {
        return Err(Error::new(
            "--runtime: pods of an ordinary user are made by netloom itself; a runtime needs root",
        ));
    }
    if run.init {
        return Err(Error::new(
            "--init: a pod of a runtime has no first process of netloom's",
        ));
    }
    let memory = run.memory.as_deref().map(ask::bytes).transpose()?;
    let cpus = run.cpus.as_deref().map(ask::thousandths).transpose()?;
    let pids = run.pids.as_deref().map(ask::count).transpose()?;
    Ok(Some(Runtime {
        program,
        memory,
        cpus,
        pids,
    }))
}

fn dns(run: &Run) -> Result<DnsOptions, Error> {
    Ok(DnsOptions {
        servers: run.dns.clone(),
        search: each(&run.dns_search, |it| ask::word(it, "--dns-search"))?,
        options: each(&run.dns_option, |it| ask::word(it, "--dns-option"))?,
    })
}

/// The namespace, and the networks in the order given.
fn networks(options: &Options, run: &Run, store: &Store) -> Result<(NetworkMode, Vec<Attachment>)> {
    let wishes = wishes(run)?;
    resolve(options, &run.nets, &wishes, &run.ifname, store)
}

/// The same for a container engine.
pub(super) fn attached(
    options: &Options,
    nets: &[String],
    ports: &[String],
    if_name: &str,
    store: &Store,
) -> Result<(NetworkMode, Vec<Attachment>)> {
    let wishes = Wishes {
        ports: ask::ports(ports)?,
        ..Wishes::default()
    };
    resolve(options, nets, &wishes, if_name, store)
}

fn resolve(
    options: &Options,
    nets: &[String],
    wishes: &Wishes,
    if_name: &str,
    store: &Store,
) -> Result<(NetworkMode, Vec<Attachment>)> {
    let mut wanted: Vec<(Wanted, NetworkConfigList)> = Vec::new();
    let mut alone = None;
    for text in nets {
        match net_argument::parse(text)? {
            NetArgument::Networks(networks) => {
                for network in networks {
                    let list = crate::configured::find(options, &network.network);
                    wanted.push((
                        network,
                        list.map_err(|error| Error::new(error.to_string()))?,
                    ));
                }
            }
            NetArgument::All => wanted.extend(all(options)?),
            NetArgument::None => alone = Some((text, NetworkMode::Own)),
            NetArgument::Host => alone = Some((text, NetworkMode::Host)),
            NetArgument::Namespace(path) => alone = Some((text, namespace(path)?)),
            NetArgument::Pod(pod) => alone = Some((text, of_pod(store, &pod)?)),
        }
    }
    if let Some((text, mode)) = alone {
        if nets.len() > 1 {
            return Err(Error::new(format!(
                "--net {text} stands alone: it cannot be together with other networks"
            ))
            .into());
        }
        return Ok((mode, attachments(&[], if_name, wishes)?));
    }
    Ok((NetworkMode::Own, attachments(&wanted, if_name, wishes)?))
}

fn wishes(run: &Run) -> Result<Wishes, Error> {
    Ok(Wishes {
        ports: ask::ports(&run.publish)?,
        bandwidth: run.bandwidth.as_deref().map(ask::bandwidth).transpose()?,
        dns: dns(run)?,
        annotations: each(&run.annotations, ask::annotation)?
            .into_iter()
            .collect(),
    })
}

fn all(options: &Options) -> Result<Vec<(Wanted, NetworkConfigList)>, Error> {
    let failed = |error: load::Error| Error::new(format!("--net all: {error}"));
    let loaded = load::directory(&options.conf_dir).map_err(failed)?;
    let mut files = loaded.networks;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    if files.is_empty() {
        return Err(Error::new(format!(
            "--net all: there is no network in {:?}",
            options.conf_dir
        )));
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.list.name.clone()));
    let wanted = |list: NetworkConfigList| {
        let network = list.name.clone();
        let wanted = Wanted {
            network,
            ..Wanted::default()
        };
        (wanted, list)
    };
    Ok(files.into_iter().map(|file| wanted(file.list)).collect())
}

fn namespace(path: std::path::PathBuf) -> Result<NetworkMode, Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::new(format!("--net ns:{}: {error}", path.display()));
    let absolute = std::path::absolute(&path).map_err(|error| failed(&error))?;
    netloom_kernel::netns::Netns::open(&absolute).map_err(|error| failed(&error))?;
    Ok(NetworkMode::Path(absolute))
}

fn of_pod(store: &Store, wanted: &str) -> Result<NetworkMode, Error> {
    let pod = store.find(wanted)?;
    let state = pod.state()?;
    match (state.phase, state.spec.network) {
        (Phase::Run, NetworkMode::Own) => Ok(NetworkMode::Path(pod.netns())),
        (Phase::Run, mode) => Ok(mode),
        _ => Err(Error::new(format!(
            "--net pod:{wanted}: this pod does not run"
        ))),
    }
}

/// One network for a pod that runs.
pub(super) fn one_more(
    options: &Options,
    state: &PodState,
    text: &str,
) -> Result<Attachment, Error> {
    let mut networks = match net_argument::parse(text)? {
        NetArgument::Networks(networks) => networks,
        _ => return Err(Error::new(format!("{text:?} is no network"))),
    };
    let mut wanted = match (networks.pop(), networks.pop()) {
        (Some(one), None) => one,
        _ => return Err(Error::new(format!("{text:?} is more than one network"))),
    };
    let list = crate::configured::find(options, &wanted.network);
    let list = list.map_err(|error| Error::new(error.to_string()))?;
    let taken = |name: &String| state.spec.attachments.iter().any(|it| it.if_name == *name);
    let free = (0..).map(|n| format!("eth{n}")).find(|name| !taken(name));
    if wanted.if_name.is_none() {
        wanted.if_name = free;
    }
    let mut made = attachments(&[(wanted, list)], "eth0", &Wishes::default())?;
    made.pop().ok_or_else(|| Error::new("there is no network"))
}

/// Who names no network gets none, and learns which there are.
fn hint(options: &Options) {
    let loaded = load::directory(&options.conf_dir);
    let names: Vec<_> = loaded
        .map(|it| it.networks.into_iter().map(|it| it.list.name).collect())
        .unwrap_or_default();
    let names: &[String] = &names;
    match names {
        [] => note!(
            "netloom: the pod has no network, and {:?} has none to name with --net",
            options.conf_dir
        ),
        names => note!(
            "netloom: the pod has no network; --net NAME gives it one of: {}",
            names.join(", ")
        ),
    }
}

/// `KEY=VALUE` sets, `KEY` takes the value of here if there is one; what comes later counts.
pub(super) fn environment(env: &mut Vec<(String, String)>, texts: &[String]) -> Result<(), Error> {
    for text in texts {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text.as_str(), env::var(text).ok()),
        };
        if key.is_empty() || text.contains('\0') {
            return Err(Error::new(format!(
                "-e {text:?}: expected KEY=VALUE or KEY"
            )));
        }
        env.retain(|(known, _)| known != key);
        if let Some(value) = value {
            env.push((key.to_owned(), value));
        }
    }
    Ok(())
}

/// What programs ask that draw on a terminal.
pub(super) fn terminal_kind(env: &mut Vec<(String, String)>) {
    if !env.iter().any(|(key, _)| key == "TERM") {
        let kind = env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
        env.push(("TERM".to_owned(), kind));
    }
}
