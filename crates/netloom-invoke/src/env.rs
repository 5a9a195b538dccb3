//! The environment a plugin is executed with.

use std::ffi::{OsStr, OsString};

use crate::Command;

/// Environment variables: each name once, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(Vec<(OsString, OsString)>);

impl Env {
    /// No variables at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The variables of this process.
    pub fn inherited() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of the variable `name`; `None` when it is not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.position(OsStr::new(name))
            .map(|at| self.0[at].1.as_os_str())
    }

    /// Sets the variable `name`, whatever it was before.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let (name, value) = (name.into(), value.into());
        match self.position(&name) {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// [`Env::set`] for chains of calls.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.set(name, value);
        self
    }

    /// Removes the variable `name`; absent is success.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// All variables, as [`Exec::exec_plugin`](crate::Exec::exec_plugin) takes them.
    pub fn as_slice(&self) -> &[(OsString, OsString)] {
        &self.0
    }

    fn position(&self, name: &OsStr) -> Option<usize> {
        self.0.iter().position(|(key, _)| key == name)
    }
}

/// Of a name given twice the later value wins.
impl FromIterator<(OsString, OsString)> for Env {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let mut env = Env::new();
        for (name, value) in variables {
            env.set(name, value);
        }
        env
    }
}

/// What a plugin's environment can be made of (`CNIArgs` in libcni).
pub trait AsEnv {
    /// The complete environment for the plugin.
    fn as_env(&self) -> Env;
}

/// An environment that is already complete.
impl AsEnv for Env {
    fn as_env(&self) -> Env {
        self.clone()
    }
}

/// For a plugin that delegates: its own process's environment with only `CNI_COMMAND` replaced
/// (CNI spec 1.1.0, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelegateArgs {
    /// What the delegate shall do.
    pub command: Command,
}

impl AsEnv for DelegateArgs {
    fn as_env(&self) -> Env {
        Env::inherited().with("CNI_COMMAND", self.command.as_str())
    }
}

/// The trace an execution belongs to, in the forms of W3C Trace Context and Baggage, handed to
/// plugins as `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`. Without one, plugins inherit these
/// variables like any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: String,
    /// The vendors' list; empty when there is none.
    pub tracestate: String,
    /// The baggage list; empty when there is none.
    pub baggage: String,
}

impl TraceContext {
    /// Sets the three variables. One that is empty is removed: what was inherited belongs to
    /// another trace.
    pub(crate) fn apply(&self, env: &mut Env) {
        let variables = [
            ("TRACEPARENT", &self.traceparent),
            ("TRACESTATE", &self.tracestate),
            ("BAGGAGE", &self.baggage),
        ];
        for (name, value) in variables {
            match value.is_empty() {
                true => env.remove(name),
                false => env.set(name, value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (OsString, OsString) {
        (name.into(), value.into())
    }

    #[test]
    fn the_later_value_of_a_repeated_name_wins_and_keeps_the_first_place() {
        let env: Env = [pair("A", "1"), pair("B", "2"), pair("A", "3")]
            .into_iter()
            .collect();
        assert_eq!(env.as_slice(), [pair("A", "3"), pair("B", "2")]);
    }

    #[test]
    fn a_variable_can_be_set_read_and_removed() {
        let mut env = Env::new().with("CNI_IFNAME", "eth0");
        assert_eq!(env.get("CNI_IFNAME"), Some(OsStr::new("eth0")));
        env.remove("CNI_IFNAME");
        env.remove("CNI_IFNAME");
        assert_eq!(env.get("CNI_IFNAME"), None);
    }

    #[test]
    fn a_trace_context_replaces_all_three_variables() {
        let mut env = Env::new()
            .with("TRACEPARENT", "old")
            .with("TRACESTATE", "old");
        let trace = TraceContext {
            traceparent: "00-1-2-01".into(),
            tracestate: String::new(),
            baggage: "a=b".into(),
        };
        trace.apply(&mut env);
        assert_eq!(
            env.as_slice(),
            [pair("TRACEPARENT", "00-1-2-01"), pair("BAGGAGE", "a=b")]
        );
    }

    #[test]
    fn a_delegate_gets_this_environment_with_another_command() {
        let env = DelegateArgs {
            command: Command::Check,
        }
        .as_env();
        assert_eq!(env.get("CNI_COMMAND"), Some(OsStr::new("CHECK")));
        assert_eq!(env.get("PATH"), std::env::var_os("PATH").as_deref());
    }
}
