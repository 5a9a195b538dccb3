//! A container runtime in sixty lines: it makes a namespace, attaches it to a network, runs a command in
//! it, and leaves nothing behind.
//!
//! `runtime NETWORK COMMAND…` with plugins in `$CNI_PATH` (/opt/cni/bin) and configurations in
//! `$NETCONFPATH` (/etc/cni/net.d).

use std::env;
use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::Duration;

use netloom_runtime::{Cni, DelMode, RuntimeConf, load, netns, undeclared_capabilities};

/// Time for the plugins of one call.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let (Some(network), Some(program)) = (words.next(), words.next()) else {
        return Err("usage: runtime NETWORK COMMAND…".into());
    };
    let plugins = env::var("CNI_PATH").unwrap_or("/opt/cni/bin".into());
    let confs = env::var("NETCONFPATH").unwrap_or("/etc/cni/net.d".into());
    let cni = Cni::new(env::split_paths(&plugins));
    let network = load::find_by_name(confs, &network)?;

    let id = format!("example-{}", std::process::id());
    let path = format!("/run/netns/{id}");
    let rt = RuntimeConf::new(&id, &path, "eth0").capability("mac", "0a:00:00:00:00:42");
    for name in undeclared_capabilities(&network, &rt) {
        eprintln!("no plugin of {} wants {name:?}", network.name);
    }
    let pod = netns::create(&path)?;
    let done = match cni.within(LIMIT).add(&network, &rt) {
        Ok(result) => {
            for ip in &result.ips {
                eprintln!("{id} has {}", ip.address);
            }
            let run = || Command::new(program).args(words).status();
            pod.run(run)?.map_err(Box::<dyn Error>::from)
        }
        Err(error) => Err(error.into()),
    };
    // Whatever happened, and however far ADD came.
    let deleted = cni
        .within(LIMIT)
        .del_with(&network, &rt, DelMode::BestEffort);
    let removed = netns::remove(&path);
    let status = done?;
    deleted?;
    removed?;
    Ok(ExitCode::from(status.code().unwrap_or(1) as u8))
}
