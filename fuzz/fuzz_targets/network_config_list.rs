//! A configuration list from a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_spec::NetworkConfigList;

fuzz_target!(|bytes: &[u8]| {
    let Ok(list) = NetworkConfigList::parse(bytes) else {
        return;
    };
    for conf in &list.plugins {
        let single = NetworkConfigList::from_conf(conf).expect("a plugin in a list has its type");
        let again = NetworkConfigList::parse(&single.bytes).expect("what was written is read");
        assert_eq!(again, single);
    }
});
