//! The `CNI_*` variables of one call (CNI spec 1.1.0, section 2, "Parameters").

use netloom_invoke::Env;
use netloom_spec::{ContainerId, Error, IfName, code};
use std::path::PathBuf;

/// The variables of a call, checked as far as its command requires them.
#[derive(Debug)]
pub(crate) struct Variables<'a> {
    pub(crate) operation: Operation<'a>,
    /// `CNI_PATH`, split.
    pub(crate) path: Vec<PathBuf>,
    /// `CNI_NETNS_OVERRIDE` asks not to compare the container's namespace with ours.
    pub(crate) netns_override: bool,
}

/// The command together with what it requires.
#[derive(Debug)]
pub(crate) enum Operation<'a> {
    Add(Attached<'a>),
    Check(Attached<'a>),
    Del(Attached<'a>),
    Gc,
    Status,
    Version,
    /// Reported only after stdin was read and checked, as the reference does it.
    Unknown(&'a str),
}

/// The parameters that name an attachment.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    pub(crate) container_id: ContainerId,
    pub(crate) if_name: IfName,
    /// Empty only for DEL.
    pub(crate) netns: &'a str,
    pub(crate) args: &'a str,
}

impl<'a> Variables<'a> {
    /// Reads and checks the variables.
    ///
    /// A present but malformed variable is reported at once, in the order of reading; what is
    /// missing is collected and reported together. The other order would name a missing variable
    /// where the reference names the malformed one.
    pub(crate) fn read(env: &'a Env) -> Result<Self, Error> {
        let mut missing = Vec::new();
        let mut required = |name, wanted| required(env, name, wanted, &mut missing);

        let command = required("CNI_COMMAND", true)?;
        let attached = matches!(command, "ADD" | "CHECK" | "DEL");
        let container_id = required("CNI_CONTAINERID", attached)?;
        let container_id = checked(container_id, attached, ContainerId::new)?;
        let netns = required("CNI_NETNS", matches!(command, "ADD" | "CHECK"))?;
        let if_name = required("CNI_IFNAME", attached)?;
        let if_name = checked(if_name, attached, IfName::new)?;
        let args = required("CNI_ARGS", false)?;
        let path = required("CNI_PATH", attached || matches!(command, "GC" | "STATUS"))?;
        let netns_override = required("CNI_NETNS_OVERRIDE", false)?;

        if !missing.is_empty() {
            let msg = format!("required env variables [{}] missing", missing.join(","));
            return Err(Error::new(code::INVALID_ENVIRONMENT, msg));
        }
        Ok(Self {
            operation: match (command, container_id, if_name) {
                ("ADD", Some(container_id), Some(if_name)) => Operation::Add(Attached {
                    container_id,
                    if_name,
                    netns,
                    args,
                }),
                ("CHECK", Some(container_id), Some(if_name)) => Operation::Check(Attached {
                    container_id,
                    if_name,
                    netns,
                    args,
                }),
                ("DEL", Some(container_id), Some(if_name)) => Operation::Del(Attached {
                    container_id,
                    if_name,
                    netns,
                    args,
                }),
                ("GC", ..) => Operation::Gc,
                ("STATUS", ..) => Operation::Status,
                ("VERSION", ..) => Operation::Version,
                (unknown, ..) => Operation::Unknown(unknown),
            },
            path: directories(path),
            netns_override: netns_override == "1" || netns_override.eq_ignore_ascii_case("true"),
        })
    }
}

/// The variable's text, empty if it is not set; noted as missing if it is `wanted` and empty.
fn required<'a>(
    env: &'a Env,
    name: &'static str,
    wanted: bool,
    missing: &mut Vec<&'static str>,
) -> Result<&'a str, Error> {
    let text = text(env, name)?;
    if wanted && text.is_empty() {
        missing.push(name);
    }
    Ok(text)
}

/// The variable's text, empty if it is not set.
pub(crate) fn text<'a>(env: &'a Env, name: &str) -> Result<&'a str, Error> {
    let value = env.get(name).unwrap_or_default();
    value.to_str().ok_or_else(|| {
        let msg = format!("{name} is {value:?}: it must be valid UTF-8");
        Error::new(code::INVALID_ENVIRONMENT, msg)
    })
}

/// The directories of `CNI_PATH`. An empty one is none: the working directory may be anybody's.
fn directories(path: &str) -> Vec<PathBuf> {
    let directories = std::env::split_paths(path);
    directories
        .filter(|it| !it.as_os_str().is_empty())
        .collect()
}

/// Validates a variable if the command requires it and it is there.
fn checked<T>(
    text: &str,
    wanted: bool,
    validate: impl FnOnce(String) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if wanted && !text.is_empty() {
        validate(text.to_owned()).map(Some)
    } else {
        Ok(None)
    }
}
