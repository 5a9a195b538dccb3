//! `netloom demo`: the life of a network, from nothing to nothing, in a throw-away host.

mod cluster;
mod probe;
mod screen;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use netloom_kernel::netns::{self, Netns};
use netloom_kernel::signals;
use netloom_runtime::{Cni, RuntimeConf};
use netloom_spec::{AddResult, NetworkConfigList};
use serde_json::json;

use crate::cli::Demo;
use crate::execution::Bounded;
use crate::stage;
use screen::{PodLine, Screen};

const BRIDGE: &str = "demo0";
const HOST: &str = "203.0.113.2/24";
const OUTSIDE: &str = "203.0.113.1/24";
const STATE: &str = "/run/cni";

/// One pod: its namespace and what ADD answered.
struct Pod {
    name: &'static str,
    netns: Netns,
    runtime: RuntimeConf,
    result: AddResult,
}

/// Puts plugins of these names into a directory, and tells what it put there; `false`: not in the place of
/// others.
pub(crate) type Install = for<'n> fn(&Path, &[&'n str], bool) -> Result<Vec<&'n str>>;

/// `limit`: how long a plugin may run, if the user says.
pub(crate) fn run(options: &Demo, limit: Option<Duration>, install: Install) -> Result<()> {
    if options.cluster {
        return cluster::run(options, limit, install);
    }
    let mut screen = Screen::new(options.plain);
    screen.step("a throw-away host", || {
        let kind = stage::enter()?;
        Ok(((), kind.to_owned()))
    })?;
    let host: IpNet = HOST.parse()?;
    let outside: IpNet = OUTSIDE.parse()?;
    let world = screen.step("an outside world behind an uplink", || {
        let world = stage::outside(host, outside)?;
        Ok((world, format!("up0 {HOST} ── out0 {OUTSIDE}")))
    })?;
    let network = network()?;
    let plugins = screen.step("install the plugins", || {
        let dir = PathBuf::from("/run/netloom/bin");
        let names = install(&dir, &types(&network), false)?;
        Ok((
            dir.clone(),
            format!("{} in {}", names.join(" "), dir.display()),
        ))
    })?;
    let before = stage::inventory(BRIDGE, Path::new(STATE))?;

    let cni = Cni::new([plugins])
        .cache_dir(STATE)
        .exec(Bounded::by(limit));
    let pods = attach(&mut screen, &cni, &network)?;
    screen.show(&drawing(&pods));
    println!();
    // No plugin runs that would end by what ends the command.
    signals::expect_none();
    traffic(&mut screen, &pods, &world, [host.addr(), outside.addr()])?;
    detach(&mut screen, &cni, &network, &pods)?;
    screen.step("nothing is left", || {
        let after = stage::inventory(BRIDGE, Path::new(STATE))?;
        ensure!(before == after, "before: {before:#?}\nafter: {after:#?}");
        Ok((
            (),
            format!("links, addresses, rules and files as before; {BRIDGE} stays, it is shared"),
        ))
    })?;
    screen.end();
    Ok(())
}

/// The configuration a tutorial would put into /etc/cni/net.d.
fn network() -> Result<NetworkConfigList> {
    let text = json!({
        "cniVersion": "1.1.0",
        "name": "demonet",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "ipMasq": true,
            "ipMasqBackend": "nftables",
            "ipam": {
                "type": "host-local",
                "subnet": "10.16.0.0/24",
                "dataDir": format!("{STATE}/networks"),
                "routes": [{ "dst": "0.0.0.0/0" }]
            }
        }]
    });
    Ok(NetworkConfigList::parse(text.to_string().as_bytes())?)
}

/// Each plugin that the network needs, and then the one that it has its addresses from.
fn types(network: &NetworkConfigList) -> Vec<&str> {
    let plugins = network.plugins.iter();
    let types = plugins.flat_map(|conf| [Some(conf.plugin_type()), conf.ipam_type()]);
    types.flatten().collect()
}

fn attach(screen: &mut Screen, cni: &Cni, network: &NetworkConfigList) -> Result<Vec<Pod>> {
    ["a", "b"]
        .into_iter()
        .map(|name| {
            let path = Path::new(stage::RUN).join("netns").join(name);
            let netns = netns::create_at(&path)?;
            let runtime = RuntimeConf::new(
                format!("demo-{name}"),
                path.to_string_lossy().into_owned(),
                "eth0",
            );
            let result = screen.step(&format!("ADD pod {name}: bridge + host-local"), || {
                let result = cni.add(network, &runtime)?;
                let address = address(&result)?;
                Ok((result, format!("eth0 {address}")))
            })?;
            Ok(Pod {
                name,
                netns,
                runtime,
                result,
            })
        })
        .collect()
}

fn traffic(
    screen: &mut Screen,
    pods: &[Pod],
    world: &Netns,
    [host, outside]: [IpAddr; 2],
) -> Result<()> {
    let [a, b] = pods else {
        unreachable!("the demo has two pods")
    };
    let gateway = a.result.ips[0]
        .gateway
        .context("the result has no gateway")?;
    let peer = address(&b.result)?.addr();
    for (title, target) in [
        ("ping from a to its gateway", gateway),
        ("ping from a to b", peer),
    ] {
        screen.step(title, || {
            let time = a.netns.run(|| probe::ping(probe::ipv4(target)?))??;
            Ok((
                (),
                format!("{target} answered in {:.0} µs", time.as_secs_f64() * 1e6),
            ))
        })?;
    }
    screen.step("HTTP from a to b", || {
        let body = fetch(&a.netns, &b.netns, "b", SocketAddr::new(peer, 80))?;
        Ok(((), body))
    })?;
    screen.step("HTTP from a to the outside, masqueraded", || {
        let body = fetch(&a.netns, world, "outside", SocketAddr::new(outside, 80))?;
        ensure!(
            body.ends_with(&format!("you are {host}")),
            "the outside saw another address than the host's {host}: {body:?}"
        );
        Ok(((), body))
    })
}

/// Serves HTTP in one namespace and fetches it from another; returns the body.
fn fetch(client: &Netns, server: &Netns, who: &'static str, at: SocketAddr) -> Result<String> {
    let listener = server.run(|| probe::listen(at))??;
    thread::scope(|scope| {
        let serving = scope.spawn(|| probe::serve_once(&listener, who));
        let body = client.run(|| probe::http_get(at))??;
        serving
            .join()
            .map_err(|_| anyhow::anyhow!("the HTTP server panicked"))??;
        Ok(body)
    })
}

fn detach(screen: &mut Screen, cni: &Cni, network: &NetworkConfigList, pods: &[Pod]) -> Result<()> {
    for pod in pods {
        screen.step(&format!("CHECK pod {}", pod.name), || {
            cni.check(network, &pod.runtime)?;
            Ok(((), "as ADD made it".to_owned()))
        })?;
    }
    for pod in pods {
        screen.step(&format!("DEL pod {}", pod.name), || {
            cni.del(network, &pod.runtime)?;
            Ok(((), String::new()))
        })?;
    }
    Ok(())
}

fn address(result: &AddResult) -> Result<IpNet> {
    Ok(result
        .ips
        .first()
        .context("the result has no address")?
        .address)
}

fn drawing(pods: &[Pod]) -> String {
    let lines: Vec<_> = pods
        .iter()
        .map(|pod| PodLine {
            name: format!("pod {}", pod.name),
            address: address(&pod.result)
                .map(|ip| ip.to_string())
                .unwrap_or_default(),
            // The bridge plugin lists the bridge, the host's end, the container's end.
            host_veth: pod
                .result
                .interfaces
                .get(1)
                .map(|link| link.name.clone())
                .unwrap_or_default(),
        })
        .collect();
    let gateway = pods[0].result.ips[0]
        .gateway
        .map(|ip| ip.to_string())
        .unwrap_or_default();
    screen::draw(BRIDGE, &gateway, [HOST, OUTSIDE], &lines)
}
