//! Records that somebody has tampered with: none of them leads a packet out of the network.

use std::net::IpAddr;

use netloom_cluster::flannel::{NetworkConfig, Subnets};
use netloom_cluster::peers::{Own, Record, Seen, Tunnels, difference, judge, wanted};
use proptest::prelude::*;

const CONFIG: &str = r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan","DirectRouting":true}}"#;

fn good(number: u8) -> (String, String) {
    let key = format!("10.5.{number}.0-24&fd00:5:0:{number:x}::-64");
    let value = format!(
        r#"{{"PublicIP":"192.0.2.{number}","PublicIPv6":"2001:db8::{number:x}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:04:{number:02x}"}},"BackendV6Data":{{"VNI":1,"VtepMAC":"02:00:00:00:06:{number:02x}"}}}}"#
    );
    (key, value)
}

/// A text of which some bytes are others, or gone, or that holds a part of another record.
fn tampered(text: String) -> impl Strategy<Value = String> {
    let length = text.len();
    let edit = (
        0..length,
        prop::sample::select(vec![
            "", "0", "255", "-", "/", "::", "ff", "\"", "}", "null", "1e9",
        ]),
        0..4usize,
    );
    prop::collection::vec(edit, 0..4).prop_map(move |edits| {
        let mut bytes = text.clone().into_bytes();
        for (at, with, removed) in edits {
            let at = at.min(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, with.bytes());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn record() -> impl Strategy<Value = (String, String)> {
    (1..=20u8).prop_flat_map(|number| {
        let (key, value) = good(number);
        (tampered(key), tampered(value))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Ten thousand records and more, five together.
    #[test]
    fn tampered_records_lead_nowhere_else_and_each_is_believed_or_counted(
        texts in prop::collection::vec(record(), 5..10)
    ) {
        let config = NetworkConfig::parse(CONFIG.as_bytes()).unwrap();
        let own = Own {
            subnets: Subnets::of_key("10.5.1.0-24&fd00:5:0:1::-64").unwrap(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            vtep_macs: vec!["02:00:00:00:04:01".parse().unwrap()],
        };
        let records: Vec<Record> = (0..).zip(texts).map(|(created, (key, value))| Record {
            key,
            value: value.into_bytes(),
            created,
        }).collect();
        let judged = judge(&records, &own, &config);
        let own_key = own.subnets.key();
        let others = records.iter().filter(|record| record.key != own_key).count();
        prop_assert_eq!(judged.peers.len() + judged.refused.len(), others);

        let tunnels = Tunnels { v4: Some(8), v6: Some(9) };
        let on_link = |ip: IpAddr| ip.to_string().ends_with('2').then_some(2);
        let wanted = wanted(&judged.peers, &config.backend, &tunnels, on_link);
        let networks: Vec<_> = config.pools().map(|pool| pool.network).collect();
        for (dst, route) in &wanted.routes {
            prop_assert!(networks.iter().any(|net| net.contains(dst) && net != dst), "{dst}");
            prop_assert!(own.subnets.parts().all(|net| !net.contains(dst) && !dst.contains(&net)), "{dst}");
            prop_assert!(!own.addresses.contains(&route.via));
        }
        let routes: Vec<_> = wanted.routes.keys().collect();
        for pair in routes.windows(2) {
            prop_assert!(!pair[0].contains(pair[1]) && !pair[1].contains(pair[0]), "{pair:?}");
        }
        for forwarding in &wanted.forwarding {
            prop_assert!(forwarding.mac.0[0] & 1 == 0, "{:?}", forwarding);
        }
        let (changes, _) = difference(&wanted, &Seen::default());
        prop_assert!(changes.iter().all(|change| !change.removes()));
    }
}
