//! What Go wrote, and what nobody should write.

use super::super::rpc::{CmdArgs, Method, Request, call};
use super::reader::Reader;
use super::*;
use proptest::prelude::*;

/// A call as the Go plugin of Debian's containernetworking-plugins 1.1.1 sent it.
pub(in super::super) const GO_CALL: &str = "2fff81030101075265717565737401ff82000102010d53657276696365\
4d6574686f64010c000103536571010600000012ff82010d444843502e416c6c6f63617465005aff8303010107436d\
644172677301ff84000106010b436f6e7461696e65724944010c0001054e65746e73010c00010649664e616d65010c\
00010441726773010c00010450617468010c000109537464696e44617461010a00000022ff840103636964010e2f72\
756e2f6e65746e732f706f6401046574683003027b7d00";

pub(in super::super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn read_call(bytes: &[u8]) -> Result<Option<(Request, Option<CmdArgs>)>, GobError> {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    let Some(request) = decoder.next()? else {
        return Ok(None);
    };
    Ok(Some((request, decoder.next()?)))
}

fn cmd_args() -> CmdArgs {
    CmdArgs {
        container_id: "cid".into(),
        netns: "/run/netns/pod".into(),
        if_name: "eth0".into(),
        stdin: b"{}".to_vec(),
        ..CmdArgs::default()
    }
}

#[test]
fn a_call_of_the_go_plugin_is_understood() {
    let (request, args) = read_call(&unhex(GO_CALL)).unwrap().unwrap();
    assert_eq!(
        (request.method.as_str(), request.sequence),
        ("DHCP.Allocate", 0)
    );
    assert_eq!(args, Some(cmd_args()));
}

#[test]
fn our_call_is_the_one_go_writes() {
    assert_eq!(call(Method::Allocate, &cmd_args()), unhex(GO_CALL));
}

#[test]
fn a_call_in_pieces_waits_for_the_rest() {
    let bytes = unhex(GO_CALL);
    for end in 0..bytes.len() {
        let read = read_call(&bytes[..end]).unwrap();
        assert!(read.is_none_or(|(_, args)| args.is_none()), "{end}");
    }
}

#[test]
fn fields_nobody_knows_are_skipped() {
    let ids = [
        ("Flag", 1),
        ("ContainerID", 6),
        ("Many", 66),
        ("Inner", 67),
        ("Any", 68),
        ("Netns", 6),
    ];
    let inner = struct_type(67, "Inner", &[("A", 4), ("B", 7)]);
    // A type that encodes itself is described as the fifth kind.
    let opaque = [b"\x0a\xff\x87\x05\x01\x02\xff\x88\x00\x00\x00".as_slice()].concat();
    let value = Fields::default()
        .uint(1, 1)
        .string(2, "cid")
        .records(3, &[1, 2], |n| Fields::default().int(1, *n))
        .record(4, Fields::default().uint(1, 0xfffe))
        .bytes(5, b"anything")
        .string(6, "/run/x");
    let bytes = [
        struct_type(65, "CmdArgs", &ids),
        slice_type(66, "[]Deep", 69),
        inner,
        opaque,
        struct_type(69, "Deep", &[("N", 2)]),
        message(65, value),
    ];
    let mut decoder = Decoder::default();
    decoder.feed(&bytes.concat());
    let args: CmdArgs = decoder.next().unwrap().unwrap();
    assert_eq!(
        (args.container_id.as_str(), args.netns.as_str()),
        ("cid", "/run/x")
    );
}

#[test]
fn a_value_may_be_passed_over() {
    let mut decoder = Decoder::default();
    decoder.feed(&unhex(GO_CALL));
    assert!(decoder.skip().unwrap());
    let args: Option<CmdArgs> = decoder.next().unwrap();
    assert_eq!(args, Some(cmd_args()));
    assert!(!decoder.skip().unwrap());
    assert_eq!(decoder.waiting(), 0);
}

#[test]
fn what_is_no_stream_is_an_error() {
    let deep: Vec<u8> = [struct_type(65, "A", &[("Next", 65)]), {
        let mut body = vec![0xff, 0x82];
        body.extend([1; 100]);
        body.extend([0; 101]);
        let mut message = vec![0xff, body.len() as u8];
        message.extend(body);
        message
    }]
    .concat();
    for (bytes, error) in [
        (vec![0xf0, 1, 2], GobError::Integer),
        (
            vec![0xfc, 0x7f, 0xff, 0xff, 0xff],
            GobError::TooLong(0x7fff_ffff),
        ),
        (vec![0], GobError::Short),
        (vec![2, 0x7e, 0], GobError::UnknownType(63)),
        (vec![3, 0xff, 0x81, 0], GobError::Description(65)),
        (vec![4, 0xff, 0x81, 9, 0], GobError::Description(65)),
        (deep, GobError::Limit),
        (
            [
                struct_type(65, "A", &[("Netns", 6)]),
                vec![6, 0xff, 0x82, 1, 1, 0xff, 0],
            ]
            .concat(),
            GobError::Text,
        ),
        (
            [
                struct_type(65, "A", &[("Netns", 6)]),
                vec![4, 0xff, 0x82, 2, 0],
            ]
            .concat(),
            GobError::Field(2),
        ),
    ] {
        let mut decoder = Decoder::default();
        decoder.feed(&bytes);
        assert_eq!(decoder.next::<CmdArgs>(), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let bytes = [
        struct_type(65, "CmdArgs", &[("Netns", Fields::UINT)]),
        message(65, Fields::default().uint(1, 7)),
    ];
    let mut decoder = Decoder::default();
    decoder.feed(&bytes.concat());
    let error = decoder.next::<CmdArgs>().unwrap_err();
    assert_eq!(error.to_string(), "gob: field \"Netns\" is not a string");
}

#[test]
fn types_are_limited() {
    let mut decoder = Decoder::default();
    for id in 65..1000 {
        decoder.feed(&struct_type(id, "A", &[]));
    }
    assert_eq!(decoder.next::<CmdArgs>(), Err(GobError::Limit));
}

/// Reads everything there is as each of the types.
fn exhaust(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    while let Ok(Some(_)) = decoder.next::<CmdArgs>() {}
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    while let Ok(true) = decoder.skip() {}
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exhaust(&bytes);
    }

    #[test]
    fn no_damage_to_a_call_makes_it_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = unhex(GO_CALL);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        exhaust(&bytes);
        drop(read_call(&bytes));
    }

    #[test]
    fn integers_survive(value in any::<i64>(), unsigned in any::<u64>()) {
        let bytes = message(1, Fields::default().int(1, value).uint(2, unsigned));
        // Length and id before it, deltas between.
        let mut reader = Reader(&bytes[2..]);
        for number in 1..=2 {
            if (number == 1 && value == 0) || (number == 2 && unsigned == 0) {
                continue;
            }
            reader.uint().unwrap();
            if number == 1 {
                prop_assert_eq!(reader.int().unwrap(), value);
            } else {
                prop_assert_eq!(reader.uint().unwrap(), unsigned);
            }
        }
    }

    #[test]
    fn a_call_survives(id in ".{0,40}", netns in ".{0,300}", stdin in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let args = CmdArgs { container_id: id, netns, stdin, ..CmdArgs::default() };
        let (request, read) = read_call(&call(Method::Release, &args)).unwrap().unwrap();
        prop_assert_eq!(request.method, "DHCP.Release");
        prop_assert_eq!(read, Some(args));
    }
}
