//! Each version's documents, byte for byte.
//!
//! The results before 1.0.0 named `result*.json` were printed by the reference
//! plugins `static` and `tuning` (Debian's containernetworking-plugins 1.1.1).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use netloom_spec::{AddResult, Attachment, Error, NetworkConfigList, PluginConf, Version};
use serde_json::Value;

fn path(version: Version, name: &str) -> PathBuf {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    corpus.join(version.as_str()).join(name)
}

#[track_caller]
fn text(version: Version, name: &str) -> String {
    let path = path(version, name);
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

fn result(version: Version, name: &str) -> AddResult {
    let result = AddResult::parse(text(version, name).as_bytes(), version).unwrap();
    assert_eq!(result.cni_version, version);
    result
}

#[test]
fn results_are_printed_as_they_were_read() {
    let mut seen = 0;
    for version in Version::ALL {
        for name in [
            "result.json",
            "result-without-dns.json",
            "result-with-interfaces.json",
            "everything.json",
        ] {
            if path(version, name).exists() {
                let printed = result(version, name).to_json(version).unwrap();
                assert_eq!(printed, text(version, name), "{version} {name}");
                seen += 1;
            }
        }
    }
    // The two oldest have no interfaces.
    assert_eq!(seen, Version::ALL.len() * 4 - 2);
}

#[test]
fn results_of_every_version_become_one_of_the_newest() {
    for version in Version::ALL {
        let converted = result(version, "result.json")
            .to_json(Version::V1_1_0)
            .unwrap();
        assert_eq!(
            converted,
            text(version, "result-as-1.1.0.json"),
            "{version}"
        );
    }
}

#[test]
fn the_newest_result_becomes_one_of_every_version() {
    let everything = result(Version::V1_1_0, "everything.json");
    for version in Version::ALL {
        let converted = everything.to_json(version).unwrap();
        assert_eq!(converted, text(version, "everything.json"), "{version}");
        let value: Value = serde_json::from_str(&converted).unwrap();
        assert_eq!(everything.to_value(version).unwrap(), value, "{version}");
    }
}

#[test]
fn versions_of_one_family_differ_in_nothing_but_the_version() {
    let families: [&[Version]; 3] = [
        &[Version::V0_1_0, Version::V0_2_0],
        &[Version::V0_3_0, Version::V0_3_1, Version::V0_4_0],
        &[Version::V1_0_0, Version::V1_1_0],
    ];
    for family in families {
        for from in family {
            for to in family {
                let text = text(*from, "everything.json");
                let quoted = |version: &Version| format!("\"cniVersion\": \"{version}\"");
                let converted = AddResult::parse(text.as_bytes(), *to).unwrap().to_json(*to);
                assert_eq!(converted.unwrap(), text.replace(&quoted(from), &quoted(to)));
            }
        }
    }
}

#[test]
fn a_result_of_another_family_is_refused() {
    for found in Version::ALL {
        let text = text(found, "result.json");
        for (expected, family) in [
            (Version::V0_2_0, "[0.1.0 0.2.0]"),
            (Version::V0_3_1, "[0.3.0 0.3.1 0.4.0]"),
            (Version::V1_0_0, "[1.0.0 1.1.0]"),
        ] {
            let outcome = AddResult::parse(text.as_bytes(), expected);
            if family.contains(found.as_str()) {
                assert_eq!(outcome.unwrap().cni_version, found);
                continue;
            }
            let msg =
                format!("result type supports {family} but unmarshalled CNIVersion is \"{found}\"");
            assert_eq!(outcome.unwrap_err().msg, msg);
        }
    }
}

#[test]
fn errors_are_printed_as_they_were_read() {
    for version in Version::ALL {
        let text = text(version, "error.json");
        let fault = Error::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (fault.code, fault.cni_version.as_deref()),
            (7, Some(version.as_str()))
        );
        assert_eq!(fault.to_json(), text, "{version}");
    }
}

#[test]
fn configurations_keep_every_key() {
    for version in Version::ALL {
        let text = text(version, "config.json");
        let conf = PluginConf::parse(text.as_bytes()).unwrap();
        assert_eq!((conf.name(), conf.plugin_type()), ("dbnet", "bridge"));
        assert_eq!(
            (conf.ipam_type(), conf.version().unwrap()),
            (Some("host-local"), version)
        );
        assert_eq!(conf.dns().nameservers, ["10.1.0.1"]);

        let whole: Value = serde_json::from_str(&text).unwrap();
        let written = String::from_utf8(conf.to_bytes()).unwrap();
        assert_eq!(written, whole.to_string(), "{version}");
        assert!(written.contains("12345678901234567"), "{written}");
        assert_eq!(PluginConf::parse(&conf.to_bytes()).unwrap(), conf);

        let previous =
            (version >= Version::V0_3_0).then(|| result(version, "result-with-interfaces.json"));
        assert_eq!(conf.prev_result().unwrap(), previous);
        assert_eq!(
            conf.capabilities().get("mac"),
            previous.is_some().then_some(&true)
        );
        let attachment = |id: &str, name: &str| Attachment {
            container_id: id.to_owned(),
            if_name: name.to_owned(),
        };
        let valid = version
            .allows_gc()
            .then(|| vec![attachment("blue", "eth0"), attachment("red", "net1")]);
        assert_eq!(conf.valid_attachments().unwrap(), valid);
    }
}

#[test]
fn lists_are_read_in_every_version_that_has_them() {
    for version in Version::ALL
        .into_iter()
        .filter(|version| *version >= Version::V0_3_0)
    {
        let text = text(version, "network.conflist");
        let list = NetworkConfigList::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (list.name.as_str(), list.cni_version.as_str()),
            ("dbnet", version.as_str())
        );
        assert_eq!(list.disable_check, version >= Version::V0_4_0);
        let newest = version == Version::V1_1_0;
        assert_eq!(
            (list.disable_gc, list.load_only_inlined_plugins),
            (newest, newest)
        );
        assert_eq!(list.cni_versions.len(), if newest { 3 } else { 0 });
        let types: Vec<&str> = list.plugins.iter().map(PluginConf::plugin_type).collect();
        assert_eq!(types, ["bridge", "tuning", "portmap"]);
        assert_eq!(list.plugins[1].raw()["sysctl"]["net.core.somaxconn"], "500");
        assert_eq!(list.bytes, text.as_bytes());
    }
}
