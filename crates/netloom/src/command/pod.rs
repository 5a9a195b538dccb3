//! The verbs about pods, and the roles that this program has in one.

mod ask;
mod engine;
mod image;
mod run;
mod show;

use std::time::Duration;

use anyhow::Result;
use netloom_kernel::signals;
use netloom_run::{CniPlace, Pod, Store, client, enter, private_host, recover, sandbox, shim};
use netloom_runtime::Cni;

use super::Told;
use crate::causes;
use crate::cli::pod::{Exec, NetVerb, OnePod, PodVerb, Rm, Stop};
use crate::environment;
use crate::execution::Bounded;
use crate::options::Options;

/// Answers if this process is a part of a pod.
pub(crate) fn role() -> Option<u8> {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next()?;
    let channel = arguments.next();
    let descriptor = |argument: Option<String>| client::passed(argument.as_deref());
    let played = match &*verb {
        shim::VERB => {
            signals::pass_on();
            let terminal = arguments.next().map(|it| descriptor(Some(it))).transpose();
            terminal.and_then(|terminal| {
                let store = Store::default();
                Ok(shim::main(descriptor(channel)?, terminal, &store, &cni_of))
            })
        }
        sandbox::VERB => descriptor(channel).map(sandbox::main),
        enter::VERB => descriptor(channel).map(enter::main),
        private_host::VERB => descriptor(channel).and_then(|channel| {
            let open = descriptor(arguments.next())?;
            Ok(private_host::keep(channel, open))
        }),
        private_host::FIRST => descriptor(channel).and_then(|channel| {
            let open = descriptor(arguments.next())?;
            Ok(private_host::first(
                channel,
                open,
                descriptor(arguments.next())?,
            ))
        }),
        _ => return None,
    };
    Some(played.unwrap_or_else(|error| {
        note!("netloom: {error}");
        error.status
    }))
}

pub(super) fn answer(options: &Options, verb: &PodVerb) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return end_with(private_host::run_inside(|words| note!("netloom: {words}"))?);
    }
    private_host::end_with_parent();
    match verb {
        PodVerb::Run(run) => run::run(options, run),
        PodVerb::DockerRun(it) => engine::run(options, it),
        PodVerb::Ps(ps) => show::ps(options, ps),
        PodVerb::Exec(it) => exec(it),
        PodVerb::Logs(it) => show::logs(it),
        PodVerb::Stop(it) => stop(it),
        PodVerb::Rm(it) => rm(it),
        PodVerb::Inspect(it) => show::inspect(it),
        PodVerb::Wait(it) => wait(it),
        PodVerb::Image(it) => image::answer(options, it, &store()?),
        PodVerb::Net(it) => net(options, it),
    }
}

/// The runtime library as a pod wants it.
fn cni_of(place: &CniPlace) -> Cni {
    Cni::new(place.plugin_dirs.clone())
        .cache_dir(&place.cache_dir)
        .exec(Bounded::by(place.timeout.map(Duration::from_millis)))
}

/// Where plugins and attachments are, by the options and the environment.
fn place(options: &Options) -> Result<CniPlace> {
    let milliseconds = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let plugin_dirs = environment::plugin_dirs();
    let absolute = plugin_dirs.iter().map(std::path::absolute);
    Ok(CniPlace {
        plugin_dirs: absolute.collect::<Result<_, _>>()?,
        cache_dir: std::path::absolute(&options.cache_dir)?,
        timeout: options.timeout.map(milliseconds),
    })
}

/// The pods, after those whose shim was killed were ended.
fn store() -> Result<Store> {
    let store = Store::default();
    for line in recover::finish_dead(&store, &cni_of)? {
        note!("netloom: {line}");
    }
    Ok(store)
}

/// Ends pods whose shim was killed, before something is decided about what is attached. What goes wrong
/// with them is no reason not to go on.
pub(super) fn end_dead() {
    if rustix::process::geteuid().is_root()
        && let Err(error) = store()
    {
        note!("netloom: {}", causes::told(&error));
    }
}

fn find(wanted: &str) -> Result<(Store, Pod)> {
    let store = store()?;
    let pod = store.find(wanted)?;
    Ok((store, pod))
}

/// An exit status that is no failure of ours.
fn end_with(status: u8) -> Result<()> {
    match status {
        0 => Ok(()),
        status => Err(Told::silent(status).into()),
    }
}

fn exec(it: &Exec) -> Result<()> {
    ask::no_option(&it.command, "exec")?;
    let (_, pod) = find(&it.pod)?;
    let spec = pod.state()?.spec;
    let tty = it.tty || (it.interactive && client::has_terminal());
    let mut env = spec.env.clone();
    run::environment(&mut env, &it.env)?;
    if tty {
        run::terminal_kind(&mut env);
    }
    let entry = netloom_run::Entry {
        command: it.command.clone(),
        env,
        cwd: it.workdir.clone().unwrap_or(spec.cwd),
        user: it.user.clone().unwrap_or(spec.user),
        capabilities: spec.capabilities,
        tty,
        interactive: it.interactive,
    };
    end_with(enter::exec(&pod, &entry)?)
}

fn stop(it: &Stop) -> Result<()> {
    each(&it.pods, |_, pod| {
        if let Some(init) = pod.state()?.init {
            init.stop(it.time);
        }
        match pod.wait() {
            Err(error) if pod.is_there() => Err(error),
            _ => Ok(Vec::new()),
        }
    })
}

fn rm(it: &Rm) -> Result<()> {
    each(&it.pods, |store, pod| {
        netloom_run::remove(store, pod, it.force, &cni_of)
    })
}

/// Does it to each pod, past every failure, and prints which it was done to.
fn each(
    wanted: &[String],
    act: impl Fn(&Store, &Pod) -> netloom_run::Result<Vec<String>>,
) -> Result<()> {
    let store = store()?;
    let mut failures = Vec::new();
    for wanted in wanted {
        match store.find(wanted).and_then(|pod| act(&store, &pod)) {
            Ok(left) => {
                for line in left {
                    note!("netloom: {wanted}: {line}");
                }
                say!("{wanted}");
            }
            Err(error) => failures.push(error.words),
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(netloom_run::Error::new(failures.join("\nnetloom: ")).into()),
    }
}

fn wait(it: &OnePod) -> Result<()> {
    let (_, pod) = find(&it.pod)?;
    match pod.wait()? {
        Some(status) => say!("{status}"),
        None => note!("netloom: pod {} did not come to life", pod.short_id()),
    }
    Ok(())
}

fn net(options: &Options, verb: &NetVerb) -> Result<()> {
    match verb {
        NetVerb::Connect { pod, network } => {
            let (store, pod) = find(pod)?;
            let made = |state: &netloom_run::PodState| run::one_more(options, state, network);
            let it = netloom_run::connect(&store, &pod, made, &cni_of)?;
            let addresses: Vec<_> = it.addresses().iter().map(ToString::to_string).collect();
            say!("{} {}", it.if_name, addresses.join(" "));
        }
        NetVerb::Disconnect { pod, network } => {
            let (store, pod) = find(pod)?;
            netloom_run::disconnect(&store, &pod, network, &cni_of)?;
        }
    }
    Ok(())
}
