//! One mistake and the answer to it.

use netloom_testkit::{Call, Host, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};

/// Texts that an error must contain.
type Names = &'static [&'static str];

/// A call with one mistake. Unless something else is said, it is an ADD of a bridge with a
/// gateway, a masquerade and host-local.
pub(crate) struct Case {
    what: &'static str,
    plugin: &'static str,
    command: &'static str,
    conf: Value,
    stdin: Option<&'static str>,
    env: Value,
    situation: &'static str,
    late: bool,
    code: u64,
    names: Names,
}

impl Case {
    /// An ADD of the bridge with these configuration keys, by JSON pointer, changed; `null` takes
    /// a key out.
    pub(crate) fn bridge(what: &'static str, conf: Value, code: u64, names: Names) -> Self {
        Self {
            what,
            plugin: "bridge",
            command: "ADD",
            conf,
            stdin: None,
            env: json!({}),
            situation: "",
            late: false,
            code,
            names,
        }
    }

    /// An ADD of host-local alone with these configuration keys changed.
    pub(crate) fn pool(what: &'static str, conf: Value, code: u64, names: Names) -> Self {
        Self {
            plugin: "host-local",
            ..Self::bridge(what, conf, code, names)
        }
    }

    /// An ADD of the bridge with these variables changed; `null` takes a variable out.
    pub(crate) fn variables(what: &'static str, env: Value, code: u64, names: Names) -> Self {
        Self {
            env,
            ..Self::bridge(what, json!({}), code, names)
        }
    }

    /// An ADD of the bridge with these bytes on stdin.
    pub(crate) fn stdin(what: &'static str, stdin: &'static str, code: u64, names: Names) -> Self {
        Self {
            stdin: Some(stdin),
            ..Self::bridge(what, json!({}), code, names)
        }
    }

    /// Another command than ADD.
    pub(crate) fn of(self, command: &'static str) -> Self {
        Self { command, ..self }
    }

    /// A shell line makes the situation on the host first.
    pub(crate) fn after(self, situation: &'static str) -> Self {
        Self { situation, ..self }
    }

    /// The mistake shows only after shared objects were ensured (the bridge, the pool's lock and
    /// index): these may have appeared, nothing else.
    pub(crate) fn late(self) -> Self {
        Self { late: true, ..self }
    }

    fn call(&self, plugins: &PluginDir, pod: &Pod) -> Call {
        let conf = patched(base_conf(), &self.conf);
        let plugin = Plugin::ours(plugins, self.plugin);
        let call = plugin.call(self.command, &conf).pod(pod);
        // An error with a backtrace asks more of what the program is linked with.
        let mut call = call.env("RUST_BACKTRACE", "full");
        if let Some(stdin) = self.stdin {
            call = call.stdin(stdin);
        }
        for (name, value) in self.env.as_object().unwrap() {
            call = match value.as_str() {
                Some(value) => call.env(name, value),
                None => call.without(name),
            };
        }
        call
    }

    /// What is wrong with the plugin's answer, if anything.
    fn try_on(&self, host: &Host, plugins: &PluginDir) -> Result<(), String> {
        let pod = host.pod("one");
        host.sh(self.situation);
        let before = Snapshot::take(host, &[&pod]);
        let outcome = self.call(plugins, &pod).run();
        let after = Snapshot::take(host, &[&pod]);
        let answer: Value = serde_json::from_str(&outcome.stdout)
            .map_err(|error| format!("stdout is not one JSON document: {error}\n{outcome}"))?;
        let of = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        let text = format!("{} | {}", of("msg"), of("details"));
        println!("{:45} {:3} {text}", self.what, answer["code"]);
        let missing: Vec<_> = self.names.iter().filter(|n| !text.contains(**n)).collect();
        let difference = match self.late {
            false => after.difference_from(&before),
            true => {
                let shared = ["br0"];
                let before = before.without_shared(&shared);
                after.without_shared(&shared).difference_from(&before)
            }
        };
        let wrong = if outcome.code() != Some(1) || answer["code"] != self.code {
            format!("code {} and exit status 1 are right", self.code)
        } else if of("msg").is_empty() || of("msg").contains('\n') {
            "msg should be one line".to_owned()
        } else if !missing.is_empty() {
            format!("the error should name {missing:?}")
        } else if outcome.stderr.contains("panicked") {
            "the plugin panicked".to_owned()
        } else if !difference.is_empty() {
            format!("something has changed:\n{difference}")
        } else {
            return Ok(());
        };
        Err(format!("{wrong}\n{outcome}"))
    }
}

/// Tries all cases, each on a host of its own, before it fails: one run shows every wrong answer.
pub(crate) fn try_all(cases: &[Case]) {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let mut wrong = Vec::new();
    for case in cases {
        let Some(host) = Host::new() else { return };
        if let Err(why) = case.try_on(&host, &plugins) {
            wrong.push(format!("{}: {why}", case.what));
        }
    }
    println!("{} cases", cases.len());
    let report = wrong.join("\n\n");
    assert!(
        wrong.is_empty(),
        "{} wrong answers:\n\n{report}",
        wrong.len()
    );
}

fn base_conf() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}
    })
}

/// The configuration with values replaced, by JSON pointer.
fn patched(mut conf: Value, changes: &Value) -> Value {
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let object = conf.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(object.remove(key)),
            value => drop(object.insert(key.to_owned(), value.clone())),
        }
    }
    conf
}
