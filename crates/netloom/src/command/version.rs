//! `version` and `validate`: what plugins support, and whether a configuration can work.

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use netloom_kernel::c_library;
use netloom_runtime::load;
use netloom_spec::{NetworkConfigList, NetworkName, Version, terminal};

use super::network::{cni, find};
use crate::cli::{OptionalNetwork, Options};

pub(super) fn run(options: &Options, network: &OptionalNetwork) -> Result<()> {
    let Some(name) = &network.network else {
        let versions: Vec<_> = Version::ALL
            .iter()
            .map(|version| version.as_str())
            .collect();
        println!("netloom {}", env!("CARGO_PKG_VERSION"));
        println!("C library: {}", c_library::describe());
        println!("CNI spec versions: {}", versions.join(", "));
        return Ok(());
    };
    let list = find(options, name)?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut failed = 0;
    for (plugin, answer) in cni(options).versions(&list) {
        let words = match answer {
            Ok(info) => info.supported_versions.join(", "),
            Err(error) => {
                failed += 1;
                error.to_string()
            }
        };
        table.add_row([terminal::one_line(&plugin), terminal::lines(&words)]);
    }
    println!("{table}");
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of the plugins of {name:?} did not tell their versions"),
    }
}

pub(super) fn validate(options: &Options, network: &OptionalNetwork) -> Result<()> {
    let directory = load::directory(&options.conf_dir)?;
    if let Some(name) = &network.network {
        return one(options, &directory.find(name)?.list);
    }
    let mut failed = directory.problems.len();
    for problem in &directory.problems {
        say!("✘ {}", problem.error);
    }
    for file in &directory.networks {
        if let Err(error) = one(options, &file.list) {
            failed += 1;
            say!("✘ {} ({}): {error:#}", file.list.name, file.path.display());
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!(
            "{failed} of the configurations in {} cannot be used",
            options.conf_dir.display()
        ),
    }
}

fn one(options: &Options, list: &NetworkConfigList) -> Result<()> {
    // Every plugin refuses a bad one, as the reference's do.
    NetworkName::new(&list.name)?;
    let capabilities = cni(options).validate(list)?;
    let plugins: Vec<_> = list
        .plugins
        .iter()
        .map(|plugin| plugin.plugin_type())
        .collect();
    say!(
        "✔ {} ({}): {}",
        list.name,
        list.cni_version,
        plugins.join(" → ")
    );
    if !capabilities.is_empty() {
        say!("  capabilities: {}", capabilities.join(", "));
    }
    Ok(())
}
