//! A request on a plugin's stdin.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_spec::PluginConf;

fuzz_target!(|bytes: &[u8]| {
    let Ok(conf) = PluginConf::parse(bytes) else {
        return;
    };
    assert_eq!(PluginConf::parse(&conf.to_bytes()).as_ref(), Ok(&conf));
    let _ = (
        conf.prev_result(),
        conf.valid_attachments(),
        conf.version(),
        conf.ipam_type(),
    );
    let _ = (conf.dns(), conf.capabilities());
});
