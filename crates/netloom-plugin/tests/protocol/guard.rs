//! The plugin's own network namespace is never the container's.

use crate::call::{CONF, Probe, call, env};

const OWN: &str = "/proc/thread-self/ns/net";

#[test]
fn an_add_to_the_own_netns_is_refused_before_any_effect() {
    for path in [OWN, "/proc/self/ns/net"] {
        let probe = Probe::default();
        let outcome = call(&probe, &env("ADD").with("CNI_NETNS", path), CONF);
        let (code, msg, _) = outcome.error_parts();
        let expected = "plugin's netns and netns from CNI_NETNS should not be the same";
        assert_eq!((code, msg.as_str()), (8, expected));
        assert!(probe.calls().is_empty());
    }
}

#[test]
fn a_del_of_the_own_netns_reaches_the_plugin_without_it() {
    for (text, netns) in [("", None), ("1", Some(OWN))] {
        let probe = Probe::default();
        let env = env("DEL")
            .with("CNI_NETNS", OWN)
            .with("CNI_NETNS_OVERRIDE", text);
        let outcome = call(&probe, &env, CONF);
        assert_eq!(outcome.status, 0);
        assert_eq!(outcome.stderr.contains(OWN), netns.is_none());
        assert_eq!(probe.calls(), ["del"]);
        assert_eq!(probe.netns(), netns.unwrap_or_default());
    }
}

#[test]
fn the_version_is_checked_before_the_netns() {
    let env = env("ADD").with("CNI_NETNS", OWN);
    let conf = r#"{"cniVersion":"9.0.0","name":"blue"}"#;
    assert_eq!(call(&Probe::default(), &env, conf).error().code, 1);
}

#[test]
fn the_override_allows_the_own_netns() {
    for text in ["1", "true", "TRUE", "True"] {
        let probe = Probe::default();
        let env = env("ADD")
            .with("CNI_NETNS", OWN)
            .with("CNI_NETNS_OVERRIDE", text);
        assert_eq!(call(&probe, &env, CONF).status, 0);
        assert_eq!(probe.calls(), ["add"]);
    }
}

#[test]
fn any_other_override_does_not() {
    for text in ["0", "false", "yes", "", "01"] {
        let env = env("ADD")
            .with("CNI_NETNS", OWN)
            .with("CNI_NETNS_OVERRIDE", text);
        assert_eq!(
            call(&Probe::default(), &env, CONF).error().code,
            8,
            "{text:?}"
        );
    }
}

#[test]
fn a_netns_that_is_gone_is_left_to_the_plugin() {
    for command in ["ADD", "DEL"] {
        let probe = Probe::default();
        assert_eq!(call(&probe, &env(command), CONF).status, 0);
        assert_eq!(probe.calls().len(), 1);
    }
}

#[test]
fn a_del_without_a_netns_reaches_the_plugin() {
    let probe = Probe::default();
    call(&probe, &env("DEL").with("CNI_NETNS", ""), CONF).assert_silent();
    assert_eq!(probe.calls(), ["del"]);
}

#[test]
fn a_plain_file_is_left_to_the_plugin() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let env = env("ADD").with("CNI_NETNS", file.path());
    assert_eq!(call(&Probe::default(), &env, CONF).status, 0);
}
