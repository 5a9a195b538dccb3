//! The administrator's list.

use super::super::key::Key;
use super::{Allowlist, Sysctl};
use crate::fuzzing::assert_one_line;

/// A refusal is one line, whatever the expressions are.
pub(crate) fn allowlist(content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else {
        return;
    };
    let sysctl = Sysctl {
        key: Key::parse("net.ipv4.conf.IFNAME.arp_filter", "eth0").expect("a key"),
        value: "1".into(),
    };
    let permitted = Allowlist::parse(text).and_then(|list| list.permit(&[sysctl]));
    if let Err(error) = permitted {
        assert_one_line(&error.msg);
    }
}
