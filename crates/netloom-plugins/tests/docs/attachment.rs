//! What a runtime does with a list of plugins.

use netloom_testkit::{Call, Outcome, Plugin, PluginDir};
use serde_json::{Map, Value, json};

/// A network in one version of the protocol.
pub(crate) struct Network {
    plugins: Vec<(Plugin, Value)>,
    args: String,
}

impl Network {
    /// The requests of a configuration: a single plugin or a list. `runtime` is what a runtime
    /// offers for capabilities.
    pub(crate) fn new(
        bin: &PluginDir,
        conf: &Value,
        version: &str,
        runtime: &Map<String, Value>,
        args: &str,
    ) -> Self {
        let request = |plugin: &Value| {
            let mut request = plugin.clone();
            request["name"] = conf["name"].clone();
            request["cniVersion"] = json!(version);
            let wanted = plugin["capabilities"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            let granted = runtime
                .iter()
                .filter(|(key, _)| wanted.get(*key) == Some(&json!(true)));
            let granted: Map<_, _> = granted.map(|(k, v)| (k.clone(), v.clone())).collect();
            if !granted.is_empty() {
                request["runtimeConfig"] = Value::Object(granted);
            }
            request.as_object_mut().unwrap().remove("capabilities");
            (Plugin::ours(bin, plugin["type"].as_str().unwrap()), request)
        };
        Self {
            plugins: plugins(conf).iter().map(request).collect(),
            args: args.to_owned(),
        }
    }

    /// ADD through the whole list; the last result.
    pub(crate) fn add(&self, place: &Place) -> Value {
        let mut result = Value::Null;
        for (plugin, request) in &self.plugins {
            let outcome = self.call(plugin, "ADD", request, &result, place).run();
            result = outcome.succeeds();
        }
        result
    }

    /// CHECK through the whole list.
    pub(crate) fn check(&self, place: &Place, result: &Value) {
        for (plugin, request) in &self.plugins {
            let call = self.call(plugin, "CHECK", request, result, place);
            call.run().succeeds_silently();
        }
    }

    /// DEL through the whole list, backwards, with this `prevResult`.
    pub(crate) fn del(&self, place: &Place, result: &Value) {
        for (plugin, request) in self.plugins.iter().rev() {
            let call = self.call(plugin, "DEL", request, result, place);
            call.run().succeeds_silently();
        }
    }

    /// GC through the whole list; these containers' `eth0` stay.
    pub(crate) fn gc(&self, containers: &[&str]) {
        let valid: Vec<(&str, &str)> = containers.iter().map(|id| (*id, "eth0")).collect();
        self.each(|plugin, request| plugin.gc(request, &valid));
    }

    /// STATUS through the whole list.
    pub(crate) fn status(&self) {
        self.each(|plugin, request| plugin.status(request));
    }

    /// Requests without an attachment, and so without `runtimeConfig`.
    fn each(&self, ask: impl Fn(&Plugin, &Value) -> Outcome) {
        for (plugin, request) in &self.plugins {
            let mut request = request.clone();
            request.as_object_mut().unwrap().remove("runtimeConfig");
            ask(plugin, &request).succeeds_silently();
        }
    }

    fn call(
        &self,
        plugin: &Plugin,
        command: &str,
        request: &Value,
        result: &Value,
        place: &Place,
    ) -> Call {
        let mut request = request.clone();
        if !result.is_null() {
            request["prevResult"] = result.clone();
        }
        let call = plugin
            .call(command, &request)
            .env("CNI_CONTAINERID", &place.container_id)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", &self.args);
        match &place.netns {
            Some(netns) => call.env("CNI_NETNS", netns),
            None => call,
        }
    }
}

/// The container's side of the requests.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) container_id: String,
    pub(crate) netns: Option<String>,
}

/// The plugins of a list, or the one that it is.
pub(crate) fn plugins(conf: &Value) -> Vec<Value> {
    match conf["plugins"].as_array() {
        Some(plugins) => plugins.clone(),
        None => vec![conf.clone()],
    }
}
