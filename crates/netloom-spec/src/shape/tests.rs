use serde_json::{Value, json};

use crate::{AddResult, Interface, IpConfig, Route, Version, net};

fn parse(text: &str, version: Version) -> AddResult {
    AddResult::parse(text.as_bytes(), version).unwrap()
}

fn value(result: &AddResult, version: Version) -> Value {
    result.to_value(version).unwrap()
}

#[test]
fn an_empty_result_prints_its_version_and_the_dns_of_its_time() {
    let empty = AddResult::new();
    assert_eq!(
        empty.to_json(Version::V1_0_0).unwrap(),
        "{\n    \"cniVersion\": \"1.0.0\"\n}"
    );
    assert_eq!(
        empty.to_json(Version::V0_3_0).unwrap(),
        "{\n    \"cniVersion\": \"0.3.0\",\n    \"dns\": {}\n}"
    );
}

#[test]
fn the_oldest_shape_needs_an_address_unless_it_came_without() {
    let fault = AddResult::new().to_json(Version::V0_1_0).unwrap_err();
    assert!(
        fault
            .msg
            .starts_with("cannot convert: no valid IP addresses"),
        "{fault}"
    );
    let old = parse("{}", Version::V0_2_0);
    assert_eq!(old.cni_version, Version::V0_1_0);
    assert_eq!(
        value(&old, Version::V0_2_0),
        json!({"cniVersion": "0.2.0", "dns": {}})
    );
}

#[test]
fn only_the_oldest_family_may_leave_its_version_out() {
    for version in Version::ALL {
        for text in ["{}", r#"{"cniVersion": ""}"#] {
            let outcome = AddResult::parse(text.as_bytes(), version);
            assert_eq!(
                outcome.is_ok(),
                version <= Version::V0_2_0,
                "{version} {text}"
            );
        }
    }
}

#[test]
fn routes_without_an_address_of_their_family_are_dropped_for_the_oldest_shape() {
    let mut result = AddResult::new();
    result
        .ips
        .push(IpConfig::new(net::parse_cidr("fd00::5/64").unwrap()));
    result
        .routes
        .push(Route::new(net::parse_cidr("0.0.0.0/0").unwrap()));
    result.routes.push(Route {
        mtu: 1400,
        ..Route::new(net::parse_cidr("::/0").unwrap())
    });
    let written = json!({
        "cniVersion": "0.2.0",
        "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "::/0"}]},
        "dns": {}
    });
    assert_eq!(value(&result, Version::V0_2_0), written);
}

#[test]
fn route_extras_stay_where_the_result_came_in_the_oldest_shape() {
    let text = r#"{"ip4": {"ip": "10.1.0.5/16", "routes": [{"dst": "0.0.0.0/0", "mtu": 1400}]}}"#;
    let result = parse(text, Version::V0_2_0);
    assert_eq!(
        value(&result, Version::V0_1_0)["ip4"]["routes"][0]["mtu"],
        1400
    );
    assert_eq!(value(&result, Version::V1_1_0)["routes"][0]["mtu"], 1400);
}

#[test]
fn interface_extras_are_no_part_of_the_middle_shape() {
    let text = r#"{"cniVersion":"0.4.0","interfaces":[{"name":"a","mtu":9,"pciID":"b"}]}"#;
    let result = parse(text, Version::V0_4_0);
    assert_eq!(result.interfaces, [Interface::new("a")]);
}

#[test]
fn index_zero_and_table_zero_are_not_absent() {
    let text = r#"{"cniVersion":"1.1.0","ips":[{"address":"::1/128","interface":0}],
        "routes":[{"dst":"::/0","table":0,"scope":0,"mtu":0,"advmss":0,"priority":0}]}"#;
    let written = value(&parse(text, Version::V1_1_0), Version::V1_1_0);
    assert_eq!(written["ips"][0]["interface"], 0);
    assert_eq!(
        written["routes"][0],
        json!({"dst": "::/0", "table": 0, "scope": 0})
    );
}

#[test]
fn keys_of_another_version_are_not_unknown_keys() {
    let text = r#"{"cniVersion":"1.0.0","ip4":{"ip":"10.1.0.5/16"},"Routes":null,
        "ips":[{"version":"4","address":"10.1.0.5/16"}]}"#;
    let result = parse(text, Version::V1_0_0);
    assert!(result.extra.is_empty() && result.ips[0].extra.is_empty());
    assert_eq!(
        value(&result, Version::V0_2_0)["ip4"],
        json!({"ip": "10.1.0.5/16"})
    );
}

#[test]
fn an_unknown_key_cannot_displace_a_known_one() {
    let mut result = AddResult::new();
    result.extra.insert("cniVersion".into(), json!("x"));
    result.extra.insert("IPS".into(), json!("x"));
    result.extra.insert("kept".into(), json!(1));
    for version in [Version::V0_4_0, Version::V1_1_0] {
        let text = result.to_json(version).unwrap();
        assert!(!text.contains("\"x\"") && text.contains("kept"), "{text}");
    }
}

#[test]
fn the_address_family_gives_the_version_whatever_was_written() {
    let text = r#"{"cniVersion":"0.4.0","ips":[{"version":"6","address":"10.1.0.5/16"}]}"#;
    let result = parse(text, Version::V0_4_0);
    assert_eq!(value(&result, Version::V0_3_0)["ips"][0]["version"], "4");
}

#[test]
fn what_is_wrong_is_named() {
    let range = "an integer from 0 to";
    for (text, code, msg) in [
        (
            "{}".to_owned(),
            7,
            "address: required, but missing".to_owned(),
        ),
        (
            r#"{"address":null}"#.into(),
            7,
            "address: required, but missing".into(),
        ),
        (
            r#"{"address":""}"#.into(),
            7,
            "address: invalid CIDR address: \"\"".into(),
        ),
        (
            r#"{"address":"<nil>"}"#.into(),
            7,
            "address: invalid CIDR address: \"<nil>\"".into(),
        ),
        (
            r#"{"address":5}"#.into(),
            6,
            "address: expected a string, got 5".into(),
        ),
        (
            r#"{"address":"::/0","gateway":"x"}"#.into(),
            7,
            "gateway: invalid IP address: \"x\"".into(),
        ),
        (
            r#"{"address":"::/0","interface":-1}"#.into(),
            7,
            format!("interface: invalid value -1, expected {range}"),
        ),
    ] {
        let text = format!(r#"{{"cniVersion":"1.0.0","ips":[{text}]}}"#);
        let fault = AddResult::parse(text.as_bytes(), Version::V1_0_0).unwrap_err();
        let start = format!("invalid result: ips[0].{msg}");
        assert!(
            fault.code == code && fault.msg.starts_with(&start),
            "{text}: {fault:?}"
        );
    }
}

#[test]
fn serde_reads_and_writes_a_result_in_the_shape_of_its_own_version() {
    for text in [
        r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/24"},"dns":{}}"#,
        r#"{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mtu":1400}],"dns":{}}"#,
    ] {
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        let result: AddResult = serde_json::from_str(text).unwrap();
        let again = serde_json::to_value(&result).unwrap();
        assert_eq!(again["cniVersion"], expected["cniVersion"]);
        assert_eq!(serde_json::from_value::<AddResult>(again).unwrap(), result);
    }
    let error = serde_json::from_str::<AddResult>(r#"{"cniVersion":"9.9.9"}"#).unwrap_err();
    assert!(error.to_string().contains("9.9.9"), "{error}");
}
