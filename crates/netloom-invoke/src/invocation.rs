//! What a runtime asks of a plugin.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{AsEnv, Env, TraceContext};

/// What a plugin shall do: the values of `CNI_COMMAND` (CNI spec 1.1.0, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Add a container to the network.
    Add,
    /// Remove it again.
    Del,
    /// Check that it is as expected.
    Check,
    /// Remove what belongs to no valid attachment.
    Gc,
    /// Tell whether the plugin is ready to serve ADD.
    Status,
    /// Tell the supported versions of the specification.
    Version,
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 6] = [
        Self::Add,
        Self::Del,
        Self::Check,
        Self::Gc,
        Self::Status,
        Self::Version,
    ];

    /// The value of `CNI_COMMAND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A `CNI_COMMAND` that the specification does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown CNI_COMMAND: {0}")]
pub struct UnknownCommand(pub String);

impl FromStr for Command {
    type Err = UnknownCommand;

    fn from_str(text: &str) -> Result<Self, UnknownCommand> {
        let known = Self::ALL
            .into_iter()
            .find(|command| command.as_str() == text);
        known.ok_or_else(|| UnknownCommand(text.to_owned()))
    }
}

/// `CNI_ARGS`, as pairs or as the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgsForm {
    /// Joined as `K=V;K=V`.
    Pairs(Vec<(String, String)>),
    /// Passed as it is.
    Text(String),
}

impl ArgsForm {
    /// The value of `CNI_ARGS`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Pairs(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                pairs.join(";")
            }
        }
    }
}

impl Default for ArgsForm {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

/// One execution of a plugin by a runtime: the parameters of CNI spec 1.1.0, section 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// `CNI_COMMAND`.
    pub command: Command,
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_NETNS`: path of the container's network namespace.
    pub netns: String,
    /// `CNI_IFNAME`: name of the interface inside the container.
    pub if_name: String,
    /// `CNI_ARGS`.
    pub args: ArgsForm,
    /// `CNI_PATH`: where plugins are searched.
    pub path: Vec<PathBuf>,
    /// The trace this belongs to; `None` lets the plugin inherit the caller's.
    pub trace: Option<TraceContext>,
}

impl Invocation {
    /// An invocation of `command` with every parameter empty.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            container_id: String::new(),
            netns: String::new(),
            if_name: String::new(),
            args: ArgsForm::default(),
            path: Vec::new(),
            trace: None,
        }
    }

    /// The directories of `CNI_PATH` joined with `:`.
    fn path_text(&self) -> OsString {
        let mut text = OsString::new();
        for (index, dir) in self.path.iter().enumerate() {
            if index > 0 {
                text.push(":");
            }
            text.push(dir);
        }
        text
    }
}

/// This process's environment and the six `CNI_*` variables, which are always set, if only to
/// nothing: a value left over from the caller's own environment must not reach the plugin.
impl AsEnv for Invocation {
    fn as_env(&self) -> Env {
        let mut env = Env::inherited()
            .with("CNI_COMMAND", self.command.as_str())
            .with("CNI_CONTAINERID", &self.container_id)
            .with("CNI_NETNS", &self.netns)
            .with("CNI_ARGS", self.args.to_text())
            .with("CNI_IFNAME", &self.if_name)
            .with("CNI_PATH", self.path_text());
        if let Some(trace) = &self.trace {
            trace.apply(&mut env);
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_six_variables_are_set_even_when_empty() {
        let env = Invocation::new(Command::Status).as_env();
        for name in [
            "CNI_CONTAINERID",
            "CNI_NETNS",
            "CNI_ARGS",
            "CNI_IFNAME",
            "CNI_PATH",
        ] {
            assert_eq!(env.get(name), Some("".as_ref()), "{name}");
        }
        assert_eq!(env.get("CNI_COMMAND"), Some("STATUS".as_ref()));
        assert_eq!(env.get("PATH"), std::env::var_os("PATH").as_deref());
    }

    #[test]
    fn pairs_and_directories_are_joined() {
        let mut invocation = Invocation::new(Command::Add);
        invocation.args = ArgsForm::Pairs(vec![
            ("IgnoreUnknown".into(), "1".into()),
            ("K8S_POD_NAME".into(), "web".into()),
        ]);
        invocation.path = vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()];
        let env = invocation.as_env();
        assert_eq!(
            env.get("CNI_ARGS"),
            Some("IgnoreUnknown=1;K8S_POD_NAME=web".as_ref())
        );
        assert_eq!(
            env.get("CNI_PATH"),
            Some("/opt/cni/bin:/usr/lib/cni".as_ref())
        );
    }

    #[test]
    fn text_arguments_are_passed_as_they_are() {
        assert_eq!(ArgsForm::Text("A=1;;".into()).to_text(), "A=1;;");
    }

    #[test]
    fn every_command_is_read_back_from_its_text() {
        for command in Command::ALL {
            assert_eq!(command.to_string().parse(), Ok(command));
        }
        let error = "add".parse::<Command>().unwrap_err();
        assert_eq!(error.to_string(), "unknown CNI_COMMAND: add");
    }
}
