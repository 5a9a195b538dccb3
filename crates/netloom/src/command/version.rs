//! `version` and `validate`: what plugins support, and whether a configuration can work.

use std::path::Path;

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use netloom_kernel::c_library;
use netloom_runtime::load::{self, NetworkFile};
use netloom_spec::{NetworkConfigList, NetworkName, Version, terminal};

use crate::causes;
use crate::cli::{OptionalNetwork, Validate};
use crate::configured::{cni, find};
use crate::lint::draw;
use crate::lint::finding::Level;
use crate::options::Options;

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

pub(super) fn validate(options: &Options, validate: &Validate) -> Result<()> {
    match &validate.network {
        Some(path) if is_path(path) => validate_file(options, Path::new(path)),
        Some(name) => one(options, &load::directory(&options.conf_dir)?.find(name)?),
        None => validate_all(options),
    }
}

/// A network's name has no slash; a file of the working directory is `./NAME` or has an ending.
fn is_path(text: &str) -> bool {
    let ending = [".conflist", ".conf", ".json"]
        .iter()
        .any(|it| text.ends_with(it));
    text.contains('/') || (ending && Path::new(text).is_file())
}

fn validate_file(options: &Options, path: &Path) -> Result<()> {
    let is_list = path.extension().is_some_and(|it| it == "conflist");
    let list = match is_list {
        true => load::list_from_file(path)?,
        false => NetworkConfigList::from_conf(&load::plugin_from_file(path)?)?,
    };
    let path = path.to_owned();
    one(options, &NetworkFile { path, list })
}

fn validate_all(options: &Options) -> Result<()> {
    let directory = load::directory(&options.conf_dir)?;
    let mut failed = directory.problems.len();
    for problem in &directory.problems {
        say!("✘ {}", problem.error);
    }
    for file in &directory.networks {
        if let Err(error) = one(options, file) {
            failed += 1;
            say!(
                "✘ {} ({}): {}",
                file.list.name,
                file.path.display(),
                causes::told(&error)
            );
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

fn one(options: &Options, file: &NetworkFile) -> Result<()> {
    let list = &file.list;
    // Every plugin refuses a bad one, as the reference's do.
    NetworkName::new(&list.name)?;
    let capabilities = cni(options).validate(list)?;
    let report = super::lint::report(&file.path)?;
    let errors: Vec<_> = report.errors().map(|it| draw::line(&report, it)).collect();
    if !errors.is_empty() {
        bail!("{}", errors.join("\n"));
    }
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
    for finding in report
        .findings
        .iter()
        .filter(|it| it.level == Level::Warning)
    {
        say!("  {}", draw::line(&report, finding));
    }
    Ok(())
}
