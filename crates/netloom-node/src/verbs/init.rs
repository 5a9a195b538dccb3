//! `init`: the pod network, written once for a cluster.

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use netloom_cluster::flannel::NetworkConfig;
use serde_json::{Value, json};

use crate::cli::Init;
use crate::misuse::Misuse;
use crate::store::{Settings, config_key, create};

pub(super) fn init(args: &Init) -> Result<ExitCode> {
    let (settings, text) = judged(args).map_err(Misuse::of)?;
    let key = config_key(settings.prefix());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(create(settings, &key, &text))?;
    match found {
        None => println!("{key} is {text}"),
        Some(same) if same == text => println!("nothing to do: {key} is {text}"),
        Some(other) => bail!("{key} is there already, and says {other}: it is left as it is"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the network is written, and what.
fn judged(args: &Init) -> Result<(Settings, String)> {
    let settings = Settings::new(&args.store)?;
    ensure!(
        settings.is_written_by_init(),
        "on Kubernetes the pod network is in the file that --net-conf names; nothing was written"
    );
    let text = document(args)?.to_string();
    NetworkConfig::parse(text.as_bytes())?;
    Ok((settings, text))
}

/// As flannel reads it too: auto is what flannel calls vxlan with DirectRouting.
fn document(args: &Init) -> Result<Value> {
    let mut document = json!({ "EnableIPv4": false });
    for network in &args.network {
        let v4 = network.addr().is_ipv4();
        let name = if v4 { "Network" } else { "IPv6Network" };
        ensure!(
            document.get(name).is_none(),
            "--network {network}: there is one of that family already"
        );
        document[name] = json!(network.trunc().to_string());
        document[if v4 { "EnableIPv4" } else { "EnableIPv6" }] = json!(true);
    }
    document["Backend"] = match args.mode.as_str() {
        "auto" => json!({ "Type": "vxlan", "DirectRouting": true }),
        mode => json!({ "Type": mode }),
    };
    Ok(document)
}
