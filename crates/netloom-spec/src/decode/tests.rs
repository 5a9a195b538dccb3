use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;

use super::*;
use crate::Mac;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Conf {
    mtu: u32,
    name: String,
    #[serde(rename = "isGateway")]
    is_gateway: bool,
    ratio: f64,
    offset: i64,
    mac: Option<Mac>,
    mode: Mode,
    ranges: Vec<Vec<Range>>,
    pair: Option<(u8, u8)>,
    labels: BTreeMap<String, i32>,
    any: Value,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Range {
    #[serde(with = "crate::net::cidr")]
    subnet: IpNet,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Bridge,
    Private,
}

fn read(text: &str) -> Result<Conf, Error> {
    from_slice(text.as_bytes())
}

#[track_caller]
fn assert_fault(text: &str, code: u32, msg: &str) {
    let fault = read(text).unwrap_err();
    assert_eq!((fault.code, fault.msg.as_str()), (code, msg), "{text}");
}

#[test]
fn a_key_with_a_line_break_does_not_break_the_message() {
    let text = r#"{"labels": {"a\nb": {}}}"#;
    let msg = r#"labels."a\nb": expected an integer from -2147483648 to 2147483647, got an object"#;
    assert_fault(text, code::DECODING, msg);
}

#[test]
fn keys_match_whatever_their_case() {
    let conf = read(r#"{"MTU": 9000, "ISGATEWAY": true, "Ranges": [[{"SubNet": "::/64"}]]}"#);
    let conf = conf.unwrap();
    assert_eq!(
        (conf.mtu, conf.is_gateway, conf.ranges[0].len()),
        (9000, true, 1)
    );
}

#[test]
fn an_exact_key_is_preferred() {
    for text in [
        r#"{"mtu": 1, "MTU": 2, "Mtu": 3}"#,
        r#"{"Mtu": 3, "MTU": 2, "mtu": 1}"#,
    ] {
        assert_eq!(read(text).unwrap().mtu, 1);
    }
    assert_eq!(read(r#"{"mtu": null, "MTU": 2}"#).unwrap().mtu, 2);
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    assert_eq!(read(r#"{"mtu": 1, "mtu": 2}"#).unwrap().mtu, 2);
}

#[test]
fn null_is_absent_or_zero() {
    let text = r#"{"mtu":null,"name":null,"isGateway":null,"ratio":null,"mac":null,"mode":null,
        "ranges":null,"pair":null,"labels":null,"any":null}"#;
    assert_eq!(read(text).unwrap(), Conf::default());
    assert_eq!(read("null").unwrap(), Conf::default());
    assert_eq!(read(r#"{"ranges":[null]}"#).unwrap().ranges, [[]]);
    assert_eq!(read(r#"{"labels":{"a":null}}"#).unwrap().labels["a"], 0);
    assert_eq!(from_slice::<Vec<String>>(b"[null]").unwrap(), [""]);
    assert_eq!(from_slice::<Vec<bool>>(b"[null]").unwrap(), [false]);
}

#[test]
fn unknown_keys_are_ignored() {
    assert_eq!(read(r#"{"x": {"mtu": "no"}, "mtu": 5}"#).unwrap().mtu, 5);
}

#[test]
fn integers_are_strict() {
    let range = "an integer from 0 to 4294967295";
    for (text, value) in [
        ("1.5", "1.5"),
        ("1e3", "1000.0"),
        ("-1", "-1"),
        ("1.0", "1.0"),
    ] {
        let msg = format!("mtu: invalid value {value}, expected {range}");
        assert_fault(&format!(r#"{{"mtu": {text}}}"#), 7, &msg);
    }
    assert_fault(
        r#"{"mtu": 4294967296}"#,
        7,
        &format!("mtu: invalid value 4294967296, expected {range}"),
    );
    assert_fault(
        r#"{"mtu": "1"}"#,
        6,
        &format!("mtu: expected {range}, got the string \"1\""),
    );
    assert_eq!(
        read(r#"{"offset": -9223372036854775808}"#).unwrap().offset,
        i64::MIN
    );
    assert_eq!(read(r#"{"mtu": 4294967295}"#).unwrap().mtu, u32::MAX);
}

#[test]
fn other_types_are_strict_too() {
    assert_fault(r#"{"name": 5}"#, 6, "name: expected a string, got 5");
    assert_fault(
        r#"{"name": ["x"]}"#,
        6,
        "name: expected a string, got an array",
    );
    assert_fault(
        r#"{"isGateway": "true"}"#,
        6,
        "isGateway: expected true or false, got the string \"true\"",
    );
    assert_fault(
        r#"{"isgateway": 1}"#,
        6,
        "isgateway: expected true or false, got 1",
    );
    assert_fault(
        r#"{"ratio": "1"}"#,
        6,
        "ratio: expected a number, got the string \"1\"",
    );
    assert_fault(
        r#"{"labels": []}"#,
        6,
        "labels: expected an object, got an array",
    );
    assert_fault(
        r#"{"ranges": {}}"#,
        6,
        "ranges: expected an array, got an object",
    );
    assert_fault(
        r#"{"ranges": [[[]]]}"#,
        6,
        "ranges[0][0]: expected an object, got an array",
    );
    assert_fault("[]", 6, "expected an object, got an array");
    assert_fault(
        r#"{"mode": 1}"#,
        6,
        "mode: expected one of bridge, private, got 1",
    );
}

#[test]
fn a_bad_value_of_the_right_type_is_an_invalid_configuration() {
    assert_fault(
        r#"{"ranges": [[], [{"subnet": "::/0"}, {"Subnet": "10.0.0.0"}]]}"#,
        7,
        "ranges[1][1].Subnet: invalid CIDR address: \"10.0.0.0\", expected an address and its \
         prefix length such as 10.1.0.5/16",
    );
    assert_fault(
        r#"{"ranges": [[{}]]}"#,
        7,
        "ranges[0][0].subnet: required, but missing",
    );
    assert_fault(
        r#"{"mode": "Bridge"}"#,
        7,
        "mode: invalid value \"Bridge\", expected one of \"bridge\", \"private\"",
    );
    assert_fault(
        r#"{"pair": [1,2,3]}"#,
        7,
        "pair: invalid value an array, expected an array of 2 elements",
    );
    assert!(
        read(r#"{"pair": [1]}"#)
            .unwrap_err()
            .msg
            .starts_with("pair: ")
    );
    assert!(
        read(r#"{"labels": {"a b": "x"}}"#)
            .unwrap_err()
            .msg
            .starts_with("labels.a b: ")
    );
}

#[test]
fn a_fault_that_does_not_show_the_value_is_shown_with_it() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Never;
    impl TryFrom<String> for Never {
        type Error = &'static str;
        fn try_from(_: String) -> Result<Self, &'static str> {
            Err("no good")
        }
    }
    let fault = from_slice::<Vec<Never>>(br#"["abc"]"#).unwrap_err();
    assert_eq!(fault.msg, "[0]: no good (it is the string \"abc\")");
    let long = format!("[\"{}\"]", "é".repeat(100));
    let fault = from_slice::<Vec<Never>>(long.as_bytes()).unwrap_err();
    assert!(
        fault.msg.ends_with("é\"…)") && fault.msg.len() < 250,
        "{fault}"
    );
}

#[test]
fn a_rest_field_gets_what_no_other_field_matched() {
    #[derive(Deserialize)]
    struct Some {
        #[serde(default)]
        known: u8,
        #[serde(default, rename = "*")]
        rest: Map<String, Value>,
    }
    let some: Some = from_slice(br#"{"KNOWN": 1, "Known": null, "a": null, "b": [1.5]}"#).unwrap();
    assert_eq!(some.known, 1);
    assert_eq!(
        serde_json::to_string(&some.rest).unwrap(),
        r#"{"a":null,"b":[1.5]}"#
    );
}

#[test]
fn enums_with_content_are_objects_of_one_key() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Shape {
        Circle(u8),
        Empty,
    }
    assert_eq!(
        from_slice::<Shape>(br#"{"Circle": 3}"#).unwrap(),
        Shape::Circle(3)
    );
    assert_eq!(from_slice::<Shape>(br#""Empty""#).unwrap(), Shape::Empty);
    assert_eq!(
        from_slice::<Shape>(br#"{"Circle": "x"}"#).unwrap_err().code,
        6
    );
    assert_eq!(from_slice::<Shape>(b"{}").unwrap_err().code, 6);
}

#[test]
fn only_one_whole_document_is_read() {
    for text in [
        "",
        "{",
        "{} {}",
        "{}x",
        "{'a': 1}",
        "{\"a\": 1,}",
        "\u{feff}{}",
        "nul",
        "{\"a\"}",
    ] {
        let fault = parse(text.as_bytes()).unwrap_err();
        assert_eq!(fault.code, code::DECODING);
        assert!(fault.msg.starts_with("invalid JSON: "), "{fault}");
    }
    assert!(parse(b" \n{}\t\r\n ").is_ok());
    assert!(parse(b"\"\xff\"").is_err());
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert!(parse(&deep).is_err());
    assert_eq!(
        parse_object(b"[]").unwrap_err().msg,
        "expected a JSON object, got an array"
    );
}

#[test]
fn seventeen_digits_survive() {
    let value =
        parse(b"{\"a\":12345678901234567,\"b\":18446744073709551615,\"c\":-9223372036854775808}");
    assert_eq!(
        compact(&value.unwrap()),
        "{\"a\":12345678901234567,\"b\":18446744073709551615,\"c\":-9223372036854775808}"
    );
}
