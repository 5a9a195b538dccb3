//! `netloom demo --cluster`: three hosts whose pods reach each other, and the store away meanwhile.
//!
//! The hosts are network namespaces behind a router, which the throw-away host itself plays. etcd and the
//! daemons are real programs; each host's files are in a folder of its own.

mod host;
mod programs;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{BridgeOptions, KindSpec, LinkSpec, Socket};
use netloom_kernel::{signals, sysctl};
use netloom_runtime::Cni;

use super::screen::Screen;
use super::{Install, address, fetch, probe};
use crate::cli::Demo;
use crate::execution::Bounded;
use crate::stage;
use host::{Host, Pod};
use programs::{Programs, Store};

const NETWORK: &str = "10.5.0.0/16";
const PLUGINS: [&str; 4] = ["flannel", "bridge", "host-local", "portmap"];

/// A switch: its name, the router's address, and the hosts' network.
const SWITCHES: [(&str, &str); 2] = [("sw1", "192.0.2.254/24"), ("sw2", "198.51.100.254/24")];
/// Each host: its name, its switch, its address.
const HOSTS: [(&str, usize, &str); 3] = [
    ("h1", 0, "192.0.2.1/24"),
    ("h2", 0, "192.0.2.2/24"),
    ("h3", 1, "198.51.100.3/24"),
];

pub(super) fn run(options: &Demo, limit: Option<Duration>, install: Install) -> Result<()> {
    // Before anything is done.
    let programs = Programs::find()?;
    let mut screen = Screen::new(options.plain);
    screen.step("a throw-away host", || Ok(((), stage::enter()?.to_owned())))?;
    let router = screen.step("two networks, and a router between them", || {
        switches()?;
        let told = SWITCHES.map(|(name, address)| format!("{name} {address}"));
        Ok((Netns::current()?, told.join("  ")))
    })?;
    let mut store = screen.step("etcd, on the router", || {
        let store = Store::start(&programs)?;
        let told = store.url.clone();
        Ok((store, told))
    })?;
    screen.step("netloom node init", || {
        Ok(((), programs.node_init(&store.url, NETWORK)?))
    })?;
    let plugins = screen.step("install the plugins", || {
        let dir = PathBuf::from("/run/netloom/bin");
        let names = install(&dir, &PLUGINS, false)?;
        Ok((dir, names.join(" ")))
    })?;
    let hosts = join(&mut screen, &programs, &store, &plugins)?;
    let cni = |host: &Host| {
        Cni::new([plugins.clone()])
            .cache_dir(host.folder.join("cni"))
            .exec(Bounded::by(limit))
    };
    let mut pods = Vec::new();
    for host in &hosts {
        pods.push(screen.step(
            &format!("ADD pod {}: flannel, bridge, host-local", host.pod_name()),
            || {
                let pod = host.add(&cni(host))?;
                let told = format!("eth0 {}", address(&pod.result)?);
                Ok((pod, told))
            },
        )?);
    }
    screen.show(&drawing(&hosts, &pods)?);
    println!();
    signals::expect_none();
    traffic(&mut screen, &hosts, &pods, &router)?;
    without_store(&mut screen, &mut store, &hosts, &pods, &cni)?;
    for (host, pod) in hosts.iter().zip(&pods) {
        screen.step(&format!("DEL pod {}", host.pod_name()), || {
            host.del(&cni(host), pod)?;
            Ok(((), String::new()))
        })?;
    }
    screen.end();
    Ok(())
}

fn switches() -> Result<()> {
    let socket = Socket::open()?;
    for (name, address) in SWITCHES {
        let spec = LinkSpec::new(name, KindSpec::Bridge(BridgeOptions::default())).up();
        let index = socket.create_link(&spec)?.index;
        socket.add_address(index, address.parse::<ipnet::IpNet>()?)?;
    }
    sysctl::set("net/ipv4/ip_forward", "1")?;
    Ok(())
}

fn join(
    screen: &mut Screen,
    programs: &Programs,
    store: &Store,
    plugins: &Path,
) -> Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for (name, switch, address) in HOSTS {
        let host = screen.step(
            &format!("{name} joins: netloom node run --etcd …"),
            || {
                let (bridge, router) = SWITCHES[switch];
                let mut host = Host::new(name, bridge, router.parse()?, address.parse()?)?;
                host.join(programs, store, plugins)?;
                let told = format!("its part is {}", host.part()?);
                Ok((host, told))
            },
        )?;
        hosts.push(host);
    }
    let others = hosts.len() - 1;
    screen.step("every host has a way to the others' pods", || {
        for host in &hosts {
            host.until_routes(others)?;
        }
        Ok((
            (),
            "on one switch directly, behind the router by vxlan".to_owned(),
        ))
    })?;
    Ok(hosts)
}

fn traffic(screen: &mut Screen, hosts: &[Host], pods: &[Pod], router: &Netns) -> Result<()> {
    let [a, b, c] = pods else {
        unreachable!("each of three hosts has a pod")
    };
    for (title, from, to) in [
        ("ping from a to b: same switch", a, b),
        ("ping from a to c: by the tunnel", a, c),
        ("ping from c to b: and back", c, b),
    ] {
        screen.step(title, || {
            let target = probe::ipv4(address(&to.result)?.addr())?;
            let time = from.netns.run(|| probe::ping(target))??;
            Ok((
                (),
                format!("{target} answered in {:.0} µs", time.as_secs_f64() * 1e6),
            ))
        })?;
    }
    screen.step("HTTP from a to c", || {
        let at = SocketAddr::new(address(&c.result)?.addr(), 80);
        let body = fetch(&a.netns, &c.netns, "c", at)?;
        let own = address(&a.result)?.addr();
        ensure!(
            body.ends_with(&format!("you are {own}")),
            "c saw another than {own}: {body}"
        );
        Ok(((), body))
    })?;
    screen.step("HTTP from c to the outside, masqueraded", || {
        let at: ipnet::IpNet = SWITCHES[0].1.parse()?;
        let body = fetch(&c.netns, router, "outside", SocketAddr::new(at.addr(), 80))?;
        let own = hosts[2].address.addr();
        ensure!(
            body.ends_with(&format!("you are {own}")),
            "it saw another than {own}: {body}"
        );
        Ok(((), body))
    })
}

/// Nothing that runs depends on the store, and pods start without it.
fn without_store(
    screen: &mut Screen,
    store: &mut Store,
    hosts: &[Host],
    pods: &[Pod],
    cni: &dyn Fn(&Host) -> Cni,
) -> Result<()> {
    screen.step("etcd is killed", || {
        store.kill()?;
        Ok(((), "from here on nobody can ask it".to_owned()))
    })?;
    screen.step("ping from a to c: still", || {
        let target = probe::ipv4(address(&pods[2].result)?.addr())?;
        let time = pods[0].netns.run(|| probe::ping(target))??;
        Ok((
            (),
            format!("{target} answered in {:.0} µs", time.as_secs_f64() * 1e6),
        ))
    })?;
    screen.step("ADD another pod on h1, ping c, DEL", || {
        let late = hosts[0].add_as(&cni(&hosts[0]), "late")?;
        let target = probe::ipv4(address(&pods[2].result)?.addr())?;
        late.netns.run(|| probe::ping(target))??;
        hosts[0].del(&cni(&hosts[0]), &late)?;
        Ok((
            (),
            format!(
                "{} had its network without the store",
                address(&late.result)?
            ),
        ))
    })
}

fn drawing(hosts: &[Host], pods: &[Pod]) -> Result<String> {
    let part = |number: usize| -> Result<[String; 3]> {
        let (host, pod) = (&hosts[number], &pods[number]);
        let pod = address(&pod.result)?;
        Ok([
            format!("{} {}", host.name, host.address.addr()),
            host.part()?,
            format!("pod {} {}", host.pod_name(), pod.addr()),
        ])
    };
    let boxes = [part(0)?, part(1)?, part(2)?];
    let row = |line: usize| {
        let cells = boxes
            .each_ref()
            .map(|lines| format!("│ {:<20} │", lines[line]));
        format!("  {} {}        {}\n", cells[0], cells[1], cells[2])
    };
    let edge = |left: &str, middle: &str, right: &str| {
        let one = format!("{left}{}{middle}{}{right}", "─".repeat(10), "─".repeat(11));
        format!("  {one} {one}        {one}\n")
    };
    let mut text = edge("┌", "─", "┐");
    (0..3).for_each(|line| text += &row(line));
    text += &edge("└", "┬", "┘");
    text += &format!("{:>14}{:>25}{:>32}\n", "│", "│", "│");
    let switch = |number: usize| -> Result<String> {
        let (name, address) = SWITCHES[number];
        Ok(format!(
            "{name} {}",
            address.parse::<ipnet::IpNet>()?.trunc()
        ))
    };
    let (near, far) = (switch(0)?, switch(1)?);
    text += &format!("             └─── {near} ───┴─ router ─ {far} ┘\n\n");
    text += "  h1 and h2 by each other's address, h3 by the tunnel flannel.1";
    Ok(text)
}

/// What a failing step should say of a daemon: the last of its words.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("nothing").to_owned()
}

/// A folder of a host.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = Path::new(stage::RUN).join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
