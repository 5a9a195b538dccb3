//! iptables transactions.

mod host;

use netloom_kernel::iptables::{self, Family};
use netloom_kernel::nft;

#[test]
fn a_script_is_applied_whole_and_beside_what_is_there() {
    if !host::enter() {
        return;
    }
    if !iptables::is_available(Family::V4) {
        return host::skip("iptables-restore is not in PATH");
    }
    host::run(
        "iptables",
        &["-t", "nat", "-A", "POSTROUTING", "-j", "RETURN"],
    );
    let script = "*nat\n:CNI-1 - [0:0]\n-A CNI-1 -d 10.1.0.5/16 -j ACCEPT\n\
                  -A POSTROUTING -s 10.1.0.5 -m comment --comment \"name: \\\"net\\\" id: \\\"c1\\\"\" -j CNI-1\n\
                  COMMIT\n";
    iptables::restore(Family::V4, script).unwrap();
    let saved = iptables::save(Family::V4, Some("nat")).unwrap();
    for rule in [
        "-A POSTROUTING -j RETURN",
        "-A CNI-1 -d 10.1.0.0/16 -j ACCEPT",
        r#"-A POSTROUTING -s 10.1.0.5/32 -m comment --comment "name: \"net\" id: \"c1\"" -j CNI-1"#,
    ] {
        assert!(saved.contains(rule), "{rule}: {saved}");
    }
    // nf_tables made by us does not disturb iptables, nor the reverse.
    let socket = nft::Socket::open().unwrap();
    let table = nft::Table::new(nft::Family::Inet, "example");
    let mut batch = socket.batch();
    batch
        .ensure_table(&table)
        .ensure_chain(&table, &nft::Chain::new("one"));
    batch.commit().unwrap();
    assert_eq!(
        iptables::save(Family::V4, Some("nat"))
            .unwrap()
            .matches("CNI-1")
            .count(),
        3
    );
    assert!(socket.get_chain(&table, "one").unwrap().is_some());
}

#[test]
fn a_refused_script_changes_nothing_and_says_why() {
    if !host::enter() {
        return;
    }
    if !iptables::is_available(Family::V4) {
        return host::skip("iptables-restore is not in PATH");
    }
    let script = "*nat\n:CNI-1 - [0:0]\n-A CNI-1 -j NO-SUCH-TARGET\nCOMMIT\n";
    let error = iptables::restore(Family::V4, script).unwrap_err();
    assert_eq!(error.errno(), libc::EINVAL);
    assert!(
        error
            .to_string()
            .starts_with("execute \"iptables-restore\": "),
        "{error}"
    );
    assert!(
        error.words().contains("line") && !error.words().contains('\n'),
        "{error}"
    );
    assert!(
        !iptables::save(Family::V4, Some("nat"))
            .unwrap()
            .contains("CNI-1")
    );
}

#[test]
fn both_families_have_their_own_tables() {
    if !host::enter() {
        return;
    }
    if !iptables::is_available(Family::V6) {
        return host::skip("ip6tables-restore is not in PATH");
    }
    iptables::restore(Family::V6, "*filter\n:CNI-6 - [0:0]\nCOMMIT\n").unwrap();
    assert!(
        iptables::save(Family::V6, None)
            .unwrap()
            .contains(":CNI-6 ")
    );
    assert!(!iptables::save(Family::V4, None).unwrap().contains("CNI-6"));
}
