//! One of the two implementations, which does to a chain what a runtime does.

use std::path::{Path, PathBuf};

use netloom_testkit::{DEBIAN_DIR, Outcome, Plugin, PluginDir, Pod, skip};
use serde_json::Value;

/// All plugins of one implementation.
pub(crate) struct Side {
    directory: PathBuf,
    _links: Option<PluginDir>,
}

/// An attachment to a chain, and what came of it.
pub(crate) struct Attached {
    pub(crate) chain: Vec<Value>,
    pub(crate) if_name: &'static str,
    pub(crate) result: Value,
}

/// Success, or the words of the first plugin that failed.
pub(crate) type Said = Result<(), String>;

impl Side {
    pub(crate) fn go() -> Self {
        Self {
            directory: DEBIAN_DIR.into(),
            _links: None,
        }
    }

    pub(crate) fn netloom() -> Self {
        Self::of(env!("CARGO_BIN_EXE_netloom-plugins"))
    }

    /// netloom as it was, or `None` after a skip. `cargo xtask test` builds it.
    pub(crate) fn former() -> Option<Self> {
        if let Some(binary) = std::env::var_os("NETLOOM_FORMER") {
            return Some(Self::of(binary));
        }
        let reason = std::env::var("NETLOOM_FORMER_MISSING");
        skip(&reason.unwrap_or_else(|_| {
            "$NETLOOM_FORMER names no plugin binary of the former state: cargo xtask test builds it"
                .to_owned()
        }));
        None
    }

    fn of(binary: impl AsRef<Path>) -> Self {
        let links = PluginDir::of(binary);
        Self {
            directory: links.path().to_owned(),
            _links: Some(links),
        }
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// ADD, each plugin with the result of the one before.
    pub(crate) fn add(&self, chain: Vec<Value>, if_name: &'static str, pod: &Pod) -> Attached {
        let mut attached = Attached {
            chain,
            if_name,
            result: Value::Null,
        };
        for conf in &attached.chain {
            let outcome = self.call("ADD", conf, &attached, pod);
            attached.result = outcome.succeeds();
        }
        attached
    }

    /// CHECK of every plugin with the last result.
    pub(crate) fn check(&self, attached: &Attached, pod: &Pod) -> Said {
        let mut chain = attached.chain.iter();
        chain.try_for_each(|conf| said(&self.call("CHECK", conf, attached, pod)))
    }

    /// DEL, last plugin first, with the last result, as libcni does it from its cache.
    pub(crate) fn del(&self, attached: &Attached, pod: &Pod) -> Said {
        let mut chain = attached.chain.iter().rev();
        chain.try_for_each(|conf| said(&self.call("DEL", conf, attached, pod)))
    }

    /// GC of every plugin, in the first version that has it, with these pods' interfaces living.
    pub(crate) fn gc(&self, chain: &[Value], if_name: &str, living: &[&Pod]) -> Said {
        let ids: Vec<String> = living.iter().map(|pod| pod.container_id()).collect();
        let valid: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), if_name)).collect();
        chain.iter().try_for_each(|conf| {
            let mut conf = conf.clone();
            conf["cniVersion"] = "1.1.0".into();
            said(&self.plugin(&conf).gc(&conf, &valid))
        })
    }

    fn call(&self, command: &str, conf: &Value, attached: &Attached, pod: &Pod) -> Outcome {
        let mut conf = conf.clone();
        if !attached.result.is_null() {
            conf["prevResult"] = attached.result.clone();
        }
        let call = self.plugin(&conf).call(command, &conf).pod(pod);
        call.env("CNI_IFNAME", attached.if_name).run()
    }

    fn plugin(&self, conf: &Value) -> Plugin {
        Plugin::at(Path::new(&self.directory), conf["type"].as_str().unwrap())
    }
}

fn said(outcome: &Outcome) -> Said {
    if outcome.is_success() {
        return Ok(());
    }
    Err(outcome.fails().text())
}
