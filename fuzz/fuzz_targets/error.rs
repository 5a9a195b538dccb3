//! An error object, or an answer to VERSION, on a plugin's stdout.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_spec::{Error, PluginInfo};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(fault) = Error::parse(bytes) {
        assert_eq!(Error::parse(fault.to_json().as_bytes()), Ok(fault));
    }
    if let Ok(info) = PluginInfo::parse(bytes) {
        assert_eq!(PluginInfo::parse(info.to_json().as_bytes()), Ok(info));
    }
});
