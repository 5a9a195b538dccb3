//! Answers of the Go daemon, and our own.

use super::super::gob::Decoder;
use super::super::gob::tests::unhex;
use super::answer::{Answers, WireResult};
use super::*;
use netloom_spec::{AddResult, Dns, IpConfig, Route};

/// The answer of the Go daemon of Debian's containernetworking-plugins 1.1.1 to `DHCP.Allocate`.
const GO_RESULT: &str = "3aff8103010108526573706f6e736501ff82000103010d536572766963654d6574686f6401\
0c00010353657101060001054572726f72010c00000012ff82010d444843502e416c6c6f636174650051ff83030101\
06526573756c7401ff84000105010a434e4956657273696f6e010c00010a496e746572666163657301ff8800010349\
507301ff8e000106526f7574657301ff92000103444e5301ff9400000024ff87020101155b5d2a7479706573313030\
2e496e7465726661636501ff880001ff86000029ff85030102ff8600010301044e616d65010c0001034d6163010c00\
010753616e64626f78010c00000023ff8d020101145b5d2a74797065733130302e4950436f6e66696701ff8e0001ff\
8a000033ff89030102ff8a0001030109496e7465726661636501040001074164647265737301ff8c00010747617465\
776179010a00000023ff8b0301010549504e657401ff8c00010201024950010a0001044d61736b010a0000001dff91\
0201010e5b5d2a74797065732e526f75746501ff920001ff9000001cff8f030102ff90000102010344737401ff8c00\
01024757010a00000046ff9303010103444e5301ff94000104010b4e616d657365727665727301ff96000106446f6d\
61696e010c00010653656172636801ff960001074f7074696f6e7301ff9600000016ff95020101085b5d737472696e\
6701ff9600010c000048ff8403010201040a0700510104ffffff000001040a0700010001020101040a0900000104ff\
ff00000001040a07000200010104000000000104000000000001040a07000100010000";

/// Its answer when it could not find the interface.
const GO_ERROR: &str = "3aff8103010108526573706f6e736501ff82000103010d536572766963654d6574686f6401\
0c00010353657101060001054572726f72010c0000003bff82010d444843502e416c6c6f6361746502276572726f72\
206c6f6f6b696e67207570202265746839223a204c696e6b206e6f7420666f756e64000aff97030102ff9800000003\
ff9800";

fn read(bytes: &[u8]) -> (Response, Option<AddResult>) {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    let response: Response = decoder.next().unwrap().unwrap();
    if !response.error.is_empty() {
        assert!(decoder.skip().unwrap());
        assert_eq!(decoder.waiting(), 0);
        return (response, None);
    }
    let result: Option<WireResult> = decoder.next().unwrap();
    assert_eq!(decoder.waiting(), 0);
    (response, result.map(|result| result.into_result().unwrap()))
}

fn sample() -> AddResult {
    let mut result = AddResult::new();
    let mut ip = IpConfig::new("10.7.0.81/24".parse().unwrap());
    ip.gateway = Some("10.7.0.1".parse().unwrap());
    result.ips.push(ip);
    for (dst, gw) in [("10.9.0.0/16", "10.7.0.2"), ("0.0.0.0/0", "10.7.0.1")] {
        let mut route = Route::new(dst.parse().unwrap());
        route.gw = Some(gw.parse().unwrap());
        result.routes.push(route);
    }
    result
}

#[test]
fn the_result_of_the_go_daemon_is_understood() {
    let (response, result) = read(&unhex(GO_RESULT));
    assert_eq!(response.method, "DHCP.Allocate");
    assert_eq!(result, Some(sample()));
}

#[test]
fn the_error_of_the_go_daemon_is_understood() {
    let (response, _) = read(&unhex(GO_ERROR));
    assert_eq!(response.error, "error looking up \"eth9\": Link not found");
}

#[test]
fn our_result_survives_with_everything_in_it() {
    let mut result = sample();
    result
        .ips
        .push(IpConfig::new("fd00::5/128".parse().unwrap()));
    let route = &mut result.routes[0];
    (route.mtu, route.advmss, route.priority) = (1400, 1360, 7);
    (route.table, route.scope) = (Some(100), Some(253));
    result.dns = Dns {
        nameservers: vec!["10.7.0.1".into(), "fd00::1".into()],
        domain: "example.org".into(),
        search: vec!["a.example.org".into()],
        options: vec![],
    };
    let mut answers = Answers::default();
    let first = answers.result("DHCP.Allocate", 0, &result);
    let second = answers.result("DHCP.Allocate", 1, &result);
    assert!(second.len() < first.len() / 2, "types are described once");
    assert_eq!(read(&first).1.as_ref(), Some(&result));
    let mut decoder = Decoder::default();
    decoder.feed(&first);
    decoder.feed(&second);
    assert!(decoder.skip().unwrap() && decoder.skip().unwrap());
    let response: Response = decoder.next().unwrap().unwrap();
    assert_eq!(response.sequence, 1);
    let again: WireResult = decoder.next().unwrap().unwrap();
    assert_eq!(again.into_result().unwrap(), result);
}

#[test]
fn our_error_is_the_one_go_writes_but_for_the_id_of_a_type() {
    let text = "error looking up \"eth9\": Link not found";
    let ours = Answers::default().error("DHCP.Allocate", 0, text);
    let gos = unhex(GO_ERROR);
    assert_eq!(ours.len(), gos.len());
    let different = ours.iter().zip(&gos).filter(|(a, b)| a != b).count();
    assert!(different <= 4, "{ours:02x?}\n{gos:02x?}");
}

#[test]
fn a_method_has_the_name_it_is_found_by() {
    for method in Method::ALL {
        assert_eq!(Method::named(method.name()), Some(method));
    }
    assert_eq!(Method::named("DHCP.allocate"), None);
}

#[test]
fn addresses_that_cannot_be_are_named() {
    use super::super::gob::{Fields, slice_type, struct_type};
    for (ip, mask, gateway) in [
        (&[1, 2, 3][..], &[255, 0, 0, 0][..], &[][..]),
        (&[1, 2, 3, 4], &[255, 0, 255, 0], &[]),
        (&[1, 2, 3, 4], &[255; 16], &[]),
        (&[1, 2, 3, 4], &[255, 0, 0, 0], &[1]),
    ] {
        let net = Fields::default().bytes(1, ip).bytes(2, mask);
        let mut ips = Some(Fields::default().record(1, net).bytes(2, gateway));
        let cell = std::cell::RefCell::new(&mut ips);
        let body = Fields::default().records(1, &[()], |()| cell.borrow_mut().take().unwrap());
        let mut decoder = Decoder::default();
        decoder.feed(&struct_type(65, "Result", &[("IPs", 66)]));
        decoder.feed(&slice_type(66, "", 67));
        decoder.feed(&struct_type(67, "", &[("Address", 68), ("Gateway", 5)]));
        decoder.feed(&struct_type(68, "", &[("IP", 5), ("Mask", 5)]));
        decoder.feed(&message(65, body));
        let result: WireResult = decoder.next().unwrap().unwrap();
        let error = result.into_result().unwrap_err().to_string();
        assert!(error.contains("in the daemon's answer is"), "{error}");
    }
}
