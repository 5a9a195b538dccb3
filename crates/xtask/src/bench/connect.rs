//! How long a connection to a published port takes: through the first of many mappings, and through the last.
//!
//! Each side has a host of its own, so that no packet meets the other's rules: a client, the host, and a pod behind it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Order;
use super::contender::{Contender, STAYS};
use super::host;
use super::report::Row;
use super::scenario::Scenario;
use super::side::{Pod, Side};
use super::statistics::Samples;
use crate::process;

/// Where the host is published, seen from the client.
const HOST: &str = "198.51.100.2";
const FIRST: u32 = 20_000;
/// Connections before those that count.
const WARM_UP: u16 = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// The programs at both ends; each runs in a namespace of its own.
#[derive(clap::Subcommand)]
pub(crate) enum Ends {
    /// Accept connections at these ports
    Serve { ports: Vec<u16> },
    /// Connect to each of these in turn, and print the nanoseconds
    Connect { rounds: u16, to: Vec<SocketAddr> },
}

pub(crate) fn run(end: &Ends) -> Result<ExitCode> {
    match end {
        Ends::Serve { ports } => serve(ports)?,
        Ends::Connect { rounds, to } => {
            for _ in 0..WARM_UP {
                to.iter().try_for_each(|to| connect(to).map(drop))?;
            }
            for round in 0..*rounds {
                let times: Vec<_> = in_turn(to, round).map(connect).collect::<Result<_>>()?;
                for (to, time) in in_turn(to, round).zip(times) {
                    println!("{} {}", to.port(), time.as_nanos());
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Who goes first changes.
fn in_turn(to: &[SocketAddr], round: u16) -> impl Iterator<Item = &SocketAddr> {
    to.iter()
        .cycle()
        .skip(usize::from(round) % to.len())
        .take(to.len())
}

fn connect(to: &SocketAddr) -> Result<Duration> {
    let begin = Instant::now();
    let stream = TcpStream::connect_timeout(to, PATIENCE);
    let time = begin.elapsed();
    stream.with_context(|| format!("cannot connect to {to}"))?;
    Ok(time)
}

fn serve(ports: &[u16]) -> Result<()> {
    let listeners = ports.iter().map(|&port| {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        listener.with_context(|| format!("cannot listen at port {port}"))
    });
    let listeners: Vec<_> = listeners.collect::<Result<_>>()?;
    println!("ready");
    std::io::stdout().flush()?;
    std::thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| listener.incoming().for_each(drop));
        }
    });
    Ok(())
}

/// Both rows: connections through the first mapping, and through the last.
pub(crate) fn measure(scenario: &Scenario, order: &Order) -> Result<Vec<Row>> {
    let last = FIRST + scenario.size - 1;
    let mut rows =
        [("first", FIRST), ("last", last)].map(|(name, port)| (Row::new(scenario, name), port));
    for contender in (scenario.prepare)(scenario, order)? {
        let site = Site::new(&contender, scenario.size)?;
        let said = site.connect(order.rounds * scenario.times, &[FIRST, last])?;
        for (row, port) in &mut rows {
            let mut samples = Samples::default();
            for line in said.lines() {
                let (of, nanoseconds) = line.split_once(' ').context("a port and a time")?;
                if of == port.to_string() {
                    samples.push(Duration::from_nanos(nanoseconds.parse()?));
                }
            }
            ensure!(
                !samples.times.is_empty(),
                "no connection to port {port} was measured"
            );
            row.samples.insert(contender.side, samples);
        }
    }
    Ok(rows.map(|(row, _)| row).into())
}

/// A host with a client before it and a pod behind it.
struct Site {
    client: String,
    server: Child,
}

impl Site {
    fn new(contender: &Contender, size: u32) -> Result<Self> {
        let side = contender.side;
        let names = ["client", "host", "pod"].map(|what| format!("{}-{what}", side.name()));
        for name in &names {
            host::ip(&["netns", "add", name])?;
        }
        let [client, host, pod] = names;
        let gateway = format!("{}.0.1", side.network());
        let [high, low] = (STAYS + 2).to_be_bytes();
        let of_pod = |rest: String| format!("{}.{rest}/16", side.network());
        wire(
            &host,
            [
                ("to-client", &format!("{HOST}/24")),
                ("to-pod", &format!("{gateway}/16")),
            ],
        )?;
        join(&client, "198.51.100.1/24", &host, "to-client")?;
        join(&pod, &of_pod(format!("{high}.{low}")), &host, "to-pod")?;
        host::ip(&[
            "-n",
            &pod,
            "address",
            "add",
            &of_pod("0.9".into()),
            "dev",
            "eth0",
        ])?;
        host::ip(&["-n", &pod, "route", "add", "default", "via", &gateway])?;
        inside(&host, &["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])?;
        contender.publish(size, Some(&host))?;
        if side == Side::Peer {
            // What leads to all mappings comes with a pod that is really added.
            let one = Pod {
                id: host::container_id("connect", side.name(), 1),
                netns: host::SPARE.into(),
                number: 1,
            };
            for call in contender.add(&one)?.calls {
                call.inside(Some(&host)).time()?;
            }
        }
        // Ours leads to the port of the same number, the peer's rules all to port 80.
        let ports = [80, FIRST, FIRST + size - 1].map(|port| port.to_string());
        Ok(Self {
            client,
            server: start_server(&pod, &ports)?,
        })
    }

    fn connect(&self, rounds: u16, ports: &[u32]) -> Result<String> {
        let to = ports.iter().map(|port| format!("{HOST}:{port}"));
        let mut client = program_in(&self.client, "connect")?;
        let said = process::output(client.arg(rounds.to_string()).args(to))?;
        Ok(String::from_utf8(said)?)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The host's links, each with its far end still in the host.
fn wire(host: &str, links: [(&str, &str); 2]) -> Result<()> {
    for (name, address) in links {
        let far = format!("far-{name}");
        host::ip(&[
            "-n", host, "link", "add", name, "type", "veth", "peer", "name", &far,
        ])?;
        host::ip(&["-n", host, "address", "add", address, "dev", name])?;
        host::ip(&["-n", host, "link", "set", name, "up"])?;
    }
    Ok(())
}

/// Gives a namespace the far end of one of the host's links.
fn join(netns: &str, address: &str, host: &str, link: &str) -> Result<()> {
    let far = format!("far-{link}");
    host::ip(&[
        "-n", host, "link", "set", &far, "netns", netns, "name", "eth0",
    ])?;
    host::ip(&["-n", netns, "address", "add", address, "dev", "eth0"])?;
    host::ip(&["-n", netns, "link", "set", "eth0", "up"])
}

fn inside(netns: &str, words: &[&str]) -> Result<()> {
    process::run(
        Command::new("ip")
            .args(["netns", "exec", netns])
            .args(words),
    )
}

/// This program as one of the ends.
fn program_in(netns: &str, end: &str) -> Result<Command> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns]);
    command.arg(std::env::current_exe().context("cannot find this program")?);
    command.args(["bench-connect", end]);
    Ok(command)
}

/// Started, and listening.
fn start_server(netns: &str, ports: &[String]) -> Result<Child> {
    let mut command = program_in(netns, "serve")?;
    let mut server = command.args(ports).stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    let stdout = server.stdout.take().context("a piped stdout is there")?;
    BufReader::new(stdout).read_line(&mut said)?;
    ensure!(
        said.trim() == "ready",
        "the server in {netns} does not listen"
    );
    Ok(server)
}
